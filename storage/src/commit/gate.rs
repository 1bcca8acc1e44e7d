//! Blocking until a position is decided.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Durable;

#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// True when it has been opened; looks for at most `time`.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut open = self.open.lock();
        while !*open {
            if self.changed.wait_until(&mut open, until).timed_out() {
                break;
            }
        }
        *open
    }
}

impl Durable for Gate {
    fn durable(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
}
