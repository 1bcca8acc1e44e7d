//! A data directory that no process uses: what is in it, what is damaged, and making good what
//! can be made good.
//!
//! ```text
//!   verify   reads every byte, writes nothing
//!   repair   takes damage out, keeping aside what it takes, so that the next start finds none
//!   files    the scan of one file that both share
//! ```

mod files;
mod repair;
#[cfg(test)]
mod tests;
mod verify;

use crate::log::{QueueId, Seq};

pub use repair::{Repaired, renew_definitions, repair};
pub use verify::{read_definitions, verify};

/// What a data directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Every file that means something, by path.
    pub files: Vec<FileFindings>,
    /// Every queue that the message log has something live of, or has lost something of.
    pub queues: Vec<QueueFindings>,
    /// Commands of the definitions that must have been there and are not: first and last.
    pub lost_commands: Vec<(u64, u64)>,
}

/// What one file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFindings {
    /// Within the data directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Whole records (of delivered marks: whole slots).
    pub records: u64,
    /// What is not what was written.
    pub damage: Vec<DamagedBytes>,
    /// Bytes behind the last record of the newest file: an unfinished write, or space written in
    /// advance. Never durable, so no damage; the next start cuts them off.
    pub unfinished_bytes: u64,
}

/// Bytes that are not what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedBytes {
    /// Where in the file.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// The messages these bytes held, as far as they still say so.
    pub held: Vec<(QueueId, Seq)>,
}

/// What the message log holds of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFindings {
    /// The queue.
    pub queue: QueueId,
    /// Messages that are not settled.
    pub messages: u64,
    /// Messages known to be lost to damage, by number.
    pub lost: Vec<Seq>,
}

impl Findings {
    /// Whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.lost_commands.is_empty() && self.files.iter().all(|file| file.damage.is_empty())
    }
}
