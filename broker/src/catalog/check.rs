//! Whether a command may be applied: the rules that keep the state whole.
//!
//! What belongs to the protocol (reserved names, permissions, equivalence texts) has been checked
//! by the caller; here only what a replay must be able to rely on.

use warren_storage::LogError;

use super::apply::apply;
use super::command::{BindingDef, Command};
use super::state::{PermissionDef, State, UserDef, VhostDef, VhostState};

/// The longest name that fits on the wire, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Numbers from here on are the broker's own, for queues that are not durable.
const QUEUE_ID_LIMIT: u64 = 1 << 63;

/// Why a command was not applied. Except for `Log`, nothing was changed or written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such vhost.
    #[error("no vhost '{0}'")]
    NoSuchVhost(String),
    /// The vhost may not be deleted.
    #[error("Refusing to delete virtual host '{0}' because it is protected from deletion")]
    Protected(String),
    /// There is as much of it as the node may have.
    #[error("{0}")]
    Limit(String),
    /// What it is to begin with cannot be used.
    #[error("{0}")]
    Defaults(String),
    /// There is no such user.
    #[error("no user '{0}'")]
    NoSuchUser(String),
    /// There is no such durable exchange.
    #[error("no durable exchange '{name}' in vhost '{vhost}'")]
    NoSuchExchange {
        /// The vhost.
        vhost: String,
        /// The exchange.
        name: String,
    },
    /// There is no such durable queue.
    #[error("no durable queue '{name}' in vhost '{vhost}'")]
    NoSuchQueue {
        /// The vhost.
        vhost: String,
        /// The queue.
        name: String,
    },
    /// A queue or exchange of that name is there with other properties.
    #[error("{kind} '{name}' in vhost '{vhost}' exists with other properties")]
    Exists {
        /// `queue` or `exchange`.
        kind: &'static str,
        /// The vhost.
        vhost: String,
        /// Its name.
        name: String,
    },
    /// A queue was to get a number that is taken or out of range.
    #[error("queue number {0} cannot be used")]
    QueueId(u64),
    /// A name is empty or does not fit on the wire.
    #[error("a name of {bytes} bytes cannot be used")]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// The command does not fit into the log.
    #[error("{0}")]
    TooLarge(LogError),
    /// The disk failed, or the log is closed: nothing more can be changed until a restart.
    #[error("the definitions cannot be stored: {0}")]
    Log(LogError),
}

impl From<LogError> for CatalogError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::TooLarge(error),
            _ => Self::Log(error),
        }
    }
}

/// What a command that may be applied would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Changes,
    /// All is already as the command wants it.
    Nothing,
}

/// Checks a command against the state; cheap, as nothing is copied.
pub(super) fn check(state: &State, command: &Command) -> Result<Verdict, CatalogError> {
    match command {
        Command::Batch(commands) => batch(state, commands),
        Command::PutVhost {
            name,
            description,
            tags,
            default_queue_type,
        } => {
            check_name(name)?;
            let same = |def: &VhostDef| {
                def.description == *description
                    && def.tags == *tags
                    && def.default_queue_type == *default_queue_type
            };
            Ok(changes_unless(state.vhost(name).is_some_and(same)))
        }
        Command::DeleteVhost { name } => {
            if vhost(state, name)?.def.protected_from_deletion {
                return Err(CatalogError::Protected(name.clone()));
            }
            Ok(Verdict::Changes)
        }
        Command::PutUser {
            name,
            password_hash,
            hashing_algorithm,
            tags,
        } => {
            check_name(name)?;
            let same = |user: &UserDef| {
                user.password_hash == *password_hash
                    && user.hashing_algorithm == *hashing_algorithm
                    && user.tags == *tags
            };
            Ok(changes_unless(state.user(name).is_some_and(same)))
        }
        Command::DeleteUser { name } => check_user(state, name).map(|()| Verdict::Changes),
        Command::CreateFirstUser { user, vhost, .. } => {
            check_name(user)?;
            check_name(vhost)?;
            Ok(changes_unless(!state.users.is_empty()))
        }
        Command::SetPermission {
            user,
            vhost: name,
            configure,
            write,
            read,
        } => {
            check_user(state, user)?;
            let same = |def: &PermissionDef| {
                def.configure == *configure && def.write == *write && def.read == *read
            };
            let known = vhost(state, name)?.permissions.get(user);
            Ok(changes_unless(known.is_some_and(same)))
        }
        Command::ClearPermission { user, vhost: name } => {
            let known = vhost(state, name)?.permissions.contains_key(user);
            Ok(changes_unless(!known))
        }
        Command::DeclareExchange { .. } | Command::DeclareQueue { .. } => declare(state, command),
        Command::DeleteExchange {
            vhost: name,
            name: exchange,
        } => check_exchange(name, vhost(state, name)?, exchange).map(|()| Verdict::Changes),
        Command::DeleteQueue {
            vhost: name,
            name: queue,
        } => check_queue(name, vhost(state, name)?, queue).map(|()| Verdict::Changes),
        Command::Bind { vhost, binding } => bind(state, vhost, binding),
        Command::Unbind {
            vhost: name,
            binding,
        } => Ok(changes_unless(
            !vhost(state, name)?.bindings.contains(binding),
        )),
        Command::SetGlobalParameter { name, value } => {
            check_name(name)?;
            Ok(changes_unless(
                state.global_parameters.get(name) == Some(value),
            ))
        }
        Command::ClearGlobalParameter { name } => {
            Ok(changes_unless(!state.global_parameters.contains_key(name)))
        }
        other => check_settings(state, other),
    }
}

/// Limits, topic permissions, policies and parameters.
fn check_settings(state: &State, command: &Command) -> Result<Verdict, CatalogError> {
    let same = match command {
        Command::RedeclareQueue {
            vhost: name,
            name: queue,
            arguments,
        } => {
            let found = vhost(state, name)?;
            check_queue(name, found, queue)?;
            let known = found.queues.get(queue);
            known.is_some_and(|known| known.arguments == *arguments)
        }
        Command::ProtectVhost { name, protected } => {
            vhost(state, name)?.def.protected_from_deletion == *protected
        }
        Command::SetVhostLimit {
            vhost: name,
            limit,
            value,
        } => vhost(state, name)?.def.limits.get(limit) == value.as_ref(),
        Command::SetUserLimit { user, limit, value } => {
            check_user(state, user)?;
            let known = state.user(user).and_then(|user| user.limits.get(limit));
            known == value.as_ref()
        }
        Command::SetTopicPermission {
            user,
            vhost: name,
            exchange,
            write,
            read,
        } => {
            check_user(state, user)?;
            let key = (user.clone(), exchange.clone());
            let known = vhost(state, name)?.topic_permissions.get(&key);
            known.is_some_and(|known| known.write == *write && known.read == *read)
        }
        Command::ClearTopicPermission {
            user,
            vhost: name,
            exchange,
        } => {
            let found = vhost(state, name)?;
            !found
                .topic_permissions
                .keys()
                .any(|(of, on)| of == user && exchange.as_ref().is_none_or(|only| only == on))
        }
        Command::SetPolicy {
            vhost: name,
            name: policy_name,
            operator,
            policy,
        } => {
            check_name(policy_name)?;
            vhost(state, name)?.policies(*operator).get(policy_name) == Some(policy)
        }
        Command::ClearPolicy {
            vhost: name,
            name: policy_name,
            operator,
        } => !vhost(state, name)?
            .policies(*operator)
            .contains_key(policy_name),
        Command::SetParameter {
            vhost: name,
            component,
            name: parameter,
            value,
        } => {
            check_name(component)?;
            check_name(parameter)?;
            let key = (component.clone(), parameter.clone());
            vhost(state, name)?.parameters.get(&key) == Some(value)
        }
        Command::ClearParameter {
            vhost: name,
            component,
            name: parameter,
        } => {
            let key = (component.clone(), parameter.clone());
            !vhost(state, name)?.parameters.contains_key(&key)
        }
        // The rest is the caller's.
        _ => true,
    };
    Ok(changes_unless(same))
}

/// Each may build on those before it, so they are tried on a copy.
fn batch(state: &State, commands: &[Command]) -> Result<Verdict, CatalogError> {
    let mut trial = state.clone();
    let mut verdict = Verdict::Nothing;
    for command in commands {
        if !apply(&mut trial, command)?.is_empty() {
            verdict = Verdict::Changes;
        }
    }
    Ok(verdict)
}

fn declare(state: &State, command: &Command) -> Result<Verdict, CatalogError> {
    let (kind, vhost_name, name, same) = match command {
        Command::DeclareExchange {
            vhost: vhost_name,
            name,
            kind,
            auto_delete,
            internal,
            arguments,
        } => {
            let known = vhost(state, vhost_name)?.exchanges.get(name).map(|def| {
                def.kind == *kind
                    && def.auto_delete == *auto_delete
                    && def.internal == *internal
                    && def.arguments == *arguments
            });
            ("exchange", vhost_name, name, known)
        }
        Command::DeclareQueue {
            vhost: vhost_name,
            name,
            id,
            auto_delete,
            arguments,
        } => {
            let known = vhost(state, vhost_name)?
                .queues
                .get(name)
                .map(|def| def.auto_delete == *auto_delete && def.arguments == *arguments);
            let taken = *id == 0 || *id >= QUEUE_ID_LIMIT || state.queues_by_id.contains_key(id);
            if known.is_none() && taken {
                return Err(CatalogError::QueueId(*id));
            }
            ("queue", vhost_name, name, known)
        }
        _ => return Ok(Verdict::Nothing),
    };
    check_name(name)?;
    match same {
        None => Ok(Verdict::Changes),
        Some(true) => Ok(Verdict::Nothing),
        Some(false) => Err(CatalogError::Exists {
            kind,
            vhost: vhost_name.clone(),
            name: name.clone(),
        }),
    }
}

fn bind(state: &State, name: &str, binding: &BindingDef) -> Result<Verdict, CatalogError> {
    let vhost = vhost(state, name)?;
    check_exchange(name, vhost, &binding.source)?;
    if binding.destination_is_queue {
        check_queue(name, vhost, &binding.destination)?;
    } else {
        check_exchange(name, vhost, &binding.destination)?;
    }
    if binding.routing_key.len() > MAX_NAME_BYTES {
        return Err(CatalogError::Name {
            bytes: binding.routing_key.len(),
        });
    }
    Ok(changes_unless(vhost.bindings.contains(binding)))
}

fn changes_unless(same: bool) -> Verdict {
    if same {
        Verdict::Nothing
    } else {
        Verdict::Changes
    }
}

fn check_name(name: &str) -> Result<(), CatalogError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(CatalogError::Name { bytes: name.len() });
    }
    Ok(())
}

fn vhost<'a>(state: &'a State, name: &str) -> Result<&'a VhostState, CatalogError> {
    state
        .vhosts
        .get(name)
        .ok_or_else(|| CatalogError::NoSuchVhost(name.to_owned()))
}

fn check_user(state: &State, name: &str) -> Result<(), CatalogError> {
    match state.user(name) {
        Some(_) => Ok(()),
        None => Err(CatalogError::NoSuchUser(name.to_owned())),
    }
}

/// Exchanges of the broker's own, which every vhost has, are not in the state but may be bound.
fn check_exchange(vhost_name: &str, vhost: &VhostState, name: &str) -> Result<(), CatalogError> {
    if vhost.exchanges.contains_key(name) || name.starts_with("amq.") {
        return Ok(());
    }
    Err(CatalogError::NoSuchExchange {
        vhost: vhost_name.to_owned(),
        name: name.to_owned(),
    })
}

fn check_queue(vhost_name: &str, vhost: &VhostState, name: &str) -> Result<(), CatalogError> {
    if vhost.queues.contains_key(name) {
        return Ok(());
    }
    Err(CatalogError::NoSuchQueue {
        vhost: vhost_name.to_owned(),
        name: name.to_owned(),
    })
}
