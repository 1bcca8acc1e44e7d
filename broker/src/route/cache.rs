//! A connection's memory of routes.
//!
//! A route is found once per (exchange, routing key) and remembered until the vhost's routing
//! generation moves, so a repeated key costs one comparison however many bindings there are, and
//! another one that was used before costs a lookup. Keys that lead to the same queues share their
//! route: what is published with them in turn is one run for the queues. Routes that depend on
//! message headers are found anew for each message; only the checks on their exchange are
//! remembered.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;
use warren_amqp::{Properties, ReplyError, split_address};
use warren_exchanges::ExchangeKind;
use warren_storage::QueueId;

use super::{Route, address_strs, find, lookup};
use crate::auth::Access;
use crate::dead_letter::extra_keys;
use crate::history::not_to_be_stored;
use crate::session::Session;
use crate::vhost::Vhost;

/// Addresses remembered per connection; beyond it the memory starts over.
const ADDRESSES_MAX: usize = 16 * 1024;

/// Target queues of all remembered routes together.
const TARGETS_MAX: usize = 64 * 1024;

/// Where a [`RouteCache`] has a route, until it is asked for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAt(u32);

/// Of a route for one message only.
const PASSING: RouteAt = RouteAt(u32::MAX);

/// What addresses with the same route have in common: their exchange and the target queues.
type Goal = (Box<[u8]>, Box<[QueueId]>);

/// A connection's remembered routes in its vhost.
#[derive(Default)]
pub struct RouteCache {
    generation: u64,
    auth_version: u64,
    /// The address asked for last, and its place if it is remembered.
    last_address: Vec<u8>,
    last: Option<RouteAt>,
    /// Where routes are. Keyed by what clients choose, so by a hash they cannot foresee.
    addresses: HashMap<Box<[u8]>, RouteAt, RandomState>,
    routes: Vec<Arc<Route>>,
    goals: FxHashMap<Goal, RouteAt>,
    /// Targets of all of them.
    targets: usize,
    /// The route of one message only.
    passing: Arc<Route>,
}

impl RouteCache {
    /// The route of `address` (exchange and routing key shortstrs), all checks on the exchange
    /// made: 403 without write permission or for an internal exchange, 404 when it is missing.
    pub fn resolve(
        &mut self,
        vhost: &Vhost,
        session: &mut Session,
        address: &[u8],
    ) -> Result<RouteAt, ReplyError> {
        let (generation, auth_version) = (vhost.generation(), session.auth_version());
        if self.generation != generation || self.auth_version != auth_version {
            self.clear();
            (self.generation, self.auth_version) = (generation, auth_version);
        }
        if let Some(last) = self.last.filter(|_| *self.last_address == *address) {
            return Ok(last);
        }
        let at = match self.addresses.get(address) {
            Some(at) => *at,
            None => {
                let (route, lasting) = find(vhost, session, address)?;
                if !lasting {
                    return Ok(self.pass(route));
                }
                self.remember(address, route)
            }
        };
        self.last_address.clear();
        self.last_address.extend_from_slice(address);
        self.last = Some(at);
        Ok(at)
    }

    /// The route there.
    pub fn get(&self, at: RouteAt) -> &Arc<Route> {
        self.routes.get(at.0 as usize).unwrap_or(&self.passing)
    }

    /// The route at `at`, asked for with `address`, as a message's properties change it: CC and BCC
    /// keys, exchanges that look at more than keys, or draw lots, or must not remember it.
    ///
    /// Errors: 406 for keys that are no array, 403 for keys the user may not use (U-13).
    pub fn refine(
        &mut self,
        vhost: &Vhost,
        session: &mut Session,
        at: RouteAt,
        address: &[u8],
        properties: &Properties<'_>,
    ) -> Result<RouteAt, ReplyError> {
        let route = self.get(at);
        let extra = extra_keys(properties.headers)?;
        let forgotten = !route.found.histories.is_empty() && not_to_be_stored(properties.headers);
        if extra.is_none() && !route.per_message && !forgotten {
            return Ok(at);
        }
        let (exchange, key) = address_strs(address);
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
        let refined = Route {
            address: address.into(),
            found,
            per_message: true,
            exchange: route.exchange.clone(),
            ..Route::default()
        };
        Ok(self.pass(refined))
    }

    fn clear(&mut self) {
        self.last = None;
        self.addresses.clear();
        self.routes.clear();
        self.goals.clear();
        self.targets = 0;
    }

    fn pass(&mut self, route: Route) -> RouteAt {
        self.passing = Arc::new(route);
        PASSING
    }

    fn remember(&mut self, address: &[u8], route: Route) -> RouteAt {
        let targets = route.targets().len();
        if self.addresses.len() >= ADDRESSES_MAX || self.targets + targets > TARGETS_MAX {
            self.clear();
        }
        let goal = goal(address, &route);
        let known = goal.as_ref().and_then(|goal| self.goals.get(goal));
        let at = known.copied().unwrap_or_else(|| {
            self.targets += targets;
            self.routes.push(Arc::new(route));
            let at = RouteAt(self.routes.len() as u32 - 1);
            self.goals.extend(goal.map(|goal| (goal, at)));
            at
        });
        self.addresses.insert(address.into(), at);
        at
    }
}

/// What others need in common with `route` to share it; none if it is for its address alone.
fn goal(address: &[u8], route: &Route) -> Option<Goal> {
    let plain = route.found.histories.is_empty() && route.found.delays == 0;
    if route.per_message || !plain || route.targets().is_empty() {
        return None;
    }
    let queues = route.targets().iter().map(|queue| queue.id());
    Some((split_address(address).0.into(), queues.collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_amqp::{FieldTable, make_address};

    use super::*;
    use crate::testing::Node;
    use crate::{BindingRequest, Turn};

    fn address(exchange: &str, key: &str) -> Vec<u8> {
        let mut address = Vec::new();
        make_address(&mut address, exchange, key);
        address
    }

    /// A node with the queues `a` and `b` and the topic exchange `t`, bound with these patterns.
    fn node(bindings: &[(&str, &str)]) -> Node {
        let mut node = Node::start();
        node.declare("a", &[]).unwrap();
        node.declare("b", &[]).unwrap();
        node.declare_exchange("t").unwrap();
        for (pattern, queue) in bindings {
            bind(&node, pattern, queue);
        }
        node
    }

    fn bind(node: &Node, pattern: &str, queue: &str) {
        let request = BindingRequest {
            source: "t".to_owned(),
            destination: queue.to_owned(),
            to_queue: true,
            routing_key: pattern.to_owned(),
            arguments: FieldTable::default(),
        };
        let mut turn = Turn::new(1000);
        let bound = node.vhost().bind(&mut node.session(), request, &mut turn);
        bound.unwrap();
        node.broker.finish(&mut turn);
    }

    fn targets(route: &Route) -> Vec<String> {
        let queues = route.targets().iter();
        queues.map(|queue| queue.name().to_owned()).collect()
    }

    #[test]
    fn keys_that_lead_to_the_same_queues_share_a_route_until_bindings_change() {
        let node = node(&[("x.*", "a"), ("y", "a"), ("y", "b")]);
        let (vhost, mut session) = (node.vhost(), node.session());
        let mut routes = RouteCache::default();
        let mut at = |key: &str| {
            let at = routes.resolve(&vhost, &mut session, &address("t", key));
            let at = at.unwrap();
            (at, Arc::clone(routes.get(at)))
        };
        let (first, route) = at("x.1");
        assert_eq!(targets(&route), ["a"]);
        assert_eq!((at("x.2").0, at("x.1").0), (first, first));
        let (both, route) = at("y");
        assert_ne!(both, first);
        assert_eq!(targets(&route).len(), 2);
        // What goes nowhere is told by its own key.
        let (one, other) = (at("n1").1, at("n2").1);
        assert_eq!(
            (one.address(), other.address()),
            (&*address("t", "n1"), &*address("t", "n2"))
        );
        bind(&node, "x.2", "b");
        assert_eq!(
            (targets(&at("x.1").1).len(), targets(&at("x.2").1).len()),
            (1, 2)
        );
    }

    #[test]
    fn routes_of_different_exchanges_are_counted_apart() {
        let node = node(&[("a", "a")]);
        let (vhost, mut session) = (node.vhost(), node.session());
        let mut routes = RouteCache::default();
        let mut at = |exchange| routes.resolve(&vhost, &mut session, &address(exchange, "a"));
        assert_ne!(at("t").unwrap(), at("").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_remembered_is_what_would_be_found(
            bindings in proptest::collection::vec(("[xy*#](\\.[xy*#]){0,2}", "[ab]"), 0..12),
            keys in proptest::collection::vec("[xyz](\\.[xyz]){0,2}", 1..60),
        ) {
            let bindings: Vec<_> = bindings.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
            let node = node(&bindings);
            let (vhost, mut session) = (node.vhost(), node.session());
            let mut routes = RouteCache::default();
            for key in &keys {
                let address = address("t", key);
                let at = routes.resolve(&vhost, &mut session, &address).unwrap();
                let (found, _) = find(&vhost, &mut session, &address).unwrap();
                let (mut here, mut there) = (targets(routes.get(at)), targets(&found));
                here.sort();
                there.sort();
                prop_assert_eq!(here, there);
            }
        }
    }
}
