//! A look at a vhost's traffic as it happens, for a person: a sample of at most so many messages a
//! second, from the same places as the firehose, but published nowhere.
//!
//! While nobody looks it costs nothing beyond the firehose's own question whether it is on. While
//! somebody does, a message that fits is counted down from a budget that the viewer fills again and
//! again; without budget it is only counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::stats::ConnectionInfo;
use crate::vhost::Vhost;

/// Viewers of a vhost at a time.
const VIEWERS_MAX: usize = 8;
/// Messages waiting for a viewer who does not come for them.
const WAITING_MAX: usize = 500;
/// Bytes of each body that are kept.
const BODY_BYTES: usize = 256;

/// Which messages are of interest; what is not set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveFilter {
    /// The exchange, by its name.
    pub exchange: Option<String>,
    /// A part of the routing key.
    pub key: Option<String>,
    /// A queue the message reaches, leaves or dies in.
    pub queue: Option<String>,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Published, and routed to these queues.
    Published(Vec<String>),
    /// Sent from this queue to a client, again or for the first time.
    Delivered(String, bool),
    /// Died in this queue for that reason, and went to those queues.
    Died(String, &'static str, Vec<String>),
}

/// A message that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What happened to it.
    pub happening: Happening,
    /// Its exchange.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The connection it came or went on; none for what the broker does by itself.
    pub client: Option<Client>,
    /// Bytes of its body.
    pub bytes: usize,
    /// The first of them.
    pub body: Vec<u8>,
}

/// A client's end of a message's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its connection.
    pub connection: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its user.
    pub user: String,
    /// The channel.
    pub channel: u16,
}

/// Where a message is seen: exchange, routing key, body.
#[derive(Clone, Copy)]
pub(crate) struct Passing<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) body: &'a [u8],
    /// Connection and channel.
    pub(crate) client: Option<(&'a ConnectionInfo, u16)>,
}

/// Those who look at a vhost.
#[derive(Default)]
pub(crate) struct Viewers {
    list: Mutex<Vec<Arc<Viewer>>>,
}

/// While it is held nobody else begins or ends to look.
pub(crate) struct Changing<'a> {
    _held: MutexGuard<'a, Vec<Arc<Viewer>>>,
}

struct Viewer {
    filter: LiveFilter,
    /// Messages that may still be taken; below zero: those that were not.
    budget: AtomicI64,
    waiting: Mutex<VecDeque<Sighting>>,
}

impl Viewers {
    /// Keeps others from beginning or ending to look.
    pub(crate) fn changing(&self) -> Changing<'_> {
        let _held = self.list.lock();
        Changing { _held }
    }

    /// A message passes; `what` is only made when somebody takes it.
    pub(crate) fn see(&self, passing: Passing<'_>, what: impl Fn() -> Happening) {
        for viewer in self.list.lock().iter() {
            viewer.see(passing, &what);
        }
    }
}

impl Viewer {
    fn see(&self, passing: Passing<'_>, what: &impl Fn() -> Happening) {
        let filter = &self.filter;
        let exchange = filter.exchange.as_deref();
        let key = filter.key.as_deref();
        if exchange.is_some_and(|wanted| wanted != passing.exchange)
            || key.is_some_and(|part| !passing.routing_key.contains(part))
        {
            return;
        }
        // Which queues it reaches takes allocations to say: only within the budget, then.
        if filter.queue.is_some() && self.budget.load(Ordering::Relaxed) <= 0 {
            return;
        }
        let mut happening = None;
        if let Some(queue) = &filter.queue {
            let known = happening.insert(what());
            if !known.names(queue) {
                return;
            }
        }
        if self.budget.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return;
        }
        let client = passing.client.map(|(info, channel)| Client {
            connection: info.name.clone(),
            name: info.given_name(),
            user: info.user.clone(),
            channel,
        });
        let body = passing.body;
        let sighting = Sighting {
            happening: happening.unwrap_or_else(what),
            exchange: passing.exchange.to_owned(),
            routing_key: passing.routing_key.to_owned(),
            client,
            bytes: body.len(),
            body: body[..body.len().min(BODY_BYTES)].to_vec(),
        };
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(sighting);
        }
    }
}

impl Happening {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::Published(queues) => queues.iter().any(|queue| queue == wanted),
            Self::Delivered(queue, _) => queue == wanted,
            Self::Died(queue, _, to) => queue == wanted || to.iter().any(|to| to == wanted),
        }
    }
}

/// One look; it ends when this is dropped.
pub struct LiveTrace {
    vhost: Arc<Vhost>,
    viewer: Arc<Viewer>,
}

impl LiveTrace {
    /// Begins to look; nothing is taken before the first [`take`](Self::take). `None` when too many
    /// look already.
    pub fn begin(vhost: &Arc<Vhost>, filter: LiveFilter) -> Option<Self> {
        let viewer = Arc::new(Viewer {
            filter,
            budget: AtomicI64::new(0),
            waiting: Mutex::default(),
        });
        let mut list = vhost.viewers().list.lock();
        if list.len() >= VIEWERS_MAX {
            return None;
        }
        list.push(Arc::clone(&viewer));
        vhost.set_watched(true);
        drop(list);
        Some(Self {
            vhost: Arc::clone(vhost),
            viewer,
        })
    }

    /// What has passed since the last time, and how many that fitted were left out; from now on up
    /// to `budget` more are taken.
    pub fn take(&self, budget: u32) -> (Vec<Sighting>, u64) {
        let seen = self.viewer.waiting.lock().drain(..).collect();
        let left = self
            .viewer
            .budget
            .swap(i64::from(budget), Ordering::Relaxed);
        (seen, left.min(0).unsigned_abs())
    }
}

impl Drop for LiveTrace {
    fn drop(&mut self) {
        let mut list = self.vhost.viewers().list.lock();
        list.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.vhost.set_watched(!list.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(filter: LiveFilter, budget: i64) -> Viewer {
        Viewer {
            filter,
            budget: AtomicI64::new(budget),
            waiting: Mutex::default(),
        }
    }

    fn see(viewer: &Viewer, exchange: &str, routing_key: &str, queue: &str) -> usize {
        let passing = Passing {
            exchange,
            routing_key,
            body: &[b'x'; 1000],
            client: None,
        };
        viewer.see(passing, &|| Happening::Published(vec![queue.to_owned()]));
        viewer.waiting.lock().len()
    }

    #[test]
    fn only_what_fits_is_taken() {
        let some = |text: &str| Some(text.to_owned());
        let filter = LiveFilter {
            exchange: some("x"),
            key: some("created"),
            queue: some("q"),
        };
        let viewer = viewer(filter, 100);
        assert_eq!(see(&viewer, "y", "order.created", "q"), 0);
        assert_eq!(see(&viewer, "x", "order.gone", "q"), 0);
        assert_eq!(see(&viewer, "x", "order.created", "other"), 0);
        assert_eq!(see(&viewer, "x", "order.created", "q"), 1);
        let seen = viewer.waiting.lock()[0].clone();
        assert_eq!((seen.bytes, seen.body.len()), (1000, BODY_BYTES));
    }

    #[test]
    fn a_budget_bounds_what_is_taken_and_counts_the_rest() {
        let viewer = viewer(LiveFilter::default(), 2);
        for _ in 0..5 {
            see(&viewer, "x", "k", "q");
        }
        assert_eq!(viewer.waiting.lock().len(), 2);
        assert_eq!(viewer.budget.load(Ordering::Relaxed), -3);
        viewer.budget.store(10_000, Ordering::Relaxed);
        for _ in 0..2 * WAITING_MAX {
            see(&viewer, "x", "k", "q");
        }
        assert_eq!(viewer.waiting.lock().len(), WAITING_MAX);
    }
}
