//! What the handle of a log and its threads share.

use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{Durable, Gather, Pace, Sink};

pub(super) struct Open<G> {
    pub(super) gather: G,
    /// The last position given out.
    pub(super) end: u64,
    /// Bytes gathered since the last take.
    pub(super) bytes: usize,
    /// Somebody waits: take at once.
    pub(super) urgent: bool,
    /// When the first thing that nobody waits for was added.
    pub(super) dirty_since: Option<Instant>,
    /// Take what is there, then end.
    pub(super) closing: bool,
    /// When to try again what has failed.
    pub(super) retry_at: Option<Instant>,
    pub(super) parked: Parked,
}

/// What the thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parked {
    /// It works.
    No,
    /// It looks again within the idle time.
    Shortly,
    /// It must be woken.
    ForGood,
}

/// What belongs to whoever makes a round.
pub(super) struct Engine<W> {
    pub(super) sink: Box<dyn Sink<W>>,
    /// What the last round wrote; not durable while `stalled`.
    pub(super) work: W,
    pub(super) round: Round,
    /// A commit has failed and `work` must be written again before anything else.
    pub(super) stalled: bool,
}

/// What a round covers.
#[derive(Clone, Copy, Default)]
pub(super) struct Round {
    pub(super) end: u64,
    pub(super) bytes: usize,
}

pub(super) struct Shared<G: Gather> {
    pub(super) open: Mutex<Open<G>>,
    /// Taken before `open`.
    pub(super) engine: Mutex<Engine<G::Work>>,
    pub(super) wake: Condvar,
    pub(super) pace: Pace,
    pub(super) end: AtomicU64,
    pub(super) durable: AtomicU64,
    pub(super) synced: AtomicU64,
    pub(super) buffered: AtomicUsize,
    pub(super) syncs: AtomicU64,
    /// Mean time of a round, nanoseconds.
    pub(super) round_ns: AtomicU64,
    /// Callers may commit by themselves at all.
    pub(super) may_lead: bool,
    /// A sync in the background has failed.
    pub(super) sync_failed: Mutex<Option<io::Error>>,
    pub(super) stalled: Mutex<Option<String>>,
    pub(super) failure: OnceLock<String>,
    pub(super) stopped: AtomicBool,
    pub(super) waiters: Mutex<Vec<(u64, Arc<dyn Durable>)>>,
}
