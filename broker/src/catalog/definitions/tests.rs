//! Definitions files of several versions, through the catalog and back.

use serde_json::json;

use super::super::testing::catalog_with;
use super::super::{Command, State, UserLimit, VhostLimit};
use super::*;
use crate::auth::{LoopbackUsers, login};

fn parse(file: &Value) -> Definitions {
    Definitions::parse(file.to_string().as_bytes()).unwrap()
}

/// Much of what an export of RabbitMQ 3.10 holds.
fn export_of_3_10() -> Value {
    json!({
        "rabbit_version": "3.10.8", "rabbitmq_version": "3.10.8",
        "product_name": "RabbitMQ", "product_version": "3.10.8",
        "users": [
            {"name": "orphan", "password_hash": "", "tags": [], "limits": {},
             "hashing_algorithm": "rabbit_password_hashing_sha256"},
            {"name": "alice", "tags": ["management"],
             "password_hash": "VQ56+d05iq7sRblD7lzYSS+Qu4PyFTS6ht8IsupydD6xyFwM",
             "hashing_algorithm": "rabbit_password_hashing_sha256",
             "limits": {"max-channels": 200}},
            {"name": "carol", "password_hash": "", "tags": "", "limits": {"max-fun": 1}}
        ],
        "vhosts": [{"name": "shop"}, {"name": "/"}],
        "permissions": [
            {"user": "alice", "vhost": "shop", "configure": "", "write": "^a", "read": ".*"},
            {"user": "alice", "vhost": "/", "configure": "(", "write": "", "read": ""},
            {"user": "guest", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"}
        ],
        "topic_permissions": [
            {"user": "alice", "vhost": "shop", "exchange": "amq.topic", "write": "^a", "read": ""}
        ],
        "parameters": [
            {"value": {"pattern": "^o", "apply-to": "queues", "priority": 0,
                       "definition": {"max-length": 500_000}},
             "vhost": "shop", "component": "operator_policy", "name": "cap"},
            {"value": {"pattern": "^o"}, "vhost": "shop", "component": "operator_policy",
             "name": "bad"},
            {"value": {"max-connections": 200, "max-queues": -1}, "vhost": "shop",
             "component": "vhost-limits", "name": "limits"},
            {"value": {"src-uri": "amqp://"}, "vhost": "shop", "component": "shovel",
             "name": "s"},
            {"value": {}, "vhost": "shop", "component": "unheard-of", "name": "u"}
        ],
        "global_parameters": [{"name": "cluster_name", "value": "rabbit@h"}],
        "policies": [
            {"vhost": "shop", "name": "ttl", "pattern": "^tmp", "apply-to": "all",
             "definition": {"message-ttl": 60000}, "priority": 0},
            {"vhost": "nope", "name": "ttl", "pattern": "^tmp", "apply-to": "all",
             "definition": {"message-ttl": 60000}, "priority": 0}
        ],
        "queues": [
            {"name": "prio", "vhost": "shop", "durable": true, "auto_delete": false,
             "arguments": {"x-max-priority": 10}},
            {"name": "gone", "vhost": "shop", "durable": false, "auto_delete": true,
             "arguments": {}},
            {"name": "qq", "vhost": "shop", "durable": true, "auto_delete": false,
             "type": "quorum", "arguments": {}}
        ],
        "exchanges": [
            {"name": "orders", "vhost": "shop", "type": "topic", "durable": true,
             "auto_delete": false, "internal": false,
             "arguments": {"alternate-exchange": "unrouted"}},
            {"name": "delayed", "vhost": "shop", "type": "x-delayed-message", "durable": true,
             "auto_delete": false, "internal": false, "arguments": {}}
        ],
        "bindings": [
            {"source": "orders", "vhost": "shop", "destination": "prio",
             "destination_type": "queue", "routing_key": "a.#", "arguments": {"n": 5}},
            {"source": "orders", "vhost": "shop", "destination": "qq",
             "destination_type": "queue", "routing_key": "", "arguments": {}}
        ]
    })
}

#[test]
fn an_export_of_rabbitmq_is_imported() {
    let (catalog, _dir) = catalog_with(&[]);
    let report = parse(&export_of_3_10()).import(&catalog).unwrap();
    assert_eq!(report.index, catalog.last_index());
    {
        let state = catalog.read();
        assert_eq!(state.vhosts().count(), 2);
        assert_eq!(state.permission("alice", "shop").unwrap().write, "^a");
        let binding = state.bindings("shop").next().unwrap();
        assert_eq!(
            (binding.routing_key.as_str(), binding.destination.as_str()),
            ("a.#", "prio")
        );
        let queues: Vec<&str> = state.queues("shop").map(|(name, _)| name).collect();
        assert_eq!(queues, ["prio", "qq"]);
        let policy = state.policy("shop", "ttl", false).unwrap();
        assert_eq!(policy.definition["message-ttl"], 60000);
        let policy = state.policy("shop", "cap", true).unwrap();
        assert_eq!(policy.definition["max-length"], 500_000);
        let limits = &state.vhost("shop").unwrap().limits;
        assert_eq!(limits.get(&VhostLimit::MaxConnections), Some(&200));
        let limits = &state.user("alice").unwrap().limits;
        assert_eq!(limits.get(&UserLimit::MaxChannels), Some(&200));
        assert_eq!(state.topic_permissions("shop").count(), 1);
        assert!(state.parameter("shop", "shovel", "s").is_some());
    }
    assert!(login(&catalog, "alice", "alice-pw", true, &LoopbackUsers::none()).is_ok());
    let lines: Vec<&str> = report.ignored.iter().map(String::as_str).collect();
    let starts = [
        "limits of user 'carol': no limit 'max-fun'",
        "permission of user 'alice' in vhost '/': ",
        "permission of user 'guest' in vhost 'shop': no user 'guest'",
        "parameter 'operator_policy' 'bad' in vhost 'shop': Validation failed: Key \"definition\"",
        "parameter 'unheard-of' 'u' in vhost 'shop': Validation failed: component unheard-of not",
        "policy 'ttl' in vhost 'nope': no vhost 'nope'",
        "exchange 'delayed' in vhost 'shop': Invalid argument, 'x-delayed-type' must be",
        "queue 'gone' in vhost 'shop': transient",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn row_o_5_importing_on_every_boot_changes_nothing_more() {
    let (catalog, _dir) = catalog_with(&[]);
    let file = parse(&export_of_3_10());
    let first = file.import(&catalog).unwrap();
    assert!(first.changed > 0);
    let again = file.import(&catalog).unwrap();
    assert_eq!((again.changed, again.index), (0, first.index));
    assert_eq!(again.ignored, first.ignored);
    // A password in the clear gets a new salt only when it is another one.
    let file = parse(&json!({"users": [{"name": "bob", "password": "pw", "tags": "a, b,"}]}));
    assert_eq!(file.import(&catalog).unwrap().changed, 1);
    assert_eq!(file.import(&catalog).unwrap().changed, 0);
    assert_eq!(catalog.read().user("bob").unwrap().tags, ["a", "b"]);
    assert!(login(&catalog, "bob", "pw", true, &LoopbackUsers::none()).is_ok());
}

#[test]
fn row_o_2_what_is_there_with_other_properties_stays() {
    let (catalog, _dir) = catalog_with(&[]);
    parse(&export_of_3_10()).import(&catalog).unwrap();
    let report = parse(&json!({
        "queues": [{"name": "prio", "vhost": "shop", "arguments": {"x-max-priority": 9}}],
        "exchanges": [{"name": "orders", "vhost": "shop", "type": "fanout"}],
    }))
    .import(&catalog)
    .unwrap();
    assert_eq!(report.changed, 0);
    assert_eq!(
        report.ignored,
        [
            "exchange 'orders' in vhost 'shop': inequivalent arg 'type' for exchange 'orders' in \
             vhost 'shop': received 'fanout' but current is 'topic'",
            "queue 'prio' in vhost 'shop': inequivalent arg 'x-max-priority' for queue 'prio' in \
             vhost 'shop': received '9' but current is '10'",
        ]
    );
}

#[test]
fn what_is_exported_imports_into_the_same_state() {
    let (catalog, _dir) = catalog_with(&[]);
    let mut file = export_of_3_10();
    file["vhosts"] = json!([
        {"name": "shop", "limits": [], "metadata": {
            "description": "d", "tags": ["t"], "default_queue_type": "undefined",
            "protected_from_deletion": true}},
        {"name": "/", "description": "e", "tags": "x,y", "default_queue_type": "classic"},
    ]);
    parse(&file).import(&catalog).unwrap();
    let exported = Definitions::export(&catalog.read());
    let read_back = Definitions::parse(exported.to_json().as_bytes()).unwrap();
    let (other, _dir) = catalog_with(&[]);
    let report = read_back.import(&other).unwrap();
    assert_eq!(report.ignored, Vec::<String>::new());
    assert_eq!(*other.read(), *catalog.read());
    let state: &State = &catalog.read();
    assert_eq!(state.vhost("shop").unwrap().tags, ["t"]);
    assert!(state.vhost("shop").unwrap().protected_from_deletion);
    assert_eq!(state.vhost("shop").unwrap().default_queue_type, None);
    assert_eq!(
        state.vhost("/").unwrap().default_queue_type.as_deref(),
        Some("classic")
    );
}

#[test]
fn a_binding_with_narrow_integers_is_not_doubled_by_its_export() {
    let (catalog, _dir) = catalog_with(&[]);
    parse(&export_of_3_10()).import(&catalog).unwrap();
    let mut binding = catalog.read().bindings("shop").next().unwrap().clone();
    let vhost = || "shop".to_owned();
    catalog
        .propose(Command::Unbind {
            vhost: vhost(),
            binding: binding.clone(),
        })
        .unwrap();
    binding
        .arguments
        .insert("n".into(), warren_amqp::AMQPValue::ShortInt(5));
    catalog
        .propose(Command::Bind {
            vhost: vhost(),
            binding,
        })
        .unwrap();
    let exported = Definitions::export(&catalog.read());
    assert_eq!(exported.import(&catalog).unwrap().changed, 0);
}

#[test]
fn hashes_without_a_name_are_as_old_as_the_file() {
    for (version, md5) in [
        ("3.5.7", true),
        ("3.6.0", false),
        ("4.1.0", false),
        ("", false),
    ] {
        let file = parse(&json!({"rabbit_version": version}));
        assert_eq!(file.hashes_with_md5(), md5, "{version}");
    }
    let (catalog, _dir) = catalog_with(&[]);
    let file = json!({"users": [{"name": "u", "hashing_algorithm": "rot13"}]});
    let report = parse(&file).import(&catalog).unwrap();
    assert_eq!(report.ignored, ["user 'u': unknown hashing algorithm"]);
}

#[test]
fn fields_of_later_versions_are_tolerated_and_named() {
    let (catalog, _dir) = catalog_with(&[]);
    let report = parse(&json!({
        "rabbitmq_definition_format": "cluster", "original_cluster_name": "c",
        "explanation": "e", "users": null, "bindings": [], "new_thing": [1], "new_empty": {},
        "vhosts": [{"name": "v", "unheard_of": true, "default_queue_type": "quorum", "limits": [{"name": "max-queues"}]}],
        "exchanges": [{"name": "", "vhost": "v", "type": "direct"}],
    }))
    .import(&catalog)
    .unwrap();
    assert_eq!(
        report.ignored,
        [
            "limits of vhost 'v': not an object",
            "field 'new_thing': not supported by this version",
        ]
    );
}

#[test]
fn what_is_no_definitions_file_is_refused_in_one_line() {
    for file in ["", "[]x", "{\"users\": 5}", "{\"queues\": [{}]}"] {
        let error = Definitions::parse(file.as_bytes()).unwrap_err();
        assert!(error.starts_with("not a definitions file: "), "{error}");
        assert!(!error.contains('\n'));
    }
}
