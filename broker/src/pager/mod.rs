//! Backlogs outside memory: the pager brings messages back from the commit log before they are
//! due, and sees to it that all queues together do not keep too many in memory.
//!
//! A [`Pager`] is what queues know: where to ask for a load, how much they may keep, how much they
//! do keep. Its thread (`worker`) reads (`reader`) into memory it uses again (`chunks`), never with
//! a queue locked, and pages out (`page_out`) while memory is short.

mod chunks;
mod page_out;
pub(crate) mod reader;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::alarms::Resources;
use crate::broker::Broker;
use crate::contained::await_end;
use crate::queue::{Queue, ResidentLimits};

/// A queue tells how much memory it keeps when that changed by so much, bytes.
const TOLD_FROM: usize = 64 << 10;

/// What a queue keeps of its backlog while memory is short.
const SHORT: ResidentLimits = ResidentLimits {
    messages: 512,
    bytes: 256 << 10,
};

/// How backlogs are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PagingSettings {
    /// What a queue keeps of its backlog in memory while there is enough of it.
    pub resident: ResidentLimits,
    /// `vm_memory_high_watermark_paging_ratio`: part of the memory watermark above which memory
    /// counts as short, before publishers are blocked.
    pub ratio: f64,
}

impl Default for PagingSettings {
    fn default() -> Self {
        Self {
            resident: ResidentLimits {
                messages: 65_536,
                bytes: 8 << 20,
            },
            ratio: 0.5,
        }
    }
}

/// See the module documentation.
pub(crate) struct Pager {
    settings: PagingSettings,
    /// Memory all queues keep for ready messages, bytes.
    used: AtomicU64,
    /// More than this is too much.
    budget: AtomicU64,
    /// The process as a whole uses too much.
    pressed: AtomicBool,
    /// Either is so.
    short: AtomicBool,
    todo: Mutex<Todo>,
    bell: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Todo {
    /// Queues that want something loaded; each is here at most once.
    loads: VecDeque<Arc<Queue>>,
    /// Those whose load failed; they wait for the next try.
    failed: Vec<Arc<Queue>>,
    /// Memory has become short.
    page_out: bool,
    stopped: bool,
}

impl Pager {
    /// A pager without its thread; see [`Broker::start_pager`].
    pub(crate) fn new(settings: PagingSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            used: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            pressed: AtomicBool::new(false),
            short: AtomicBool::new(false),
            todo: Mutex::default(),
            bell: Condvar::new(),
            thread: Mutex::new(None),
        })
    }

    /// How much of its backlog a queue may keep in memory now.
    pub(crate) fn limits(&self) -> ResidentLimits {
        if self.is_short() {
            self.settings.resident.min(SHORT)
        } else {
            self.settings.resident
        }
    }

    /// A queue keeps `now` bytes; `told` is what it last said.
    pub(crate) fn memory_changed(&self, told: &mut usize, now: usize) {
        if now.abs_diff(*told) < TOLD_FROM && (now > 0 || *told == 0) {
            return;
        }
        let change = (now as u64).wrapping_sub(*told as u64);
        *told = now;
        let before = self.used.fetch_add(change, Ordering::Relaxed);
        self.judge(before.wrapping_add(change));
    }

    /// The queue wants something loaded.
    pub(crate) fn request(&self, queue: &Arc<Queue>) {
        let mut todo = self.todo.lock();
        if !todo.stopped {
            todo.loads.push_back(Arc::clone(queue));
            self.bell.notify_one();
        }
    }

    /// What was found about memory.
    pub(crate) fn observe(&self, found: &Resources) {
        let Some(limit) = found.memory_limit else {
            return;
        };
        let budget = (limit as f64 * self.settings.ratio) as u64;
        self.budget.store(budget, Ordering::Relaxed);
        let pressed = found.memory_used.is_some_and(|used| used > budget);
        self.pressed.store(pressed, Ordering::Relaxed);
        self.judge(self.used.load(Ordering::Relaxed));
        if self.is_short() {
            // Again and again: what could not go last time may be in the log by now.
            self.want_page_out();
        }
    }

    /// Whether memory is short.
    fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Memory is short above the budget, and until a quarter of it is free again.
    fn judge(&self, used: u64) {
        let budget = self.budget.load(Ordering::Relaxed);
        let was = self.is_short();
        let enough = if was { budget / 4 * 3 } else { budget };
        let short = used > enough || self.pressed.load(Ordering::Relaxed);
        if short != was {
            self.short.store(short, Ordering::Relaxed);
            if short {
                self.want_page_out();
            }
        }
    }

    fn want_page_out(&self) {
        self.todo.lock().page_out = true;
        self.bell.notify_one();
    }

    /// Ends the thread and forgets what was asked for.
    pub(crate) fn stop(&self) {
        let mut todo = self.todo.lock();
        todo.stopped = true;
        let forgotten = (
            std::mem::take(&mut todo.loads),
            std::mem::take(&mut todo.failed),
        );
        drop(todo);
        drop(forgotten);
        self.bell.notify_all();
        await_end(&self.thread);
    }
}

impl Broker {
    /// Starts the thread that loads messages of backlogs. `clock` gives Unix milliseconds.
    pub fn start_pager(self: &Arc<Self>, clock: fn() -> u64) -> io::Result<()> {
        let pager = Arc::clone(self.pager());
        let broker: Weak<Self> = Arc::downgrade(self);
        let name = "pager".to_owned();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || worker::run(&pager, &broker, clock))?;
        *self.pager().thread.lock() = Some(thread);
        Ok(())
    }

    /// Tells the pager what was found about memory.
    pub fn observe_memory(&self, found: &Resources) {
        self.pager().observe(found);
    }
}
