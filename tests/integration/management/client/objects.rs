//! Exchanges, queues, bindings, messages, and definitions as a whole.

use rabbitmq_http_client::commons::{BindingDestinationType, ExchangeType};
use rabbitmq_http_client::requests::{BindingDeletionParams, ExchangeParams, QueueParams};
use serde_json::json;

use super::{Vhost, arguments, client, page};

#[test]
fn topology_and_messages() {
    let api = client();
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
    api.bind_queue(v, "q/1", "x/y z", Some("a.*"), with)
        .unwrap();
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
    let routed = api
        .publish_message(v, "x/y z", "a.b", "hello", properties)
        .unwrap();
    assert!(routed.routed);
    let nothing = serde_json::from_value(json!({})).unwrap();
    let routed = api
        .publish_message(v, "amq.direct", "no", "x", nothing)
        .unwrap();
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
    let page = page(1);
    assert_eq!(api.list_queues_in_paged(v, &page).unwrap().len(), 1);
    assert_eq!(api.list_exchanges_in_paged(v, &page).unwrap().len(), 1);
    api.list_queues().unwrap();
    api.list_queues_paged(&page).unwrap();
    api.list_queues_with_details().unwrap();
    api.list_classic_queues().unwrap();
    assert_eq!(api.list_classic_queues_in(v).unwrap().len(), 2);
    assert!(api.list_quorum_queues_in(v).unwrap().is_empty());
    assert!(api.list_streams_in(v).unwrap().is_empty());
    api.declare_quorum_queue(v, "q3").unwrap();
    assert_eq!(api.list_queues_in(v).unwrap().len(), 3);
    assert_eq!(api.list_quorum_queues_in(v).unwrap().len(), 1);
    assert!(!api.list_quorum_queues().unwrap().is_empty());
    api.list_streams().unwrap();
    api.list_streams_paged(&page).unwrap();
    api.list_streams_in_paged(v, &page).unwrap();
    assert_eq!(api.get_stream_info(v, "q3").unwrap().name, "q3");
    api.delete_stream(v, "q3", false).unwrap();
    api.list_exchanges().unwrap();
    api.list_exchanges_paged(&page).unwrap();
    assert!(api.list_exchanges_in(v).unwrap().len() >= 9);

    api.delete_queue(v, "q/1", false).unwrap();
    api.delete_queue(v, "q/1", false).unwrap_err();
    api.delete_queues(v, &["q/1", "q2"], true).unwrap();
    api.delete_exchange(v, "x/y z", false).unwrap();
    api.delete_exchanges(v, &["x/y z", "f"], true).unwrap();
}

#[test]
fn definitions() {
    let api = client();
    let vhost = Vhost::new(&api, "definitions");
    let v = vhost.1.as_str();
    api.declare_classic_queue(v, "q").unwrap();
    for text in [
        api.export_cluster_wide_definitions().unwrap(),
        api.export_cluster_wide_definitions_as_string().unwrap(),
        api.export_vhost_definitions_as_string(v).unwrap(),
    ] {
        assert!(text.contains("\"q\""), "{text}");
    }
    let all = api.export_cluster_wide_definitions_as_data().unwrap();
    assert!(all.queues.iter().any(|q| q.name == "q"));
    assert_eq!(
        api.export_vhost_definitions_as_data(v)
            .unwrap()
            .queues
            .len(),
        1
    );
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
