//! Length limits: what is refused, and what is dropped from the head.

use super::{Effects, QueueState};
use crate::arguments::Overflow;
use crate::dead_letter::DeathReason;
use crate::queue::entry::Entry;
use crate::queue::ready::DroppedAway;

impl QueueState {
    pub(super) fn over_limit(&self, messages: usize, bytes: u64) -> bool {
        let exceeds = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        exceeds(
            self.settings.max_length,
            (self.ready.len() + self.retained.len() + messages) as u64,
        ) || exceeds(
            self.settings.max_length_bytes,
            self.ready.body_bytes() + self.retained.bytes() + bytes,
        )
    }

    pub(super) fn refuse(&mut self, entry: Entry, position: u32, fx: &mut Effects) {
        fx.rejected.push(position);
        if self.settings.overflow == Overflow::RejectPublishDlx {
            fx.dead.push((entry, DeathReason::MaxLen));
        } else if entry.logged() {
            fx.settled.push(entry.seq);
        }
    }

    /// Q-48; with priorities the head is the highest one, as RabbitMQ has it. A head that
    /// is away goes unseen where it makes no difference, else once it is loaded.
    pub(super) fn drop_head(&mut self, fx: &mut Effects) {
        let unseen = self.settings.dead_letter_exchange.is_none()
            && self.settings.max_length_bytes.is_none();
        while self.over_limit(0, 0) {
            if let Some(entry) = self.ready.pop() {
                self.dies(entry, DeathReason::MaxLen, fx);
                continue;
            }
            let limit = self.settings.max_length.unwrap_or(u64::MAX);
            let excess = (self.ready.len() as u64).saturating_sub(limit);
            let dropped = unseen.then(|| self.ready.drop_away(excess as usize));
            match dropped.flatten() {
                Some(DroppedAway::Range(first, last)) => fx.settled_ranges.push((first, last)),
                Some(DroppedAway::Stub(entry)) => self.dies(entry, DeathReason::MaxLen, fx),
                None => break,
            }
        }
    }
}
