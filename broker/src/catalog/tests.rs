//! Properties of the catalog as a whole, over random sequences of commands.

use proptest::prelude::*;
use serde_json::json;
use warren_amqp::FieldTable;

use super::testing::{any_table, catalog_with};
use super::*;
use crate::auth::HashingAlgorithm;

fn name() -> impl Strategy<Value = String> {
    // Few, so that commands meet; one that would be mistaken for another by a separator.
    prop_oneof!["[abc]", Just("a\0b".to_owned()), Just("a/b".to_owned())]
}

fn table() -> impl Strategy<Value = FieldTable> {
    prop_oneof![3 => Just(FieldTable::default()), 1 => any_table()]
}

fn binding() -> impl Strategy<Value = BindingDef> {
    let source = prop_oneof![3 => name(), 1 => Just("amq.topic".to_owned())];
    (source, name(), any::<bool>(), "[xy]?", table()).prop_map(
        |(source, destination, destination_is_queue, routing_key, arguments)| BindingDef {
            source,
            destination,
            destination_is_queue,
            routing_key,
            arguments,
        },
    )
}

fn user_command() -> impl Strategy<Value = Command> {
    let algorithm = Just(HashingAlgorithm::Sha256);
    prop_oneof![
        (
            name(),
            "[h]?",
            algorithm,
            prop::collection::vec("[t]", 0..2)
        )
            .prop_map(
                |(name, password_hash, hashing_algorithm, tags)| Command::PutUser {
                    name,
                    password_hash,
                    hashing_algorithm,
                    tags,
                }
            ),
        name().prop_map(|name| Command::DeleteUser { name }),
        (name(), name()).prop_map(|(user, vhost)| Command::CreateFirstUser {
            user,
            password_hash: "h".to_owned(),
            hashing_algorithm: HashingAlgorithm::Sha512,
            tags: vec!["administrator".to_owned()],
            vhost,
            configure: ".*".to_owned(),
            write: ".*".to_owned(),
            read: ".*".to_owned(),
        }),
        (name(), name(), "[p]?").prop_map(|(user, vhost, pattern)| Command::SetPermission {
            user,
            vhost,
            configure: pattern.clone(),
            write: String::new(),
            read: pattern,
        }),
        (name(), name()).prop_map(|(user, vhost)| Command::ClearPermission { user, vhost }),
    ]
}

fn vhost_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => (name(), "[d]?", prop::option::of("[q]")).prop_map(
            |(name, description, default_queue_type)| Command::PutVhost {
                name,
                description,
                tags: Vec::new(),
                default_queue_type,
            }
        ),
        1 => name().prop_map(|name| Command::DeleteVhost { name }),
        1 => (name(), 0..3i64).prop_map(|(name, n)| Command::SetGlobalParameter {
            name,
            value: json!({"n": n, "list": [null, true, "x"]}),
        }),
        1 => name().prop_map(|name| Command::ClearGlobalParameter { name }),
    ]
}

fn settings_command() -> impl Strategy<Value = Command> {
    let policy = ("[p]?", -1..2i64, 0..3i64).prop_map(|(pattern, priority, n)| PolicyDef {
        pattern,
        apply_to: ApplyTo::Queues,
        priority,
        definition: [("max-length".to_owned(), json!(n))].into_iter().collect(),
    });
    let value = prop::option::of(-1..3i64);
    prop_oneof![
        (name(), name(), any::<bool>(), policy).prop_map(|(vhost, name, operator, policy)| {
            Command::SetPolicy {
                vhost,
                name,
                operator,
                policy,
            }
        }),
        (name(), name(), any::<bool>()).prop_map(|(vhost, name, operator)| Command::ClearPolicy {
            vhost,
            name,
            operator,
        }),
        (name(), name(), name(), 0..3i64).prop_map(|(vhost, component, name, n)| {
            Command::SetParameter {
                vhost,
                component,
                name,
                value: json!({"n": n}),
            }
        }),
        (name(), name(), name()).prop_map(|(vhost, component, name)| Command::ClearParameter {
            vhost,
            component,
            name,
        }),
        (name(), name(), name(), "[w]?").prop_map(|(user, vhost, exchange, write)| {
            Command::SetTopicPermission {
                user,
                vhost,
                exchange,
                write,
                read: String::new(),
            }
        }),
        (name(), name(), prop::option::of(name())).prop_map(|(user, vhost, exchange)| {
            Command::ClearTopicPermission {
                user,
                vhost,
                exchange,
            }
        }),
        (name(), value.clone()).prop_map(|(vhost, value)| Command::SetVhostLimit {
            vhost,
            limit: VhostLimit::MaxQueues,
            value,
        }),
        (name(), value).prop_map(|(user, value)| Command::SetUserLimit {
            user,
            limit: UserLimit::MaxChannels,
            value,
        }),
        (name(), any::<bool>())
            .prop_map(|(name, protected)| Command::ProtectVhost { name, protected }),
        (name(), name(), table()).prop_map(|(vhost, name, arguments)| Command::RedeclareQueue {
            vhost,
            name,
            arguments,
        }),
    ]
}

fn topology_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => (name(), name(), "[dt]", any::<bool>(), table()).prop_map(
            |(vhost, name, kind, auto_delete, arguments)| Command::DeclareExchange {
                vhost,
                name,
                kind,
                auto_delete,
                internal: false,
                arguments,
            }
        ),
        1 => (name(), name()).prop_map(|(vhost, name)| Command::DeleteExchange { vhost, name }),
        1 => (name(), name(), 0..40u64, any::<bool>(), table()).prop_map(
            |(vhost, name, id, auto_delete, arguments)| Command::DeclareQueue {
                vhost,
                name,
                id,
                auto_delete,
                arguments,
            }
        ),
        1 => (name(), name()).prop_map(|(vhost, name)| Command::DeleteQueue { vhost, name }),
        3 => (name(), binding()).prop_map(|(vhost, binding)| Command::Bind { vhost, binding }),
        1 => (name(), binding()).prop_map(|(vhost, binding)| Command::Unbind { vhost, binding }),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let any = prop_oneof![1 => user_command(), 1 => vhost_command(), 2 => settings_command(), 3 => topology_command()];
    // Without a vhost most of it would be refused.
    prop::collection::vec(any, 0..60).prop_map(|mut commands| {
        for name in ["a", "b"] {
            commands.insert(0, put_vhost(name));
        }
        commands
    })
}

fn put_vhost(name: &str) -> Command {
    Command::PutVhost {
        name: name.to_owned(),
        description: String::new(),
        tags: Vec::new(),
        default_queue_type: None,
    }
}

/// Everything in the state refers to something in the state.
fn check_whole(state: &State) {
    let mut n_queues = 0;
    for (vhost, _) in state.vhosts() {
        for (user, _) in state.permissions(vhost) {
            assert!(state.user(user).is_some());
        }
        for (name, queue) in state.queues(vhost) {
            n_queues += 1;
            assert_eq!(state.queue_by_id(queue.id), Some((vhost, name)));
            assert!(queue.id < state.next_queue_id());
        }
        let exists = |name: &str| name.starts_with("amq.") || state.exchange(vhost, name).is_some();
        for binding in state.bindings(vhost) {
            assert!(exists(&binding.source));
            if binding.destination_is_queue {
                assert!(state.queue(vhost, &binding.destination).is_some());
            } else {
                assert!(exists(&binding.destination));
            }
        }
    }
    assert_eq!(n_queues, state.queues_by_id.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_view_and_a_replay_give_the_same_state(commands in commands()) {
        let mut state = State::default();
        let mut view = std::collections::BTreeMap::new();
        let mut log = Vec::new();
        for command in &commands {
            let before = state.clone();
            match apply(&mut state, command) {
                Ok(events) => {
                    prop_assert_eq!(events.is_empty(), state == before);
                    for (key, value) in view_ops(&events) {
                        match value {
                            Some(value) => view.insert(key, value),
                            None => view.remove(&key),
                        };
                    }
                    log.push(command.encode());
                }
                Err(_) => prop_assert_eq!(&state, &before),
            }
            check_whole(&state);
        }
        // In any order: keys are sorted, so that this puts bindings before the vhosts they are in.
        prop_assert_eq!(&load(view.clone()).unwrap(), &state);
        prop_assert_eq!(&load(view.into_iter().rev()).unwrap(), &state);
        let mut replayed = State::default();
        for bytes in log {
            apply(&mut replayed, &Command::decode(&bytes).unwrap()).unwrap();
        }
        prop_assert_eq!(&replayed, &state);
    }

    #[test]
    fn commands_come_back_from_the_log(commands in commands()) {
        for command in commands {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn arbitrary_entries_are_answered(
        entries in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..3)
    ) {
        let _ = load(entries.clone());
        for (mut key, value) in entries {
            key.insert(0, b'q');
            let _ = load([(key, value)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn reopened_the_catalog_is_as_it_was(commands in commands()) {
        let (catalog, dir) = catalog_with(&[]);
        for command in commands {
            let _ = catalog.propose(command);
        }
        let state = catalog.read().clone();
        let last = catalog.last_index();
        catalog.close();
        drop(catalog);
        let dir = warren_storage::DataDir::open(dir.path()).unwrap();
        let reopened = Catalog::open(&dir).unwrap();
        prop_assert_eq!(&*reopened.read(), &state);
        prop_assert_eq!(reopened.last_index(), last);
        prop_assert_eq!(reopened.durable_index(), last);
    }
}

#[test]
fn references_are_checked() {
    let (catalog, _dir) = catalog_with(&[put_vhost("v")]);
    let vhost = || "v".to_owned();
    let refused = |command| catalog.propose(command).unwrap_err();
    let nowhere = Command::DeleteQueue {
        vhost: "w".to_owned(),
        name: "q".to_owned(),
    };
    assert_eq!(refused(nowhere), CatalogError::NoSuchVhost("w".to_owned()));
    let command = Command::DeleteQueue {
        vhost: vhost(),
        name: "q".to_owned(),
    };
    assert_eq!(
        refused(command).to_string(),
        "no durable queue 'q' in vhost 'v'"
    );
    let command = Command::DeleteExchange {
        vhost: vhost(),
        name: "x".to_owned(),
    };
    assert_eq!(
        refused(command).to_string(),
        "no durable exchange 'x' in vhost 'v'"
    );
    let command = Command::DeleteUser {
        name: "u".to_owned(),
    };
    assert_eq!(refused(command), CatalogError::NoSuchUser("u".to_owned()));
    assert_eq!(refused(put_vhost("")), CatalogError::Name { bytes: 0 });
    assert_eq!(
        refused(put_vhost(&"v".repeat(256))),
        CatalogError::Name { bytes: 256 }
    );
    for id in [0, 1 << 63] {
        assert_eq!(refused(queue("q", id)), CatalogError::QueueId(id));
    }
    catalog.propose(queue("q", 7)).unwrap();
    assert_eq!(refused(queue("other", 7)), CatalogError::QueueId(7));
    assert_eq!(catalog.read().next_queue_id(), 8);
    assert_eq!(catalog.last_index(), 2);
}

fn queue(name: &str, id: u64) -> Command {
    Command::DeclareQueue {
        vhost: "v".to_owned(),
        name: name.to_owned(),
        id,
        auto_delete: false,
        arguments: FieldTable::default(),
    }
}

#[test]
fn the_same_again_is_not_logged() {
    let (catalog, _dir) = catalog_with(&[put_vhost("v"), queue("q", 1)]);
    let again = catalog.propose(queue("q", 2)).unwrap();
    assert_eq!(
        again,
        Proposed {
            index: 2,
            events: Vec::new()
        }
    );
    let other = Command::DeclareQueue {
        vhost: "v".to_owned(),
        name: "q".to_owned(),
        id: 3,
        auto_delete: true,
        arguments: FieldTable::default(),
    };
    let error = catalog.propose(other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "queue 'q' in vhost 'v' exists with other properties"
    );
}

#[test]
fn the_number_of_a_deleted_queue_stays_used() {
    let (catalog, dir) = catalog_with(&[put_vhost("v"), queue("q", 9)]);
    catalog
        .propose(Command::DeleteVhost {
            name: "v".to_owned(),
        })
        .unwrap();
    catalog.close();
    drop(catalog);
    let reopened = Catalog::open(&warren_storage::DataDir::open(dir.path()).unwrap()).unwrap();
    assert_eq!(reopened.read().next_queue_id(), 10);
}

#[test]
fn sessions_see_that_permissions_may_have_changed() {
    let (catalog, _dir) = catalog_with(&[put_vhost("v")]);
    let user = Command::PutUser {
        name: "u".to_owned(),
        password_hash: String::new(),
        hashing_algorithm: HashingAlgorithm::Sha256,
        tags: Vec::new(),
    };
    let before = catalog.auth_version();
    catalog.propose(queue("q", 1)).unwrap();
    assert_eq!(catalog.auth_version(), before);
    catalog.propose(user.clone()).unwrap();
    assert!(catalog.auth_version() > before);
    let before = catalog.auth_version();
    catalog.propose(user).unwrap();
    assert_eq!(catalog.auth_version(), before);
}

#[test]
fn a_deleted_vhost_takes_everything_along_in_events() {
    let bind = |source: &str, destination: &str| Command::Bind {
        vhost: "v".to_owned(),
        binding: BindingDef {
            source: source.to_owned(),
            destination: destination.to_owned(),
            destination_is_queue: true,
            routing_key: String::new(),
            arguments: FieldTable::default(),
        },
    };
    let (catalog, _dir) = catalog_with(&[put_vhost("v"), queue("q", 1), bind("amq.direct", "q")]);
    let deleted = catalog
        .propose(Command::DeleteVhost {
            name: "v".to_owned(),
        })
        .unwrap();
    assert!(matches!(
        deleted.events.as_slice(),
        [
            Event::Unbound { .. },
            Event::QueueDeleted { id: 1, .. },
            Event::VhostDeleted { .. }
        ]
    ));
    assert_eq!(catalog.read().vhosts().count(), 0);
}
