//! Families that exist for objects of a kind, added up or one by one.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use warren_broker::Vhost;
use warren_broker::stats::{EVENTS, Event};

use super::text::{Kind, Label, Text};
use crate::Context;

/// What of the objects is wanted.
pub(super) struct Scope {
    /// Names of groups of families; none for all.
    families: Option<Vec<String>>,
    /// Vhosts; none for all.
    vhosts: Option<Vec<String>>,
}

impl Scope {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            families: None,
            vhosts: None,
        }
    }

    /// These groups of families, of these vhosts unless there are none.
    pub(super) fn of(families: Vec<String>, vhosts: Vec<String>) -> Self {
        Self {
            families: Some(families),
            vhosts: (!vhosts.is_empty()).then_some(vhosts),
        }
    }

    /// Whether a group of families is wanted.
    pub(super) fn wants(&self, group: &str) -> bool {
        let families = self.families.as_ref();
        families.is_none_or(|families| families.iter().any(|family| family == group))
    }

    fn has(&self, vhost: &str) -> bool {
        let vhosts = self.vhosts.as_ref();
        vhosts.is_none_or(|vhosts| vhosts.iter().any(|name| name == vhost))
    }
}

/// Numbers of one object, or of all of them together.
struct Numbers<const N: usize> {
    labels: [(&'static str, Arc<str>); N],
    values: Vec<u64>,
}

/// A family: the group it belongs to, its kind, name and help.
type Family = (&'static str, Kind, &'static str, &'static str);

const COARSE: &str = "queue_coarse_metrics";
const QUEUE: &str = "queue_metrics";
const DELIVERY: &str = "queue_delivery_metrics";

/// In the order of [`queue_values`].
const QUEUES: &[Family] = &[
    (
        COARSE,
        Kind::Gauge,
        "queue_messages_ready",
        "Messages ready for delivery",
    ),
    (
        COARSE,
        Kind::Gauge,
        "queue_messages_unacked",
        "Messages delivered and not acknowledged",
    ),
    (
        COARSE,
        Kind::Gauge,
        "queue_messages",
        "Messages ready and unacknowledged",
    ),
    (
        "queue_consumer_count",
        Kind::Gauge,
        "queue_consumers",
        "Consumers",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_ready_bytes",
        "Bytes of ready messages",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_unacked_bytes",
        "Bytes of unacknowledged messages",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_bytes",
        "Bytes of messages",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_ready_ram",
        "Ready messages in memory",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_unacked_ram",
        "Unacknowledged messages in memory",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_ram",
        "Messages in memory",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_ram_bytes",
        "Bytes of messages in memory",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_paged_out",
        "Messages on disk only",
    ),
    (
        QUEUE,
        Kind::Gauge,
        "queue_messages_paged_out_bytes",
        "Bytes of messages on disk only",
    ),
    (
        QUEUE,
        Kind::Counter,
        "queue_messages_published_total",
        "Messages published to it",
    ),
    (
        QUEUE,
        Kind::Counter,
        "queue_disk_reads_total",
        "Messages read from disk",
    ),
    (
        QUEUE,
        Kind::Counter,
        "queue_disk_writes_total",
        "Messages written to disk",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_get_ack_total",
        "Messages fetched to be acknowledged",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_get_total",
        "Messages fetched without acknowledgement",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_get_empty_total",
        "Fetches that found it empty",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_messages_delivered_ack_total",
        "Messages delivered to be acknowledged",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_messages_delivered_total",
        "Messages delivered without acknowledgement",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_messages_redelivered_total",
        "Messages delivered again",
    ),
    (
        DELIVERY,
        Kind::Counter,
        "queue_messages_acked_total",
        "Messages acknowledged",
    ),
];

const CHANNEL: &str = "channel_metrics";
const PUBLISHES: &str = "channel_exchange_metrics";
const DELIVERIES: &str = "channel_queue_metrics";

/// In the order of [`channel_values`].
const CHANNELS: &[Family] = &[
    (CHANNEL, Kind::Gauge, "channel_consumers", "Consumers"),
    (
        CHANNEL,
        Kind::Gauge,
        "channel_messages_unacked",
        "Messages delivered and not acknowledged",
    ),
    (
        CHANNEL,
        Kind::Gauge,
        "channel_messages_unconfirmed",
        "Messages published and not confirmed",
    ),
    (
        CHANNEL,
        Kind::Gauge,
        "channel_messages_uncommitted",
        "Messages published and not committed",
    ),
    (
        CHANNEL,
        Kind::Gauge,
        "channel_acks_uncommitted",
        "Acknowledgements not committed",
    ),
    (
        CHANNEL,
        Kind::Gauge,
        "consumer_prefetch",
        "Prefetch of each consumer",
    ),
    (
        CHANNEL,
        Kind::Gauge,
        "channel_prefetch",
        "Prefetch of the channel",
    ),
    (
        PUBLISHES,
        Kind::Counter,
        "channel_messages_published_total",
        "Messages published",
    ),
    (
        PUBLISHES,
        Kind::Counter,
        "channel_messages_confirmed_total",
        "Messages confirmed",
    ),
    (
        PUBLISHES,
        Kind::Counter,
        "channel_messages_unroutable_returned_total",
        "Messages returned as unroutable",
    ),
    (
        PUBLISHES,
        Kind::Counter,
        "channel_messages_unroutable_dropped_total",
        "Messages dropped as unroutable",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_get_ack_total",
        "Messages fetched to be acknowledged",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_get_total",
        "Messages fetched without acknowledgement",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_get_empty_total",
        "Fetches that found the queue empty",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_messages_delivered_ack_total",
        "Messages delivered to be acknowledged",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_messages_delivered_total",
        "Messages delivered without acknowledgement",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_messages_redelivered_total",
        "Messages delivered again",
    ),
    (
        DELIVERIES,
        Kind::Counter,
        "channel_messages_acked_total",
        "Messages acknowledged",
    ),
];

const CONNECTION: &str = "connection_metrics";

/// In the order of [`connections`].
const CONNECTIONS: &[Family] = &[
    (
        "connection_coarse_metrics",
        Kind::Counter,
        "connection_incoming_bytes_total",
        "Bytes received",
    ),
    (
        "connection_coarse_metrics",
        Kind::Counter,
        "connection_outgoing_bytes_total",
        "Bytes sent",
    ),
    (
        CONNECTION,
        Kind::Counter,
        "connection_incoming_packets_total",
        "Reads from the socket",
    ),
    (
        CONNECTION,
        Kind::Counter,
        "connection_outgoing_packets_total",
        "Writes to the socket",
    ),
    (
        CONNECTION,
        Kind::Gauge,
        "connection_pending_packets",
        "Bytes waiting to be sent",
    ),
    (CONNECTION, Kind::Gauge, "connection_channels", "Channels"),
];

/// In the order of [`exchanges`].
const EXCHANGES: &[Family] = &[
    (
        "exchange_metrics",
        Kind::Counter,
        "exchange_messages_published_total",
        "Messages published to it",
    ),
    (
        "exchange_metrics",
        Kind::Counter,
        "exchange_messages_routed_total",
        "Messages routed by it, once per queue",
    ),
    (
        "exchange_bindings",
        Kind::Gauge,
        "exchange_bindings",
        "Bindings that begin at it",
    ),
];

/// Objects of each kind added up.
pub(super) fn totals(ctx: &Context, text: &mut Text) {
    let all = Scope::all();
    family_totals(text, QUEUES, &queues(ctx, &all));
    family_totals(text, CHANNELS, &channels(ctx, &all));
    family_totals(text, CONNECTIONS, &connections(ctx, &all));
    family_totals(text, EXCHANGES, &exchanges(ctx, &all));
}

/// Objects one by one.
pub(super) fn each(ctx: &Context, text: &mut Text, scope: &Scope) {
    each_of(text, QUEUES, scope, || queues(ctx, scope));
    each_of(text, CHANNELS, scope, || channels(ctx, scope));
    each_of(text, CONNECTIONS, scope, || connections(ctx, scope));
    each_of(text, EXCHANGES, scope, || exchanges(ctx, scope));
    if scope.wants("vhost_status") {
        let name = "cluster_vhost_status";
        text.family(Kind::Gauge, name, "1 for a vhost that is running");
        for vhost in vhosts(ctx, scope) {
            text.sample(name, &[("vhost", vhost.name())], 1);
        }
    }
}

fn family_totals<const N: usize>(text: &mut Text, families: &[Family], objects: &[Numbers<N>]) {
    for (index, (_, kind, name, help)) in families.iter().enumerate() {
        let sum: u64 = objects.iter().map(|object| object.values[index]).sum();
        text.family(*kind, name, help);
        text.sample(name, &[], sum);
    }
}

fn each_of<const N: usize>(
    text: &mut Text,
    families: &[Family],
    scope: &Scope,
    collect: impl FnOnce() -> Vec<Numbers<N>>,
) {
    if !families.iter().any(|(group, ..)| scope.wants(group)) {
        return;
    }
    let objects = collect();
    for (index, (group, kind, name, help)) in families.iter().enumerate() {
        if !scope.wants(group) || text.is_unread() {
            continue;
        }
        text.family(*kind, name, help);
        for object in &objects {
            let labels: [Label<'_>; N] =
                std::array::from_fn(|i| (object.labels[i].0, &*object.labels[i].1));
            text.sample(name, &labels, object.values[index]);
        }
    }
}

fn vhosts(ctx: &Context, scope: &Scope) -> Vec<Arc<Vhost>> {
    let mut vhosts = ctx.broker.vhosts();
    vhosts.retain(|vhost| scope.has(vhost.name()));
    vhosts
}

fn queues(ctx: &Context, scope: &Scope) -> Vec<Numbers<2>> {
    let mut all = Vec::new();
    for vhost in vhosts(ctx, scope) {
        for queue in vhost.queues() {
            let (depth, counts) = queue.reading();
            let gauges = [
                depth.ready as u64,
                depth.unacked as u64,
                depth.messages() as u64,
                depth.consumers as u64,
                depth.ready_bytes,
                depth.unacked_bytes,
                depth.bytes(),
                (depth.ready - depth.paged) as u64,
                (depth.unacked - depth.unacked_paged) as u64,
                depth.ram() as u64,
                depth.ram_bytes(),
                (depth.paged + depth.unacked_paged) as u64,
                depth.paged_bytes + depth.unacked_paged_bytes,
            ];
            let published = [Event::Publish, Event::DiskReads, Event::DiskWrites];
            let published = published.map(|event| counts[event as usize]);
            let values = [&gauges[..], &published, &taken(&counts)].concat();
            let labels = [
                ("vhost", Arc::clone(vhost.name())),
                ("queue", Arc::from(queue.name())),
            ];
            all.push(Numbers { labels, values });
        }
    }
    all
}

/// What consumers did.
fn taken(counts: &[u64; EVENTS]) -> [u64; 7] {
    [
        Event::Get,
        Event::GetNoAck,
        Event::GetEmpty,
        Event::Deliver,
        Event::DeliverNoAck,
        Event::Redeliver,
        Event::Ack,
    ]
    .map(|event| counts[event as usize])
}

fn channels(ctx: &Context, scope: &Scope) -> Vec<Numbers<2>> {
    let mut all = Vec::new();
    for connection in ctx.broker.connections() {
        let live = connection.live();
        if !scope.has(&live.info.vhost) {
            continue;
        }
        let name: Arc<str> = live.info.name.as_str().into();
        for channel in live.channels() {
            let counts = channel.messages().all();
            let gauges = [
                channel.consumer_count() as u64,
                connection.unacked(channel.number) as u64,
                channel.unconfirmed.load(Relaxed),
                channel.uncommitted.load(Relaxed),
                channel.acks_uncommitted.load(Relaxed),
                u64::from(channel.prefetch.load(Relaxed)),
                u64::from(channel.global_prefetch.load(Relaxed)),
            ];
            let published = [
                Event::Publish,
                Event::Confirm,
                Event::ReturnUnroutable,
                Event::DropUnroutable,
            ];
            let published = published.map(|event| counts[event as usize]);
            let values = [&gauges[..], &published, &taken(&counts)].concat();
            let labels = [
                ("connection", Arc::clone(&name)),
                ("channel", format!("{name} ({})", channel.number).into()),
            ];
            all.push(Numbers { labels, values });
        }
    }
    all
}

fn connections(ctx: &Context, scope: &Scope) -> Vec<Numbers<1>> {
    let mut all = Vec::new();
    for connection in ctx.broker.connections() {
        let live = connection.live();
        if !scope.has(&live.info.vhost) {
            continue;
        }
        let octets = live.octets();
        let values = vec![
            octets.received.load(Relaxed),
            octets.sent.load(Relaxed),
            octets.reads.load(Relaxed),
            octets.writes.load(Relaxed),
            connection.send_pending() as u64,
            live.channel_count() as u64,
        ];
        let labels = [("connection", live.info.name.as_str().into())];
        all.push(Numbers { labels, values });
    }
    all
}

fn exchanges(ctx: &Context, scope: &Scope) -> Vec<Numbers<3>> {
    let mut all = Vec::new();
    for vhost in vhosts(ctx, scope) {
        for exchange in vhost.exchanges() {
            let routing = vhost.routing();
            let bindings = routing.bindings_from(&exchange.name).count() as u64;
            drop(routing);
            let stats = &exchange.stats;
            let values = vec![stats.publish_in(), stats.publish_out(), bindings];
            let labels = [
                ("vhost", Arc::clone(vhost.name())),
                ("exchange", Arc::from(exchange.name.as_str())),
                ("type", Arc::from(exchange.kind.as_str())),
            ];
            all.push(Numbers { labels, values });
        }
    }
    all
}
