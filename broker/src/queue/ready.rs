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

use std::collections::VecDeque;

use warren_storage::Seq;

use super::paged::Paged;
use crate::message::Message;

/// A message as one queue holds it. Kept small: a backlog is made of these.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the queue's order of arrival; unique within the queue.
    pub seq: Seq,
    /// The message itself.
    pub message: Message,
    /// Whether the commit log holds it for this queue.
    pub logged: bool,
    /// How often it was handed out and came back.
    pub deliveries: u16,
    /// Whether the next delivery says `redelivered`.
    pub redelivered: bool,
    /// Whoever waits for it to be settled should not keep its bytes: the log has them.
    pub release: bool,
    /// Priority level within the queue.
    pub level: u8,
    /// When it expires, Unix milliseconds; `u64::MAX` for never.
    pub deadline_ms: u64,
}

impl Entry {
    /// Whether the commit log must be told when this entry is settled.
    pub fn logged(&self) -> bool {
        self.logged
    }

    /// The entry as it is kept once its bytes were sent.
    pub fn sent(mut self) -> Self {
        if self.release && self.logged {
            self.message.release();
        }
        self
    }

    /// Bytes of memory it keeps, roughly.
    fn memory(&self) -> usize {
        if self.message.is_present() {
            self.message.total_len() + OVERHEAD
        } else {
            0
        }
    }
}

/// Entry and place in its chunk.
const OVERHEAD: usize = 80;

/// How much of a backlog a queue keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidentLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
}

impl ResidentLimits {
    /// A fraction of it.
    pub(crate) fn divided(self, by: usize) -> Self {
        Self {
            messages: (self.messages / by).max(1),
            bytes: (self.bytes / by).max(1),
        }
    }

    /// The smaller of both.
    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            messages: self.messages.min(other.messages),
            bytes: self.bytes.min(other.bytes),
        }
    }
}

/// The messages of one priority.
#[derive(Debug, Default)]
struct Level {
    resident: VecDeque<Entry>,
    paged: Paged,
    /// Resident entries without bytes.
    stubs: usize,
    /// Memory the resident entries keep.
    memory: usize,
}

/// Ready entries by priority level.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Vec<Level>,
    messages: usize,
    body_bytes: u64,
    /// Body bytes of the paged messages.
    paged_bytes: u64,
    limits: ResidentLimits,
    /// New entries with numbers below others of their level; see [`Ready::settle_late`].
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
            (level.stubs, level.memory) = (0, 0);
        }
    }

    /// What should be loaded so that the next `target` messages are here: a level, its next
    /// numbers, and bytes after which reading may stop; no more than `page`. Nothing while at least
    /// half of that is here. With `every_head`, the head of each level counts, however many
    /// messages come before it.
    pub(crate) fn lacking(
        &self,
        target: ResidentLimits,
        page: ResidentLimits,
        every_head: bool,
    ) -> Option<(u8, Vec<Seq>, usize)> {
        let number = self.lacking_level(target, every_head)?;
        let level = &self.levels[number];
        let here = level.resident.len() - level.stubs;
        // Some at least, though others further back fill the level.
        let some = page.min(target).divided(4);
        let wanted = ResidentLimits {
            messages: target.messages.saturating_sub(here).max(some.messages),
            bytes: target.bytes.saturating_sub(level.memory).max(some.bytes),
        };
        let wanted = wanted.min(page);
        Some((number as u8, level.away(wanted.messages), wanted.bytes))
    }

    /// Whether there is something [`lacking`](Self::lacking).
    pub(crate) fn lacks(&self, target: ResidentLimits, every_head: bool) -> bool {
        self.lacking_level(target, every_head).is_some()
    }

    fn lacking_level(&self, target: ResidentLimits, every_head: bool) -> Option<usize> {
        let mut here = 0;
        for (number, level) in self.levels.iter().enumerate().rev() {
            let enough = here >= target.messages / 2 && here > 0;
            if !enough && level.lacks(target) || every_head && level.head_away() {
                return Some(number);
            }
            here += level.resident.len();
        }
        None
    }

    /// Takes in what was loaded of a level, ascending, unless it is gone by now; the vector is
    /// empty afterwards. The entries need their deadline, a stub gets its bytes only.
    pub(crate) fn loaded(&mut self, number: u8, entries: &mut Vec<Entry>) {
        let level = &mut self.levels[usize::from(number)];
        entries.retain_mut(|entry| {
            if level.paged.remove(entry.seq) {
                let len = entry.message.body_len() as u64;
                let expected = len.min(self.paged_bytes);
                self.paged_bytes -= expected;
                self.body_bytes += len - expected;
                return true;
            }
            if level.stubs > 0 {
                level.fill(entry);
            }
            false
        });
        level.merge(entries);
        self.mend_bytes();
    }

    /// Forgets messages of a level that the log cannot give back, unless they are gone already;
    /// what is dropped goes to `dropped`.
    pub(crate) fn lost(&mut self, number: u8, seqs: &[Seq], mut dropped: impl FnMut(Seq)) {
        for seq in seqs {
            let level = &mut self.levels[usize::from(number)];
            if level.paged.remove(*seq) {
                self.forget_paged(1);
                dropped(*seq);
            } else if let Some(entry) = level.take_stub(*seq) {
                self.forget(&entry);
                dropped(*seq);
            }
        }
    }

    /// The levels as resident entries and paged numbers, for looking only.
    pub(super) fn level_views(&self) -> impl Iterator<Item = (&VecDeque<Entry>, &Paged)> {
        self.levels
            .iter()
            .map(|level| (&level.resident, &level.paged))
    }

    /// Of these numbers, those that are ready but have no bytes here.
    pub(crate) fn away_of(&self, seqs: &[Seq]) -> Vec<Seq> {
        let away = |level: &Level, seq: Seq| match level.find(seq) {
            Some(at) => !level.resident[at].message.is_present(),
            None => level.paged.contains(seq),
        };
        let mut found = seqs.to_vec();
        found.retain(|seq| self.levels.iter().any(|level| away(level, *seq)));
        found
    }

    /// Takes one message out of its place; `message` is what it is when it has no bytes here.
    /// `None` when it is not ready, or away and not given.
    pub(crate) fn remove(&mut self, seq: Seq, message: Option<&Message>) -> Option<Entry> {
        for number in 0..self.levels.len() {
            let level = &mut self.levels[number];
            if let Some(at) = level.find(seq) {
                if !level.resident[at].message.is_present() && message.is_none() {
                    return None;
                }
                let mut entry = level.resident.remove(at)?;
                level.uncount(&entry);
                self.forget(&entry);
                if !entry.message.is_present() {
                    entry.message = message?.clone();
                }
                return Some(entry);
            }
            if level.paged.contains(seq) {
                let message = message?.clone();
                level.paged.remove(seq);
                let len = message.body_len() as u64;
                self.messages -= 1;
                self.paged_bytes = self.paged_bytes.saturating_sub(len);
                self.body_bytes = self.body_bytes.saturating_sub(len);
                self.mend_bytes();
                return Some(Entry {
                    seq,
                    message,
                    logged: true,
                    deliveries: 0,
                    redelivered: false,
                    release: false,
                    level: number as u8,
                    deadline_ms: u64::MAX,
                });
            }
        }
        None
    }

    /// Pages out the newest resident messages beyond the limits that are in the log, and gives the
    /// bytes of what is not up to be written there: at most `most` messages, which stay.
    pub(crate) fn page_out(&mut self, most: usize, unlogged: &mut Vec<Entry>) {
        let limits = self.limits;
        for level in &mut self.levels {
            self.paged_bytes += level.page_out(limits, most, unlogged);
        }
    }

    /// The log has this entry now; false when it is not here any more.
    pub(crate) fn now_logged(&mut self, level: u8, seq: Seq) -> bool {
        let level = &mut self.levels[usize::from(level)];
        let found = level.resident.binary_search_by_key(&seq, |entry| entry.seq);
        if let Ok(at) = found {
            level.resident[at].logged = true;
        }
        found.is_ok()
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

impl Level {
    fn is_empty(&self) -> bool {
        self.resident.is_empty() && self.paged.is_empty()
    }

    fn pages(&self, limits: ResidentLimits) -> bool {
        !self.paged.is_empty() || self.full(limits)
    }

    fn full(&self, limits: ResidentLimits) -> bool {
        self.resident.len() >= limits.messages || self.memory >= limits.bytes
    }

    /// Whether what comes next has no bytes here.
    fn head_away(&self) -> bool {
        match (self.resident.front(), self.paged.first()) {
            (Some(entry), Some(paged)) => paged < entry.seq || !entry.message.is_present(),
            (Some(entry), None) => !entry.message.is_present(),
            (None, paged) => paged.is_some(),
        }
    }

    /// The head, if its deadline is known.
    fn timed_head(&self) -> Option<&Entry> {
        let entry = self.resident.front()?;
        let first = self.paged.first().is_none_or(|paged| entry.seq < paged);
        first.then_some(entry)
    }

    fn lacks(&self, target: ResidentLimits) -> bool {
        if self.paged.is_empty() && self.stubs == 0 {
            return false;
        }
        let here = self.resident.len() - self.stubs;
        self.head_away() || here < target.messages / 2 && self.memory < target.bytes / 2
    }

    /// The lowest numbers without bytes, at most `most`.
    fn away(&self, most: usize) -> Vec<Seq> {
        let mut away: Vec<Seq> = self.paged.iter().take(most).collect();
        if self.stubs > 0 {
            let stubs = self.resident.iter().filter(|e| !e.message.is_present());
            away.extend(stubs.map(|entry| entry.seq).take(most));
            away.sort_unstable();
            away.truncate(most);
        }
        away
    }

    fn find(&self, seq: Seq) -> Option<usize> {
        self.resident
            .binary_search_by_key(&seq, |entry| entry.seq)
            .ok()
    }

    fn push_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.resident.push_back(entry);
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.resident.pop_front()?;
        self.uncount(&entry);
        Some(entry)
    }

    fn count(&mut self, entry: &Entry) {
        self.stubs += usize::from(!entry.message.is_present());
        self.memory += entry.memory();
    }

    fn uncount(&mut self, entry: &Entry) {
        self.stubs -= usize::from(!entry.message.is_present());
        self.memory -= entry.memory();
    }

    /// Merges ascending entries into the ascending ones here, moving as few as possible: requeued
    /// ones belong in front, loaded and late ones at the end or close to it.
    fn merge(&mut self, entries: &mut Vec<Entry>) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        let from = self.resident.partition_point(|other| other.seq < first.seq);
        let to = self.resident.partition_point(|other| other.seq < last.seq);
        entries.iter().for_each(|entry| self.count(entry));
        if from == self.resident.len() {
            self.resident.extend(entries.drain(..));
        } else if to == 0 {
            for entry in entries.drain(..).rev() {
                self.resident.push_front(entry);
            }
        } else if self.resident.len() - from <= to {
            entries.extend(self.resident.drain(from..));
            entries.sort_by_key(|entry| entry.seq);
            self.resident.extend(entries.drain(..));
        } else {
            entries.extend(self.resident.drain(..to));
            entries.sort_by_key(|entry| entry.seq);
            for entry in entries.drain(..).rev() {
                self.resident.push_front(entry);
            }
        }
    }

    fn stub_at(&self, seq: Seq) -> Option<usize> {
        let at = self.resident.binary_search_by_key(&seq, |entry| entry.seq);
        at.ok()
            .filter(|at| !self.resident[*at].message.is_present())
    }

    /// Gives a stub its bytes back.
    fn fill(&mut self, loaded: &Entry) {
        if let Some(at) = self.stub_at(loaded.seq) {
            self.resident[at].message = loaded.message.clone();
            // What it would have been given meanwhile.
            self.resident[at].deadline_ms = loaded.deadline_ms;
            self.stubs -= 1;
            self.memory += self.resident[at].memory();
        }
    }

    fn take_stub(&mut self, seq: Seq) -> Option<Entry> {
        let at = self.stub_at(seq)?;
        let entry = self.resident.remove(at)?;
        self.uncount(&entry);
        Some(entry)
    }

    /// See [`Ready::page_out`]. Returns the body bytes of what became paged.
    fn page_out(&mut self, limits: ResidentLimits, most: usize, unlogged: &mut Vec<Entry>) -> u64 {
        let (mut keep, mut kept_memory) = (0, 0);
        for entry in &self.resident {
            if keep == limits.messages || kept_memory >= limits.bytes {
                break;
            }
            keep += 1;
            kept_memory += entry.memory();
        }
        let (mut bytes, mut stay) = (0, Vec::new());
        for mut entry in self.resident.drain(keep..) {
            if !entry.message.is_present() {
                stay.push(entry);
            } else if !entry.logged {
                if unlogged.len() < most {
                    unlogged.push(entry.clone());
                }
                stay.push(entry);
            } else if entry.redelivered || entry.deliveries > 0 {
                self.memory -= entry.memory();
                self.stubs += 1;
                entry.message.release();
                stay.push(entry);
            } else {
                self.memory -= entry.memory();
                bytes += entry.message.body_len() as u64;
                self.paged.insert(entry.seq);
            }
        }
        self.resident.extend(stay);
        bytes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Chunk, Meta};

    pub(crate) fn entry(seq: Seq, level: u8) -> Entry {
        let chunk = Chunk::single(b"\0\0", b"", b"x", Meta::default(), 0);
        Entry {
            seq,
            message: Message::new(&chunk, 0),
            logged: true,
            deliveries: 0,
            redelivered: false,
            release: false,
            level,
            deadline_ms: u64::MAX,
        }
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 40, "{}", size_of::<Entry>());
    }

    /// Two publishers into one backlog: the later batch is first, and the other one was inserted
    /// message by message into the middle, which took minutes.
    #[test]
    fn late_batches_take_their_places_quickly() {
        let mut ready = Ready::new(0);
        let batch = 4096;
        for pair in 0..50 {
            let first = pair * 2 * batch;
            (first + batch..first + 2 * batch).for_each(|seq| ready.push(entry(seq, 0)));
            ready.settle_late();
            (first..first + batch).for_each(|seq| ready.push(entry(seq, 0)));
            ready.settle_late();
        }
        let order = ready.order();
        assert!(order.is_sorted() && order.len() as u64 == 100 * batch);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        Late(Vec<u8>),
        Pop(usize),
        Requeue { release: bool },
        Load { page: usize },
        LoadRacing { page: usize, pops: usize },
        Lose,
        DropAway(usize),
        PageOut,
        Drain,
    }

    fn op() -> impl Strategy<Value = Op> {
        let levels = || prop::collection::vec(0u8..3, 1..12);
        prop_oneof![
            4 => levels().prop_map(Op::Push),
            2 => levels().prop_map(Op::Late),
            6 => (0usize..12).prop_map(Op::Pop),
            3 => any::<bool>().prop_map(|release| Op::Requeue { release }),
            6 => (1usize..9).prop_map(|page| Op::Load { page }),
            2 => (1usize..9, 0usize..9).prop_map(|(page, pops)| Op::LoadRacing { page, pops }),
            1 => Just(Op::Lose),
            1 => (1usize..9).prop_map(Op::DropAway),
            2 => Just(Op::PageOut),
            1 => Just(Op::Drain),
        ]
    }

    struct Model {
        ready: Ready,
        /// What must be ready, in delivery order.
        order: Vec<(u8, Seq)>,
        out: Vec<Entry>,
        next: Seq,
    }

    impl Model {
        fn expect(&mut self, level: u8, seq: Seq) {
            self.order.push((level, seq));
            self.order
                .sort_by_key(|(level, seq)| (u8::MAX - level, *seq));
        }

        fn arrive(&mut self, level: u8, seq: Seq) {
            if self.ready.pages(level) && !seq.is_multiple_of(5) {
                self.ready.push_paged(level, seq, 1);
            } else {
                let logged = !seq.is_multiple_of(5);
                self.ready.push(Entry {
                    logged,
                    ..entry(seq, level)
                });
            }
            self.expect(level, seq);
        }

        fn pop(&mut self, n: usize) {
            for _ in 0..n {
                let Some(entry) = self.ready.pop() else {
                    assert_eq!(self.ready.head_away(), !self.ready.is_empty());
                    return;
                };
                assert!(entry.message.is_present());
                assert_eq!((entry.level, entry.seq), self.order.remove(0));
                self.out.push(entry);
            }
        }

        fn load(&mut self, page: usize, pops: usize) {
            let limits = ResidentLimits {
                messages: page,
                bytes: 1 << 20,
            };
            let lacking = self.ready.lacking(self.ready.limits(), limits, true);
            let Some((level, seqs, _)) = lacking else {
                assert!(!self.ready.head_away());
                return;
            };
            assert!(!seqs.is_empty() && seqs.is_sorted());
            self.pop(pops);
            let mut loaded: Vec<Entry> = seqs.iter().map(|seq| entry(*seq, level)).collect();
            self.ready.loaded(level, &mut loaded);
        }

        fn check(&self) {
            assert_eq!(self.ready.order(), self.order);
            assert_eq!(self.ready.body_bytes() as usize, self.order.len());
        }
    }

    proptest! {
        /// Whatever arrives, is taken, put back, paged and loaded: the order stays.
        #[test]
        fn the_order_survives_paging(ops in prop::collection::vec(op(), 1..60)) {
            let mut ready = Ready::new(2);
            ready.set_limits(ResidentLimits { messages: 24, bytes: 1 << 20 });
            let mut model = Model { ready, order: Vec::new(), out: Vec::new(), next: 1 };
            for op in ops {
                match op {
                    Op::Push(levels) => {
                        for level in levels {
                            model.arrive(level, model.next);
                            model.next += 1;
                        }
                        model.ready.settle_late();
                    }
                    Op::Late(levels) => {
                        let n = levels.len() as u64;
                        let (first, second) = (model.next, model.next + n);
                        model.next += 2 * n;
                        for start in [second, first] {
                            for (seq, level) in (start..).zip(&levels) {
                                model.arrive(*level, seq);
                            }
                            model.ready.settle_late();
                        }
                    }
                    Op::Pop(n) => model.pop(n),
                    Op::Requeue { release } => {
                        let mut back = std::mem::take(&mut model.out);
                        for entry in &mut back {
                            (entry.redelivered, entry.release) = (true, release);
                            model.expect(entry.level, entry.seq);
                        }
                        model.ready.requeue(back.into_iter().map(Entry::sent).collect());
                    }
                    Op::Load { page } => model.load(page, 0),
                    Op::LoadRacing { page, pops } => model.load(page, pops),
                    Op::Lose => {
                        let limits = ResidentLimits { messages: 3, bytes: 1 };
                        if let Some((level, gone, _)) = model.ready.lacking(limits, limits, true) {
                            model.ready.lost(level, &gone, |seq| {
                                model.order.retain(|(_, other)| *other != seq);
                            });
                            prop_assert!(model.order.iter().all(|(_, seq)| !gone.contains(seq)));
                        }
                    }
                    Op::DropAway(most) => match model.ready.drop_away(most) {
                        Some(DroppedAway::Range(first, last)) => {
                            prop_assert!(last - first < most as u64);
                            for seq in first..=last {
                                prop_assert_eq!(model.order.remove(0).1, seq);
                            }
                        }
                        Some(DroppedAway::Stub(entry)) => {
                            prop_assert_eq!(model.order.remove(0).1, entry.seq);
                        }
                        None => prop_assert!(!model.ready.head_away()),
                    },
                    Op::PageOut => {
                        let limits = model.ready.limits();
                        model.ready.set_limits(ResidentLimits { messages: 8, bytes: 1 << 20 });
                        let mut unlogged = Vec::new();
                        model.ready.page_out(4, &mut unlogged);
                        for entry in &unlogged {
                            prop_assert!(model.ready.now_logged(entry.level, entry.seq));
                        }
                        model.ready.page_out(0, &mut Vec::new());
                        model.ready.limits = limits;
                    }
                    Op::Drain => {
                        let mut gone = Vec::new();
                        let mut ranges = Vec::new();
                        model.ready.drain(|entry| gone.push(entry.seq), |a, b| ranges.extend(a..=b));
                        gone.extend(ranges);
                        gone.sort_unstable();
                        let mut all: Vec<Seq> = model.order.drain(..).map(|(_, seq)| seq).collect();
                        all.sort_unstable();
                        prop_assert_eq!(gone, all);
                    }
                }
                model.check();
            }
        }

        /// Whatever is taken and put back, the order stays (priority down, sequence up).
        #[test]
        fn requeued_entries_find_their_place(
            levels in prop::collection::vec(0u8..3, 1..60),
            takes in prop::collection::vec((0usize..10, any::<bool>()), 0..20),
        ) {
            let mut ready = Ready::new(2);
            for (seq, level) in levels.iter().enumerate() {
                ready.push(entry(seq as u64, *level));
            }
            let mut out = Vec::new();
            for (n, back) in takes {
                for _ in 0..n {
                    out.extend(ready.pop());
                }
                if back {
                    ready.requeue(std::mem::take(&mut out));
                }
            }
            let order: Vec<(u8, u64)> = ready.iter().map(|e| (2 - e.level, e.seq)).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&order, &sorted);
            prop_assert_eq!(ready.len() + out.len(), levels.len());
            prop_assert_eq!(ready.body_bytes() as usize, ready.len());
        }
    }
}
