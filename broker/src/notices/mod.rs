//! What the broker tells about itself in messages: traced traffic (rows O-20, O-21) and events
//! (rows O-23, O-24).
//!
//! Whoever has something to tell leaves a [`Notice`] here, whatever locks it holds; a thread of
//! its own publishes them in order. When nobody listens, nothing is gathered: traffic is traced
//! only in vhosts where tracing is on, and events are made only while something is bound to the
//! event exchange. What comes faster than it can be published is dropped, and the log says so.

mod definitions;
mod event;
mod live;
mod trace;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::broker::Broker;
use crate::contained::await_end;
use event::Event;
pub use live::{Client, Happening, LiveFilter, LiveTrace, Sighting};
pub(crate) use live::{Passing, Viewers};
pub use trace::Tap;
use trace::Traced;

/// Where traced messages go.
pub(crate) const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Where events go.
pub(crate) const EVENT_EXCHANGE: &str = "amq.rabbitmq.event";

/// Who did what no user asked for.
pub(crate) const INTERNAL_USER: &str = "rmq-internal";

/// Bytes waiting beyond which notices are dropped.
const WAITING_MAX: usize = 32 << 20;

/// Something to be published.
enum Notice {
    Traced(Traced),
    Event(Event),
}

impl Notice {
    /// About what it takes in memory.
    fn weight(&self) -> usize {
        match self {
            Self::Traced(traced) => traced.weight(),
            Self::Event(event) => event.weight(),
        }
    }
}

/// See the module documentation.
pub(crate) struct Notices {
    /// Something is bound to the event exchange.
    listened: AtomicBool,
    todo: Mutex<Todo>,
    bell: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Todo {
    waiting: VecDeque<Notice>,
    bytes: usize,
    dropped: u64,
    stopped: bool,
}

impl Notices {
    /// Without its thread; see [`Broker::start_notices`].
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            listened: AtomicBool::new(false),
            todo: Mutex::default(),
            bell: Condvar::new(),
            thread: Mutex::new(None),
        })
    }

    /// Whether events are of use to anybody.
    pub(crate) fn wanted(&self) -> bool {
        self.listened.load(Ordering::Relaxed)
    }

    /// Whether something is bound to the event exchange.
    pub(crate) fn set_wanted(&self, listened: bool) {
        self.listened.store(listened, Ordering::Relaxed);
    }

    fn push(&self, notice: Notice) {
        let weight = notice.weight();
        let mut todo = self.todo.lock();
        if todo.stopped {
            return;
        }
        if todo.bytes + weight > WAITING_MAX && !todo.waiting.is_empty() {
            todo.dropped += 1;
            return;
        }
        todo.bytes += weight;
        todo.waiting.push_back(notice);
        if todo.waiting.len() == 1 {
            self.bell.notify_one();
        }
    }

    /// All that waits, once something does, and how many were dropped; `None` at the end.
    fn next(&self) -> Option<(VecDeque<Notice>, u64)> {
        let mut todo = self.todo.lock();
        while todo.waiting.is_empty() {
            if todo.stopped {
                return None;
            }
            self.bell.wait(&mut todo);
        }
        todo.bytes = 0;
        let dropped = std::mem::take(&mut todo.dropped);
        Some((std::mem::take(&mut todo.waiting), dropped))
    }

    /// Ends the thread once what waits is published.
    pub(crate) fn stop(&self) {
        self.todo.lock().stopped = true;
        self.bell.notify_all();
        await_end(&self.thread);
    }
}

impl Broker {
    /// Starts the thread that publishes notices. `clock` gives Unix milliseconds.
    pub fn start_notices(self: &Arc<Self>, clock: fn() -> u64) -> io::Result<()> {
        let notices = Arc::clone(self.notices());
        let broker: Weak<Self> = Arc::downgrade(self);
        let thread = std::thread::Builder::new()
            .name("notices".to_owned())
            .spawn(move || worker::run(&notices, &broker, clock))?;
        *self.notices().thread.lock() = Some(thread);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
