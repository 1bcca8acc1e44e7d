//! The thread that publishes notices.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use warren_amqp::{Properties, encode_content_header, make_address};

use super::{EVENT_EXCHANGE, Notice, Notices, TRACE_EXCHANGE};
use crate::broker::Broker;
use crate::contained::contained;
use crate::message::{FLAG_PERSISTENT, Meta};
use crate::publish::PublishBatch;
use crate::route::{Route, lookup};
use crate::turn::Turn;
use crate::vhost::Vhost;

/// Works until told to stop or the broker is gone.
pub(super) fn run(notices: &Notices, broker: &Weak<Broker>, clock: fn() -> u64) {
    let mut turn = Turn::default();
    let mut batch = PublishBatch::default();
    while let Some((waiting, dropped)) = notices.next() {
        let Some(broker) = broker.upgrade() else {
            return;
        };
        if dropped > 0 {
            tracing::warn!("{dropped} traced messages or events were dropped: too many at once");
        }
        turn.begin(clock());
        let published = contained("publishing traced messages and events", || {
            broker.publish_notices(waiting, &mut batch, &mut turn);
        });
        if published.is_none() {
            // Those it was about are gone; the next ones begin anew.
            batch = PublishBatch::default();
        }
    }
}

impl Broker {
    /// Publishes what waits, in order.
    fn publish_notices(
        &self,
        waiting: VecDeque<Notice>,
        batch: &mut PublishBatch,
        turn: &mut Turn,
    ) {
        let events_in = self.settings().event_vhost.as_deref();
        let events_in = events_in.and_then(|name| self.vhost(name));
        for notice in waiting {
            match &notice {
                Notice::Traced(traced) => {
                    let headers = traced.headers(&self.settings().node_name);
                    let message = &traced.message;
                    let properties = Properties {
                        headers: Some(warren_amqp::TableRef::new(&headers)),
                        ..Properties::default()
                    };
                    let address = (TRACE_EXCHANGE, traced.key());
                    let body = message.body();
                    add(batch, &traced.vhost, address, &properties, body);
                }
                Notice::Event(event) => {
                    let Some(vhost) = &events_in else { continue };
                    let properties = Properties {
                        headers: Some(warren_amqp::TableRef::new(&event.headers)),
                        delivery_mode: Some(2),
                        timestamp: Some(event.at_ms / 1000),
                        ..Properties::default()
                    };
                    let address = (EVENT_EXCHANGE, event.key.to_owned());
                    add(batch, vhost, address, &properties, b"");
                }
            }
            if batch.is_full() {
                self.publish(batch, turn);
            }
        }
        self.publish(batch, turn);
        self.finish(turn);
    }
}

/// Adds a message to the batch if it goes anywhere.
fn add(
    batch: &mut PublishBatch,
    vhost: &Vhost,
    (exchange, key): (&str, String),
    properties: &Properties<'_>,
    body: &[u8],
) {
    let (found, _) = lookup(vhost, exchange, &[&key], properties);
    if found.targets.is_empty() {
        return;
    }
    let mut address = Vec::new();
    make_address(&mut address, exchange, &key);
    let header = encode_content_header(body.len() as u64, properties);
    let persistent = properties.delivery_mode == Some(2);
    let meta = Meta {
        flags: if persistent { FLAG_PERSISTENT } else { 0 },
        ..Meta::default()
    };
    let route = Arc::new(Route::found(found));
    batch.push(&route, 0, 0, [&address, &header, body], meta);
}
