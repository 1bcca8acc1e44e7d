//! Waking connections that sit on another worker.
//!
//! To wake a task of another worker its thread must be woken, through the system; for a publisher
//! of a hundred queues that is a hundred calls, and each consumer then writes what little it was
//! given so far. So a worker has one bell for all its tasks: who rings it says whom to wake, and
//! what a connection rings in one step sounds when the step ends.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

thread_local! {
    /// The bell of this thread's worker.
    static HERE: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    /// What is to sound when the step ends; none outside of a step.
    static RUNG: RefCell<Option<Vec<Arc<Bell>>>> = const { RefCell::new(None) };
}

/// A worker's bell.
#[derive(Default)]
pub(crate) struct Bell {
    /// Who is to be woken.
    sleepers: Mutex<Vec<Waker>>,
    sound: Notify,
}

impl Bell {
    /// Makes it the bell of this thread and answers it. Never ends.
    pub(crate) async fn answer(self: Arc<Self>) {
        HERE.set(Some(Arc::clone(&self)));
        let mut woken = Vec::new();
        loop {
            self.sound.notified().await;
            std::mem::swap(&mut woken, &mut *self.sleepers.lock());
            woken.drain(..).for_each(Waker::wake);
        }
    }

    fn ring(self: &Arc<Self>, sleeper: &Waker) {
        self.sleepers.lock().push(sleeper.clone());
        let later = RUNG.with_borrow_mut(|rung| {
            let Some(rung) = rung else { return false };
            if !rung.iter().any(|bell| Arc::ptr_eq(bell, self)) {
                rung.push(Arc::clone(self));
            }
            true
        });
        if !later {
            self.sound.notify_one();
        }
    }
}

/// Keeps bells silent until it is dropped.
pub(crate) struct Silence(());

impl Silence {
    /// For this thread, which must not keep one yet.
    pub(crate) fn keep() -> Self {
        RUNG.set(Some(Vec::new()));
        Self(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        sound();
        RUNG.set(None);
    }
}

/// Has what was rung so far sound at once: this thread is about to wait.
pub(crate) fn sound() {
    RUNG.with_borrow_mut(|rung| {
        let rung = rung.iter_mut().flat_map(|rung| rung.drain(..));
        rung.for_each(|bell| bell.sound.notify_one());
    });
}

/// How to wake a task wherever it sits.
#[derive(Clone)]
pub(crate) struct Wakeup {
    waker: Waker,
    /// Of its worker, if it sits on one.
    bell: Option<Arc<Bell>>,
}

impl Wakeup {
    /// For the task that is running.
    pub(crate) fn of(context: &Context<'_>) -> Self {
        Self {
            waker: context.waker().clone(),
            bell: HERE.with_borrow(Option::clone),
        }
    }

    /// Whether it wakes the task that is running.
    pub(crate) fn is_of(&self, context: &Context<'_>) -> bool {
        self.waker.will_wake(context.waker())
    }

    /// Wakes it.
    pub(crate) fn wake(&self) {
        let here = |bell: &Arc<Bell>| {
            HERE.with_borrow(|here| here.as_ref().is_some_and(|here| Arc::ptr_eq(here, bell)))
        };
        match &self.bell {
            Some(bell) if !here(bell) => bell.ring(&self.waker),
            _ => self.waker.wake_by_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    /// A task that only counts how often it is woken.
    #[derive(Default)]
    struct Sleeper(AtomicU32);

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Sleeper {
        fn on(self: &Arc<Self>, bell: &Arc<Bell>) -> Wakeup {
            Wakeup {
                waker: Arc::clone(self).into(),
                bell: Some(Arc::clone(bell)),
            }
        }

        fn woken(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// Has the worker of this bell look whether it sounds; does `then` on its thread.
    fn look(bell: &Arc<Bell>, then: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut answer = pin!(Arc::clone(bell).answer());
                let mut context = Context::from_waker(Waker::noop());
                assert!(answer.as_mut().poll(&mut context).is_pending());
                then();
            });
        });
    }

    #[test]
    fn what_is_rung_in_a_step_sounds_when_it_ends() {
        let bell = Arc::new(Bell::default());
        let [one, other] = [0, 1].map(|_| Arc::new(Sleeper::default()));
        let silence = Silence::keep();
        one.on(&bell).wake();
        other.on(&bell).wake();
        look(&bell, || {});
        assert_eq!((one.woken(), other.woken()), (0, 0));
        drop(silence);
        look(&bell, || {});
        assert_eq!((one.woken(), other.woken()), (1, 1));
    }

    #[test]
    fn a_step_that_waits_sounds_before() {
        let bell = Arc::new(Bell::default());
        let sleeper = Arc::new(Sleeper::default());
        let _silence = Silence::keep();
        for n in 1..3 {
            sleeper.on(&bell).wake();
            sound();
            look(&bell, || {});
            assert_eq!(sleeper.woken(), n);
        }
    }

    #[test]
    fn outside_of_a_step_it_sounds_at_once() {
        let bell = Arc::new(Bell::default());
        let sleeper = Arc::new(Sleeper::default());
        sleeper.on(&bell).wake();
        look(&bell, || {});
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn on_its_own_worker_a_task_needs_no_bell() {
        let bell = Arc::new(Bell::default());
        let sleeper = Arc::new(Sleeper::default());
        look(&bell, || {
            let _silence = Silence::keep();
            sleeper.on(&bell).wake();
            assert_eq!(sleeper.woken(), 1);
        });
    }
}
