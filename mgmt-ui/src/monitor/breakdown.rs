//! Who messages of a queue, an exchange or a channel came from and went to, while rates are kept in
//! detail (`management.rates_mode`).

use std::sync::Arc;

use warren_broker::stats::{LiveChannel, LiveConnection, Pair, key_of};
use warren_broker::{Exchange, Queue, Vhost};

use super::consumers::channel_details;
use crate::Context;
use crate::view::details::{DELIVER, FINE, Family, PUBLISH};
use crate::view::{Json, Object, message_stats};

/// `publishes` and `deliveries` of a channel.
pub(super) fn of_channel(ctx: &Context, vhost: &str, channel: &LiveChannel, into: &mut Object) {
    let vhost = ctx.broker.vhost(vhost);
    let exchanges = vhost.iter().flat_map(|vhost| vhost.exchanges());
    let published = exchanges.filter_map(|exchange| {
        let pair = channel.publishes().with(key_of(&exchange.stats))?;
        let vhost = vhost.as_ref()?;
        entry("exchange", named(vhost, &exchange.name), &pair, FINE)
    });
    into.put("publishes", published.collect::<Vec<_>>());
    let delivered = channel.deliveries().all().into_iter();
    let delivered = delivered.filter_map(|(queue, pair)| {
        let vhost = vhost.as_ref()?;
        entry("queue", named(vhost, queue.name()), &pair, DELIVER)
    });
    into.put("deliveries", delivered.collect::<Vec<_>>());
}

/// `incoming` and `deliveries` of a queue.
pub(super) fn of_queue(ctx: &Context, vhost: &Vhost, queue: &Queue, into: &mut Object) {
    let exchanges = vhost.exchanges().into_iter();
    let incoming = exchanges.filter_map(|exchange| {
        let pair = queue.incoming().with(key_of(&exchange.stats))?;
        entry("exchange", named(vhost, &exchange.name), &pair, PUBLISH)
    });
    into.put("incoming", incoming.collect::<Vec<_>>());
    let key = queue.id().0;
    let delivered = channels(ctx).filter_map(|(connection, channel)| {
        let pair = channel.deliveries().with(key)?;
        let details = channel_details(ctx, &connection, channel.number);
        entry("channel_details", details, &pair, DELIVER)
    });
    into.put("deliveries", delivered.collect::<Vec<_>>());
}

/// `incoming` and `outgoing` of an exchange.
pub(super) fn of_exchange(ctx: &Context, vhost: &Vhost, exchange: &Exchange, into: &mut Object) {
    let key = key_of(&exchange.stats);
    let incoming = channels(ctx).filter_map(|(connection, channel)| {
        let pair = channel.publishes().with(key)?;
        let details = channel_details(ctx, &connection, channel.number);
        entry("channel_details", details, &pair, FINE)
    });
    into.put("incoming", incoming.collect::<Vec<_>>());
    let outgoing = vhost.queues().into_iter().filter_map(|queue| {
        let pair = queue.incoming().with(key)?;
        entry("queue", named(vhost, queue.name()), &pair, PUBLISH)
    });
    into.put("outgoing", outgoing.collect::<Vec<_>>());
}

fn channels(ctx: &Context) -> impl Iterator<Item = (Arc<LiveConnection>, Arc<LiveChannel>)> {
    let connections = match ctx.broker.stats().sampler().keeps_pairs() {
        true => ctx.broker.connections(),
        false => Vec::new(),
    };
    connections.into_iter().flat_map(|connection| {
        let live = Arc::clone(connection.live());
        let channels = live.channels();
        channels
            .into_iter()
            .map(move |channel| (Arc::clone(&live), channel))
    })
}

fn named(vhost: &Vhost, name: &str) -> Object {
    let mut object = Object::new();
    object.put("name", name.to_owned());
    object.put("vhost", vhost.name().to_string());
    object
}

/// The other end and what passed; none when nothing of the kind did.
fn entry(what: &'static str, other: Object, pair: &Arc<Pair>, family: Family) -> Option<Json> {
    let counts = pair.messages.all();
    let stats = message_stats(&**pair, &counts, &[family], None)?;
    let mut object = Object::new();
    object.put("stats", stats);
    object.put(what, other);
    Some(object.into())
}
