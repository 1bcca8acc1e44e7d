//! The one writer of the definitions: state, command log and view move together.
//!
//! A command is checked, appended to the log, applied and handed to the view under one mutex, so
//! that the log's order is the state's order. What is read may not be on disk yet; who needs it
//! to be (before a `declare-ok`) waits for the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use warren_storage::{CommandLog, DataDir, Durable, LogError, OpenError};

use super::apply::{Event, change};
use super::check::{CatalogError, Verdict, check};
use super::command::Command;
use super::recovery::rebuild;
use super::state::State;
use super::view::view_ops;

/// A command that was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// What the command did is durable when the log is durable up to here. For a command that
    /// changed nothing: the end of the log, as what it found may have been written just before.
    pub index: u64,
    /// What changed; empty when all was already so.
    pub events: Vec<Event>,
}

/// The definitions of the node.
pub struct Catalog {
    state: RwLock<State>,
    log: CommandLog,
    /// Held from the check of a command to the end of its effects.
    writer: Mutex<()>,
    /// Index of the last command appended.
    last_index: AtomicU64,
    auth_version: AtomicU64,
    /// See [`Catalog::damage`].
    damage: Vec<String>,
}

impl Catalog {
    /// Opens the command log in the data directory and rebuilds the state from the view and the
    /// commands after it.
    ///
    /// Errors: those of the log; `NewerFormat` when a later version wrote definitions this one
    /// does not know; `Corrupt` when they contradict each other though the log found no damage.
    pub fn open(dir: &DataDir) -> Result<Self, OpenError> {
        let (log, definitions) = CommandLog::open(dir)?;
        let rebuilt = rebuild(dir, &log, definitions)?;
        let catalog = Self {
            state: RwLock::new(rebuilt.state),
            last_index: AtomicU64::new(log.durable_index()),
            log,
            writer: Mutex::new(()),
            auth_version: AtomicU64::new(1),
            damage: rebuilt.damage,
        };
        for line in &catalog.damage {
            tracing::error!("definitions lost: {line}");
        }
        for command in rebuilt.repairs {
            if let Err(error) = catalog.propose(command) {
                tracing::error!(%error, "definitions not repaired");
            }
        }
        Ok(catalog)
    }

    /// What was lost to damage on disk, one line each; empty as long as the disk keeps its word.
    /// While it is not, messages of unknown queues may be those of a queue whose definition is
    /// lost.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Applies a command and appends it to the log; it becomes durable later. Must not be called
    /// with the guard of [`Catalog::read`] in hand.
    ///
    /// Errors: see [`CatalogError`]. `Log` means that the disk failed; the state is as it was.
    pub fn propose(&self, command: Command) -> Result<Proposed, CatalogError> {
        let _writer = self.writer.lock();
        if check(&self.state.read(), &command)? == Verdict::Nothing {
            return Ok(Proposed {
                index: self.last_index(),
                events: Vec::new(),
            });
        }
        let index = self.log.append(&command.encode())?;
        let events = change(&mut self.state.write(), command);
        self.log.view_changed(index, view_ops(&events));
        self.last_index.store(index, Ordering::Release);
        if events.iter().any(Event::touches_auth) {
            self.auth_version.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Proposed { index, events })
    }

    /// The definitions as they are now. Changes wait while the guard is held.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Up to which command the log is durable.
    pub fn durable_index(&self) -> u64 {
        self.log.durable_index()
    }

    /// The last command appended, durable or not.
    pub fn last_index(&self) -> u64 {
        self.last_index.load(Ordering::Acquire)
    }

    /// Calls the waiter once the log is durable up to `index`, at once if it already is, or when
    /// it has failed: the waiter asks [`Catalog::durable_index`].
    pub fn when_durable(&self, index: u64, waiter: Arc<dyn Durable>) {
        self.log.when_durable(index, waiter);
    }

    /// Blocks until the log is durable up to `index`: for start-up and the HTTP face, never for a
    /// connection. Errors: `Log`.
    pub fn wait_durable(&self, index: u64) -> Result<(), CatalogError> {
        Ok(self.log.wait_durable(index)?)
    }

    /// Grows with every change of vhosts, users or permissions: what a session checked before
    /// must be checked again. Changed after the state, so who sees the new number sees the new
    /// state.
    pub fn auth_version(&self) -> u64 {
        self.auth_version.load(Ordering::Acquire)
    }

    /// Why nothing becomes durable at the moment: see [`CommandLog::stalled`].
    pub fn stalled(&self) -> Option<String> {
        self.log.stalled()
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.log.failure()
    }

    /// Writes and syncs what is left and stops the log. Nothing can be changed after.
    pub fn close(&self) {
        match self.log.close() {
            Ok(()) | Err(LogError::Closed) => {}
            Err(error) => tracing::error!(%error, "the definitions were not closed cleanly"),
        }
    }
}
