//! What outlives the process: the commit log (messages), the command log and its indexed view
//! (definitions).
//!
//! Knows nothing of AMQP: messages and commands are opaque bytes, queues are numbers.
//!
//! ```text
//!   log/          messages: Batch -> MessageLog -> segments <n>.wlog        group commit, an index in memory
//!   definitions/  commands: CommandLog -> <n>.clog, snapshot-<i>.snap, view/ (sled, never the truth)
//!   check/        a directory at rest: what is in it, what is damaged, repairing it
//!   commit        the group commit both share: gather under a short lock, write, sync, tell
//!   framing/      file header, record, finding the next good record after a bad one
//!   disk/         the seam to the file system, with one in memory that loses power on request
//!   dir           the data directory: lock, storage id, format
//! ```
//!
//! The promise: what was reported durable is there after a kill or a power cut at any moment; a
//! damaged byte costs one record and is reported. The bytes are described in `FORMAT.md`.

pub mod check;
mod commit;
mod definitions;
mod dir;
mod disk;
mod error;
mod files;
mod framing;
mod log;

pub use commit::{Durability, Durable};
pub use definitions::{CommandLog, Definitions, ViewOps};
pub use dir::{DataDir, StorageId};
pub use error::{LogError, OpenError};
pub use log::{
    Appended, Batch, Damage, LogOptions, LostMessage, MessageLog, Position, QueueId, ReadEnd,
    ReadError, ReadLimit, RecoveredQueue, RecoveryReport, SegmentStats, Seq, Stored,
};

/// What tests of this and other crates need: a disk in memory that can lose power.
#[doc(hidden)]
pub mod testing {
    pub use crate::disk::memory::{MemDisk, Op};
    pub use crate::disk::{Disk, DiskFile, RealDisk};
}
