//! Where publishes go: resolved routes and each connection's memory of them.
//!
//! A route is found once per (exchange, routing key) and remembered until the vhost's routing
//! generation moves, so a repeated key costs one comparison however many bindings there are.
//! Routes that depend on message headers are found anew for each message; only the checks on
//! their exchange are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use warren_amqp::{Properties, ReplyError, TableRef, split_address};
use warren_exchanges::ExchangeKind;

use crate::auth::Access;
use crate::dead_letter::extra_keys;
use crate::queue::{Queue, QueueHandle};
use crate::session::Session;
use crate::stats::ExchangeStats;
use crate::vhost::Vhost;

/// Direct reply-to pseudo-queue: consumed by requesters, named in `reply_to`.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Routes remembered per connection; beyond it the memory starts over.
const ROUTES_MAX: usize = 4096;

/// Target queues of all remembered routes together.
const TARGETS_MAX: usize = 64 * 1024;

/// The queues a publish goes to.
#[derive(Default)]
pub struct Route {
    address: Box<[u8]>,
    targets: Vec<Arc<Queue>>,
    by_headers: bool,
    /// What went through its exchange.
    exchange: Option<Arc<ExchangeStats>>,
}

impl Route {
    /// Whether message headers decide too: [`RouteCache::refine`] must be asked.
    pub fn by_headers(&self) -> bool {
        self.by_headers
    }

    /// The target queues, each once.
    pub fn targets(&self) -> &[Arc<Queue>] {
        &self.targets
    }

    pub(crate) fn exchange(&self) -> Option<&Arc<ExchangeStats>> {
        self.exchange.as_ref()
    }

    /// Whether the message goes nowhere.
    pub fn is_unroutable(&self) -> bool {
        self.targets.is_empty()
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
            self.targets += route.targets.len();
            if self.routes.len() >= ROUTES_MAX || self.targets > TARGETS_MAX {
                self.routes.clear();
                self.targets = route.targets.len();
            }
            self.routes.insert(address.into(), Arc::clone(&route));
        }
        Ok(route)
    }

    /// `route` as message headers change it: CC and BCC keys, and exchanges that match headers.
    pub fn refine(
        vhost: &Vhost,
        route: &Arc<Route>,
        properties: &Properties<'_>,
    ) -> Result<Arc<Route>, ReplyError> {
        let extra = extra_keys(properties.headers)?;
        if extra.is_none() && !route.by_headers {
            return Ok(Arc::clone(route));
        }
        let (exchange, key) = address_strs(&route.address);
        let mut keys = vec![key];
        if let Some(extra) = &extra {
            keys.extend(extra.cc.iter().chain(&extra.bcc).map(String::as_str));
        }
        let (targets, _) = lookup(vhost, exchange, &keys, properties.headers);
        Ok(Arc::new(Route {
            address: route.address.clone(),
            targets,
            by_headers: true,
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
    let (targets, cacheable) = lookup(vhost, exchange, &[key], None);
    // A default-exchange miss is not remembered: declaring a queue does not move the generation.
    let remember = !(exchange.is_empty() && targets.is_empty());
    Ok((
        Route {
            address: address.into(),
            targets,
            by_headers: !cacheable,
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
    headers: Option<TableRef<'_>>,
) -> (Vec<Arc<Queue>>, bool) {
    if exchange.is_empty() {
        let mut targets: Vec<Arc<Queue>> = Vec::with_capacity(1);
        for key in keys {
            if let Some(queue) = vhost.default_target(key)
                && !targets.iter().any(|other| other.id() == queue.id())
            {
                targets.push(queue);
            }
        }
        return (targets, true);
    }
    let mut found: Vec<QueueHandle> = Vec::new();
    let outcome = vhost.routing().route(exchange, keys, headers, &mut found);
    (
        found.into_iter().map(|handle| handle.0).collect(),
        outcome.cacheable,
    )
}

fn address_strs(address: &[u8]) -> (&str, &str) {
    let (exchange, key) = split_address(address);
    // Both were checked when the method was parsed.
    (
        std::str::from_utf8(exchange).unwrap_or(""),
        std::str::from_utf8(key).unwrap_or(""),
    )
}
