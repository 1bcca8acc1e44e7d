//! From a message's exchange, keys and headers to its queues.

use std::hash::Hash;

use warren_amqp::TableRef;

use crate::bindings::Destination;
use crate::envelope::{Envelope, Routes, delay_of};
use crate::id_set::Seen;
use crate::kind::ExchangeKind;
use crate::matcher::Found;
use crate::table::RoutingTable;

/// What [`RoutingTable::route`] can say beyond the queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteOutcome {
    /// Whether the exchange asked for is in the table.
    pub exchange_exists: bool,
    /// Whether the queues depend on nothing but exchange and keys as long as the table does not
    /// change; false once an exchange was asked that looks at more of a message, or draws lots.
    pub cacheable: bool,
}

impl<Q: Clone + Eq + Hash> RoutingTable<Q> {
    /// Appends every queue a message with these keys and headers goes to, each once, to `out`:
    /// [`RoutingTable::route_message`] for those who know of nothing else.
    pub fn route(
        &self,
        exchange: &str,
        keys: &[&str],
        headers: Option<TableRef<'_>>,
        out: &mut Vec<Q>,
    ) -> RouteOutcome {
        let envelope = Envelope {
            keys,
            headers,
            ..Envelope::default()
        };
        let mut routes = Routes::default();
        std::mem::swap(out, &mut routes.queues);
        let outcome = self.route_message(exchange, &envelope, &mut routes);
        std::mem::swap(out, &mut routes.queues);
        outcome
    }

    /// Appends everywhere the message goes to `out`, each queue once (row X-18).
    ///
    /// Exchanges bound as destinations are routed on with the same keys and headers, each once
    /// however they are tied together (row X-19). An exchange that finds nothing hands over to its
    /// alternate, if that exists (row X-41). A delayed exchange whose message asks for a delay is
    /// named and not routed through.
    pub fn route_message(
        &self,
        exchange: &str,
        envelope: &Envelope<'_>,
        out: &mut Routes<Q>,
    ) -> RouteOutcome {
        let Some(first) = self.names.get(exchange).copied() else {
            return RouteOutcome {
                exchange_exists: false,
                cacheable: true,
            };
        };
        let mut exchanges = Seen::default();
        exchanges.insert(first);
        let mut queues = Found::new();
        let mut cacheable = true;
        let mut next = 0;
        while let Some(id) = exchanges.as_slice().get(next).copied() {
            next += 1;
            cacheable &= !self.visit(id, envelope, &mut queues, &mut exchanges, out);
        }
        queues.sort_unstable();
        queues.dedup();
        out.queues.extend(queues.iter().filter_map(
            |id| match &self.bindings.target(*id).destination {
                Destination::Queue(queue) => Some(queue.clone()),
                Destination::Exchange(_) => None,
            },
        ));
        RouteOutcome {
            exchange_exists: true,
            cacheable,
        }
    }

    /// Asks one exchange; notes the exchanges to ask next. Returns whether the answer may be
    /// another for the next message with the same keys.
    fn visit(
        &self,
        id: u32,
        envelope: &Envelope<'_>,
        queues: &mut Found,
        exchanges: &mut Seen,
        out: &mut Routes<Q>,
    ) -> bool {
        let exchange = &self.exchanges[id as usize];
        let delays = exchange.kind() == ExchangeKind::Delayed;
        if delays && delay_of(envelope.headers).is_some() {
            out.delaying.push(exchange.name.clone());
            return true;
        }
        if exchange.remembers() {
            out.remembering.push(exchange.name.clone());
        }
        let start = queues.len();
        // Each exchange draws its own lot.
        let draw = envelope.draw.wrapping_add(u64::from(id) << 32);
        let envelope = Envelope { draw, ..*envelope };
        exchange.matcher.find(&envelope, queues);
        if queues.len() == start {
            let alternate = exchange
                .alternate
                .as_ref()
                .and_then(|name| self.names.get(name));
            if let Some(alternate) = alternate {
                exchanges.insert(*alternate);
            }
        }
        let mut place = start;
        while let Some(target) = queues.get(place).copied() {
            match self.bindings.target(target).exchange {
                Some(exchange) => {
                    exchanges.insert(exchange);
                    queues.swap_remove(place);
                }
                None => place += 1,
            }
        }
        delays || exchange.matcher.varies()
    }
}

#[cfg(test)]
mod tests;
