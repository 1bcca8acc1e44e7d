//! From the command log back to the state, also when the log has lost records to damage.
//!
//! An intact log replays without a refusal; anything else means that log and view do not belong
//! together, and the node does not start on a guess. When the log itself reports damage, as much
//! as possible is saved: a command that no longer applies is left out, a vhost that is only
//! mentioned is made again, and references to what is lost are removed by new commands. Every
//! such step is reported.

use std::path::PathBuf;

use warren_storage::{CommandLog, DataDir, Definitions, OpenError};

use super::apply::{Event, apply};
use super::check::CatalogError;
use super::command::{BindingDef, Command, DecodeError};
use super::state::State;
use super::view::{LoadError, load_with, view_ops};

/// Description of a vhost that came back without its definition.
const RECOVERED: &str = "Recovered after damage to the definitions";

/// What was rebuilt.
pub(super) struct Rebuilt {
    pub(super) state: State,
    /// Commands to propose, so that nothing refers to what is lost.
    pub(super) repairs: Vec<Command>,
    /// What is lost, one line each.
    pub(super) damage: Vec<String>,
}

/// Loads the base and applies the tail. The view is told what each command did.
pub(super) fn rebuild(
    dir: &DataDir,
    log: &CommandLog,
    definitions: Definitions,
) -> Result<Rebuilt, OpenError> {
    let mut damage = definitions.damaged;
    let mut missing_vhosts = Vec::new();
    let mut state =
        load_with(definitions.base, &mut missing_vhosts).map_err(|error| match error {
            LoadError::Newer { found } => newer(dir, found),
            other => corrupt(dir, other.to_string()),
        })?;
    if damage.is_empty() && !missing_vhosts.is_empty() {
        return Err(corrupt(
            dir,
            format!("vhosts {missing_vhosts:?} are not defined"),
        ));
    }
    let mut next = definitions.base_index + 1;
    for (index, bytes) in definitions.tail {
        let command = Command::decode(&bytes).map_err(|error| match error {
            DecodeError::Newer { found } => newer(dir, found),
            malformed @ DecodeError::Malformed(_) => corrupt(dir, malformed.to_string()),
        })?;
        // It was accepted before it was logged, so on the same state it is accepted again.
        let events = match apply(&mut state, &command) {
            Ok(events) => events,
            Err(error) if damage.is_empty() => {
                return Err(corrupt(dir, format!("command {index}: {error}")));
            }
            Err(error) => {
                damage.push(format!("command {index} does not apply any more: {error}"));
                save(&mut state, &command, &error)
            }
        };
        skip(log, next, index);
        log.view_changed(index, view_ops(&events));
        next = index + 1;
    }
    skip(log, next, log.durable_index() + 1);
    let mut repairs = Vec::new();
    if !damage.is_empty() {
        repairs = repair(&state, missing_vhosts, &mut damage);
    }
    Ok(Rebuilt {
        state,
        repairs,
        damage,
    })
}

/// The second attempt at a command: a vhost that it needs is made.
fn save(state: &mut State, command: &Command, error: &CatalogError) -> Vec<Event> {
    let CatalogError::NoSuchVhost(vhost) = error else {
        return Vec::new();
    };
    if !matches!(
        command,
        Command::DeclareQueue { .. } | Command::DeclareExchange { .. }
    ) {
        return Vec::new();
    }
    let mut events = apply(state, &put_vhost(vhost.clone())).unwrap_or_default();
    events.extend(apply(state, command).unwrap_or_default());
    events
}

/// Indexes whose commands are lost changed nothing; the view has to pass over them.
fn skip(log: &CommandLog, from: u64, to: u64) {
    for index in from..to {
        log.view_changed(index, Vec::new());
    }
}

fn repair(state: &State, missing_vhosts: Vec<String>, damage: &mut Vec<String>) -> Vec<Command> {
    let mut repairs: Vec<Command> = Vec::new();
    for vhost in missing_vhosts {
        damage.push(format!("vhost '{vhost}' came back without its metadata"));
        repairs.push(put_vhost(vhost));
    }
    for (vhost, _) in state.vhosts() {
        for (user, _) in state.permissions(vhost) {
            if state.user(user).is_none() {
                damage.push(format!(
                    "permission of lost user '{user}' in vhost '{vhost}'"
                ));
                let (user, vhost) = (user.to_owned(), vhost.to_owned());
                repairs.push(Command::ClearPermission { user, vhost });
            }
        }
        let mut orphans: Vec<&str> = state
            .topic_permissions(vhost)
            .map(|(user, _, _)| user)
            .filter(|user| state.user(user).is_none())
            .collect();
        orphans.dedup();
        for user in orphans {
            damage.push(format!(
                "topic permissions of lost user '{user}' in vhost '{vhost}'"
            ));
            repairs.push(Command::ClearTopicPermission {
                user: user.to_owned(),
                vhost: vhost.to_owned(),
                exchange: None,
            });
        }
        for binding in state
            .bindings(vhost)
            .filter(|binding| dangles(state, vhost, binding))
        {
            let (from, to) = (&binding.source, &binding.destination);
            damage.push(format!(
                "binding from '{from}' to '{to}' in vhost '{vhost}'"
            ));
            let (vhost, binding) = (vhost.to_owned(), binding.clone());
            repairs.push(Command::Unbind { vhost, binding });
        }
    }
    repairs
}

fn dangles(state: &State, vhost: &str, binding: &BindingDef) -> bool {
    let exchange = |name: &str| name.starts_with("amq.") || state.exchange(vhost, name).is_some();
    let destination = if binding.destination_is_queue {
        state.queue(vhost, &binding.destination).is_some()
    } else {
        exchange(&binding.destination)
    };
    !(exchange(&binding.source) && destination)
}

fn put_vhost(name: String) -> Command {
    Command::PutVhost {
        name,
        description: RECOVERED.to_owned(),
        tags: Vec::new(),
        default_queue_type: None,
    }
}

fn folder(dir: &DataDir) -> PathBuf {
    dir.path().join("definitions")
}

fn newer(dir: &DataDir, found: u32) -> OpenError {
    OpenError::NewerFormat {
        path: folder(dir),
        found,
        supported: 1,
    }
}

fn corrupt(dir: &DataDir, reason: String) -> OpenError {
    OpenError::Corrupt {
        path: folder(dir),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use warren_amqp::FieldTable;
    use warren_storage::testing::{MemDisk, Op};

    use super::*;
    use crate::auth::HashingAlgorithm;
    use crate::catalog::Catalog;

    fn open(disk: &MemDisk) -> Result<Catalog, OpenError> {
        Catalog::open(&DataDir::on(Arc::new(disk.clone())).unwrap())
    }

    fn commands() -> Vec<Command> {
        let vhost = || "v".to_owned();
        let binding = BindingDef {
            source: "amq.topic".to_owned(),
            destination: "q".to_owned(),
            destination_is_queue: true,
            routing_key: "#".to_owned(),
            arguments: FieldTable::default(),
        };
        vec![
            Command::PutVhost {
                name: vhost(),
                description: "first".to_owned(),
                tags: Vec::new(),
                default_queue_type: None,
            },
            Command::PutUser {
                name: "u".to_owned(),
                password_hash: String::new(),
                hashing_algorithm: HashingAlgorithm::Sha256,
                tags: Vec::new(),
            },
            Command::SetPermission {
                user: "u".to_owned(),
                vhost: vhost(),
                configure: String::new(),
                write: String::new(),
                read: String::new(),
            },
            Command::DeclareQueue {
                vhost: vhost(),
                name: "q".to_owned(),
                id: 5,
                auto_delete: false,
                arguments: FieldTable::default(),
            },
            Command::Bind {
                vhost: vhost(),
                binding,
            },
        ]
    }

    fn filled() -> MemDisk {
        let disk = MemDisk::new();
        let catalog = open(&disk).unwrap();
        for command in commands() {
            catalog.propose(command).unwrap();
        }
        catalog.close();
        disk
    }

    /// Opens after the record of the command has lost a bit.
    fn open_without(command: usize) -> Catalog {
        let disk = filled();
        let bytes = commands()[command].encode();
        for (path, contents) in disk.files() {
            let at = contents
                .windows(bytes.len())
                .position(|window| window == bytes);
            if let Some(at) = at {
                disk.damage(&path, |contents| contents[at] ^= 1);
            }
        }
        open(&disk).unwrap()
    }

    #[test]
    fn an_intact_log_is_replayed_without_a_word() {
        let catalog = open(&filled()).unwrap();
        assert!(catalog.damage().is_empty());
        assert_eq!(catalog.last_index(), 5);
        let mut state = State::default();
        for command in commands() {
            apply(&mut state, &command).unwrap();
        }
        assert_eq!(*catalog.read(), state);
    }

    #[test]
    fn a_lost_vhost_comes_back_for_what_was_in_it() {
        let catalog = open_without(0);
        assert!(!catalog.damage().is_empty());
        let state = catalog.read();
        assert_eq!(state.vhost("v").unwrap().description, RECOVERED);
        assert_eq!(state.queue("v", "q").unwrap().id, 5);
        assert_eq!(state.bindings("v").count(), 1);
        assert_eq!(state.next_queue_id(), 6);
    }

    #[test]
    fn a_lost_user_or_queue_leaves_nothing_dangling() {
        let catalog = open_without(1);
        assert_eq!(catalog.read().permissions("v").count(), 0);
        assert_eq!(catalog.read().queues("v").count(), 1);
        let catalog = open_without(3);
        assert_eq!(catalog.read().bindings("v").count(), 0);
        assert_eq!(catalog.read().vhost("v").unwrap().description, "first");
        // The lost command keeps its number.
        assert_eq!(catalog.last_index(), 5);
        let catalog = open_without(4);
        let proposed = catalog
            .propose(Command::DeleteUser {
                name: "u".to_owned(),
            })
            .unwrap();
        assert!(proposed.index >= 5);
    }

    #[test]
    fn references_to_what_a_snapshot_lost_are_taken_out() {
        let mut state = State::default();
        for command in commands() {
            apply(&mut state, &command).unwrap();
        }
        state.users.clear();
        state.vhosts.get_mut("v").unwrap().queues.clear();
        let mut damage = Vec::new();
        for command in repair(&state, vec!["v".to_owned()], &mut damage) {
            assert!(!apply(&mut state, &command).unwrap().is_empty());
        }
        assert_eq!(damage.len(), 3);
        assert_eq!(state.permissions("v").count(), 0);
        assert_eq!(state.bindings("v").count(), 0);
        assert!(repair(&state, Vec::new(), &mut damage).is_empty());
    }

    #[test]
    fn a_disk_that_fails_is_waited_for() {
        let disk = MemDisk::new();
        let catalog = open(&disk).unwrap();
        disk.fail(Some(Op::Sync));
        let first = catalog.propose(commands().remove(0)).unwrap();
        assert!(matches!(
            catalog.wait_durable(first.index),
            Err(CatalogError::Log(_))
        ));
        assert_eq!(catalog.durable_index(), 0);
        assert!(catalog.stalled().is_some() && catalog.failure().is_none());
        let second = catalog.propose(commands().remove(1)).unwrap();
        assert!(catalog.wait_durable(second.index).is_err());
        disk.fail(None);
        while catalog.wait_durable(second.index).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let state = catalog.read().clone();
        catalog.close();
        disk.crash(&mut |_| 0);
        assert_eq!(*open(&disk).unwrap().read(), state);
    }

    #[test]
    fn commands_of_a_later_version_are_not_guessed_at() {
        let disk = MemDisk::new();
        let dir = DataDir::on(Arc::new(disk)).unwrap();
        let (log, _) = CommandLog::open(&dir).unwrap();
        log.append(br#"{"v":2,"command":{"Teleport":{}}}"#).unwrap();
        log.close().unwrap();
        drop(log);
        let error = Catalog::open(&dir).err().unwrap();
        assert!(
            matches!(
                error,
                OpenError::NewerFormat {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}
