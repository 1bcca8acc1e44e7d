//! Dead letters that found no place yet: kept without their bytes, and tried again (row Q-67).
//!
//! Only a quorum queue that dead-letters at least once has any. They count towards its length
//! limits; the log holds them with a mark in place of their delivery count, so that a restart does
//! not take them for ready messages. To try one again is to let it die again: its bytes are loaded,
//! and whoever finds no place for it brings it back.

use std::collections::VecDeque;

use warren_storage::{RecoveredQueue, Seq};

use super::{Effects, QueueState};
use crate::arguments::Overflow;
use crate::dead_letter::DeathReason;
use crate::message::Message;
use crate::queue::entry::Entry;

/// From one vain attempt to the next.
const RETRY_MS: u64 = 1000;
/// From one batch to the next while all find places.
const NEXT_MS: u64 = 20;
/// Tried at first: as many as RabbitMQ has under way.
const PROBE: usize = 32;
/// Tried at once after others found places.
const BATCH: usize = 1024;

/// A delivery count in the log from this on says that the message died, and why.
const DEATH: u32 = 1 << 16;
const REASONS: [DeathReason; 4] = [
    DeathReason::Rejected,
    DeathReason::Expired,
    DeathReason::MaxLen,
    DeathReason::DeliveryLimit,
];

/// The delivery count of a dead entry whose mark is in the log.
const MARKED: u16 = u16::MAX;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// Those tried longest ago first.
    entries: VecDeque<(Entry, DeathReason)>,
    bytes: u64,
    /// When the next are tried.
    retry_at: Option<u64>,
    /// How many then.
    n_next: usize,
}

impl Retained {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of their bodies, as far as they are known.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the next are tried.
    pub(super) fn retry_at(&self) -> Option<u64> {
        self.retry_at
    }

    /// Has the next tried now.
    pub(super) fn retry_now(&mut self, now_ms: u64) {
        self.retry_at = (!self.entries.is_empty()).then_some(now_ms);
    }

    /// Takes all.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> {
        self.bytes = 0;
        self.entries.drain(..).map(|(entry, _)| entry)
    }

    fn push(&mut self, entry: Entry, reason: DeathReason, now_ms: u64) {
        self.bytes += entry.message.body_len() as u64;
        self.entries.push_back((entry, reason));
        // Others that die meanwhile do not put the next attempt off.
        if self.n_next != PROBE || self.retry_at.is_none() {
            self.n_next = PROBE;
            self.retry_at = Some(now_ms + RETRY_MS);
        }
    }

    fn take_due(&mut self, now_ms: u64) -> Vec<(Entry, DeathReason)> {
        if self.retry_at.is_none_or(|at| at > now_ms) {
            return Vec::new();
        }
        let n = self.n_next.min(self.entries.len());
        let due: Vec<_> = self.entries.drain(..n).collect();
        let bytes = due.iter().map(|(entry, _)| entry.message.body_len() as u64);
        self.bytes = self.bytes.saturating_sub(bytes.sum());
        self.n_next = BATCH;
        self.retry_at = (!self.entries.is_empty()).then_some(now_ms + NEXT_MS);
        due
    }
}

impl QueueState {
    /// A dead letter found no place: it stays here. Its bytes go, the log has them.
    pub(crate) fn retain(
        &mut self,
        mut entry: Entry,
        reason: DeathReason,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        if self.deleted || !entry.logged() {
            // What the log did not take could not be tried again.
            fx.settled.extend(entry.logged().then_some(entry.seq));
            return;
        }
        if entry.deliveries != MARKED {
            let mark = REASONS.iter().position(|it| *it == reason).unwrap_or(0);
            fx.counts.push((entry.seq, DEATH + mark as u32));
            entry.deliveries = MARKED;
        }
        entry.message.release();
        self.retained.push(entry, reason, now_ms);
        self.plan_deadline(fx);
    }

    /// Has those die again whose next attempt is due.
    pub(super) fn retry_retained(&mut self, now_ms: u64) {
        self.dying.extend(self.retained.take_due(now_ms));
    }

    /// Whether it would refuse a message with a body of so many bytes.
    pub(crate) fn would_refuse(&self, bytes: u64) -> bool {
        self.settings.overflow != Overflow::DropHead && self.over_limit(1, bytes)
    }

    /// Tells the marks from the delivery counts a restart found, and takes in what is marked.
    pub(super) fn recover_retained(&mut self, found: &RecoveredQueue) {
        for (seq, count) in &found.counts {
            let mark = count.checked_sub(DEATH).map(|mark| mark as usize);
            let Some(reason) = mark.and_then(|mark| REASONS.get(mark)) else {
                continue;
            };
            // How long it is is known once it is loaded.
            self.ready.lost(0, &[*seq], |_| ());
            let entry = recovered(*seq);
            self.retained.push(entry, *reason, 0);
        }
        self.retained.retry_now(0);
    }
}

fn recovered(seq: Seq) -> Entry {
    Entry {
        seq,
        message: Message::released(0),
        logged: true,
        deliveries: MARKED,
        redelivered: true,
        release: false,
        level: 0,
        deadline_ms: u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(due: Vec<(Entry, DeathReason)>) -> Vec<Seq> {
        due.iter().map(|(entry, _)| entry.seq).collect()
    }

    #[test]
    fn q67_attempts_begin_small_and_go_on_while_they_succeed() {
        let mut retained = Retained::default();
        assert_eq!(retained.retry_at(), None);
        for seq in 1..=40 {
            retained.push(recovered(seq), DeathReason::Expired, 1000 + seq);
        }
        // What comes later does not put the attempt off.
        assert_eq!(retained.retry_at(), Some(2001));
        assert!(retained.take_due(2000).is_empty());
        assert_eq!(seqs(retained.take_due(2001)), (1..=32).collect::<Vec<_>>());
        assert_eq!(retained.retry_at(), Some(2021));
        assert_eq!(seqs(retained.take_due(2021)), (33..=40).collect::<Vec<_>>());
        assert_eq!((retained.retry_at(), retained.len()), (None, 0));
    }

    #[test]
    fn q67_what_comes_back_waits_behind_the_others() {
        let mut retained = Retained::default();
        for seq in 1..=33 {
            retained.push(recovered(seq), DeathReason::MaxLen, 0);
        }
        for (entry, reason) in retained.take_due(1000) {
            retained.push(entry, reason, 1005);
        }
        assert_eq!(retained.retry_at(), Some(2005));
        let next = seqs(retained.take_due(2005));
        assert_eq!((next[0], next.len()), (33, 32));
    }
}
