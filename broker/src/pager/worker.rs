//! The pager's thread: one queue after the other, a page at a time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::reader::Reader;
use super::{Pager, page_out};
use crate::broker::Broker;
use crate::contained::contained;
use crate::queue::Queue;
use crate::turn::Turn;

/// How long after a failed read the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

/// How long the pager has nothing to do before it gives back the memory it reads into.
const REST: Duration = Duration::from_millis(500);

/// What to do next.
enum Job {
    Load(Arc<Queue>),
    PageOut,
    Rest,
    Stop,
}

/// Works until the pager is stopped or the broker is gone.
pub(super) fn run(pager: &Pager, broker: &Weak<Broker>, clock: fn() -> u64) {
    let mut reader = Reader::default();
    let mut turn = Turn::default();
    if let Some(broker) = broker.upgrade() {
        turn = turn.mark_deliveries(broker.log());
    }
    loop {
        let job = pager.next(!reader.is_at_rest());
        let Some(broker) = broker.upgrade() else {
            return;
        };
        turn.begin(clock());
        let done = match job {
            Job::Load(queue) => {
                let loaded = contained("reading a backlog", || {
                    load(&broker, &queue, &mut reader, &mut turn)
                });
                if loaded != Some(true) {
                    pager.todo.lock().failed.push(queue);
                }
                loaded.map(|_| ())
            }
            Job::PageOut => contained("paging out", || page_out::all(&broker, pager, &mut turn)),
            Job::Rest => {
                reader = Reader::default();
                Some(())
            }
            Job::Stop => return,
        };
        let finished = contained("the end of a page", || broker.finish(&mut turn));
        if done.and(finished).is_none() {
            // It may have been left half way.
            reader = Reader::default();
        }
    }
}

impl Pager {
    /// Waits for something to do; with `then_rest`, not for long.
    fn next(&self, then_rest: bool) -> Job {
        let mut todo = self.todo.lock();
        loop {
            if todo.stopped {
                return Job::Stop;
            }
            if std::mem::take(&mut todo.page_out) {
                return Job::PageOut;
            }
            if let Some(queue) = todo.loads.pop_front() {
                return Job::Load(queue);
            }
            if todo.failed.is_empty() {
                if !then_rest {
                    self.bell.wait(&mut todo);
                } else if self.bell.wait_for(&mut todo, REST).timed_out() {
                    return Job::Rest;
                }
            } else if self.bell.wait_for(&mut todo, RETRY).timed_out() {
                let again = std::mem::take(&mut todo.failed);
                todo.loads.extend(again);
            }
        }
    }
}

/// Loads one page; when more is wanted the queue asks again. False when nothing could be read.
fn load(broker: &Broker, queue: &Arc<Queue>, reader: &mut Reader, turn: &mut Turn) -> bool {
    let Some(load) = queue.begin_load() else {
        return true;
    };
    match reader.read(broker.log(), queue, &load) {
        Ok(read) => {
            queue.end_load(load.what, &mut read.messages, &read.lost, turn);
            true
        }
        Err(error) => {
            tracing::error!(
                queue = queue.name(),
                vhost = %queue.definition().vhost,
                %error,
                "messages cannot be read back now; trying again"
            );
            false
        }
    }
}
