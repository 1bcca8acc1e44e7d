//! Where publishes go: resolved routes and each connection's memory of them.
//!
//! A route is found once per (exchange, routing key) and remembered until the vhost's routing
//! generation moves, so a repeated key costs one comparison however many bindings there are.
//! Routes that depend on message headers are found anew for each message; only the checks on
//! their exchange are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use warren_amqp::{Properties, ReplyError, split_address};
use warren_exchanges::{Envelope, ExchangeKind, Routes};

use crate::auth::Access;
use crate::dead_letter::extra_keys;
use crate::history::{History, not_to_be_stored};
use crate::queue::Queue;
use crate::session::Session;
use crate::stats::ExchangeStats;
use crate::vhost::Vhost;

/// Direct reply-to pseudo-queue: consumed by requesters, named in `reply_to`.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Routes remembered per connection; beyond it the memory starts over.
const ROUTES_MAX: usize = 16 * 1024;

/// Target queues of all remembered routes together.
const TARGETS_MAX: usize = 64 * 1024;

/// The queues a publish goes to.
#[derive(Default)]
pub struct Route {
    address: Box<[u8]>,
    found: Found,
    per_message: bool,
    /// What went through its exchange.
    exchange: Option<Arc<ExchangeStats>>,
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

    /// Exchange and routing key it was asked for with, as short strings.
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
}

/// A connection's remembered routes in its vhost.
#[derive(Default)]
pub struct RouteCache {
    generation: u64,
    auth_version: u64,
    last: Option<Arc<Route>>,
    /// Whether `last` may answer for the next publish with the same address.
    last_cacheable: bool,
    /// Keyed by what clients choose, so by the library's keyed hash.
    routes: HashMap<Box<[u8]>, Arc<Route>>,
    /// Targets of all of them.
    targets: usize,
}

impl RouteCache {
    /// The route of `address` (exchange and routing key shortstrs), all checks on the exchange
    /// made: 403 without write permission or for an internal exchange, 404 when it is missing.
    pub fn resolve(
        &mut self,
        vhost: &Vhost,
        session: &mut Session,
        address: &[u8],
    ) -> Result<&Arc<Route>, ReplyError> {
        let (generation, auth_version) = (vhost.generation(), session.auth_version());
        if self.generation != generation || self.auth_version != auth_version {
            self.routes.clear();
            self.targets = 0;
            self.last = None;
            (self.generation, self.auth_version) = (generation, auth_version);
        }
        let repeated = self
            .last
            .as_ref()
            .is_some_and(|last| *last.address == *address);
        if !repeated || !self.last_cacheable {
            self.last = Some(self.remembered_or_found(vhost, session, address)?);
        }
        Ok(self.last.as_ref().expect("set just above"))
    }

    fn remembered_or_found(
        &mut self,
        vhost: &Vhost,
        session: &mut Session,
        address: &[u8],
    ) -> Result<Arc<Route>, ReplyError> {
        self.last_cacheable = true;
        if let Some(route) = self.routes.get(address) {
            return Ok(Arc::clone(route));
        }
        let (route, cacheable) = find(vhost, session, address)?;
        let route = Arc::new(route);
        self.last_cacheable = cacheable;
        if cacheable {
            self.targets += route.targets().len();
            if self.routes.len() >= ROUTES_MAX || self.targets > TARGETS_MAX {
                self.routes.clear();
                self.targets = route.targets().len();
            }
            self.routes.insert(address.into(), Arc::clone(&route));
        }
        Ok(route)
    }

    /// `route` as a message's properties change it: CC and BCC keys, exchanges that look at more
    /// than keys, or draw lots, or must not remember it.
    ///
    /// Errors: 406 for keys that are no array, 403 for keys the user may not use (U-13).
    pub fn refine(
        vhost: &Vhost,
        session: &mut Session,
        route: &Arc<Route>,
        properties: &Properties<'_>,
    ) -> Result<Arc<Route>, ReplyError> {
        let extra = extra_keys(properties.headers)?;
        let forgotten = !route.found.histories.is_empty() && not_to_be_stored(properties.headers);
        if extra.is_none() && !route.per_message && !forgotten {
            return Ok(Arc::clone(route));
        }
        let (exchange, key) = address_strs(&route.address);
        let mut keys = vec![key];
        if let Some(extra) = &extra {
            keys.extend(extra.cc.iter().chain(&extra.bcc).map(String::as_str));
            if vhost.exchange(exchange)?.kind == ExchangeKind::Topic {
                for key in keys.iter().skip(1) {
                    session.check_topic(Access::Write, exchange, key)?;
                }
            }
        }
        let (mut found, _) = lookup(vhost, exchange, &keys, properties);
        if not_to_be_stored(properties.headers) {
            found.histories.clear();
        }
        Ok(Arc::new(Route {
            address: route.address.clone(),
            found,
            per_message: true,
            exchange: route.exchange.clone(),
        }))
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
