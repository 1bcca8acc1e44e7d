//! A queue and the log: what a restart brings back, what the pager reads and pages out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use warren_storage::{RecoveredQueue, Seq};

use super::loading::{Load, What};
use super::{Entry, Queue};
use crate::message::Message;
use crate::stats::Event;
use crate::turn::Turn;

impl Queue {
    /// Whether new messages should be written to the log even if they are not to survive a
    /// restart: then they need not be kept in memory.
    pub(crate) fn pages(&self) -> bool {
        self.pages.load(Ordering::Relaxed)
    }

    /// Goes on numbering above `seq`: the log still names messages up to it.
    pub(crate) fn number_above(&self, seq: Seq) {
        self.next_seq.fetch_max(seq + 1, Ordering::Relaxed);
    }

    /// Puts what a restart found in the log into the store of a delayed exchange.
    pub(crate) fn recover_delayed(&self, entries: Vec<Entry>) {
        if let Some(store) = &self.delay {
            store.lock().keep(entries.into_iter());
        }
    }

    /// Takes in what a restart found in the log. Where priorities count, the messages come with
    /// [`recover_levels`](Self::recover_levels).
    pub(crate) fn recover(&self, found: &RecoveredQueue) {
        let mut state = self.state.lock();
        state.recover(found);
        let ready = state.depth().ready;
        drop(state);
        self.recovered.fetch_add(ready as u64, Ordering::Relaxed);
        self.vhost_stats.depth_changed(ready as i64, 0);
    }

    /// Takes in messages a restart found in the log, of these levels.
    pub(crate) fn recover_levels(&self, found: &[(u8, Seq)]) {
        self.state.lock().recover_levels(found);
    }

    /// The priorities told apart, from 0; `None` when they do not count.
    pub(crate) fn max_priority(&self) -> Option<u8> {
        let max = self.state.lock().settings().max_priority;
        max.filter(|max| *max > 0)
    }

    /// What the pager is to read; `None` when nothing is wanted any more.
    pub(crate) fn begin_load(&self) -> Option<Load> {
        let mut state = self.state.lock();
        state.set_limits(self.pager.limits());
        state.begin_load()
    }

    /// What the pager has read, ascending, and what the log cannot give back; `loaded` is empty
    /// afterwards.
    pub(crate) fn end_load(
        self: &Arc<Self>,
        what: What,
        loaded: &mut Vec<(Seq, Message)>,
        lost: &[Seq],
        turn: &mut Turn,
    ) {
        self.counted.add(Event::DiskReads, loaded.len() as u64);
        self.vhost_stats
            .count(Event::DiskReads, loaded.len() as u64);
        self.enter(turn, |state, now, fx| {
            state.end_load(what, loaded, lost, now, fx);
        });
    }

    /// Frees memory: pages out what the log has, and lists at most `most` messages that should be
    /// written there to be paged out later.
    pub(crate) fn page_out(self: &Arc<Self>, most: usize, turn: &mut Turn) -> Vec<Entry> {
        self.enter(turn, |state, _, _| {
            let mut unlogged = Vec::new();
            state.page_out(most, &mut unlogged);
            unlogged
        })
    }

    /// The log has these now.
    pub(crate) fn now_logged(self: &Arc<Self>, entries: &[Entry], turn: &mut Turn) {
        self.counted.add(Event::DiskWrites, entries.len() as u64);
        self.vhost_stats
            .count(Event::DiskWrites, entries.len() as u64);
        self.enter(turn, |state, _, fx| state.now_logged(entries, fx));
    }
}
