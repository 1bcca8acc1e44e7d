//! The ready messages of one queue, in delivery order: by priority, then by arrival.
//!
//! Without `x-max-priority` there is one level. Inside a level messages are ordered by their
//! sequence number, so that a requeued message finds its original place again.
//!
//! A level holds *resident* messages, with their bytes, and *paged* ones, which are numbers only:
//! the commit log has the rest. New ones are resident until the level is full and then paged, until
//! all paged ones have been loaded again. A requeued entry whose bytes were given up is kept as a
//! *stub*, for it carries what the log does not know. Whatever is next in order and has no bytes is
//! *away*: nothing can be taken until it is loaded.

mod level;
mod loading;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;

use warren_storage::Seq;

use self::level::Level;
use super::entry::{Entry, ResidentLimits};
use super::paged::Paged;

/// Ready entries by priority level.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Vec<Level>,
    messages: usize,
    body_bytes: u64,
    /// Body bytes of the paged messages.
    paged_bytes: u64,
    limits: ResidentLimits,
    /// New or loaded entries with numbers below others of their level; see [`Ready::settle_late`].
    late: Vec<Entry>,
}

/// What was dropped without being loaded.
pub(crate) enum DroppedAway {
    /// Paged messages with these numbers.
    Range(Seq, Seq),
    /// An entry whose bytes were given up.
    Stub(Entry),
}

impl Ready {
    /// `max_priority` 0 means a single level.
    pub(crate) fn new(max_priority: u8) -> Self {
        Self {
            levels: (0..=max_priority).map(|_| Level::default()).collect(),
            messages: 0,
            body_bytes: 0,
            paged_bytes: 0,
            limits: ResidentLimits {
                messages: usize::MAX,
                bytes: usize::MAX,
            },
            late: Vec::new(),
        }
    }

    /// Sets how much stays in memory from now on. With priorities, each level may keep a quarter.
    pub(crate) fn set_limits(&mut self, limits: ResidentLimits) {
        self.limits = match self.levels.len() {
            1 => limits,
            _ => limits.divided(4),
        };
    }

    /// How much of a level stays in memory.
    pub(crate) fn limits(&self) -> ResidentLimits {
        self.limits
    }

    /// The highest level.
    pub(crate) fn max_level(&self) -> u8 {
        (self.levels.len() - 1) as u8
    }

    /// Ready messages.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// Whether nothing is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes of the ready messages' bodies. Exact unless paged messages were dropped unseen, whose
    /// share is then an average.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Messages that are in the log only.
    pub(crate) fn paged(&self) -> usize {
        self.levels.iter().map(|level| level.paged.len()).sum()
    }

    /// Messages that are in the log only, also those whose place is kept by a stub.
    pub(crate) fn away(&self) -> usize {
        let levels = self.levels.iter();
        levels.map(|level| level.paged.len() + level.stubs).sum()
    }

    /// Bytes of their bodies.
    pub(crate) fn away_bytes(&self) -> u64 {
        let stubs = self.levels.iter().map(|level| level.stub_bytes);
        self.paged_bytes + stubs.sum::<u64>()
    }

    /// Memory the resident messages keep, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.levels.iter().map(|level| level.memory).sum()
    }

    /// Whether new messages of this level, if the log has them, need not be kept in memory.
    pub(crate) fn pages(&self, level: u8) -> bool {
        self.levels[usize::from(level)].pages(self.limits)
    }

    /// Whether new messages of any level should be written to the log.
    pub(crate) fn pages_any(&self) -> bool {
        self.levels.iter().any(|level| level.pages(self.limits))
    }

    /// Adds a newly arrived entry. Usually the newest of its level; when a concurrent publisher
    /// was faster with a later number, it still takes its own place. That is done for all of them
    /// at once in [`Ready::settle_late`], which must follow before anything is taken.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.messages += 1;
        self.body_bytes += entry.message.body_len() as u64;
        self.place(entry);
    }

    /// Puts an entry behind its level's others, or aside if it does not belong there.
    fn place(&mut self, entry: Entry) {
        let level = &mut self.levels[usize::from(entry.level)];
        match level.resident.back() {
            Some(last) if last.seq > entry.seq => self.late.push(entry),
            _ => level.push_back(entry),
        }
    }

    /// The entry delivered next, when it is here.
    pub(crate) fn head(&self) -> Option<&Entry> {
        let level = self.top().filter(|level| !level.head_away())?;
        level.resident.front()
    }

    /// Adds a newly arrived message that is in the log.
    pub(crate) fn push_paged(&mut self, level: u8, seq: Seq, body_len: usize) {
        self.messages += 1;
        self.body_bytes += body_len as u64;
        self.paged_bytes += body_len as u64;
        self.levels[usize::from(level)].paged.insert(seq);
    }

    /// Adds what a restart found in the log: all numbers from `first` to `last`.
    pub(crate) fn recover(&mut self, level: u8, first: Seq, last: Seq) {
        self.messages += (last - first + 1) as usize;
        self.levels[usize::from(level)]
            .paged
            .insert_range(first, last);
    }

    /// The body bytes of all that was [recovered](Ready::recover).
    pub(crate) fn recover_bytes(&mut self, bytes: u64) {
        self.body_bytes += bytes;
        self.paged_bytes += bytes;
    }

    /// Gives late entries their places.
    pub(crate) fn settle_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let mut late = std::mem::take(&mut self.late);
        self.merge(&mut late);
        self.late = late;
    }

    /// Takes the entry delivered next; `None` when there is none, or when it is away.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let level = self.top_mut()?;
        if level.head_away() {
            return None;
        }
        let entry = level.pop_front()?;
        self.forget(&entry);
        Some(entry)
    }

    /// Whether the entry delivered next can be taken.
    pub(crate) fn head_here(&self) -> bool {
        self.top().is_some_and(|level| !level.head_away())
    }

    /// Whether something is ready but must be loaded first.
    pub(crate) fn head_away(&self) -> bool {
        self.top().is_some_and(Level::head_away)
    }

    /// Drops from the away head what can be dropped unseen: paged messages, at most `most` at
    /// once, or one stub. `None` when the head is here or there is none.
    pub(crate) fn drop_away(&mut self, most: usize) -> Option<DroppedAway> {
        let level = self.top_mut().filter(|level| level.head_away())?;
        let end = level.resident.front().map_or(Seq::MAX, |entry| entry.seq);
        if let Some((first, last)) = level.paged.take_run(most, end) {
            self.forget_paged((last - first + 1) as usize);
            return Some(DroppedAway::Range(first, last));
        }
        let entry = level.pop_front()?;
        self.forget(&entry);
        Some(DroppedAway::Stub(entry))
    }

    /// Takes the head of any level whose deadline is at or before `now_ms`.
    pub(crate) fn pop_expired(&mut self, now_ms: u64) -> Option<Entry> {
        let due = |level: &&mut Level| {
            level
                .timed_head()
                .is_some_and(|entry| entry.deadline_ms <= now_ms)
        };
        let entry = self.levels.iter_mut().rev().find(due)?.pop_front()?;
        self.forget(&entry);
        Some(entry)
    }

    /// The earliest deadline among the heads of the levels, as far as they are known.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.levels
            .iter()
            .filter_map(|level| level.timed_head().map(|entry| entry.deadline_ms))
            .filter(|deadline| *deadline != u64::MAX)
            .min()
    }

    /// Puts entries back to their original places.
    pub(crate) fn requeue(&mut self, mut entries: Vec<Entry>) {
        entries.sort_unstable_by_key(|entry| entry.seq);
        self.messages += entries.len();
        self.body_bytes += entries
            .iter()
            .map(|e| e.message.body_len() as u64)
            .sum::<u64>();
        self.merge(&mut entries);
    }

    /// Puts ascending entries into their levels and leaves the vector empty.
    fn merge(&mut self, entries: &mut Vec<Entry>) {
        if self.levels.len() == 1 {
            return self.levels[0].merge(entries);
        }
        let mut by_level: Vec<Vec<Entry>> = self.levels.iter().map(|_| Vec::new()).collect();
        for entry in entries.drain(..) {
            by_level[usize::from(entry.level)].push(entry);
        }
        for (level, mut entries) in self.levels.iter_mut().zip(by_level) {
            level.merge(&mut entries);
        }
    }

    /// Calls `change` with every entry that is in memory with its bytes. What it changes must not
    /// be what the order depends on.
    pub(crate) fn each_resident(&mut self, change: impl FnMut(&mut Entry)) {
        let levels = self.levels.iter_mut();
        let resident = levels.flat_map(|level| &mut level.resident);
        resident
            .filter(|entry| entry.message.is_present())
            .for_each(change);
    }

    /// Takes everything: resident entries go to `entry`, runs of paged numbers to `range`.
    pub(crate) fn drain(&mut self, mut entry: impl FnMut(Entry), mut range: impl FnMut(Seq, Seq)) {
        (self.messages, self.body_bytes, self.paged_bytes) = (0, 0, 0);
        for level in &mut self.levels {
            while let Some((first, last)) = level.paged.take_run(usize::MAX, Seq::MAX) {
                range(first, last);
            }
            std::mem::take(&mut level.resident)
                .into_iter()
                .for_each(&mut entry);
            (level.stubs, level.stub_bytes, level.memory) = (0, 0, 0);
        }
    }

    /// The levels as resident entries and paged numbers, for looking only.
    pub(super) fn level_views(&self) -> impl Iterator<Item = (&VecDeque<Entry>, &Paged)> {
        self.levels
            .iter()
            .map(|level| (&level.resident, &level.paged))
    }
    /// All resident entries in delivery order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().rev().flat_map(|level| &level.resident)
    }

    /// All numbers in delivery order, with their level.
    #[cfg(test)]
    pub(crate) fn order(&self) -> Vec<(u8, Seq)> {
        let mut order = Vec::new();
        for (number, level) in self.levels.iter().enumerate().rev() {
            let mut seqs: Vec<Seq> = level.resident.iter().map(|entry| entry.seq).collect();
            assert!(seqs.is_sorted());
            assert!(seqs.iter().all(|seq| !level.paged.contains(*seq)));
            seqs.extend(level.paged.iter());
            seqs.sort_unstable();
            order.extend(seqs.into_iter().map(|seq| (number as u8, seq)));
            let present = level.resident.iter().filter(|e| e.message.is_present());
            assert_eq!(level.stubs, level.resident.len() - present.clone().count());
            assert_eq!(level.memory, present.map(Entry::memory).sum::<usize>());
            let stubs = level.resident.iter().filter(|e| !e.message.is_present());
            let bytes = stubs.map(|e| e.message.body_len() as u64).sum::<u64>();
            assert_eq!(level.stub_bytes, bytes);
        }
        assert_eq!(order.len(), self.messages);
        order
    }

    /// The highest level that holds anything.
    fn top(&self) -> Option<&Level> {
        self.levels.iter().rev().find(|level| !level.is_empty())
    }

    fn top_mut(&mut self) -> Option<&mut Level> {
        self.levels.iter_mut().rev().find(|level| !level.is_empty())
    }

    fn forget(&mut self, entry: &Entry) {
        self.messages -= 1;
        let len = entry.message.body_len() as u64;
        self.body_bytes = self.body_bytes.saturating_sub(len);
    }

    /// So many paged messages left their set unseen.
    fn forget_paged(&mut self, n: usize) {
        let before = (self.paged() + n) as u64;
        let share = (u128::from(self.paged_bytes) * n as u128 / u128::from(before.max(1))) as u64;
        self.messages -= n;
        self.paged_bytes -= share;
        self.body_bytes = self.body_bytes.saturating_sub(share);
        self.mend_bytes();
    }

    /// Where averages were taken, nothing may be left over.
    fn mend_bytes(&mut self) {
        if self.paged_bytes > 0 && self.paged() == 0 {
            self.body_bytes = self.body_bytes.saturating_sub(self.paged_bytes);
            self.paged_bytes = 0;
        }
    }
}
