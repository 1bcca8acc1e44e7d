//! Deliveries that clients hold, as an observer sees them.

use std::sync::Arc;

use warren_storage::{QueueId, Seq};

use crate::broker::Broker;
use crate::message::Message;
use crate::stats::LiveConnection;

/// A delivery that was not settled yet.
#[derive(Clone)]
pub struct Held {
    /// The channel it was made on.
    pub channel: u16,
    /// The consumer's tag; empty for `basic.get`.
    pub consumer_tag: String,
    /// Its delivery tag.
    pub delivery_tag: u64,
    /// When it was made, Unix seconds.
    pub since_s: u32,
    /// It had been delivered before.
    pub redelivered: bool,
    /// The message's number in its queue.
    pub seq: Seq,
    /// The message; perhaps without its bytes, which are then in the log only.
    pub message: Message,
}

impl Broker {
    /// Who holds deliveries of this queue of `vhost`, the oldest of each channel first, at most
    /// `most` per channel. Looks at every connection to the vhost.
    pub fn held_of(
        &self,
        vhost: &str,
        queue: QueueId,
        most: usize,
    ) -> Vec<(Arc<LiveConnection>, Vec<Held>)> {
        let connections = self.connections().into_iter();
        let of_vhost = connections.filter(|connection| connection.live().info.vhost == vhost);
        let held = of_vhost.map(|connection| {
            let held = connection.held_of(queue, most);
            (Arc::clone(connection.live()), held)
        });
        held.filter(|(_, held)| !held.is_empty()).collect()
    }
}
