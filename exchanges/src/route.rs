//! From a message's exchange, keys and headers to its queues.

use std::hash::Hash;

use warren_amqp::TableRef;

use crate::bindings::Destination;
use crate::id_set::Seen;
use crate::matcher::Found;
use crate::table::RoutingTable;

/// What [`RoutingTable::route`] can say beyond the queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteOutcome {
    /// Whether the exchange asked for is in the table.
    pub exchange_exists: bool,
    /// Whether the queues depend on nothing but exchange and keys as long as the table does not
    /// change; false once a headers exchange was asked.
    pub cacheable: bool,
}

impl<Q: Clone + Eq + Hash> RoutingTable<Q> {
    /// Appends every queue the message goes to, each once (row X-18), to `out`.
    ///
    /// `keys` is the routing key and whatever CC and BCC add; `headers` the message's headers,
    /// `None` for none. Exchanges bound as destinations are routed on with the same keys and
    /// headers, each once however they are tied together (row X-19). An exchange that finds
    /// nothing hands over to its alternate, if that exists (row X-41).
    pub fn route(
        &self,
        exchange: &str,
        keys: &[&str],
        headers: Option<TableRef<'_>>,
        out: &mut Vec<Q>,
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
            cacheable &= !self.visit(id, keys, headers, &mut queues, &mut exchanges);
        }
        queues.sort_unstable();
        queues.dedup();
        out.extend(
            queues
                .iter()
                .filter_map(|id| match &self.bindings.target(*id).destination {
                    Destination::Queue(queue) => Some(queue.clone()),
                    Destination::Exchange(_) => None,
                }),
        );
        RouteOutcome {
            exchange_exists: true,
            cacheable,
        }
    }

    /// Asks one exchange; notes the exchanges to ask next. Returns whether headers were read.
    fn visit(
        &self,
        id: u32,
        keys: &[&str],
        headers: Option<TableRef<'_>>,
        queues: &mut Found,
        exchanges: &mut Seen,
    ) -> bool {
        let exchange = &self.exchanges[id as usize];
        let start = queues.len();
        exchange.matcher.find(keys, headers, queues);
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
        exchange.matcher.reads_headers()
    }
}

#[cfg(test)]
mod tests;
