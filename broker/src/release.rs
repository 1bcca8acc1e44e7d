//! Messages that are published again by the broker itself: those whose delay is over, and those
//! a recent-history exchange has for a new binding.

use std::sync::Arc;

use warren_amqp::{parse_content_header, parse_properties};
use warren_exchanges::Destination;

use crate::broker::Broker;
use crate::dead_letter::extra_keys;
use crate::delay::{released, store_of};
use crate::message::{Chunk, Message};
use crate::publish::{NEVER, PublishBatch};
use crate::queue::{Queue, QueueHandle};
use crate::route::{Found, Route, lookup};
use crate::turn::Turn;
use crate::vhost::Vhost;

/// Messages let go of one store before others get a chance.
const RELEASED_AT_ONCE: usize = 1024;

/// What a new binding gets of its exchange's memory.
pub(crate) struct Replay {
    pub(crate) vhost: Arc<str>,
    pub(crate) destination: Destination<QueueHandle>,
    /// Oldest first.
    pub(crate) messages: Vec<Message>,
}

impl Broker {
    /// Routes what is due in the store of a delayed exchange. The copies go to the log before what
    /// was held is settled: a crash in between duplicates, never loses.
    pub(crate) fn release(&self, store: &Arc<Queue>, turn: &mut Turn) {
        let due = store.take_due(RELEASED_AT_ONCE, turn);
        let definition = store.definition();
        let vhost = self.vhost(&definition.vhost);
        let exchange = store_of(store.name(), &store.arguments());
        let mut safe = true;
        if let (Some(vhost), Some(exchange)) = (vhost, exchange) {
            let mut batch = PublishBatch::default();
            for entry in &due {
                let message = &entry.message;
                let Some((header, meta)) = released(message) else {
                    continue;
                };
                let route = Arc::new(Route::found(again(&vhost, &exchange, message, &header)));
                let parts = [message.address(), &header, message.body()];
                // Confirm numbers are for the log's answer only; nobody else is told.
                batch.push(&route, 0, 1, parts, meta);
                if batch.is_full() {
                    safe &= self.publish_all(&mut batch, turn);
                }
            }
            safe &= self.publish_all(&mut batch, turn);
        }
        // What the log would not take is still in it as held back, for the next start.
        if safe {
            store.settle(&due, turn);
        }
        store.plan_release(turn);
    }

    fn publish_all(&self, batch: &mut PublishBatch, turn: &mut Turn) -> bool {
        let outcomes = self.publish(batch, turn);
        outcomes.iter().all(|outcome| outcome.position != NEVER)
    }

    /// Gives a new binding what its exchange remembers.
    pub(crate) fn replay(&self, replay: Replay, turn: &mut Turn) {
        let Some(vhost) = self.vhost(&replay.vhost) else {
            return;
        };
        for message in replay.messages {
            let found = match &replay.destination {
                Destination::Queue(queue) => Found {
                    targets: vec![Arc::clone(&queue.0)],
                    ..Found::default()
                },
                Destination::Exchange(name) => again(&vhost, name, &message, message.header()),
            };
            let parts = [message.address(), message.header(), message.body()];
            let meta = message.meta();
            let chunk = Chunk::single(parts[0], parts[1], parts[2], meta, turn.now_ms());
            self.enqueue_single(&chunk, &found, turn);
        }
    }
}

/// Where a message goes that comes to `exchange` with this header and its own keys.
fn again(vhost: &Vhost, exchange: &str, message: &Message, header: &[u8]) -> Found {
    let properties = parse_content_header(header)
        .and_then(|content| parse_properties(content.properties))
        .unwrap_or_default();
    let extra = extra_keys(properties.headers).ok().flatten();
    let mut keys = vec![message.routing_key()];
    if let Some(extra) = &extra {
        keys.extend(extra.cc.iter().chain(&extra.bcc).map(String::as_str));
    }
    lookup(vhost, exchange, &keys, &properties).0
}
