//! What operators change while the node runs, seen through the engine's own API.

use serde_json::{Value, json};
use warren_amqp::{AMQPValue, ReplyCode};

use crate::catalog::{CatalogError, Command, UserLimit, VhostLimit};
use crate::testing::{Node, queue, settings};
use crate::{NodeLimits, QueueRequest, Settings, VhostMetadata, check_limit, check_parameter};

#[test]
fn l5_policies_apply_at_declare_live_and_after_a_restart() {
    let mut node = Node::start();
    node.declare("a", &[]).unwrap();
    let limited = |node: &Node, name: &str| node.vhost().queue(name).unwrap().settings().max_length;
    assert_eq!(limited(&node, "a"), None);
    let policy = json!({"pattern": "^a", "definition": {"max-length": 3}});
    node.set_policy("p", false, policy);
    assert_eq!(limited(&node, "a"), Some(3));
    node.declare("a2", &[]).unwrap();
    node.declare("b", &[]).unwrap();
    assert_eq!(limited(&node, "a2"), Some(3));
    assert_eq!(limited(&node, "b"), None);
    node.set_policy(
        "o",
        true,
        json!({"pattern": "", "definition": {"max-length": 2}}),
    );
    assert_eq!(
        (limited(&node, "a"), limited(&node, "b")),
        (Some(2), Some(2))
    );

    let mut node = node.restart();
    assert_eq!(
        (limited(&node, "a"), limited(&node, "b")),
        (Some(2), Some(2))
    );
    let turn = &mut node.turn;
    assert!(node.broker.clear_policy("/", "o", true, turn).unwrap());
    assert!(!node.broker.clear_policy("/", "o", true, turn).unwrap());
    assert_eq!((limited(&node, "a"), limited(&node, "b")), (Some(3), None));
}

#[test]
fn l9_what_applies_is_shown_per_object() {
    let mut node = Node::start();
    node.declare("a", &[]).unwrap();
    node.declare_exchange("ax").unwrap();
    let policy = json!({"pattern": "^a", "definition":
        {"max-length": 3, "alternate-exchange": "amq.fanout"}});
    node.set_policy("p", false, policy);
    node.set_policy(
        "o",
        true,
        json!({"pattern": "^a$", "definition": {"expires": 5000}}),
    );
    let applied = node.vhost().queue("a").unwrap().policy().unwrap();
    assert_eq!(applied.policy.as_deref(), Some("p"));
    assert_eq!(applied.operator_policy.as_deref(), Some("o"));
    assert_eq!(
        Value::Object(applied.definition.clone()),
        json!({"max-length": 3, "alternate-exchange": "amq.fanout", "expires": 5000})
    );
    let applied = node.vhost().exchange_policy("ax").unwrap();
    assert_eq!(applied.policy.as_deref(), Some("p"));
    assert_eq!(applied.operator_policy, None);
    let turn = &mut node.turn;
    node.broker.clear_policy("/", "p", false, turn).unwrap();
    assert!(node.vhost().exchange_policy("ax").is_none());
}

#[test]
fn l5_ten_thousand_queues_follow_a_policy() {
    let mut node = Node::start();
    let vhost = node.vhost();
    let mut session = node.session();
    for n in 0..10_000 {
        let request = QueueRequest {
            durable: false,
            ..queue(&format!("q{n}"), &[])
        };
        vhost
            .declare_queue(&mut session, request, &mut node.turn)
            .unwrap();
    }
    let policy = json!({"pattern": "^q.*7$", "definition": {"message-ttl": 60000}});
    node.set_policy("p", false, policy);
    let queues = vhost.queues();
    let timed = queues
        .iter()
        .filter(|queue| queue.settings().message_ttl_ms == Some(60_000));
    assert_eq!(timed.count(), 1000);
}

#[test]
fn arguments_change_in_place_but_not_what_a_queue_is() {
    let mut node = Node::start();
    node.declare("q", &[("x-max-priority", AMQPValue::LongInt(3))])
        .unwrap();
    node.set_policy(
        "p",
        false,
        json!({"pattern": "", "definition": {"expires": 9000}}),
    );
    let vhost = node.vhost();
    let mut session = node.session();
    let max_length = ("x-max-length", AMQPValue::LongInt(7));
    let priority = ("x-max-priority", AMQPValue::LongInt(3));
    let request = queue("q", &[max_length.clone(), priority.clone()]);
    vhost
        .redeclare_queue(&mut session, request.clone(), &mut node.turn)
        .unwrap();
    let running = vhost.queue("q").unwrap();
    let settings = running.settings();
    assert_eq!(settings.max_length, Some(7));
    assert_eq!(settings.expires_ms, Some(9000));
    assert_eq!(settings.max_priority, Some(3));
    assert_eq!(*running.arguments(), request.arguments);
    // A client's declare is compared with what is in force now.
    node.declare("q", &[max_length.clone(), priority.clone()])
        .unwrap();
    assert!(node.declare("q", &[priority]).is_err());

    let other = ("x-max-priority", AMQPValue::LongInt(4));
    for wrong in [
        queue("q", &[other]),
        QueueRequest {
            auto_delete: true,
            ..request.clone()
        },
        queue("q", &[("x-max-length", AMQPValue::LongInt(-1))]),
    ] {
        let error = vhost
            .redeclare_queue(&mut session, wrong, &mut node.turn)
            .unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
    }
    drop((vhost, running, session));
    let node = node.restart();
    assert_eq!(
        *node.vhost().queue("q").unwrap().arguments(),
        request.arguments
    );
}

#[test]
fn q17_queues_of_a_vhost_and_of_the_node_are_limited() {
    let mut node = Node::start_with(Settings {
        limits: NodeLimits {
            queues: Some(3),
            ..NodeLimits::default()
        },
        ..settings()
    });
    let limit = |value| Command::SetVhostLimit {
        vhost: "/".to_owned(),
        limit: VhostLimit::MaxQueues,
        value,
    };
    node.change(limit(Some(2)));
    node.declare("a", &[]).unwrap();
    node.declare("b", &[]).unwrap();
    let refused = |node: &mut Node| {
        let error = node.declare("c", &[]).unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
        error.explanation
    };
    assert_eq!(
        refused(&mut node),
        "cannot declare queue 'c': queue limit in vhost '/' (2) is reached"
    );
    node.declare("a", &[]).unwrap();
    node.change(limit(Some(0)));
    assert_eq!(
        refused(&mut node),
        "cannot declare queue 'c': queue limit in vhost '/' (0) is reached"
    );
    node.change(limit(Some(-1)));
    node.declare("c2", &[]).unwrap();
    assert_eq!(
        refused(&mut node),
        "cannot declare queue 'c': queue limit in cluster (3) is reached"
    );
    let (vhost, mut session) = (node.vhost(), node.session());
    vhost
        .delete_queue(&mut session, "a", false, false, &mut node.turn)
        .unwrap();
    node.declare("c", &[]).unwrap();
}

#[test]
fn u24_vhosts_and_exchanges_of_the_node_are_limited() {
    let mut node = Node::start_with(Settings {
        limits: NodeLimits {
            vhosts: Some(2),
            exchanges: Some(15),
            ..NodeLimits::default()
        },
        ..settings()
    });
    let put = |node: &mut Node, name: &str| {
        let turn = &mut node.turn;
        node.broker.put_vhost(name, VhostMetadata::default(), turn)
    };
    assert_eq!(put(&mut node, "v"), Ok(true));
    assert_eq!(put(&mut node, "v"), Ok(false));
    let text = "cannot create vhost 'w': vhost limit of 2 is reached".to_owned();
    assert_eq!(put(&mut node, "w"), Err(CatalogError::Limit(text)));
    node.declare_exchange("x1").unwrap();
    let error = node.declare_exchange("x2").unwrap_err();
    assert_eq!(
        error.explanation,
        "cannot declare exchange 'x2' in vhost '/': exchange limit of 15 is reached"
    );
    node.declare_exchange("x1").unwrap();
    let turn = &mut node.turn;
    node.broker.delete_vhost("v", turn).unwrap();
    node.declare_exchange("x2").unwrap();
}

#[test]
fn u20_a_protected_vhost_is_not_deleted() {
    let mut node = Node::start();
    let turn = &mut node.turn;
    node.broker.protect_vhost("/", true, turn).unwrap();
    let error = node.broker.delete_vhost("/", turn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Refusing to delete virtual host '/' because it is protected from deletion"
    );
    node.broker.protect_vhost("/", false, turn).unwrap();
    node.broker.delete_vhost("/", turn).unwrap();
    assert!(node.broker.vhost("/").is_none());
}

#[test]
fn u21_a_deleted_vhost_takes_everything_along_and_can_be_made_again() {
    let mut node = Node::start();
    node.declare("q", &[]).unwrap();
    let (old, mut session) = (node.vhost(), node.session());
    let queue_of_old = old.queue("q").unwrap();
    let turn = &mut node.turn;
    node.broker.delete_vhost("/", turn).unwrap();
    assert!(queue_of_old.deleted());
    assert_eq!(old.queue_count(), 0);
    node.broker
        .put_vhost("/", VhostMetadata::default(), turn)
        .unwrap();
    let vhost = node.vhost();
    assert_eq!(vhost.queue_count(), 0);
    assert_eq!(vhost.exchange_count(), old.exchange_count());
    // Who still has the old one in hand changes nothing in the new one.
    let turn = &mut node.turn;
    assert!(
        old.declare_queue(&mut session, queue("late", &[]), turn)
            .is_err()
    );
    assert!(node.broker.catalog().read().queue("/", "late").is_none());
}

#[test]
fn u22_connections_to_a_vhost_are_limited() {
    let mut node = Node::start();
    let limit = |value| Command::SetVhostLimit {
        vhost: "/".to_owned(),
        limit: VhostLimit::MaxConnections,
        value,
    };
    node.change(limit(Some(1)));
    let first = node.broker.admit_connection("guest", "/").unwrap();
    let refused = |node: &Node| node.broker.admit_connection("guest", "/").err().unwrap();
    assert_eq!(refused(&node).code, ReplyCode::NotAllowed);
    assert_eq!(
        refused(&node).explanation,
        "access to vhost '/' refused for user 'guest': connection limit (1) is reached"
    );
    drop(first);
    let _again = node.broker.admit_connection("guest", "/").unwrap();
    node.change(limit(Some(-1)));
    let _more = node.broker.admit_connection("guest", "/").unwrap();
    node.change(limit(Some(0)));
    assert!(refused(&node).explanation.ends_with("limit (0) is reached"));
}

#[test]
fn u23_connections_and_channels_of_a_user_are_limited() {
    let mut node = Node::start();
    for limit in [UserLimit::MaxConnections, UserLimit::MaxChannels] {
        node.change(Command::SetUserLimit {
            user: "guest".to_owned(),
            limit,
            value: Some(1),
        });
    }
    let _connection = node.broker.admit_connection("guest", "/").unwrap();
    let error = node.broker.admit_connection("guest", "/").err().unwrap();
    assert_eq!(
        error.explanation,
        "connection refused for user 'guest': user connection limit (1) is reached"
    );
    let channel = node.broker.admit_channel("guest").unwrap();
    let error = node.broker.admit_channel("guest").err().unwrap();
    assert_eq!(
        error.explanation,
        "number of channels opened for user 'guest' has reached the maximum allowed user limit \
         of (1)"
    );
    drop(channel);
    assert!(node.broker.admit_channel("guest").is_ok());
    assert!(node.broker.admit_channel("somebody").is_ok());
}

#[test]
fn u10_sessions_see_topic_permissions_and_tags_change() {
    let mut node = Node::start();
    let mut session = node.session();
    let write = crate::auth::Access::Write;
    assert!(session.check_topic(write, "amq.topic", "b").is_ok());
    node.change(Command::SetTopicPermission {
        user: "guest".to_owned(),
        vhost: "/".to_owned(),
        exchange: "amq.topic".to_owned(),
        write: "^a".to_owned(),
        read: String::new(),
    });
    assert!(session.check_topic(write, "amq.topic", "a").is_ok());
    assert!(session.check_topic(write, "amq.topic", "b").is_err());
    node.change(Command::ClearTopicPermission {
        user: "guest".to_owned(),
        vhost: "/".to_owned(),
        exchange: None,
    });
    assert!(session.check_topic(write, "amq.topic", "b").is_ok());
    assert!(session.user.is_administrator());
}

#[test]
fn l50_parameters_are_of_known_components() {
    assert_eq!(
        check_parameter("shovel", "s", &json!({"src-uri": "x"})),
        Ok(())
    );
    assert_eq!(
        check_parameter("federation-upstream-set", "s", &json!([])),
        Ok(())
    );
    assert_eq!(
        check_parameter("nope", "s", &json!({})),
        Err("Validation failed\n\ncomponent nope not found\n".to_owned())
    );
    assert!(check_parameter("shovel", "s", &json!("x")).is_err());
    assert!(check_parameter("policy", "s", &json!({})).is_err());
    assert_eq!(
        check_limit("limits", true, "max-queues", &json!(-1)),
        Ok(-1)
    );
    assert_eq!(
        check_limit("limits", true, "max-queues", &json!("x")),
        Err(
            "Validation failed\n\nmax-queues should be a number, actually was <<\"x\">>\n"
                .to_owned()
        )
    );
    assert_eq!(
        check_limit("limits", false, "max-fun", &json!(1)),
        Err("Validation failed\n\nUnrecognised terms [{<<\"max-fun\">>,1}] in limits\n".to_owned())
    );
}
