//! What is away and is to be loaded, what was loaded or lost, and what is paged out.

use warren_storage::Seq;

use super::Ready;
use super::level::Level;
use crate::message::Message;
use crate::queue::entry::{Entry, ResidentLimits};

impl Ready {
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

    /// Takes in a loaded message, unless it is gone by now. It needs its level and its deadline; a
    /// stub gets its bytes only. To be called by ascending number, then [`Ready::end_load`].
    pub(crate) fn load(&mut self, entry: Entry) {
        let level = &mut self.levels[usize::from(entry.level)];
        if level.paged.remove(entry.seq) {
            let len = entry.message.body_len() as u64;
            let expected = len.min(self.paged_bytes);
            self.paged_bytes -= expected;
            self.body_bytes += len - expected;
            self.place(entry);
        } else if level.stubs > 0 {
            level.fill(entry);
        }
    }

    /// All that was read has been loaded.
    pub(crate) fn end_load(&mut self) {
        self.settle_late();
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
}
