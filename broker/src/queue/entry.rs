//! A message as one queue holds it, and how many of them a queue may keep in memory.

use warren_storage::Seq;

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
        if self.lets_go() {
            self.message.release();
        }
        self
    }

    /// Whether its bytes are given up once they were sent.
    pub(super) fn lets_go(&self) -> bool {
        self.release && self.logged
    }

    /// Bytes of memory it keeps, roughly.
    pub(super) fn memory(&self) -> usize {
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
