//! Counters: relaxed atomics that only grow, added to once per batch of messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::sampler::{Sampled, Sampler, Track};
use super::series::{GLOBAL, Level};
use crate::dead_lately::{DeadLately, RecentlyDead};
use crate::unroutable::{RecentlyUnroutable, Unroutable};

/// Adds without asking for an order; nothing is written when there is nothing to add.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// What can happen to messages, as RabbitMQ's `message_stats` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// Published by a client; on a queue: routed to it.
    Publish,
    /// Confirmed to the publisher.
    Confirm,
    /// Unroutable, and returned because mandatory.
    ReturnUnroutable,
    /// Unroutable and dropped.
    DropUnroutable,
    /// Delivered to a consumer that acknowledges.
    Deliver,
    /// Delivered to a consumer that does not.
    DeliverNoAck,
    /// Fetched with `basic.get`, to be acknowledged.
    Get,
    /// Fetched with `basic.get` without acknowledgement.
    GetNoAck,
    /// `basic.get` that found the queue empty.
    GetEmpty,
    /// Of all delivered and fetched: those marked redelivered.
    Redeliver,
    /// Acknowledged.
    Ack,
    /// Messages read back from the disk.
    DiskReads,
    /// Messages written to the commit log.
    DiskWrites,
}

/// Number of [`Event`]s.
pub const EVENTS: usize = 13;

impl Event {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; EVENTS] = [
        Self::Publish,
        Self::Confirm,
        Self::ReturnUnroutable,
        Self::DropUnroutable,
        Self::Deliver,
        Self::DeliverNoAck,
        Self::Get,
        Self::GetNoAck,
        Self::GetEmpty,
        Self::Redeliver,
        Self::Ack,
        Self::DiskReads,
        Self::DiskWrites,
    ];

    /// Its name in `message_stats`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Confirm => "confirm",
            Self::ReturnUnroutable => "return_unroutable",
            Self::DropUnroutable => "drop_unroutable",
            Self::Deliver => "deliver",
            Self::DeliverNoAck => "deliver_no_ack",
            Self::Get => "get",
            Self::GetNoAck => "get_no_ack",
            Self::GetEmpty => "get_empty",
            Self::Redeliver => "redeliver",
            Self::Ack => "ack",
            Self::DiskReads => "disk_reads",
            Self::DiskWrites => "disk_writes",
        }
    }
}

/// What has happened and is not told yet.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    numbers: [u64; EVENTS],
    /// The events that have, a bit each: nearly always one or two.
    which: u32,
}

impl Happened {
    /// Adds `n` of them.
    pub(crate) fn add(&mut self, event: Event, n: u64) {
        if n > 0 {
            self.numbers[event as usize] += n;
            self.which |= 1 << event as u32;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.which == 0
    }

    fn each(&self, mut see: impl FnMut(Event, u64)) {
        let mut left = self.which;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            see(Event::ALL[index], self.numbers[index]);
            left &= left - 1;
        }
    }
}

/// One counter per [`Event`].
#[derive(Debug, Default)]
pub struct MessageStats([AtomicU64; EVENTS]);

impl MessageStats {
    /// Counts `n` of them.
    pub fn add(&self, event: Event, n: u64) {
        add(&self.0[event as usize], n);
    }

    /// How many there were.
    pub fn get(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }

    /// All counters, by the number of their event.
    pub fn all(&self) -> [u64; EVENTS] {
        std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed))
    }
}

/// Bytes and packets of a connection, or of all connections to a vhost.
#[derive(Debug, Default)]
pub struct Octets {
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// Reads from the socket.
    pub reads: AtomicU64,
    /// Writes to the socket.
    pub writes: AtomicU64,
}

/// Traffic through an exchange.
pub struct ExchangeStats {
    publish_in: AtomicU64,
    publish_out: AtomicU64,
    vhost: Arc<VhostStats>,
    track: Track,
}

impl ExchangeStats {
    pub(crate) fn new(vhost: &Arc<VhostStats>) -> Arc<Self> {
        Arc::new(Self {
            publish_in: AtomicU64::new(0),
            publish_out: AtomicU64::new(0),
            vhost: Arc::clone(vhost),
            track: Track::new(vhost.sampler()),
        })
    }

    /// The counters of its vhost.
    pub(crate) fn vhost(&self) -> &Arc<VhostStats> {
        &self.vhost
    }

    /// Counts messages published to the exchange, and the queues they were routed to.
    pub(crate) fn count(self: &Arc<Self>, published: u64, routed: u64) {
        add(&self.publish_in, published);
        add(&self.publish_out, routed);
        self.track.touched(self);
    }

    /// Messages published to it.
    pub fn publish_in(&self) -> u64 {
        self.publish_in.load(Ordering::Relaxed)
    }

    /// Messages it routed, once per queue.
    pub fn publish_out(&self) -> u64 {
        self.publish_out.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for ExchangeStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in, {} out", self.publish_in(), self.publish_out())
    }
}

impl Sampled for ExchangeStats {
    fn track(&self) -> &Track {
        &self.track
    }

    fn read(&self, values: &mut Vec<u64>) {
        values.extend([self.publish_in(), self.publish_out()]);
    }
}

/// Totals of a vhost: of everything that ever was in it, and of what its queues hold.
pub struct VhostStats {
    /// Messages.
    pub messages: MessageStats,
    /// Bytes of its clients.
    pub octets: Octets,
    ready: AtomicI64,
    unacked: AtomicI64,
    /// What reached no queue lately.
    pub(crate) unroutable: RecentlyUnroutable,
    /// What died lately.
    pub(crate) dead: RecentlyDead,
    track: Track,
}

impl VhostStats {
    pub(crate) fn new(sampler: &Arc<Sampler>) -> Arc<Self> {
        Arc::new(Self {
            messages: MessageStats::default(),
            octets: Octets::default(),
            ready: AtomicI64::new(0),
            unacked: AtomicI64::new(0),
            unroutable: RecentlyUnroutable::default(),
            dead: RecentlyDead::default(),
            track: Track::new(sampler),
        })
    }

    /// What reached no queue lately, the latest first.
    pub fn unroutable(&self) -> Vec<Unroutable> {
        self.unroutable.list()
    }

    /// What died within the last minutes, by queue and reason, the most first.
    pub fn dead_lately(&self, now_ms: u64) -> Vec<DeadLately> {
        self.dead.list(now_ms)
    }

    /// Counts bytes in one direction or both.
    pub fn count_octets(self: &Arc<Self>, received: u64, sent: u64) {
        add(&self.octets.received, received);
        add(&self.octets.sent, sent);
        self.track.touched(self);
    }

    /// Counts `n` of something.
    pub fn count(self: &Arc<Self>, event: Event, n: u64) {
        if n > 0 {
            self.messages.add(event, n);
            self.track.touched(self);
        }
    }

    pub(crate) fn count_all(self: &Arc<Self>, happened: &Happened) {
        happened.each(|event, n| self.messages.add(event, n));
        self.track.touched(self);
    }

    /// The queues hold so many more, or less.
    pub(crate) fn depth_changed(self: &Arc<Self>, ready: i64, unacked: i64) {
        for (total, change) in [(&self.ready, ready), (&self.unacked, unacked)] {
            if change != 0 {
                total.fetch_add(change, Ordering::Relaxed);
            }
        }
        self.track.touched(self);
    }

    /// Ready messages in all its queues.
    pub fn ready(&self) -> u64 {
        // Below zero only while two queues' changes overtake each other.
        self.ready.load(Ordering::Relaxed).max(0) as u64
    }

    /// Messages delivered and not settled in all its queues.
    pub fn unacked(&self) -> u64 {
        self.unacked.load(Ordering::Relaxed).max(0) as u64
    }

    pub(crate) fn sampler(&self) -> &Arc<Sampler> {
        self.track.sampler()
    }
}

impl Sampled for VhostStats {
    fn track(&self) -> &Track {
        &self.track
    }

    /// Events, then ready, unacked, bytes received, bytes sent.
    fn read(&self, values: &mut Vec<u64>) {
        values.extend(self.messages.all());
        values.extend([self.ready(), self.unacked()]);
        let octets = &self.octets;
        values.extend([&octets.received, &octets.sent].map(|n| n.load(Ordering::Relaxed)));
    }

    fn levels(&self) -> &'static [Level] {
        GLOBAL
    }
}

/// Why messages died, as RabbitMQ's global counters name it.
#[derive(Debug, Default)]
pub struct DeadLettered {
    /// Their time to live was over.
    pub expired: AtomicU64,
    /// A consumer rejected them.
    pub rejected: AtomicU64,
    /// Their queue was full.
    pub maxlen: AtomicU64,
    /// Delivered too often.
    pub delivery_limit: AtomicU64,
}

/// Upper bounds of the histogram of message sizes, bytes.
pub const SIZE_BOUNDS: [u64; 9] = [
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    u64::MAX,
];

/// Message sizes gathered by one batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    buckets: [u64; SIZE_BOUNDS.len()],
    bytes: u64,
}

impl Sizes {
    pub(crate) fn add(&mut self, body_len: usize) {
        let len = body_len as u64;
        let bucket = SIZE_BOUNDS.iter().position(|bound| len <= *bound);
        self.buckets[bucket.unwrap_or(SIZE_BOUNDS.len() - 1)] += 1;
        self.bytes += len;
    }
}

/// Sizes of published messages.
#[derive(Debug, Default)]
pub struct SizeHistogram {
    buckets: [AtomicU64; SIZE_BOUNDS.len()],
    bytes: AtomicU64,
}

impl SizeHistogram {
    pub(crate) fn add(&self, sizes: &Sizes) {
        for (total, n) in self.buckets.iter().zip(&sizes.buckets) {
            add(total, *n);
        }
        add(&self.bytes, sizes.bytes);
    }

    /// Messages not larger than each bound, and the bytes of all bodies.
    pub fn cumulative(&self) -> ([u64; SIZE_BOUNDS.len()], u64) {
        let mut sum = 0;
        let buckets = std::array::from_fn(|index| {
            sum += self.buckets[index].load(Ordering::Relaxed);
            sum
        });
        (buckets, self.bytes.load(Ordering::Relaxed))
    }
}
