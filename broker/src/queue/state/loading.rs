//! Messages that are in the log only: found by a restart, asked for, loaded, paged out.

use warren_storage::{RecoveredQueue, Seq};

use super::{Effects, QueueState};
use crate::arguments::Overflow;
use crate::message::Message;
use crate::queue::entry::{Entry, ResidentLimits};
use crate::queue::loading::{Load, What};

/// Loaded at once.
const PAGE: ResidentLimits = ResidentLimits {
    messages: 8192,
    bytes: 2 << 20,
};

/// Kept of a backlog nobody takes from.
const HEAD: ResidentLimits = ResidentLimits {
    messages: 64,
    bytes: 64 << 10,
};

impl QueueState {
    /// Takes in what a restart found in the log, without loading it. Where priorities count, the
    /// messages come with [`recover_levels`](Self::recover_levels).
    pub(crate) fn recover(&mut self, found: &RecoveredQueue) {
        if self.ready.max_level() == 0 {
            for (first, last) in &found.live {
                self.ready.recover(0, *first, *last);
            }
        }
        self.ready.recover_bytes(found.bytes);
        self.redelivered_up_to = found.delivered_up_to.unwrap_or(0);
        self.delivered_logged = self.delivered_logged.max(self.redelivered_up_to);
        let counts = found.counts.iter();
        let counts = counts.filter_map(|(seq, n)| Some((*seq, u16::try_from(*n).ok()?)));
        self.delivery_counts = counts.collect();
        self.recover_retained(found);
        // What expires by its own is known once it is loaded.
        self.timed |= self.settings.message_ttl_ms.is_some();
    }

    /// Takes in messages a restart found in the log, of these levels.
    pub(crate) fn recover_levels(&mut self, found: &[(u8, Seq)]) {
        for (level, seq) in found {
            self.ready.recover(*level, *seq, *seq);
        }
    }

    /// After each operation: whether something is to be loaded, and who has waited long enough.
    pub(crate) fn after(&mut self, fx: &mut Effects) {
        if !self.waiting.is_empty() && !self.ready.head_away() {
            fx.head_here.append(&mut self.waiting);
        }
        if !self.loading && self.wants_load() {
            self.loading = true;
            fx.load = true;
        }
    }

    fn wants_load(&self) -> bool {
        !self.dying.is_empty() || self.ready.lacks(self.target(), self.timed)
    }

    /// How much should be here: little as long as nobody takes anything.
    fn target(&self) -> ResidentLimits {
        let wanted = !self.consumers.is_empty() || !self.waiting.is_empty() || self.timed;
        let limits = self.ready.limits();
        if wanted { limits } else { limits.min(HEAD) }
    }

    /// The pager is here: what to read. `None` when nothing is wanted any more.
    pub(crate) fn begin_load(&mut self) -> Option<Load> {
        let load = if self.deleted {
            None
        } else if self.dying.is_empty() {
            let wanted = self.ready.lacking(self.target(), PAGE, self.timed);
            wanted.map(|(level, seqs, bytes)| Load {
                what: What::Level(level),
                seqs,
                bytes,
            })
        } else {
            // Their order is not that of their numbers: what is asked for is read to its end.
            let mut bytes = 0;
            let page = self.dying.iter().take(PAGE.messages).take_while(|dying| {
                let fits = bytes < PAGE.bytes;
                bytes += dying.0.message.body_len();
                fits
            });
            let away = page.filter(|(entry, _)| !entry.message.is_present());
            let mut seqs: Vec<Seq> = away.map(|(entry, _)| entry.seq).collect();
            seqs.sort_unstable();
            Some(Load {
                what: What::Dying,
                seqs,
                bytes: usize::MAX,
            })
        };
        self.loading = load.is_some();
        load
    }

    /// What the pager read of a [`Load`], ascending, and the numbers the log cannot give back.
    /// Whatever is gone by now is ignored. `loaded` is empty afterwards.
    pub(crate) fn end_load(
        &mut self,
        what: What,
        loaded: &mut Vec<(Seq, Message)>,
        lost: &[Seq],
        now_ms: u64,
        fx: &mut Effects,
    ) {
        self.loading = false;
        if self.deleted {
            return loaded.clear();
        }
        match what {
            What::Level(level) => {
                for (seq, message) in loaded.drain(..) {
                    let entry = self.loaded_entry(seq, message, now_ms);
                    self.ready.load(entry);
                }
                self.ready.end_load();
                self.ready.lost(level, lost, |seq| fx.lost.push(seq));
            }
            What::Dying => {
                self.bury(loaded, lost, fx);
                loaded.clear();
            }
        }
        if self.settings.overflow == Overflow::DropHead {
            self.drop_head(fx);
        }
        self.dispatch(now_ms, fx);
        self.expire(now_ms, fx);
    }

    fn loaded_entry(&mut self, seq: Seq, message: Message, now_ms: u64) -> Entry {
        let (level, deadline_ms) = self.fit(message.meta(), message.enqueued_ms(), now_ms);
        Entry {
            seq,
            message,
            logged: true,
            deliveries: self.delivery_counts.remove(&seq).unwrap_or(0),
            redelivered: seq <= self.redelivered_up_to,
            release: false,
            level,
            deadline_ms,
        }
    }

    /// Dead letters whose bytes have come, in the order of their deaths; the first one whose bytes
    /// have not come holds the others up.
    fn bury(&mut self, loaded: &[(Seq, Message)], lost: &[Seq], fx: &mut Effects) {
        while let Some((mut entry, reason)) = self.dying.pop_front() {
            if entry.message.is_present() {
                fx.dead.push((entry, reason));
                continue;
            }
            let found = loaded.binary_search_by_key(&entry.seq, |(seq, _)| *seq);
            if let Ok(at) = found {
                entry.message = loaded[at].1.clone();
                fx.dead.push((entry, reason));
            } else if lost.binary_search(&entry.seq).is_ok() {
                fx.lost.push(entry.seq);
            } else {
                self.dying.push_front((entry, reason));
                break;
            }
        }
    }

    /// Frees memory: pages out what is in the log and lists what should be written there first.
    pub(crate) fn page_out(&mut self, most: usize, unlogged: &mut Vec<Entry>) {
        if !self.deleted {
            self.ready.page_out(most, unlogged);
        }
    }

    /// These are in the log now. Those that are not ready any more are settled there, for whoever
    /// has them believes they are not.
    pub(crate) fn now_logged(&mut self, entries: &[Entry], fx: &mut Effects) {
        for entry in entries {
            if self.deleted || !self.ready.now_logged(entry.level, entry.seq) {
                fx.settled.push(entry.seq);
            }
        }
    }
}
