//! Other settings for a queue that runs (row L-5).

use super::{Effects, QueueState};
use crate::arguments::{Overflow, QueueArguments};

impl QueueState {
    /// Puts other settings in force. Queue type and priorities stay as they are: they decide how
    /// messages are kept.
    ///
    /// A new message TTL also counts for the messages that are here, from when they came. The time
    /// until an unused queue expires begins anew when it is changed.
    pub(crate) fn apply_settings(
        &mut self,
        settings: QueueArguments,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        let settings = QueueArguments {
            queue_type: self.settings.queue_type,
            max_priority: self.settings.max_priority,
            ..settings
        };
        if self.deleted || self.settings == settings {
            return;
        }
        let old = std::mem::replace(&mut self.settings, settings);
        if self.settings.message_ttl_ms != old.message_ttl_ms {
            self.time_again(now_ms);
        }
        if self.settings.expires_ms != old.expires_ms {
            self.last_used_ms = now_ms;
        }
        self.retained.retry_now(now_ms);
        if self.settings.overflow == Overflow::DropHead {
            self.drop_head(fx);
        }
        self.dispatch(now_ms, fx);
        self.expire_messages(now_ms, fx);
    }

    /// Gives the messages in memory the deadlines they would have had under these settings.
    fn time_again(&mut self, now_ms: u64) {
        let ttl_ms = self.settings.message_ttl_ms;
        let mut timed = false;
        self.ready.each_resident(|entry| {
            let ttl = match (ttl_ms, entry.message.meta().expiration()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let from = entry.message.enqueued_ms().min(now_ms);
            entry.deadline_ms = ttl.map_or(u64::MAX, |ttl| from.saturating_add(ttl));
            timed |= ttl.is_some();
        });
        self.timed |= timed || ttl_ms.is_some();
    }
}
