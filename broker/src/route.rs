//! Where publishes go: a route, and how it is found in the vhost's tables. Who remembers it is the
//! business of [`cache`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use warren_amqp::{Properties, ReplyError, split_address};
use warren_exchanges::{Envelope, ExchangeKind, Routes};

mod cache;

pub use cache::{RouteAt, RouteCache};

use crate::auth::Access;
use crate::history::History;
use crate::queue::Queue;
use crate::session::Session;
use crate::stats::ExchangeStats;
use crate::vhost::Vhost;

/// Direct reply-to pseudo-queue: consumed by requesters, named in `reply_to`.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The queues a publish goes to.
#[derive(Default)]
pub struct Route {
    address: Box<[u8]>,
    found: Found,
    per_message: bool,
    /// What went through its exchange.
    exchange: Option<Arc<ExchangeStats>>,
    /// Where the batch that used it last has it.
    place: AtomicU32,
}

/// Where a message goes.
#[derive(Default)]
pub(crate) struct Found {
    /// The queues, each once; the stores of delayed exchanges stand at the end.
    pub(crate) targets: Vec<Arc<Queue>>,
    /// How many of them are stores of delayed exchanges.
    pub(crate) delays: usize,
    /// What exchanges on the way remember.
    pub(crate) histories: Vec<Arc<History>>,
}

impl Found {
    /// The queues the message reaches now: no stores.
    pub(crate) fn routed(&self) -> impl Iterator<Item = &Arc<Queue>> {
        let n = self.targets.len() - self.delays;
        self.targets.iter().take(n)
    }
}

impl Route {
    /// The route of one message, for publishing it at once.
    pub(crate) fn found(found: Found) -> Self {
        Self {
            found,
            per_message: true,
            ..Self::default()
        }
    }

    /// Whether more than the address decides: [`RouteCache::refine`] must be asked for each
    /// message.
    pub fn per_message(&self) -> bool {
        self.per_message
    }

    /// The target queues, each once, and the stores of delayed exchanges that hold the message.
    pub fn targets(&self) -> &[Arc<Queue>] {
        &self.found.targets
    }

    /// Exchange and routing key as short strings, with which it was found. Others that lead to the
    /// same queues may share it, unless it leads nowhere.
    pub(crate) fn address(&self) -> &[u8] {
        &self.address
    }

    pub(crate) fn exchange(&self) -> Option<&Arc<ExchangeStats>> {
        self.exchange.as_ref()
    }

    /// Whether the publisher is to be told that the message goes nowhere. What is only delayed or
    /// remembered has not been routed.
    pub fn is_unroutable(&self) -> bool {
        self.found.targets.len() == self.found.delays
    }

    /// Whether nobody keeps the message.
    pub(crate) fn is_void(&self) -> bool {
        self.found.targets.is_empty() && self.found.histories.is_empty()
    }

    /// What exchanges on the way remember.
    pub(crate) fn histories(&self) -> &[Arc<History>] {
        &self.found.histories
    }

    /// Where a batch probably has it: a hint, which saves a search.
    pub(crate) fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// A batch has it there.
    pub(crate) fn set_place(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }
}

fn find(vhost: &Vhost, session: &mut Session, address: &[u8]) -> Result<(Route, bool), ReplyError> {
    let (exchange, key) = address_strs(address);
    session.check_exchange(Access::Write, exchange)?;
    let found = vhost.exchange(exchange)?;
    // The default exchange is not internal.
    if found.internal {
        let text = format!(
            "cannot publish to internal exchange '{exchange}' in vhost '{}'",
            vhost.name()
        );
        return Err(ReplyError::access_refused(text));
    }
    if found.kind == ExchangeKind::Topic {
        session.check_topic(Access::Write, exchange, key)?;
    }
    let (goes, cacheable) = lookup(vhost, exchange, &[key], &Properties::default());
    // A default-exchange miss is not remembered: declaring a queue does not move the generation.
    let remember = !(exchange.is_empty() && goes.targets.is_empty());
    Ok((
        Route {
            address: address.into(),
            found: goes,
            per_message: !cacheable,
            exchange: Some(Arc::clone(&found.stats)),
            ..Route::default()
        },
        remember,
    ))
}

/// The target queues of a publish and whether they depend on exchange and keys only.
pub(crate) fn lookup(
    vhost: &Vhost,
    exchange: &str,
    keys: &[&str],
    properties: &Properties<'_>,
) -> (Found, bool) {
    if exchange.is_empty() {
        let mut targets: Vec<Arc<Queue>> = Vec::with_capacity(1);
        for key in keys {
            if let Some(queue) = vhost.default_target(key)
                && !targets.iter().any(|other| other.id() == queue.id())
            {
                targets.push(queue);
            }
        }
        let found = Found {
            targets,
            ..Found::default()
        };
        return (found, true);
    }
    let envelope = Envelope {
        keys,
        headers: properties.headers,
        correlation_id: properties.correlation_id,
        message_id: properties.message_id,
        timestamp: properties.timestamp,
        draw: vhost.draw(),
    };
    let mut routes = Routes::default();
    let outcome = vhost
        .routing()
        .route_message(exchange, &envelope, &mut routes);
    let queues = routes.queues.into_iter().map(|handle| handle.0);
    let mut found = Found {
        targets: queues.collect(),
        ..Found::default()
    };
    let stores = routes
        .delaying
        .iter()
        .filter_map(|name| vhost.delay_store(name));
    let routed = found.targets.len();
    found.targets.extend(stores);
    found.delays = found.targets.len() - routed;
    found.histories.extend(
        routes
            .remembering
            .iter()
            .filter_map(|name| vhost.history(name)),
    );
    (found, outcome.cacheable)
}

pub(crate) fn address_strs(address: &[u8]) -> (&str, &str) {
    let (exchange, key) = split_address(address);
    // Both were checked when the method was parsed.
    (
        std::str::from_utf8(exchange).unwrap_or(""),
        std::str::from_utf8(key).unwrap_or(""),
    )
}
