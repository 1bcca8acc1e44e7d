//! Policies, limits, topic permissions and parameters.

use rabbitmq_http_client::commons::{PolicyTarget, UserLimitTarget, VirtualHostLimitTarget};
use rabbitmq_http_client::requests::{
    EnforcedLimitParams, GlobalRuntimeParameterDefinition, PolicyParams,
    RuntimeParameterDefinition, TopicPermissions,
};
use serde_json::json;

use super::{Vhost, arguments, client};

#[test]
fn policies_and_limits() {
    let api = client();
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
    for (all, matching) in [
        (
            api.list_policies_for_target(v, PolicyTarget::Queues),
            api.list_matching_policies(v, "q1", PolicyTarget::ClassicQueues),
        ),
        (
            api.list_operator_policies_for_target(v, PolicyTarget::Queues),
            api.list_matching_operator_policies(v, "q1", PolicyTarget::ClassicQueues),
        ),
    ] {
        assert_eq!((all.unwrap().len(), matching.unwrap().len()), (1, 1));
    }
    let more = [policy("p2"), policy("p3")];
    api.declare_policies(more.iter().collect()).unwrap();
    api.declare_operator_policies(more.iter().collect())
        .unwrap();
    assert_eq!(api.list_policies_in(v).unwrap().len(), 3);
    assert_eq!(api.list_operator_policies_in(v).unwrap().len(), 3);
    api.delete_policies_in(v, vec!["p2", "p3"]).unwrap();
    api.delete_operator_policies_in(v, vec!["p2", "p3"])
        .unwrap();
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

    api.enable_vhost_deletion_protection(v).unwrap();
    api.delete_vhost(v, false).unwrap_err();
    api.disable_vhost_deletion_protection(v).unwrap();
}

#[test]
fn parameters() {
    let api = client();
    let vhost = Vhost::new(&api, "parameters");
    let v = vhost.1.as_str();
    let component = "federation-upstream";
    let value = |uri: &str| arguments(json!({"uri": uri, "expires": 1000})).unwrap();
    let upstream = |name| RuntimeParameterDefinition {
        name,
        vhost: v,
        component,
        value: value("amqp://127.0.0.1:1"),
    };
    api.upsert_runtime_parameter(&upstream("up")).unwrap();
    api.upsert_runtime_parameter(&upstream("up")).unwrap();
    let found = api.get_runtime_parameter(component, v, "up").unwrap();
    assert_eq!(found.value["uri"], "amqp://127.0.0.1:1");
    assert!(!api.list_runtime_parameters().unwrap().is_empty());
    api.list_runtime_parameters_of_component("shovel").unwrap();
    let own = api.list_runtime_parameters_of_component_in(component, v);
    assert_eq!(own.unwrap().len(), 1);
    assert!(!api.list_federation_upstreams().unwrap().is_empty());
    assert_eq!(api.get_federation_upstream(v, "up").unwrap().name, "up");
    api.delete_federation_upstream(v, "up", false).unwrap();
    api.get_runtime_parameter(component, v, "up").unwrap_err();
    api.clear_runtime_parameter(component, v, "up", false)
        .unwrap_err();
    api.clear_runtime_parameter(component, v, "up", true)
        .unwrap();
    api.upsert_runtime_parameter(&upstream("up2")).unwrap();
    api.clear_all_runtime_parameters_of_component(component)
        .unwrap();
    assert!(api.list_federation_upstreams().unwrap().is_empty());
    api.delete_shovel(v, "none", true).unwrap();
    api.delete_shovel(v, "none", false).unwrap_err();

    let name = "client_test";
    let definition = GlobalRuntimeParameterDefinition {
        name,
        value: value("x"),
    };
    api.upsert_global_runtime_parameter(&definition).unwrap();
    let all = api.list_global_runtime_parameters().unwrap();
    assert!(all.iter().any(|parameter| parameter.name == name));
    api.get_global_runtime_parameter(name).unwrap();
    api.clear_global_runtime_parameter(name).unwrap();
    api.get_global_runtime_parameter(name).unwrap_err();
}
