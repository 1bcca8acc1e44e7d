//! Time: when messages and unused queues expire.

use super::{Effects, QueueState};
use crate::dead_letter::DeathReason;
use crate::message::Meta;

/// Messages expired in one go at most.
const EXPIRED_AT_ONCE: usize = 4096;

impl QueueState {
    /// Declared or looked at: puts off `x-expires`.
    pub(crate) fn touch(&mut self, now_ms: u64, fx: &mut Effects) {
        self.last_used_ms = now_ms;
        self.plan_deadline(fx);
    }

    /// Removes what has expired. True when the whole queue has (`x-expires`).
    pub(crate) fn expire(&mut self, now_ms: u64, fx: &mut Effects) -> bool {
        self.expire_messages(now_ms, fx);
        !self.deleted
            && self
                .queue_deadline()
                .is_some_and(|deadline| deadline <= now_ms)
    }

    pub(super) fn expire_messages(&mut self, now_ms: u64, fx: &mut Effects) {
        self.retry_retained(now_ms);
        // The rest comes with the timer, which is due at once: others get a turn in between.
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(entry) = self.ready.pop_expired(now_ms) else {
                break;
            };
            self.dies(entry, DeathReason::Expired, fx);
        }
        if self.scheduled.is_some_and(|scheduled| scheduled <= now_ms) {
            self.scheduled = None;
        }
        self.plan_deadline(fx);
    }

    /// Level and deadline of a message.
    pub(super) fn fit(&mut self, meta: Meta, enqueued_ms: u64, now_ms: u64) -> (u8, u64) {
        let level = meta.priority.min(self.ready.max_level());
        let ttl = match (self.settings.message_ttl_ms, meta.expiration()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(ttl) = ttl else {
            return (level, u64::MAX);
        };
        self.timed = true;
        (level, enqueued_ms.min(now_ms).saturating_add(ttl))
    }

    pub(super) fn queue_deadline(&self) -> Option<u64> {
        let expires = self
            .settings
            .expires_ms
            .filter(|_| self.consumers.is_empty())?;
        Some(self.last_used_ms.saturating_add(expires))
    }

    /// Notes the next deadline for the timers when it moved.
    pub(super) fn plan_deadline(&mut self, fx: &mut Effects) {
        let retry_at = self.retained.retry_at();
        let timed = self.timed || self.settings.expires_ms.is_some() || retry_at.is_some();
        if self.deleted || !timed {
            return;
        }
        let deadlines = [self.ready.next_deadline(), self.queue_deadline(), retry_at];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return;
        };
        // A timer already set for earlier will plan again when it fires.
        if self.scheduled.is_none_or(|scheduled| next < scheduled) {
            self.scheduled = Some(next);
            fx.deadline = Some(next);
        }
    }
}
