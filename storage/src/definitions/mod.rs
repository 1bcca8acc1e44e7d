//! The command log (definitions) and the indexed view of what the commands led to.

use std::sync::Arc;

use crate::commit::Durable;
use crate::dir::DataDir;
use crate::error::{LogError, OpenError};

/// What a command did to the view: keys with their new value, or none if the key is gone.
pub type ViewOps = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What was found when the command log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// The view after the command at `base_index`, by key.
    pub base: Vec<(Vec<u8>, Vec<u8>)>,
    /// Index of the last command the view knows; 0 if none.
    pub base_index: u64,
    /// The commands after it, by index.
    pub tail: Vec<(u64, Vec<u8>)>,
}

/// The command log. Clones are handles of the same log.
#[derive(Clone)]
pub struct CommandLog {}

impl CommandLog {
    /// Reads view, snapshot and log back, then starts the log's thread.
    pub fn open(_dir: &DataDir) -> Result<(Self, Definitions), OpenError> {
        Ok((Self {}, Definitions::default()))
    }
    /// Adds a command; the index counts from 1 without gaps.
    pub fn append(&self, _command: &[u8]) -> Result<u64, LogError> {
        Err(LogError::Closed)
    }
    /// The last command that survives a power cut.
    pub fn durable_index(&self) -> u64 {
        0
    }
    /// See `MessageLog::when_durable`.
    pub fn when_durable(&self, _index: u64, waiter: Arc<dyn Durable>) {
        waiter.durable();
    }
    /// Blocks until the command is durable.
    pub fn wait_durable(&self, _index: u64) -> Result<(), LogError> {
        Err(LogError::Closed)
    }
    /// What the command at `index` did to the view.
    pub fn view_changed(&self, _index: u64, _ops: ViewOps) {}
    /// Why the log takes no more, if it has failed.
    pub fn failure(&self) -> Option<String> {
        None
    }
    /// Writes and syncs what is left and ends the thread.
    pub fn close(&self) -> Result<(), LogError> {
        Ok(())
    }
}
