//! Numbers about the whole node, for the HTTP face.

use std::sync::atomic::Ordering;

use crate::broker::Broker;

/// How many of what there is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectTotals {
    /// Open connections.
    pub connections: usize,
    /// Open channels.
    pub channels: u64,
    /// Consumers on all queues.
    pub consumers: usize,
    /// Exchanges of all vhosts.
    pub exchanges: usize,
    /// Queues of all vhosts.
    pub queues: usize,
}

impl Broker {
    /// Counts the node's objects.
    pub fn object_totals(&self) -> ObjectTotals {
        let mut totals = ObjectTotals {
            connections: self.connection_count(),
            channels: self.counters().channels.load(Ordering::Relaxed),
            ..ObjectTotals::default()
        };
        for connection in self.connections() {
            let channels = connection.live().channels();
            totals.consumers += channels.iter().map(|c| c.consumer_count()).sum::<usize>();
        }
        for vhost in self.vhosts() {
            totals.exchanges += vhost.exchange_count();
            totals.queues += vhost.queue_count();
        }
        totals
    }
}
