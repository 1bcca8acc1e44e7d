//! What a queue asks the pager for, and who waits for it.

use warren_storage::Seq;

/// Messages to be read from the log for a queue.
pub(crate) struct Load {
    /// What for.
    pub what: What,
    /// Their numbers, ascending.
    pub seqs: Vec<Seq>,
    /// Bytes after which reading may stop.
    pub bytes: usize,
}

/// What messages are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// To be ready in this level.
    Level(u8),
    /// To be dead-lettered.
    Dying,
}

/// Somebody who wants the next message of a queue, which is not in memory.
pub trait HeadWaiter: Send + Sync {
    /// Look again: the message is there, or nothing is ready any more. Called once, with no queue
    /// locked.
    fn head_here(&self);
}
