//! Freeing memory when it is short: queues keep little of their backlogs, and what is not in the
//! commit log is written there, to be forgotten by the next start.

use std::sync::Arc;
use std::time::Duration;

use warren_storage::Batch;

use super::Pager;
use crate::broker::Broker;
use crate::publish::record_paged;
use crate::queue::Queue;
use crate::turn::Turn;

/// Messages written to the log at once.
const AT_ONCE: usize = 512;

/// Bytes waiting for the log thread while more is added to them.
const LOG_BACKLOG_MAX: usize = 32 << 20;

/// Pages out until memory is no longer short or every queue has given what it can.
pub(super) fn all(broker: &Broker, pager: &Pager, turn: &mut Turn) {
    for vhost in broker.vhosts() {
        for queue in vhost.queues() {
            if !pager.is_short() || pager.todo.lock().stopped {
                return;
            }
            while one(broker, &queue, turn) {
                broker.finish(turn);
                while broker.log().buffered_bytes() > LOG_BACKLOG_MAX {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }
}

/// Pages out what the queue has beyond its limits; true when some had to be written first, so that
/// it is worth another go.
fn one(broker: &Broker, queue: &Arc<Queue>, turn: &mut Turn) -> bool {
    let entries = queue.page_out(AT_ONCE, turn);
    if entries.is_empty() {
        return false;
    }
    let mut batch = Batch::new();
    for entry in &entries {
        record_paged(&mut batch, (queue.id(), entry.seq), &entry.message);
    }
    if broker.log().append(&mut batch, false).is_err() {
        return false;
    }
    queue.now_logged(&entries, turn);
    true
}
