//! What operations on a queue are given and what they leave to be done.

use std::sync::Arc;

use warren_storage::{MessageLog, QueueId, Seq};

use crate::dead_letter::DeathReason;
use crate::message::Chunk;
use crate::queue::entry::Entry;
use crate::queue::loading::HeadWaiter;

/// What an operation on a queue leaves to be done by its caller, after the queue is unlocked.
#[derive(Default)]
pub(crate) struct Effects {
    /// Logged entries that are gone.
    pub settled: Vec<Seq>,
    /// The same, whole ranges of numbers.
    pub settled_ranges: Vec<(Seq, Seq)>,
    /// Logged entries that the log cannot give back.
    pub lost: Vec<Seq>,
    /// Entries that died here; their settlement follows once they are dead-lettered.
    pub dead: Vec<(Entry, DeathReason)>,
    /// Of logged entries: how often they came back.
    pub counts: Vec<(Seq, u32)>,
    /// Everything logged up to here has been handed out at least once; 0 for no news.
    pub delivered_up_to: Seq,
    /// Notes the same where a killed process still finds it, before anything is handed out.
    pub delivered_mark: Option<DeliveredMark>,
    /// Whether either counts: only what is durable comes back after a restart.
    pub marks: bool,
    /// Of the entries offered to `enqueue`: positions of those refused by a length limit.
    pub rejected: Vec<u32>,
    /// The last consumer went away from an auto-delete queue.
    pub auto_delete: bool,
    /// The queue's next deadline changed: tell the timers.
    pub deadline: Option<u64>,
    /// Something must be loaded: tell the pager.
    pub load: bool,
    /// Those who waited for the head to be loaded, and may look again.
    pub head_here: Vec<Arc<dyn HeadWaiter>>,
}

/// Newly published messages.
#[derive(Clone, Copy)]
pub(crate) struct Arrivals<'a> {
    /// Where they are.
    pub chunk: &'a Arc<Chunk>,
    /// Which of the chunk: first index and number.
    pub ranges: &'a [(u32, u32)],
    /// Their numbers, from this on.
    pub first_seq: Seq,
    /// Which of them the log holds for this queue.
    pub logged: Logged,
}

/// Which messages of a batch the log holds for a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Logged {
    /// None.
    None,
    /// Those with `delivery_mode` 2.
    Persistent,
    /// All.
    All,
}

/// What `basic.get` finds.
#[derive(Debug)]
pub enum Got<T> {
    /// A message.
    Message(T),
    /// Nothing is ready.
    Empty,
    /// The next message must be loaded first.
    Away,
}

/// Told how far a queue hands out: the queue and the log that keeps the mark.
pub(crate) type DeliveredMark = (QueueId, MessageLog);

impl Effects {
    pub(super) fn delivers_up_to(&mut self, seq: Seq) {
        if !self.marks {
            return;
        }
        self.delivered_up_to = seq;
        if let Some((queue, log)) = &self.delivered_mark {
            log.note_delivered(*queue, seq);
        }
    }
}
