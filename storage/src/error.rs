//! The errors of this crate: why the storage could not be opened, why a log takes no more.

use std::io;
use std::path::PathBuf;

/// Why the data directory, or a log in it, could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something that must be written could not be.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that must be read could not be.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock of the data directory.
    #[error("the data directory {path} is in use by another process")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// Written by a later version that changed the format.
    #[error("{path} has format {found}, this version reads up to format {supported}")]
    NewerFormat {
        /// The data directory or file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this version knows.
        supported: u32,
    },
    /// What is there contradicts itself in a way no record can be blamed for.
    #[error("{path} is not usable: {reason}")]
    Corrupt {
        /// The data directory or file.
        path: PathBuf,
        /// What is wrong, in one clause.
        reason: String,
    },
}

/// Why a log takes no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log has ended by a failure. Nothing more becomes durable until a restart.
    #[error("the log has failed: {0}")]
    Failed(String),
    /// A write or sync failed. It is tried again; what was appended may yet become durable.
    #[error("the log cannot be written at the moment: {0}")]
    Stalled(String),
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
    /// One batch or command is larger than a log file may be.
    #[error("{bytes} bytes are more than the log takes at once ({limit})")]
    TooLarge {
        /// Size of what was to be appended.
        bytes: usize,
        /// The most one append may hold.
        limit: usize,
    },
}
