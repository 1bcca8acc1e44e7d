//! RabbitMQ's own Rust client of the management API, which the command line tool rabbitmqadmin v2
//! is made of. It is strict: a field that is missing or has another type fails the whole call.
//!
//! `MANAGEMENT_URL` (such as `http://127.0.0.1:15672/api`) names a running node with the user
//! guest; without it the tests say so and do nothing.

use rabbitmq_http_client::blocking_api::Client;
use rabbitmq_http_client::commons::{
    BindingDestinationType, ExchangeType, PaginationParams, PolicyTarget, QueueType,
    SupportedProtocol, UserLimitTarget, VirtualHostLimitTarget,
};
use rabbitmq_http_client::password_hashing;
use rabbitmq_http_client::requests::{
    BindingDeletionParams, EnforcedLimitParams, ExchangeParams, Permissions, PolicyParams,
    QueueParams, TopicPermissions, UserParams, VirtualHostParams,
};
use serde_json::{Map, Value, json};

type Api = Client<String, &'static str, &'static str>;

fn client() -> Option<Api> {
    match std::env::var("MANAGEMENT_URL") {
        Ok(url) => Some(Client::new(url, "guest", "guest")),
        Err(_) => {
            eprintln!("skipped: MANAGEMENT_URL names no node");
            None
        }
    }
}

/// A vhost of the test's own, open to guest; gone afterwards.
struct Vhost<'a>(&'a Api, String);

impl<'a> Vhost<'a> {
    fn new(api: &'a Api, name: &str) -> Self {
        let name = format!("client/{name} {}", std::process::id());
        api.create_vhost(&VirtualHostParams::named(&name)).unwrap();
        api.grant_full_permissions("guest", &name).unwrap();
        Self(api, name)
    }
}

impl Drop for Vhost<'_> {
    fn drop(&mut self) {
        let _ = self.0.delete_vhost(&self.1, true);
    }
}

fn arguments(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

#[test]
fn cluster_and_nodes() {
    let Some(api) = client() else { return };
    let overview = api.overview().unwrap();
    assert!(!overview.rabbitmq_version.is_empty());
    assert!(!api.server_version().unwrap().is_empty());
    let before = api.get_cluster_name().unwrap().name;
    api.set_cluster_name("renamed by a client").unwrap();
    assert_eq!(api.get_cluster_name().unwrap().name, "renamed by a client");
    api.set_cluster_name(&before).unwrap();
    for node in api.list_nodes().unwrap() {
        assert_eq!(api.get_node_info(&node.name).unwrap().name, node.name);
        api.get_node_memory_footprint(&node.name).unwrap();
        api.list_node_plugins(&node.name).unwrap();
        api.auth_attempts_statistics(&node.name).unwrap();
    }
    api.list_all_cluster_plugins().unwrap();
    api.rebalance_queue_leaders().unwrap();
    assert_eq!(api.current_user().unwrap().name, "guest");
    api.probe_reachability();
    let flags = api.list_feature_flags().unwrap();
    for flag in &flags.0 {
        api.enable_feature_flag(&flag.name).unwrap();
    }
    api.enable_all_stable_feature_flags().unwrap();
    api.list_all_deprecated_features().unwrap();
    api.list_deprecated_features_in_use().unwrap();
    assert!(api.list_shovels().unwrap().is_empty());
    assert!(api.list_federation_links().unwrap().is_empty());
}

#[test]
fn health() {
    let Some(api) = client() else { return };
    api.health_check_cluster_wide_alarms().unwrap();
    api.health_check_local_alarms().unwrap();
    api.health_check_if_node_is_quorum_critical().unwrap();
    api.health_check_protocol_listener(SupportedProtocol::AMQP)
        .unwrap();
    api.health_check_protocol_listener(SupportedProtocol::MQTT)
        .unwrap_err();
    let url = std::env::var("MANAGEMENT_URL").unwrap();
    let port = url.split(':').nth(2).unwrap();
    let port = port.split('/').next().unwrap().parse().unwrap();
    api.health_check_port_listener(port).unwrap();
    api.health_check_port_listener(1).unwrap_err();
}

#[test]
fn vhosts() {
    let Some(api) = client() else { return };
    let vhost = Vhost::new(&api, "vhosts");
    let params = VirtualHostParams::named(&vhost.1)
        .with_description("described")
        .with_tags(vec!["a", "b"])
        .with_default_queue_type(QueueType::Classic);
    api.update_vhost(&params).unwrap();
    let found = api.get_vhost(&vhost.1).unwrap();
    assert_eq!(found.name, vhost.1);
    assert_eq!(found.description.as_deref(), Some("described"));
    let page = PaginationParams {
        page: Some(1),
        page_size: Some(500),
    };
    assert!(api.list_vhosts().unwrap().iter().any(|v| v.name == vhost.1));
    assert!(api.list_vhosts_paged(&page).unwrap().iter().any(|v| v.name == vhost.1));
    api.delete_vhost(&vhost.1, false).unwrap();
    api.delete_vhost(&vhost.1, false).unwrap_err();
    api.delete_vhost(&vhost.1, true).unwrap();
    api.get_vhost(&vhost.1).unwrap_err();
}

#[test]
fn users_and_permissions() {
    let Some(api) = client() else { return };
    let vhost = Vhost::new(&api, "users");
    let name = format!("client-{}", std::process::id());
    let salt = password_hashing::salt();
    let hash = password_hashing::base64_encoded_salted_password_hash_sha256(&salt, "secret");
    api.create_user(&UserParams::new(&name, &hash, "management, monitoring"))
        .unwrap();
    let user = api.get_user(&name).unwrap();
    assert!(user.password_hash.is_some());
    let url = std::env::var("MANAGEMENT_URL").unwrap();
    let own = Client::new(url, name.clone(), "secret".to_owned());
    assert_eq!(own.current_user().unwrap().name, name);
    own.list_users().unwrap_err();
    let page = PaginationParams {
        page: Some(1),
        page_size: Some(500),
    };
    assert!(api.list_users().unwrap().iter().any(|u| u.name == name));
    assert!(api.list_users_paged(&page).unwrap().iter().any(|u| u.name == name));
    let without = api.list_users_without_permissions().unwrap();
    assert!(without.iter().any(|u| u.name == name));
    let permissions = Permissions {
        user: &name,
        vhost: &vhost.1,
        configure: "^a",
        read: "^b",
        write: "",
    };
    api.declare_permissions(&permissions).unwrap();
    api.grant_permissions(&permissions).unwrap();
    let found = api.get_permissions(&vhost.1, &name).unwrap();
    assert_eq!((found.configure.as_str(), found.write.as_str()), ("^a", ""));
    for list in [
        api.list_permissions().unwrap(),
        api.list_permissions_in(&vhost.1).unwrap(),
        api.list_permissions_of(&name).unwrap(),
    ] {
        assert!(list.iter().any(|p| p.user == name && p.vhost == vhost.1));
    }
    api.clear_permissions(&vhost.1, &name, false).unwrap();
    api.clear_permissions(&vhost.1, &name, false).unwrap_err();
    api.clear_permissions(&vhost.1, &name, true).unwrap();
    api.delete_user(&name, false).unwrap();
    api.delete_user(&name, false).unwrap_err();
    api.create_user(&UserParams::new(&name, &hash, "")).unwrap();
    api.delete_users(vec![&name]).unwrap();
    api.get_user(&name).unwrap_err();
}

#[test]
fn topology_and_messages() {
    let Some(api) = client() else { return };
    let vhost = Vhost::new(&api, "topology");
    let v = vhost.1.as_str();
    let x = ExchangeParams::durable_topic("x/y z", None);
    api.declare_exchange(v, &x).unwrap();
    api.declare_exchange(v, &x).unwrap();
    let other = ExchangeParams::durable("x/y z", ExchangeType::Fanout, None);
    api.declare_exchange(v, &other).unwrap_err();
    api.declare_exchange(v, &ExchangeParams::durable_fanout("f", None))
        .unwrap();
    let max = arguments(json!({"x-max-length": 10}));
    let queue = QueueParams::new_durable_classic_queue("q/1", max);
    api.declare_queue(v, &queue).unwrap();
    api.declare_queue(v, &queue).unwrap();
    api.declare_classic_queue(v, "q2").unwrap();
    let found = api.get_queue_info(v, "q/1").unwrap();
    assert_eq!((found.name.as_str(), found.durable), ("q/1", true));
    api.get_exchange_info(v, "x/y z").unwrap();
    api.get_exchange_info(v, "nope").unwrap_err();

    let with = arguments(json!({"k": "v", "n": 1}));
    api.bind_queue(v, "q/1", "x/y z", Some("a.*"), with).unwrap();
    api.bind_queue(v, "q/1", "x/y z", Some("b"), None).unwrap();
    api.bind_exchange(v, "f", "x/y z", Some("#"), None).unwrap();
    let bindings = api.list_queue_bindings(v, "q/1").unwrap();
    assert_eq!(bindings.len(), 3);
    let from = api.list_exchange_bindings_with_source(v, "x/y z").unwrap();
    assert_eq!(from.len(), 3);
    let to = api.list_exchange_bindings_with_destination(v, "f").unwrap();
    assert_eq!(to.len(), 1);
    assert!(api.list_bindings_in(v).unwrap().len() >= 3);
    assert!(api.list_bindings().unwrap().len() >= 3);

    let properties = json!({"content_type": "text/plain", "headers": {"h": 1}});
    let properties = serde_json::from_value(properties).unwrap();
    let routed = api.publish_message(v, "x/y z", "a.b", "hello", properties).unwrap();
    assert!(routed.routed);
    let nothing = serde_json::from_value(json!({})).unwrap();
    let routed = api.publish_message(v, "amq.direct", "no", "x", nothing).unwrap();
    assert!(!routed.routed);
    let got = api.get_messages(v, "q/1", 5, "ack_requeue_true").unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].payload, "hello");
    assert_eq!(got[0].routing_key, "a.b");
    api.purge_queue(v, "q/1").unwrap();
    let got = api.get_messages(v, "q/1", 5, "ack_requeue_false").unwrap();
    assert!(got.is_empty());

    for binding in from {
        let params = BindingDeletionParams::from_binding_info(&binding);
        assert!(matches!(
            params.destination_type,
            BindingDestinationType::Queue | BindingDestinationType::Exchange
        ));
        api.delete_binding(&params, false).unwrap();
        api.recreate_binding(&binding).unwrap();
        api.delete_binding(&params, false).unwrap();
        api.delete_binding(&params, true).unwrap();
    }
    let page = PaginationParams {
        page: Some(1),
        page_size: Some(1),
    };
    assert_eq!(api.list_queues_in_paged(v, &page).unwrap().len(), 1);
    assert_eq!(api.list_exchanges_in_paged(v, &page).unwrap().len(), 1);
    api.list_queues().unwrap();
    api.list_queues_paged(&page).unwrap();
    api.list_queues_with_details().unwrap();
    api.list_classic_queues().unwrap();
    assert_eq!(api.list_classic_queues_in(v).unwrap().len(), 2);
    assert!(api.list_quorum_queues_in(v).unwrap().is_empty());
    assert!(api.list_streams_in(v).unwrap().is_empty());
    api.list_exchanges().unwrap();
    assert!(api.list_exchanges_in(v).unwrap().len() >= 9);

    api.delete_queue(v, "q/1", false).unwrap();
    api.delete_queue(v, "q/1", false).unwrap_err();
    api.delete_queues(v, &["q/1", "q2"], true).unwrap();
    api.delete_exchange(v, "x/y z", false).unwrap();
    api.delete_exchanges(v, &["x/y z", "f"], true).unwrap();
}

#[test]
fn connections_channels_consumers() {
    let Some(api) = client() else { return };
    let page = PaginationParams {
        page: Some(1),
        page_size: Some(10),
    };
    api.list_connections().unwrap();
    api.list_connections_paged(&page).unwrap();
    api.list_connections_in("/").unwrap();
    api.list_user_connections("guest").unwrap();
    api.list_channels().unwrap();
    api.list_channels_paged(&page).unwrap();
    api.list_channels_in("/").unwrap();
    api.list_consumers().unwrap();
    api.list_consumers_in("/").unwrap();
    api.close_connection("127.0.0.1:1 -> 127.0.0.1:2", Some("why not"), true)
        .unwrap();
    api.close_connection("127.0.0.1:1 -> 127.0.0.1:2", None, false)
        .unwrap_err();
    api.close_user_connections("nobody", Some("why not"), false)
        .unwrap();
}

#[test]
fn definitions() {
    let Some(api) = client() else { return };
    let vhost = Vhost::new(&api, "definitions");
    let v = vhost.1.as_str();
    api.declare_classic_queue(v, "q").unwrap();
    assert!(api.export_cluster_wide_definitions().unwrap().contains("\"q\""));
    let all = api.export_cluster_wide_definitions_as_data().unwrap();
    assert!(all.queues.iter().any(|q| q.name == "q"));
    assert_eq!(api.export_vhost_definitions_as_data(v).unwrap().queues.len(), 1);
    let part = api.export_vhost_definitions(v).unwrap();
    api.delete_queue(v, "q", false).unwrap();
    api.import_vhost_definitions(v, serde_json::from_str(&part).unwrap())
        .unwrap();
    api.get_queue_info(v, "q").unwrap();
    let file = json!({"queues": [{"name": "r", "vhost": v, "durable": true, "auto_delete": false, "arguments": {}}]});
    api.import_cluster_wide_definitions(file.clone()).unwrap();
    api.import_definitions(file).unwrap();
    api.get_queue_info(v, "r").unwrap();
    let wrong = json!({"queues": [{"name": "r", "vhost": "nope", "durable": true, "auto_delete": false, "arguments": {}}]});
    api.import_definitions(wrong).unwrap_err();
}

#[test]
fn policies_and_limits() {
    let Some(api) = client() else { return };
    let vhost = Vhost::new(&api, "policies");
    let v = vhost.1.as_str();
    let definition = || serde_json::from_value(json!({"max-length": 5})).unwrap();
    let policy = |name| PolicyParams {
        vhost: v,
        name,
        pattern: "^q",
        apply_to: PolicyTarget::Queues,
        priority: 3,
        definition: definition(),
    };
    api.declare_policy(&policy("p")).unwrap();
    assert_eq!(api.get_policy(v, "p").unwrap().priority, 3);
    assert_eq!(api.list_policies_in(v).unwrap().len(), 1);
    api.list_policies().unwrap();
    api.declare_operator_policy(&policy("o")).unwrap();
    api.get_operator_policy(v, "o").unwrap();
    assert_eq!(api.list_operator_policies_in(v).unwrap().len(), 1);
    api.list_operator_policies().unwrap();
    api.delete_policy(v, "p", false).unwrap();
    api.delete_policy(v, "p", false).unwrap_err();
    api.delete_operator_policy(v, "o", false).unwrap();

    let limit = EnforcedLimitParams::new(VirtualHostLimitTarget::MaxQueues, 7);
    api.set_vhost_limit(v, limit).unwrap();
    assert_eq!(api.list_vhost_limits(v).unwrap().len(), 1);
    api.list_all_vhost_limits().unwrap();
    api.clear_vhost_limit(v, VirtualHostLimitTarget::MaxQueues)
        .unwrap();
    let limit = EnforcedLimitParams::new(UserLimitTarget::MaxChannels, 700);
    api.set_user_limit("guest", limit).unwrap();
    assert_eq!(api.list_user_limits("guest").unwrap().len(), 1);
    api.list_all_user_limits().unwrap();
    api.clear_user_limit("guest", UserLimitTarget::MaxChannels)
        .unwrap();

    api.declare_topic_permissions(&TopicPermissions {
        user: "guest",
        vhost: v,
        exchange: "amq.topic",
        write: "^a",
        read: "",
    })
    .unwrap();
    api.list_topic_permissions().unwrap();
    assert_eq!(api.list_topic_permissions_in(v).unwrap().len(), 1);
    api.list_topic_permissions_of("guest").unwrap();
    api.get_topic_permissions_of(v, "guest").unwrap();
    api.clear_topic_permissions(v, "guest", false).unwrap();

    api.list_runtime_parameters().unwrap();
    api.list_runtime_parameters_of_component("shovel").unwrap();
    api.list_global_runtime_parameters().unwrap();
    api.enable_vhost_deletion_protection(v).unwrap();
    api.delete_vhost(v, false).unwrap_err();
    api.disable_vhost_deletion_protection(v).unwrap();
}
