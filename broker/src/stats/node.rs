//! Totals of the node. They never go back: what a deleted vhost had counted stays in them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::counters::{DeadLettered, EVENTS, SizeHistogram, VhostStats};
use super::machine::Machine;
use super::sampler::{Sampled, Sampler, Track};
use super::series::{GLOBAL, Level};

/// Comings and goings since the start of the node.
#[derive(Debug, Default)]
pub struct Churn {
    /// Connections that opened a vhost.
    pub connections_opened: AtomicU64,
    /// Connections that ended.
    pub connections_closed: AtomicU64,
    /// Channels open now.
    pub channels: AtomicU64,
    /// Channels ever opened.
    pub channels_opened: AtomicU64,
    /// Channels ever closed.
    pub channels_closed: AtomicU64,
    /// Queue declarations that succeeded, of new and of existing queues.
    pub queues_declared: AtomicU64,
    /// Queues ever made since the start.
    pub queues_created: AtomicU64,
    /// Queues ever deleted since the start.
    pub queues_deleted: AtomicU64,
}

/// Attempts to log in over one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginCount {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that were refused.
    pub failed: u64,
}

/// The protocols somebody can log in over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// AMQP 0-9-1.
    Amqp,
    /// The management API.
    Http,
}

impl Login {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http, Self::Amqp];

    /// Its name in `auth/attempts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp091",
            Self::Http => "http",
        }
    }
}

#[derive(Default)]
struct Vhosts {
    by_name: HashMap<String, Arc<VhostStats>>,
    retired: [u64; EVENTS],
}

/// Totals of the node.
pub struct NodeStats {
    /// Comings and goings.
    pub churn: Churn,
    /// Messages that died, of queues that dead-letter at most once, and at least once.
    pub dead_lettered: [DeadLettered; 2],
    /// Sizes of published messages.
    pub sizes: SizeHistogram,
    pub(crate) received_confirm: AtomicU64,
    pub(crate) routed: AtomicU64,
    vhosts: Mutex<Vhosts>,
    machine: Mutex<Machine>,
    logins: Mutex<[LoginCount; 2]>,
    track: Track,
}

impl NodeStats {
    /// Nothing counted yet.
    pub(crate) fn new(sampler: &Arc<Sampler>) -> Arc<Self> {
        Arc::new(Self {
            churn: Churn::default(),
            dead_lettered: Default::default(),
            sizes: SizeHistogram::default(),
            received_confirm: AtomicU64::new(0),
            routed: AtomicU64::new(0),
            vhosts: Mutex::default(),
            machine: Mutex::default(),
            logins: Mutex::default(),
            track: Track::new(sampler),
        })
    }

    /// What samples all this.
    pub fn sampler(&self) -> &Arc<Sampler> {
        self.track.sampler()
    }

    /// The counters of a vhost that is being made.
    pub(crate) fn add_vhost(&self, name: &str) -> Arc<VhostStats> {
        let stats = VhostStats::new(self.sampler());
        let mut vhosts = self.vhosts.lock();
        let before = vhosts.by_name.insert(name.to_owned(), Arc::clone(&stats));
        if let Some(before) = before {
            retire(&mut vhosts.retired, &before);
        }
        stats
    }

    /// Keeps what a deleted vhost had counted.
    pub(crate) fn retire_vhost(&self, name: &str, stats: &Arc<VhostStats>) {
        let mut vhosts = self.vhosts.lock();
        // Another one of that name may have taken its place, and retired it.
        let current = vhosts.by_name.get(name);
        if current.is_some_and(|current| Arc::ptr_eq(current, stats)) {
            vhosts.by_name.remove(name);
            retire(&mut vhosts.retired, stats);
        }
    }

    /// Everything counted in all vhosts, also those that are gone.
    pub fn messages(&self) -> [u64; EVENTS] {
        let vhosts = self.vhosts.lock();
        let mut sum = vhosts.retired;
        for stats in vhosts.by_name.values() {
            add_to(&mut sum, &stats.messages.all());
        }
        sum
    }

    /// Ready and unacked messages of all queues.
    pub fn depth(&self) -> (u64, u64) {
        let vhosts = self.vhosts.lock();
        vhosts.by_name.values().fold((0, 0), |sum, stats| {
            (sum.0 + stats.ready(), sum.1 + stats.unacked())
        })
    }

    /// Of the published messages: those on channels in confirm mode.
    pub fn received_confirm(&self) -> u64 {
        self.received_confirm.load(Ordering::Relaxed)
    }

    /// Messages routed, once per queue.
    pub fn routed(&self) -> u64 {
        self.routed.load(Ordering::Relaxed)
    }

    /// Counts an attempt to log in.
    pub fn count_login(&self, over: Login, succeeded: bool) {
        let count = &mut self.logins.lock()[over as usize];
        if succeeded {
            count.succeeded += 1;
        } else {
            count.failed += 1;
        }
    }

    /// Attempts to log in so far.
    pub fn logins(&self, over: Login) -> LoginCount {
        self.logins.lock()[over as usize]
    }

    /// Starts counting logins over.
    pub fn reset_logins(&self) {
        *self.logins.lock() = Default::default();
    }

    /// What the operating system last said about the process.
    pub fn machine(&self) -> Machine {
        *self.machine.lock()
    }

    /// Samples everything that has changed, and the process.
    pub fn sample(self: &Arc<Self>, now_ms: u64, machine: Machine) {
        *self.machine.lock() = machine;
        self.track.touched(self);
        self.sampler().sample(now_ms);
    }

    /// Where the sampled numbers of [`Churn`] begin; in the order of [`Self::CHURN`].
    pub const CHURN_AT: usize = EVENTS + 2;

    /// Names of the comings and goings.
    pub const CHURN: [&'static str; 7] = [
        "channel_closed",
        "channel_created",
        "connection_closed",
        "connection_created",
        "queue_created",
        "queue_declared",
        "queue_deleted",
    ];

    /// Where the sampled numbers of [`Machine`] begin; in the order of [`Machine::NAMES`].
    pub const MACHINE_AT: usize = Self::CHURN_AT + Self::CHURN.len();

    /// The comings and goings in the order of [`Self::CHURN`].
    pub fn churn(&self) -> [u64; 7] {
        let churn = &self.churn;
        [
            &churn.channels_closed,
            &churn.channels_opened,
            &churn.connections_closed,
            &churn.connections_opened,
            &churn.queues_created,
            &churn.queues_declared,
            &churn.queues_deleted,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Sampled for NodeStats {
    fn track(&self) -> &Track {
        &self.track
    }

    /// Events, ready, unacked, comings and goings, the machine.
    fn read(&self, values: &mut Vec<u64>) {
        values.extend(self.messages());
        let (ready, unacked) = self.depth();
        values.extend([ready, unacked]);
        values.extend(self.churn());
        values.extend(self.machine().values().map(Option::unwrap_or_default));
    }

    fn levels(&self) -> &'static [Level] {
        GLOBAL
    }
}

fn retire(retired: &mut [u64; EVENTS], gone: &VhostStats) {
    add_to(retired, &gone.messages.all());
}

fn add_to(sum: &mut [u64; EVENTS], more: &[u64; EVENTS]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Event;

    #[test]
    fn totals_survive_their_vhosts() {
        let node = NodeStats::new(&Sampler::new(5000, 0));
        let a = node.add_vhost("a");
        a.count(Event::Publish, 3);
        node.add_vhost("b").count(Event::Publish, 4);
        assert_eq!(node.messages()[Event::Publish as usize], 7);
        node.retire_vhost("a", &a);
        assert_eq!(node.messages()[Event::Publish as usize], 7);
        // Of the same name and new.
        node.add_vhost("b").count(Event::Publish, 1);
        assert_eq!(node.messages()[Event::Publish as usize], 8);
    }
}
