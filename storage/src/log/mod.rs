//! The commit log: messages of all queues and what became of them, in one stream of segments.
//!
//! ```text
//!   batch      what one caller gathers; encoding and checksums happen there, outside any lock
//!   log        the handle: append, durable_up_to, when_durable, close
//!   codec      the bodies of the records
//!   delivered  how far each queue has handed out, exact also after a kill
//!   live       which segments still hold something live; deletion of those that do not
//!   recovery   reading it all back at start
//!   marks      what recovery knows of each queue before it sees the messages
//! ```

mod batch;
mod codec;
mod delivered;
mod live;
#[allow(clippy::module_inception)]
mod log;
mod marks;
mod recovery;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use live::SegmentStats;
pub use log::{Appended, LogOptions, MessageLog};
pub(crate) use recovery::header_error;
pub use recovery::{Damage, RecoveredMessage, RecoveredTarget, RecoveryReport};

/// Where a batch ends in the log: `segment << 32 | offset`. Grows only; 0 is before everything.
pub type Position = u64;

/// A queue. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// A message within its queue: given by the queue, unique there, mostly increasing.
pub type Seq = u64;

/// For [`Batch::settle`]: the caller does not know yet where the message stands.
pub const UNKNOWN_SEGMENT: u32 = 0;
