//! The ready messages of one priority: resident ones with their bytes, paged ones as numbers.

use std::collections::VecDeque;

use warren_storage::Seq;

use crate::queue::entry::{Entry, ResidentLimits};
use crate::queue::paged::Paged;

/// The messages of one priority.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) resident: VecDeque<Entry>,
    pub(super) paged: Paged,
    /// Resident entries without bytes.
    pub(super) stubs: usize,
    /// Bytes of their bodies.
    pub(super) stub_bytes: u64,
    /// Memory the resident entries keep.
    pub(super) memory: usize,
}

impl Level {
    pub(super) fn is_empty(&self) -> bool {
        self.resident.is_empty() && self.paged.is_empty()
    }

    pub(super) fn pages(&self, limits: ResidentLimits) -> bool {
        !self.paged.is_empty() || self.full(limits)
    }

    pub(super) fn full(&self, limits: ResidentLimits) -> bool {
        self.resident.len() >= limits.messages || self.memory >= limits.bytes
    }

    /// Whether what comes next has no bytes here.
    pub(super) fn head_away(&self) -> bool {
        match (self.resident.front(), self.paged.first()) {
            (Some(entry), Some(paged)) => paged < entry.seq || !entry.message.is_present(),
            (Some(entry), None) => !entry.message.is_present(),
            (None, paged) => paged.is_some(),
        }
    }

    /// The head, if its deadline is known.
    pub(super) fn timed_head(&self) -> Option<&Entry> {
        let entry = self.resident.front()?;
        let first = self.paged.first().is_none_or(|paged| entry.seq < paged);
        first.then_some(entry)
    }

    pub(super) fn lacks(&self, target: ResidentLimits) -> bool {
        if self.paged.is_empty() && self.stubs == 0 {
            return false;
        }
        let here = self.resident.len() - self.stubs;
        self.head_away() || here < target.messages / 2 && self.memory < target.bytes / 2
    }

    /// The lowest numbers without bytes, at most `most`.
    pub(super) fn away(&self, most: usize) -> Vec<Seq> {
        let mut away = Vec::with_capacity(most.min(self.paged.len()));
        away.extend(self.paged.iter().take(most));
        if self.stubs > 0 {
            let stubs = self.resident.iter().filter(|e| !e.message.is_present());
            away.extend(stubs.map(|entry| entry.seq).take(most));
            away.sort_unstable();
            away.truncate(most);
        }
        away
    }

    pub(super) fn find(&self, seq: Seq) -> Option<usize> {
        self.resident
            .binary_search_by_key(&seq, |entry| entry.seq)
            .ok()
    }

    pub(super) fn push_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.resident.push_back(entry);
    }

    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.resident.pop_front()?;
        self.uncount(&entry);
        Some(entry)
    }

    pub(super) fn count(&mut self, entry: &Entry) {
        self.memory += entry.memory();
        if !entry.message.is_present() {
            self.stubs += 1;
            self.stub_bytes += entry.message.body_len() as u64;
        }
    }

    pub(super) fn uncount(&mut self, entry: &Entry) {
        self.memory -= entry.memory();
        if !entry.message.is_present() {
            self.stubs -= 1;
            self.stub_bytes -= entry.message.body_len() as u64;
        }
    }

    /// Merges ascending entries into the ascending ones here, moving as few as possible: requeued
    /// ones belong in front, loaded and late ones at the end or close to it.
    pub(super) fn merge(&mut self, entries: &mut Vec<Entry>) {
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

    pub(super) fn stub_at(&self, seq: Seq) -> Option<usize> {
        let at = self.resident.binary_search_by_key(&seq, |entry| entry.seq);
        at.ok()
            .filter(|at| !self.resident[*at].message.is_present())
    }

    /// Gives a stub its bytes back.
    pub(super) fn fill(&mut self, loaded: Entry) {
        if let Some(at) = self.stub_at(loaded.seq) {
            let len = self.resident[at].message.body_len() as u64;
            self.resident[at].message = loaded.message;
            // What it would have been given meanwhile.
            self.resident[at].deadline_ms = loaded.deadline_ms;
            self.stubs -= 1;
            self.stub_bytes -= len;
            self.memory += self.resident[at].memory();
        }
    }

    pub(super) fn take_stub(&mut self, seq: Seq) -> Option<Entry> {
        let at = self.stub_at(seq)?;
        let entry = self.resident.remove(at)?;
        self.uncount(&entry);
        Some(entry)
    }

    /// See [`Ready::page_out`]. Returns the body bytes of what became paged.
    pub(super) fn page_out(
        &mut self,
        limits: ResidentLimits,
        most: usize,
        unlogged: &mut Vec<Entry>,
    ) -> u64 {
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
                self.stub_bytes += entry.message.body_len() as u64;
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
