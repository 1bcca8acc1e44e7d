//! Numbers about the whole node, for the HTTP face.

use std::sync::atomic::Ordering;

use crate::broker::Broker;
use crate::queue::Stats;

/// Totals at one moment.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The node's name.
    pub node: String,
    /// The cluster's name.
    pub cluster_name: String,
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
    /// Ready messages.
    pub messages_ready: u64,
    /// Delivered, not yet settled messages.
    pub messages_unacked: u64,
    /// What happened in the queues that exist now.
    pub stats: Stats,
    /// Connections opened since the start.
    pub connections_opened: u64,
    /// Connections closed since the start.
    pub connections_closed: u64,
    /// Channels opened since the start.
    pub channels_opened: u64,
    /// Channels closed since the start.
    pub channels_closed: u64,
}

impl Broker {
    /// Adds up the node's objects. Takes each queue's lock once, briefly.
    pub fn overview(&self) -> Overview {
        let counters = self.counters();
        let mut overview = Overview {
            node: self.settings().node_name.clone(),
            cluster_name: self.settings().cluster_name.clone(),
            connections: self.connection_count(),
            channels: counters.channels.load(Ordering::Relaxed),
            connections_opened: counters.connections_opened.load(Ordering::Relaxed),
            connections_closed: counters.connections_closed.load(Ordering::Relaxed),
            channels_opened: counters.channels_opened.load(Ordering::Relaxed),
            channels_closed: counters.channels_closed.load(Ordering::Relaxed),
            ..Overview::default()
        };
        for vhost in self.vhosts() {
            overview.exchanges += vhost.exchange_count();
            for queue in vhost.queues() {
                let (depth, stats) = (queue.depth(), queue.stats());
                overview.queues += 1;
                overview.consumers += depth.consumers;
                overview.messages_ready += depth.ready as u64;
                overview.messages_unacked += depth.unacked as u64;
                overview.stats.published += stats.published;
                overview.stats.delivered += stats.delivered;
                overview.stats.got += stats.got;
                overview.stats.acked += stats.acked;
                overview.stats.requeued += stats.requeued;
            }
        }
        overview
    }
}
