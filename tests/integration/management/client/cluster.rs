//! The cluster, its nodes, features and health.

use rabbitmq_http_client::commons::SupportedProtocol;
use serde_json::json;

use super::{Vhost, arguments, client, node};

#[test]
fn cluster_and_nodes() {
    let api = client();
    let overview = api.overview().unwrap();
    assert!(!overview.rabbitmq_version.is_empty());
    assert!(!api.server_version().unwrap().is_empty());
    let before = api.get_cluster_name().unwrap().name;
    api.set_cluster_name("renamed by a client").unwrap();
    assert_eq!(api.get_cluster_name().unwrap().name, "renamed by a client");
    api.set_cluster_name(&before).unwrap();
    let tags = arguments(json!({"region": "here"})).unwrap();
    api.set_cluster_tags(tags).unwrap();
    assert_eq!(api.get_cluster_tags().unwrap().0["region"], "here");
    api.clear_cluster_tags().unwrap();
    api.get_cluster_tags().unwrap_err();
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
    let vhost = Vhost::new(&api, "shovels");
    assert!(api.list_shovels_in(&vhost.1).unwrap().is_empty());
    assert!(api.list_federation_links().unwrap().is_empty());
}

#[test]
fn health() {
    let api = client();
    api.health_check_cluster_wide_alarms().unwrap();
    api.health_check_local_alarms().unwrap();
    api.health_check_if_node_is_quorum_critical().unwrap();
    api.health_check_protocol_listener(SupportedProtocol::AMQP)
        .unwrap();
    api.health_check_protocol_listener(SupportedProtocol::MQTT)
        .unwrap_err();
    api.health_check_port_listener(node().1.port()).unwrap();
    api.health_check_port_listener(1).unwrap_err();
}
