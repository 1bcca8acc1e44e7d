use std::collections::BTreeSet;

use crate::testing::{GUEST, Node};
use warren_broker::alarms::Alarms;

/// Checks the form of the text and returns its samples.
fn parse(text: &str) -> Vec<(String, f64)> {
    let mut announced = BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(announced.insert(name.to_owned()), "{name} announced twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let name = match base {
                Some(base) if base.ends_with("_bytes") => base,
                _ => name,
            };
            assert!(announced.contains(name), "{name} has no TYPE");
            samples.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[tokio::test]
async fn o31_the_series_of_the_dashboards_are_there() {
    let node = Node::start().await;
    let answer = node.get_metrics("/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let samples = parse(&answer.body);
    let value = |name: &str| {
        samples
            .iter()
            .find(|(series, _)| series == name)
            .map(|s| s.1)
    };
    let identity = "rabbitmq_identity_info{rabbitmq_node=\"warren@test\",\
        rabbitmq_cluster=\"test-cluster\",\
        rabbitmq_cluster_permanent_id=\"test-cluster\",rabbitmq_endpoint=\"aggregated\"}";
    assert_eq!(value(identity), Some(1.0));
    for name in [
        "rabbitmq_connections",
        "rabbitmq_channels",
        "rabbitmq_consumers",
        "rabbitmq_queues",
        "rabbitmq_queue_messages_ready",
        "rabbitmq_queue_messages_unacked",
        "rabbitmq_connections_opened_total",
        "rabbitmq_alarms_memory_used_watermark",
    ] {
        assert_eq!(value(name), Some(0.0), "{name}");
    }
    assert!(value("rabbitmq_disk_space_available_bytes").unwrap() > 0.0);
    assert_eq!(
        value("rabbitmq_disk_space_available_limit_bytes"),
        Some(50_000_000.0)
    );
}

#[tokio::test]
async fn o36_alarms_are_ones() {
    let node = Node::start().await;
    node.broker.set_alarms(
        || Alarms {
            memory: false,
            disk: true,
        },
        1,
    );
    let body = node.get_metrics("/metrics").await.body;
    assert!(body.contains("\nrabbitmq_alarms_free_disk_space_watermark 1\n"));
    assert!(body.contains("\nrabbitmq_alarms_memory_used_watermark 0\n"));
}

#[tokio::test]
async fn o30_the_metrics_listener_has_nothing_else() {
    let node = Node::start().await;
    assert_eq!(node.get_metrics("/api/overview").await.status, 404);
    // The management API has them too, for those who may monitor.
    assert_eq!(node.get("/metrics", None).await.status, 401);
    let answer = node.get("/metrics/per-object", Some(GUEST)).await;
    assert_eq!(answer.status, 200);
}

/// What RabbitMQ's own Overview dashboards of 3.10 and 4.x ask for.
const DASHBOARDS: &str = "rabbitmq_queues rabbitmq_queue_messages_ready \
    rabbitmq_queue_messages_unacked rabbitmq_connections rabbitmq_channels rabbitmq_consumers \
    rabbitmq_channel_consumers rabbitmq_process_open_tcp_sockets rabbitmq_process_max_tcp_sockets \
    rabbitmq_resident_memory_limit_bytes rabbitmq_process_resident_memory_bytes \
    rabbitmq_process_open_fds rabbitmq_process_max_fds rabbitmq_disk_space_available_bytes \
    rabbitmq_disk_space_available_limit_bytes rabbitmq_erlang_uptime_seconds \
    rabbitmq_connections_opened_total rabbitmq_connections_closed_total \
    rabbitmq_channels_opened_total rabbitmq_channels_closed_total rabbitmq_queues_declared_total \
    rabbitmq_queues_created_total rabbitmq_queues_deleted_total rabbitmq_global_publishers \
    rabbitmq_global_consumers rabbitmq_message_size_bytes_bucket rabbitmq_message_size_bytes_sum \
    rabbitmq_message_size_bytes_count rabbitmq_identity_info rabbitmq_build_info";

const GLOBAL: &str = "received received_confirm routed confirmed unroutable_dropped \
    unroutable_returned delivered delivered_consume_auto_ack delivered_consume_manual_ack \
    delivered_get_auto_ack delivered_get_manual_ack get_empty redelivered acknowledged \
    dead_lettered_expired dead_lettered_rejected dead_lettered_maxlen dead_lettered_delivery_limit \
    dead_lettered_confirmed";

#[tokio::test]
async fn o32_o33_everything_the_dashboards_ask_for_is_there() {
    let node = Node::start().await;
    let samples = parse(&node.get_metrics("/metrics").await.body);
    let has = |name: &str| {
        let names = |series: &str| series.split('{').next() == Some(name);
        assert!(samples.iter().any(|(series, _)| names(series)), "{name}");
    };
    DASHBOARDS.split_whitespace().for_each(has);
    for name in GLOBAL.split_whitespace() {
        has(&format!("rabbitmq_global_messages_{name}_total"));
    }
    let bucket = "rabbitmq_message_size_bytes_bucket{protocol=\"amqp091\",le=\"100.0\"}";
    assert!(samples.iter().any(|(series, _)| series == bucket));
}

#[tokio::test]
async fn o30_o38_objects_have_labels_and_families_are_chosen() {
    let node = Node::start().await;
    let body = node.get_metrics("/metrics/per-object").await.body;
    parse(&body);
    let exchange = "rabbitmq_exchange_messages_published_total\
        {vhost=\"/\",exchange=\"amq.direct\",type=\"direct\"} 0";
    assert!(body.lines().any(|line| line == exchange), "{body}");
    assert!(body.contains("rabbitmq_endpoint=\"per-object\""));
    let path = "/metrics/detailed?family=vhost_status&family=exchange_bindings&vhost=%2F";
    let body = node.get_metrics(path).await.body;
    parse(&body);
    assert!(body.contains("\nrabbitmq_detailed_cluster_vhost_status{vhost=\"/\"} 1\n"));
    assert!(body.contains("rabbitmq_detailed_exchange_bindings{vhost=\"/\""));
    assert!(!body.contains("published_total"));
    let body = node
        .get_metrics("/metrics/detailed?family=vhost_status&vhost=x")
        .await
        .body;
    assert!(!body.contains("vhost=\"/\""));
}
