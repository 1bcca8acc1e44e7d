//! `GET /api/console/queues/{vhost}/{name}/unacked`: deliveries that consumers hold, for how long,
//! and who they are.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_broker::stats::LiveConnection;
use warren_broker::{Broker, ConsumerId, ConsumerInfo, Held, Queue};

use crate::Context;
use crate::act::now_ms;
use crate::http::{ApiError, MemberVhost, Path};

/// Deliveries listed of each channel at most: the oldest are what matters.
const PER_CHANNEL: usize = 100;
/// Deliveries of one answer at most.
const LISTED: usize = 500;

/// Answers `{"total","held":[...],"consumers":[...],"paused"}`, what is held longest first.
pub(crate) async fn unacked(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, _| {
        let queue = vhost.readable_queue(session, &name)?;
        Ok(Json(json!({
            "total": queue.depth().unacked,
            "paused": queue.paused(),
            "held": held(&broker, vhost.name(), &queue),
            "consumers": consumers(&broker, &queue),
        })))
    })
    .await
}

fn held(broker: &Broker, vhost: &str, queue: &Queue) -> Vec<Value> {
    let mut all: Vec<(Arc<LiveConnection>, Held)> = Vec::new();
    for (connection, held) in broker.held_of(vhost, queue.id(), PER_CHANNEL) {
        all.extend(held.into_iter().map(|held| (Arc::clone(&connection), held)));
    }
    all.sort_unstable_by_key(|(_, held)| (held.since_s, held.seq));
    all.truncate(LISTED);
    let now = now_ms();
    let shown = all.iter().map(|(connection, held)| {
        let message = &held.message;
        let here = message.is_present();
        json!({
            "channel": format!("{} ({})", connection.info.name, held.channel),
            "connection": connection.info.name,
            "user": connection.info.user,
            "consumer_tag": held.consumer_tag,
            "delivery_tag": held.delivery_tag,
            "age_ms": now.saturating_sub(u64::from(held.since_s) * 1000),
            "redelivered": held.redelivered,
            "seq": held.seq,
            "bytes": message.body_len(),
            // Its bytes may be in the log only.
            "exchange": here.then(|| message.exchange().to_owned()),
            "routing_key": here.then(|| message.routing_key().to_owned()),
        })
    });
    shown.collect()
}

fn consumers(broker: &Broker, queue: &Queue) -> Vec<Value> {
    let active = queue.active_consumer();
    let mut all = Vec::new();
    queue.each_consumer_load(|info, load| all.push((info.clone(), load)));
    let shown = all.iter().map(|(info, load)| {
        let connection = broker.connection(info.connection);
        let connection = connection.map(|connection| Arc::clone(connection.live()));
        let known = connection.as_ref().map(|connection| &connection.info);
        json!({
            "consumer_tag": info.tag,
            "channel": known.map(|known| format!("{} ({})", known.name, info.channel)),
            "user": known.map(|known| &known.user),
            "client": known.and_then(|known| known.given_name()),
            "prefetch": info.prefetch,
            "priority": info.priority,
            "exclusive": info.exclusive,
            "ack_required": !info.no_ack,
            "in_flight": load.in_flight,
            "settled": load.settled,
            "paused": load.paused,
            "waiting": active.is_some_and(|active| active != info.id),
        })
    });
    shown.collect()
}

/// The consumer of that tag on the channel of that name, and whose connection it is.
pub(crate) fn find(
    broker: &Broker,
    queue: &Queue,
    channel: &str,
    tag: &str,
) -> Option<(ConsumerId, String)> {
    let mut found: Vec<ConsumerInfo> = Vec::new();
    queue.each_consumer(|info| {
        if info.tag == tag {
            found.push(info.clone());
        }
    });
    // Names of connections are looked up once each.
    let mut names: HashMap<_, Option<(String, String)>> = HashMap::new();
    found.iter().find_map(|info| {
        let known = names.entry(info.connection).or_insert_with(|| {
            let connection = broker.connection(info.connection)?;
            let info = &connection.live().info;
            Some((info.name.clone(), info.user.clone()))
        });
        let (name, user) = known.as_ref()?;
        (format!("{name} ({})", info.channel) == channel).then(|| (info.id, user.clone()))
    })
}
