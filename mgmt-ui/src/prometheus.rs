//! Metrics in the Prometheus text format 0.0.4, under RabbitMQ's names. Written by hand: the
//! numbers already live on the broker's objects, and a registry would only count them twice.

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::http::{ApiError, blocking};
use crate::{Context, PRODUCT, RABBITMQ_VERSION};

/// The whole text; no login, as in RabbitMQ.
pub(crate) async fn metrics(State(ctx): State<Context>) -> Result<impl IntoResponse, ApiError> {
    let text = blocking(move || render(&ctx)).await?;
    Ok((
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    ))
}

fn render(ctx: &Context) -> String {
    let mut text = Text(String::with_capacity(8192));
    identity(ctx, &mut text);
    objects(ctx, &mut text);
    resources(ctx, &mut text);
    text.0
}

/// Every panel of RabbitMQ's dashboards joins on the first of these two.
fn identity(ctx: &Context, text: &mut Text) {
    let cluster_name = ctx.broker.cluster_name();
    let labels = [
        ("rabbitmq_node", ctx.broker.settings().node_name.as_str()),
        ("rabbitmq_cluster", cluster_name.as_str()),
        ("rabbitmq_endpoint", "aggregated"),
    ];
    text.gauge(
        "rabbitmq_identity_info",
        "Node and cluster identity",
        &labels,
        1,
    );
    let labels = [
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("product_name", PRODUCT),
        ("product_version", ctx.info.version),
        ("erlang_version", "n/a"),
    ];
    text.gauge("rabbitmq_build_info", "Version of the node", &labels, 1);
}

fn objects(ctx: &Context, text: &mut Text) {
    let totals = ctx.broker.object_totals();
    let (messages_ready, messages_unacked) = ctx.broker.stats().depth();
    let [
        channels_closed,
        channels_opened,
        connections_closed,
        connections_opened,
        ..,
    ] = ctx.broker.stats().churn();
    let protocol = [("protocol", "amqp091")];
    text.gauge(
        "rabbitmq_connections",
        "Connections open",
        &[],
        totals.connections,
    );
    text.gauge("rabbitmq_channels", "Channels open", &[], totals.channels);
    text.gauge("rabbitmq_consumers", "Consumers", &[], totals.consumers);
    text.gauge(
        "rabbitmq_global_consumers",
        "Consumers",
        &protocol,
        totals.consumers,
    );
    text.gauge("rabbitmq_queues", "Queues", &[], totals.queues);
    let messages = messages_ready + messages_unacked;
    text.gauge(
        "rabbitmq_queue_messages",
        "Messages ready and unacknowledged",
        &[],
        messages,
    );
    let ready = messages_ready;
    text.gauge(
        "rabbitmq_queue_messages_ready",
        "Messages ready for delivery",
        &[],
        ready,
    );
    text.gauge(
        "rabbitmq_queue_messages_unacked",
        "Messages delivered and not yet acknowledged",
        &[],
        messages_unacked,
    );
    let counters = [
        (
            "rabbitmq_connections_opened_total",
            "Connections opened",
            connections_opened,
        ),
        (
            "rabbitmq_connections_closed_total",
            "Connections closed",
            connections_closed,
        ),
        (
            "rabbitmq_channels_opened_total",
            "Channels opened",
            channels_opened,
        ),
        (
            "rabbitmq_channels_closed_total",
            "Channels closed",
            channels_closed,
        ),
    ];
    for (name, help, value) in counters {
        text.counter(name, help, value);
    }
}

fn resources(ctx: &Context, text: &mut Text) {
    let latest = ctx.info.monitor.latest();
    let figures = [
        (
            "rabbitmq_process_resident_memory_bytes",
            "Memory in use",
            latest.memory_used,
        ),
        (
            "rabbitmq_resident_memory_limit_bytes",
            "Memory watermark",
            latest.memory_limit,
        ),
        (
            "rabbitmq_disk_space_available_bytes",
            "Disk space free",
            latest.disk_free,
        ),
        (
            "rabbitmq_disk_space_available_limit_bytes",
            "Free disk space limit",
            latest.disk_limit,
        ),
        (
            "rabbitmq_process_open_fds",
            "File descriptors open",
            open_files(),
        ),
    ];
    // What this system does not tell is left out: a zero would raise somebody's alarm.
    for (name, help, value) in figures {
        if let Some(value) = value {
            text.gauge(name, help, &[], value);
        }
    }
    let alarms = ctx.broker.alarms();
    text.gauge(
        "rabbitmq_alarms_memory_used_watermark",
        "1 while the memory alarm is on",
        &[],
        u8::from(alarms.memory),
    );
    text.gauge(
        "rabbitmq_alarms_free_disk_space_watermark",
        "1 while the disk alarm is on",
        &[],
        u8::from(alarms.disk),
    );
    // Dashboards know the node's uptime by this name only.
    let uptime = ctx.started.elapsed().as_secs();
    text.gauge("rabbitmq_erlang_uptime_seconds", "Node uptime", &[], uptime);
}

fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the listing itself.
    u64::try_from(entries.count()).ok()?.checked_sub(1)
}

/// The text being written.
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(name, help, "gauge");
        self.sample(name, labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "counter");
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escape(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// Label values escape the backslash, the quote and the line feed.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Node;
    use warren_broker::alarms::Alarms;

    /// Checks the form of the text and returns its samples.
    fn parse(text: &str) -> Vec<(String, f64)> {
        let mut announced = BTreeSet::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["gauge", "counter"].contains(&kind));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                assert!(announced.insert(name.to_owned()), "{name} announced twice");
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                assert!(announced.contains(name), "{name} has no TYPE");
                samples.push((series.to_owned(), value.parse().unwrap()));
            }
        }
        assert!(text.ends_with('\n'));
        samples
    }

    #[tokio::test]
    async fn the_series_of_the_dashboards_are_there() {
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
            rabbitmq_cluster=\"test-cluster\",rabbitmq_endpoint=\"aggregated\"}";
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
    async fn alarms_are_ones() {
        let node = Node::start().await;
        node.broker.set_alarms(Alarms {
            memory: false,
            disk: true,
        });
        let body = node.get_metrics("/metrics").await.body;
        assert!(body.contains("\nrabbitmq_alarms_free_disk_space_watermark 1\n"));
        assert!(body.contains("\nrabbitmq_alarms_memory_used_watermark 0\n"));
    }

    #[tokio::test]
    async fn the_metrics_listener_has_nothing_else() {
        let node = Node::start().await;
        assert_eq!(node.get_metrics("/api/overview").await.status, 404);
        assert_eq!(node.get("/metrics", None).await.status, 404);
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text(String::new());
        text.gauge("g", "h", &[("a", "x\"y\\z\n"), ("b", "")], 1);
        assert!(
            text.0.ends_with("g{a=\"x\\\"y\\\\z\\n\",b=\"\"} 1\n"),
            "{}",
            text.0
        );
    }
}
