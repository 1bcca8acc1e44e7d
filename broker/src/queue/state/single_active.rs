//! Which consumer of a single-active queue is served.
//!
//! In a classic queue the oldest. In a quorum queue the one of the highest priority, and of several
//! the oldest; one that comes later takes over when the active one has settled all it holds, and
//! until then nothing is delivered (row Q-84).

use super::QueueState;
use crate::arguments::QueueType;
use crate::ids::ConsumerId;

/// Who is served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// All.
    All,
    /// This one only.
    Only(ConsumerId),
    /// Nobody until the active one has settled what it holds.
    Nobody,
}

impl QueueState {
    /// The active consumer when the queue is single-active.
    pub(crate) fn active_consumer(&self) -> Option<ConsumerId> {
        if !self.settings.single_active_consumer {
            return None;
        }
        match self.settings.queue_type {
            QueueType::Quorum => self.active,
            // Consumers are numbered by age.
            _ => self.consumers.iter().map(|consumer| consumer.info.id).min(),
        }
    }

    /// Decides who is served now.
    pub(super) fn elect(&mut self) -> Served {
        if !self.settings.single_active_consumer {
            return Served::All;
        }
        if self.settings.queue_type != QueueType::Quorum {
            return self.active_consumer().map_or(Served::All, Served::Only);
        }
        let preferred = self.consumers.iter().next().map(|consumer| &consumer.info);
        let active = self.active.and_then(|id| self.consumers.get(id));
        let outranked = active.zip(preferred);
        let outranked = outranked.filter(|(active, new)| active.info.priority < new.priority);
        if outranked.is_some_and(|(active, _)| active.load().in_flight > 0) {
            return Served::Nobody;
        }
        if active.is_none() || outranked.is_some() {
            self.active = preferred.map(|info| info.id);
        }
        self.active.map_or(Served::All, Served::Only)
    }
}
