//! The commit log: messages of all queues and what became of them, in one stream of segments.
//!
//! ```text
//!   batch      what one caller gathers; encoding and checksums happen there, outside any lock
//!   log        the handle: append, read, durable_up_to, when_durable, close
//!   codec      the bodies of the records
//!   ops        what records do to the index
//!   index      where every live message stands
//!     blocks     the messages of one queue
//!     spill      those that do not fit in memory
//!     segments   what each segment holds, and whether it may go
//!   read       from a place in the index to the message
//!   keeper     the thread that removes what is dead
//!   compaction moving what lives out of segments that are mostly dead
//!   delivered  how far each queue has handed out, exact also after a kill
//!   recovery   reading it all back at start, newest segment first
//!     summary    what one segment says, bodies aside
//!     walk       the records of a segment, a window at a time
//!     checkpoint the summary of a segment in a file beside it
//!     marks      what is known of each queue before its messages are seen
//! ```

mod batch;
mod blocks;
pub(crate) mod checkpoint;
pub(crate) mod codec;
mod compaction;
pub(crate) mod delivered;
mod index;
mod keeper;
#[allow(clippy::module_inception)]
mod log;
mod marks;
mod ops;
mod read;
mod recovery;
mod segments;
mod spill;
mod summary;
#[cfg(test)]
mod tests;
mod walk;

pub use batch::Batch;
pub use log::{Appended, LogOptions, MessageLog};
pub use read::{ReadEnd, ReadError, ReadLimit, Stored};
pub(crate) use recovery::header_error;
pub use recovery::{Damage, LostMessage, RecoveredQueue, RecoveryReport};
pub use segments::SegmentStats;

/// Where a batch ends in the log: `segment << 32 | offset`. Grows only; 0 is before everything.
pub type Position = u64;

/// A queue. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// A message within its queue: given by the queue, unique there, mostly increasing.
pub type Seq = u64;
