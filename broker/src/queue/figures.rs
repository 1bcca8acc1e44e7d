//! What can be told about a queue: depth, counters, consumers; and how its vhost hears of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use warren_amqp::{parse_content_header, parse_properties};

use super::state::{Counts, Depth, QueueState};
use super::{ConsumerInfo, ConsumerLoad, Queue};
use crate::ids::ConsumerId;
use crate::stats::{EVENTS, Event, Happened, Sampled, Track};

impl Queue {
    /// Numbers of messages and consumers.
    pub fn depth(&self) -> Depth {
        self.state.lock().depth()
    }

    /// Counters, by the number of their [`Event`].
    pub fn counts(&self) -> [u64; EVENTS] {
        let counts = *self.state.lock().counts();
        self.with_counted(counts)
    }

    /// Depth and counters of one moment.
    pub fn reading(&self) -> (Depth, [u64; EVENTS]) {
        let state = self.state.lock();
        let (depth, counts) = (state.depth(), *state.counts());
        drop(state);
        (depth, self.with_counted(counts))
    }

    fn with_counted(&self, mut counts: Counts) -> Counts {
        for event in [Event::Publish, Event::DiskReads, Event::DiskWrites] {
            counts[event as usize] += self.counted.get(event);
        }
        counts
    }

    /// Counts messages that clients published to it, and how many of them were logged.
    pub(crate) fn count_published(self: &Arc<Self>, n: u64, logged: u64) {
        self.counted.add(Event::Publish, n);
        self.counted.add(Event::DiskWrites, logged);
        self.vhost_stats.count(Event::DiskWrites, logged);
        self.track.touched(self);
    }

    /// The timestamp property of the message delivered next, seconds since 1970.
    pub fn head_timestamp(&self) -> Option<u64> {
        let head = self.state.lock().head()?;
        let content = parse_content_header(head.header()).ok()?;
        parse_properties(content.properties).ok()?.timestamp
    }

    /// The consumer served when the queue is single-active.
    pub fn active_consumer(&self) -> Option<ConsumerId> {
        self.state.lock().active_consumer()
    }

    /// Calls `see` with every consumer.
    pub fn each_consumer(&self, mut see: impl FnMut(&ConsumerInfo)) {
        self.state
            .lock()
            .consumers()
            .iter()
            .for_each(|consumer| see(&consumer.info));
    }

    /// Calls `see` with every consumer and how it does.
    pub fn each_consumer_load(&self, mut see: impl FnMut(&ConsumerInfo, ConsumerLoad)) {
        let state = self.state.lock();
        let consumers = state.consumers().iter();
        consumers.for_each(|consumer| see(&consumer.info, consumer.load()));
    }

    pub(super) fn tell_vhost(self: &Arc<Self>, happened: &Happened, before: &Tally, after: &Tally) {
        if !happened.is_empty() {
            self.vhost_stats.count_all(happened);
        }
        let ready = after.ready as i64 - before.ready as i64;
        let unacked = after.unacked as i64 - before.unacked as i64;
        self.vhost_stats.depth_changed(ready, unacked);
        self.track.touched(self);
    }
}

/// The depth that is told to the vhost: of a deleted queue there is none.
#[derive(PartialEq)]
pub(super) struct Tally {
    ready: usize,
    unacked: usize,
}

impl Tally {
    pub(super) fn of(state: &QueueState) -> Self {
        let (ready, unacked) = match state.deleted() {
            true => (0, 0),
            false => state.ready_and_unacked(),
        };
        Self { ready, unacked }
    }
}

impl Sampled for Queue {
    fn track(&self) -> &Track {
        &self.track
    }

    /// Events, ready, unacked.
    fn read(&self, values: &mut Vec<u64>) {
        let (depth, counts) = self.reading();
        values.extend(counts);
        values.extend([depth.ready as u64, depth.unacked as u64]);
    }

    fn origin(&self, values: &mut [u64]) {
        values[EVENTS] = self.recovered.load(Ordering::Relaxed);
    }
}
