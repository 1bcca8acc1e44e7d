//! What the broker may see of a connection, and ask of it, from outside its task.

use std::sync::Arc;

use warren_amqp::ReplyError;
use warren_broker::stats::LiveConnection;
use warren_broker::{ConnectionHandle, Held, TlsDetails};
use warren_storage::QueueId;

use crate::net::outbox::Outbox;

/// What the broker may do with this connection from outside.
pub(super) struct Handle {
    pub(super) live: Arc<LiveConnection>,
    pub(super) tls: Option<Arc<TlsDetails>>,
    pub(super) outbox: Arc<Outbox>,
    /// How long a delivery may stay unacked by default, milliseconds.
    pub(super) consumer_timeout_ms: Option<u64>,
}

impl ConnectionHandle for Handle {
    fn check_deliveries(&self, now_ms: u64) {
        self.outbox
            .check_deliveries(now_ms, self.consumer_timeout_ms);
    }

    fn alarms_changed(&self) {
        self.outbox.signal(|signals| signals.alarms = true);
    }

    fn close(&self, error: ReplyError) {
        self.outbox.signal(|signals| signals.close = Some(error));
    }

    fn name(&self) -> String {
        self.live.info.name.clone()
    }

    fn user(&self) -> String {
        self.live.info.user.clone()
    }

    fn vhost(&self) -> String {
        self.live.info.vhost.clone()
    }

    fn live(&self) -> &Arc<LiveConnection> {
        &self.live
    }

    fn unacked(&self, channel: u16) -> usize {
        let mut inner = self.outbox.lock();
        let channel = inner.channel(channel);
        channel.map_or(0, |channel| channel.unacked.len())
    }

    fn held_of(&self, queue: QueueId, most: usize) -> Vec<Held> {
        self.outbox.lock().held_of(queue, most)
    }

    fn send_pending(&self) -> usize {
        self.outbox.pending()
    }

    fn tls(&self) -> Option<Arc<TlsDetails>> {
        self.tls.clone()
    }
}
