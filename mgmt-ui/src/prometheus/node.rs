//! The node: who it is, what it has counted, what it uses.

use std::sync::atomic::Ordering::Relaxed;

use warren_broker::stats::{Event, Login, Machine, SIZE_BOUNDS};

use super::objects::Scope;
use super::text::{Kind, Text};
use crate::view::details::delivered;
use crate::{Context, PRODUCT, RABBITMQ_VERSION};

const PROTOCOL: (&str, &str) = ("protocol", "amqp091");
const QUEUE_TYPE: (&str, &str) = ("queue_type", "rabbit_classic_queue");

/// Every panel of RabbitMQ's dashboards joins on the first of these two.
pub(super) fn identity(ctx: &Context, text: &mut Text, endpoint: &str) {
    let settings = ctx.broker.settings();
    let cluster_name = ctx.broker.cluster_name();
    let labels = [
        ("rabbitmq_node", settings.node_name.as_str()),
        ("rabbitmq_cluster", cluster_name.as_str()),
        (
            "rabbitmq_cluster_permanent_id",
            settings.cluster_name.as_str(),
        ),
        ("rabbitmq_endpoint", endpoint),
    ];
    let help = "Node and cluster identity";
    text.gauge("identity_info", help, &labels, 1);
    let labels = [
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("prometheus_plugin_version", RABBITMQ_VERSION),
        ("prometheus_client_version", "n/a"),
        ("erlang_version", "n/a"),
        ("product_name", PRODUCT),
        ("product_version", ctx.info.version),
    ];
    text.gauge("build_info", "Version of the node", &labels, 1);
}

/// Totals and resources.
pub(super) fn write(ctx: &Context, text: &mut Text) {
    objects(ctx, text);
    global(ctx, text);
    dead_letters(ctx, text);
    sizes(ctx, text);
    churn(ctx, text);
    logins(ctx, text);
    resources(ctx, text);
    machine(ctx, text);
}

/// Of the same, the families that are asked for by name.
pub(super) fn write_detailed(ctx: &Context, text: &mut Text, scope: &Scope) {
    if scope.wants("connection_churn_metrics") {
        churn(ctx, text);
    }
    if scope.wants("auth_attempt_metrics") {
        logins(ctx, text);
    }
    if scope.wants("node_coarse_metrics") {
        resources(ctx, text);
    }
    if scope.wants("node_metrics") || scope.wants("node_persister_metrics") {
        machine(ctx, text);
    }
}

fn objects(ctx: &Context, text: &mut Text) {
    let totals = ctx.broker.object_totals();
    text.gauge("connections", "Connections open", &[], totals.connections);
    text.gauge("channels", "Channels open", &[], totals.channels);
    text.gauge("consumers", "Consumers", &[], totals.consumers);
    text.gauge("queues", "Queues", &[], totals.queues);
    text.gauge("exchanges", "Exchanges", &[], totals.exchanges);
    text.gauge(
        "global_consumers",
        "Consumers",
        &[PROTOCOL],
        totals.consumers,
    );
    let connections = ctx.broker.connections();
    let channels = connections.iter().flat_map(|c| c.live().channels());
    let publishing = channels.filter(|channel| channel.messages().get(Event::Publish) > 0);
    let help = "Channels that have published";
    text.gauge("global_publishers", help, &[PROTOCOL], publishing.count());
}

fn global(ctx: &Context, text: &mut Text) {
    let stats = ctx.broker.stats();
    let counts = stats.messages();
    let of = |event: Event| counts[event as usize];
    for (name, help, n) in [
        ("received", "Messages published", of(Event::Publish)),
        (
            "received_confirm",
            "Messages published on channels in confirm mode",
            stats.received_confirm(),
        ),
        ("routed", "Messages routed, once per queue", stats.routed()),
        ("confirmed", "Messages confirmed", of(Event::Confirm)),
        (
            "unroutable_dropped",
            "Messages dropped because no queue was bound",
            of(Event::DropUnroutable),
        ),
        (
            "unroutable_returned",
            "Messages returned because no queue was bound",
            of(Event::ReturnUnroutable),
        ),
    ] {
        let name = format!("global_messages_{name}_total");
        text.counter(&name, help, &[PROTOCOL], n);
    }
    for (name, help, n) in [
        (
            "delivered",
            "Messages delivered and fetched",
            delivered(&counts),
        ),
        (
            "delivered_consume_auto_ack",
            "Messages delivered without acknowledgement",
            of(Event::DeliverNoAck),
        ),
        (
            "delivered_consume_manual_ack",
            "Messages delivered to be acknowledged",
            of(Event::Deliver),
        ),
        (
            "delivered_get_auto_ack",
            "Messages fetched without acknowledgement",
            of(Event::GetNoAck),
        ),
        (
            "delivered_get_manual_ack",
            "Messages fetched to be acknowledged",
            of(Event::Get),
        ),
        (
            "get_empty",
            "Fetches from an empty queue",
            of(Event::GetEmpty),
        ),
        (
            "redelivered",
            "Messages delivered again",
            of(Event::Redeliver),
        ),
        ("acknowledged", "Messages acknowledged", of(Event::Ack)),
    ] {
        let name = format!("global_messages_{name}_total");
        text.counter(&name, help, &[PROTOCOL, QUEUE_TYPE], n);
    }
}

fn dead_letters(ctx: &Context, text: &mut Text) {
    let strategies = [
        [QUEUE_TYPE, ("dead_letter_strategy", "at_most_once")],
        [
            ("queue_type", "rabbit_quorum_queue"),
            ("dead_letter_strategy", "at_least_once"),
        ],
    ];
    let dead = ctx.broker.stats().dead_lettered.each_ref().map(|dead| {
        [
            ("expired", dead.expired.load(Relaxed)),
            ("rejected", dead.rejected.load(Relaxed)),
            ("maxlen", dead.maxlen.load(Relaxed)),
            ("delivery_limit", dead.delivery_limit.load(Relaxed)),
        ]
    });
    for (index, (reason, _)) in dead[0].iter().enumerate() {
        let name = format!("global_messages_dead_lettered_{reason}_total");
        let help = "Messages handed to a dead-letter exchange";
        text.family(Kind::Counter, &name, help);
        for (labels, dead) in strategies.iter().zip(&dead) {
            text.sample(&name, labels, dead[index].1);
        }
    }
    // Those of the surer strategy are counted when they have arrived.
    let arrived = dead[1].iter().map(|(_, n)| n).sum();
    let name = "global_messages_dead_lettered_confirmed_total";
    let help = "Dead letters that have arrived for sure";
    text.counter(name, help, &strategies[1], arrived);
}

fn sizes(ctx: &Context, text: &mut Text) {
    let (buckets, bytes) = ctx.broker.stats().sizes.cumulative();
    let count = buckets[buckets.len() - 1];
    let bounds = SIZE_BOUNDS.map(|bound| match bound {
        u64::MAX => "+Inf".to_owned(),
        // Panels ask for this form.
        bytes => format!("{bytes}.0"),
    });
    let buckets: Vec<_> = bounds.into_iter().zip(buckets).collect();
    let help = "Sizes of published messages in bytes";
    text.histogram(
        "message_size_bytes",
        help,
        &[PROTOCOL],
        (&buckets, count, bytes),
    );
}

fn churn(ctx: &Context, text: &mut Text) {
    let churn = &ctx.broker.stats().churn;
    for (name, help, counter) in [
        (
            "connections_opened",
            "Connections opened",
            &churn.connections_opened,
        ),
        (
            "connections_closed",
            "Connections closed",
            &churn.connections_closed,
        ),
        ("channels_opened", "Channels opened", &churn.channels_opened),
        ("channels_closed", "Channels closed", &churn.channels_closed),
        ("queues_declared", "Queues declared", &churn.queues_declared),
        ("queues_created", "Queues created", &churn.queues_created),
        ("queues_deleted", "Queues deleted", &churn.queues_deleted),
    ] {
        text.counter(&format!("{name}_total"), help, &[], counter.load(Relaxed));
    }
}

fn logins(ctx: &Context, text: &mut Text) {
    let counts = Login::ALL.map(|login| (login.name(), ctx.broker.stats().logins(login)));
    let all = "auth_attempts_total";
    text.family(Kind::Counter, all, "Attempts to log in");
    for (protocol, n) in counts {
        text.sample(all, &[("protocol", protocol)], n.succeeded + n.failed);
    }
    let good = "auth_attempts_succeeded_total";
    text.family(Kind::Counter, good, "Attempts to log in that succeeded");
    for (protocol, n) in counts {
        text.sample(good, &[("protocol", protocol)], n.succeeded);
    }
    let bad = "auth_attempts_failed_total";
    text.family(Kind::Counter, bad, "Attempts to log in that were refused");
    for (protocol, n) in counts {
        text.sample(bad, &[("protocol", protocol)], n.failed);
    }
}

fn resources(ctx: &Context, text: &mut Text) {
    let latest = ctx.info.monitor.latest();
    let mut machine = ctx.broker.stats().machine();
    if machine == Machine::default() {
        // Asked before the first sample.
        machine = Machine::look(latest.memory_used, latest.disk_free);
    }
    let limit = Machine::fd_limit();
    let figures = [
        (
            "process_resident_memory_bytes",
            "Memory in use",
            latest.memory_used,
        ),
        (
            "resident_memory_limit_bytes",
            "Memory watermark",
            latest.memory_limit,
        ),
        (
            "disk_space_available_bytes",
            "Disk space free",
            latest.disk_free,
        ),
        (
            "disk_space_available_limit_bytes",
            "Free disk space limit",
            latest.disk_limit,
        ),
        ("process_open_fds", "File descriptors open", machine.fd_used),
        ("process_max_fds", "File descriptors allowed", limit),
        (
            "process_open_tcp_sockets",
            "Sockets open",
            machine.sockets_used,
        ),
        ("process_max_tcp_sockets", "Sockets allowed", limit),
    ];
    // What this system does not tell is left out: a zero would raise somebody's alarm.
    for (name, help, value) in figures {
        if let Some(value) = value {
            text.gauge(name, help, &[], value);
        }
    }
    let alarms = ctx.broker.alarms();
    for (name, on) in [
        ("memory_used_watermark", alarms.memory),
        ("free_disk_space_watermark", alarms.disk),
        ("file_descriptor_limit", false),
    ] {
        let help = "1 while the alarm is on";
        text.gauge(&format!("alarms_{name}"), help, &[], u8::from(on));
    }
    // Dashboards know the node's uptime by this name only.
    let uptime = ctx.started.elapsed().as_secs();
    text.gauge("erlang_uptime_seconds", "Node uptime", &[], uptime);
}

fn machine(ctx: &Context, text: &mut Text) {
    let machine = ctx.broker.stats().machine();
    for (name, help, n) in [
        (
            "io_read_ops_total",
            "Calls that read",
            machine.io_read_count,
        ),
        (
            "io_read_bytes_total",
            "Bytes read from disks",
            machine.io_read_bytes,
        ),
        (
            "io_write_ops_total",
            "Calls that wrote",
            machine.io_write_count,
        ),
        (
            "io_write_bytes_total",
            "Bytes written to disks",
            machine.io_write_bytes,
        ),
    ] {
        if let Some(n) = n {
            text.counter(name, help, &[], n);
        }
    }
}
