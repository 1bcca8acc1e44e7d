//! Property tests of a queue whose backlog does not fit in memory, with a log and a pager that are
//! a map and a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use warren_storage::{QueueId, RecoveredQueue, Seq};

use super::entry::{Entry, ResidentLimits};
use super::loading::{HeadWaiter, Load};
use super::state::{Arrivals, Effects, Got, Logged, QueueState};
use super::tests::{Taker, consumer, taker};
use crate::arguments::QueueArguments;
use crate::ids::ConsumerId;
use crate::message::{Chunk, FLAG_EXPIRES, FLAG_PERSISTENT, Message, Meta};

const LIMITS: ResidentLimits = ResidentLimits {
    messages: 16,
    bytes: 1 << 20,
};

#[derive(Clone, Debug)]
enum Op {
    /// Messages, every so many of them not in the log, with this expiration.
    Publish {
        n: u64,
        unlogged: bool,
        ttl: Option<u64>,
    },
    /// Two publishers, the later numbers first.
    PublishCrossed(u64),
    Consume {
        prefetch: u32,
    },
    Cancel,
    Ack(usize),
    Requeue(usize),
    Reject(usize),
    Get,
    Purge,
    Pass(u64),
    /// The pager begins to read; what happens before it ends, happens meanwhile.
    BeginLoad,
    EndLoad,
    Damage(usize),
    PageOut,
}

fn op() -> impl Strategy<Value = Op> {
    let ttl = prop_oneof![3 => Just(None), 1 => (1u64..50).prop_map(Some)];
    prop_oneof![
        8 => (1u64..30, any::<bool>(), ttl)
            .prop_map(|(n, unlogged, ttl)| Op::Publish { n, unlogged, ttl }),
        2 => (1u64..10).prop_map(Op::PublishCrossed),
        3 => (0u32..20).prop_map(|prefetch| Op::Consume { prefetch }),
        1 => Just(Op::Cancel),
        5 => (0usize..40).prop_map(Op::Ack),
        4 => (0usize..40).prop_map(Op::Requeue),
        2 => (0usize..10).prop_map(Op::Reject),
        3 => Just(Op::Get),
        1 => Just(Op::Purge),
        2 => (0u64..30).prop_map(Op::Pass),
        10 => Just(Op::BeginLoad),
        10 => Just(Op::EndLoad),
        1 => (0usize..20).prop_map(Op::Damage),
        1 => Just(Op::PageOut),
    ]
}

/// Counts how often it was told.
#[derive(Default)]
struct Told(AtomicUsize);

impl HeadWaiter for Told {
    fn head_here(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A message as the log has it.
#[derive(Clone, Copy)]
struct Record {
    taken_ms: u64,
    ttl: Option<u64>,
}

impl Record {
    fn meta(self) -> Meta {
        Meta {
            flags: FLAG_PERSISTENT | if self.ttl.is_some() { FLAG_EXPIRES } else { 0 },
            priority: 0,
            expiration_ms: self.ttl.unwrap_or(0),
        }
    }

    fn read(self) -> Message {
        let chunk = Chunk::single(b"\0\0", b"", b"body", self.meta(), self.taken_ms);
        Message::new(&chunk, 0)
    }
}

struct World {
    state: QueueState,
    fx: Effects,
    now_ms: u64,
    next_seq: Seq,
    log: BTreeMap<Seq, Record>,
    damaged: BTreeSet<Seq>,
    /// What came back from a consumer once.
    returned: BTreeSet<Seq>,
    /// Asked for a load and not served yet.
    asked: bool,
    reading: Option<Load>,
    takers: Vec<(u64, Arc<Taker>)>,
    unacked: Vec<(u64, Entry)>,
    /// Numbers that must still come or be accounted for.
    expected: BTreeSet<Seq>,
    last_first: Seq,
    /// Publishers crossed: what was later may have gone out before.
    crossed: bool,
    waiter: Arc<Told>,
    waits: usize,
}

impl World {
    fn new(settings: QueueArguments) -> Self {
        let mut state = QueueState::new(settings, false, 0);
        state.set_limits(LIMITS);
        Self {
            state,
            fx: Effects::default(),
            now_ms: 0,
            next_seq: 1,
            log: BTreeMap::new(),
            damaged: BTreeSet::new(),
            returned: BTreeSet::new(),
            asked: false,
            reading: None,
            takers: Vec::new(),
            unacked: Vec::new(),
            expected: BTreeSet::new(),
            last_first: 0,
            crossed: false,
            waiter: Arc::default(),
            waits: 0,
        }
    }

    fn publish(&mut self, first: Seq, n: u64, logged: bool, ttl: Option<u64>) {
        let record = Record {
            taken_ms: self.now_ms,
            ttl,
        };
        let mut chunk = Chunk::default();
        for seq in first..first + n {
            chunk.push(b"\0\0", b"", b"body", record.meta());
            self.expected.insert(seq);
            if logged {
                self.log.insert(seq, record);
            }
        }
        let new = Arrivals {
            chunk: &chunk.share(self.now_ms),
            ranges: &[(0, n as u32)],
            first_seq: first,
            logged: if logged {
                Logged::Persistent
            } else {
                Logged::None
            },
        };
        self.state.enqueue(new, self.now_ms, &mut self.fx);
    }

    fn take_unacked(&mut self, n: usize) -> Vec<(u64, Vec<Entry>)> {
        let n = n.min(self.unacked.len());
        let mut by_consumer: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        for (id, entry) in self.unacked.drain(..n) {
            by_consumer.entry(id).or_default().push(entry);
        }
        by_consumer.into_iter().collect()
    }

    fn step(&mut self, op: Op) {
        let consumer_of = |id: u64| (id != 0).then_some(ConsumerId(id));
        match op {
            Op::Publish { n, unlogged, ttl } => {
                let first = self.next_seq;
                self.next_seq += n;
                // As publishers do: what a queue pages is in the log.
                let logged = !unlogged || self.state.pages();
                self.publish(first, n, logged, ttl);
            }
            Op::PublishCrossed(n) => {
                let first = self.next_seq;
                self.next_seq += 2 * n;
                self.crossed = true;
                self.publish(first + n, n, true, None);
                self.check_deliveries();
                self.publish(first, n, true, None);
            }
            Op::Consume { prefetch } => {
                let id = 1 + self.takers.last().map_or(0, |(id, _)| *id);
                let taker = taker();
                let new = consumer(id, &taker, prefetch, 0);
                self.state.add_consumer(new, self.now_ms);
                self.takers.push((id, taker));
                self.state.dispatch(self.now_ms, &mut self.fx);
            }
            Op::Cancel if !self.takers.is_empty() => {
                let (id, _) = self.takers.remove(0);
                let id = ConsumerId(id);
                self.state.remove_consumer(id, self.now_ms, &mut self.fx);
            }
            Op::Ack(n) => {
                for (id, entries) in self.take_unacked(n) {
                    entries.iter().for_each(|entry| {
                        assert!(self.expected.remove(&entry.seq));
                    });
                    let by = consumer_of(id);
                    self.state.acked(by, &entries, self.now_ms, &mut self.fx);
                }
            }
            Op::Requeue(n) => {
                for (id, entries) in self.take_unacked(n) {
                    let by = consumer_of(id);
                    self.returned.extend(entries.iter().map(|entry| entry.seq));
                    self.state.requeue(by, entries, self.now_ms, &mut self.fx);
                    self.check_deliveries();
                }
            }
            Op::Reject(n) => {
                for (id, entries) in self.take_unacked(n) {
                    let by = consumer_of(id);
                    self.state.rejected(by, entries, self.now_ms, &mut self.fx);
                }
            }
            Op::Get => self.get(),
            Op::Purge => {
                self.state.purge(&mut self.fx);
            }
            Op::Pass(ms) => {
                self.now_ms += ms;
                self.state.expire(self.now_ms, &mut self.fx);
            }
            Op::BeginLoad if self.asked => {
                self.asked = false;
                self.reading = self.state.begin_load();
            }
            Op::EndLoad => self.end_load(),
            Op::Damage(at) => {
                let seq = self.log.keys().nth(at).copied();
                self.damaged.extend(seq);
            }
            Op::PageOut => self.page_out(),
            _ => {}
        }
        self.settle();
    }

    fn get(&mut self) {
        match self.state.get(false, self.now_ms, &mut self.fx) {
            Got::Message(entry) => self.delivered(0, entry),
            Got::Empty => assert_eq!(self.state.depth().ready, 0),
            Got::Away => {
                assert!(self.state.depth().ready > 0);
                self.state.await_head(Arc::clone(&self.waiter) as _);
                self.waits += 1;
            }
        }
    }

    fn end_load(&mut self) {
        let Some(load) = self.reading.take() else {
            return;
        };
        assert!(load.seqs.is_sorted() && !load.seqs.is_empty());
        let (mut messages, mut lost) = (Vec::new(), Vec::new());
        for seq in load.seqs {
            match self.log.get(&seq) {
                Some(record) if !self.damaged.contains(&seq) => {
                    messages.push((seq, record.read()));
                }
                _ => lost.push(seq),
            }
        }
        let (what, now_ms) = (load.what, self.now_ms);
        self.state
            .end_load(what, &mut messages, &lost, now_ms, &mut self.fx);
    }

    fn page_out(&mut self) {
        self.state.set_limits(ResidentLimits {
            messages: 4,
            bytes: 1 << 20,
        });
        let mut unlogged = Vec::new();
        self.state.page_out(8, &mut unlogged);
        for entry in &unlogged {
            let record = Record {
                taken_ms: entry.message.enqueued_ms(),
                ttl: entry.message.meta().expiration(),
            };
            self.log.insert(entry.seq, record);
        }
        self.state.now_logged(&unlogged, &mut self.fx);
        self.state.page_out(0, &mut Vec::new());
        self.state.set_limits(LIMITS);
    }

    fn delivered(&mut self, id: u64, entry: Entry) {
        assert!(entry.message.is_present() && entry.message.body() == b"body");
        assert!(self.expected.contains(&entry.seq), "twice: {}", entry.seq);
        assert!(self.unacked.iter().all(|(_, other)| other.seq != entry.seq));
        assert_eq!(entry.redelivered, self.returned.contains(&entry.seq));
        if !entry.redelivered {
            assert!(self.crossed || entry.seq > self.last_first, "out of order");
            self.last_first = self.last_first.max(entry.seq);
        }
        self.unacked.push((id, entry.sent()));
    }

    fn check_deliveries(&mut self) {
        let mut delivered = Vec::new();
        for (id, taker) in &self.takers {
            let got = std::mem::take(&mut *taker.got.lock());
            delivered.extend(got.into_iter().map(|entry| (*id, entry)));
        }
        delivered.sort_by_key(|(_, entry)| entry.seq);
        for (id, entry) in delivered {
            self.delivered(id, entry);
        }
    }

    /// What follows every operation.
    fn settle(&mut self) {
        self.state.after(&mut self.fx);
        self.asked |= std::mem::take(&mut self.fx.load);
        self.check_deliveries();
        self.waits -= self.fx.head_here.len();
        self.fx.head_here.drain(..).for_each(|w| w.head_here());
        for (entry, _) in self.fx.dead.drain(..) {
            assert!(entry.message.is_present(), "a dead letter without bytes");
            assert!(self.expected.remove(&entry.seq));
            if entry.logged() {
                self.log.remove(&entry.seq);
            }
        }
        for seq in self.fx.lost.drain(..) {
            assert!(self.damaged.contains(&seq) && self.expected.remove(&seq));
            self.log.remove(&seq);
        }
        let settled: Vec<Seq> = self.fx.settled.drain(..).collect();
        let ranges = self.fx.settled_ranges.drain(..);
        for seq in settled.into_iter().chain(ranges.flat_map(|(a, b)| a..=b)) {
            assert!(self.log.remove(&seq).is_some(), "settled twice: {seq}");
        }
        self.check();
    }

    fn check(&self) {
        let depth = self.state.depth();
        assert_eq!(depth.unacked, self.unacked.len());
        assert_eq!(depth.ready_bytes, 4 * depth.ready as u64);
        let kept = self.state.ready().iter();
        let present = kept.filter(|e| e.message.is_present()).count();
        let dead_or_here = depth.ready + depth.unacked;
        assert!(dead_or_here <= self.expected.len() || depth.ready == 0);
        // A full load beside what was requeued; what the log has not does not count.
        let unlogged = self.state.ready().iter().filter(|e| !e.logged()).count();
        assert!(present - unlogged.min(present) <= 8 * LIMITS.messages + 64);
        if self.state.ready().head_away() {
            assert!(
                self.asked || self.reading.is_some(),
                "away and nobody loads"
            );
        } else {
            assert_eq!(self.waits, 0, "somebody waits for nothing");
        }
        let mut unacked = self.unacked.iter().filter(|(_, e)| e.message.is_present());
        assert!(unacked.by_ref().count() <= 8 * LIMITS.messages + 64);
    }

    /// Loads and takes all there is.
    fn drain(&mut self) -> Vec<Seq> {
        let mut order = Vec::new();
        for _ in 0..10_000 {
            let before = self.unacked.len();
            self.step(Op::EndLoad);
            self.step(Op::Get);
            if let Some((_, entry)) = self.unacked.get(before) {
                order.push(entry.seq);
            }
            self.step(Op::BeginLoad);
            if self.state.depth().ready == 0 && !self.asked && self.reading.is_none() {
                return order;
            }
        }
        panic!("it does not end");
    }
}

proptest! {
    /// Whatever is published, delivered, put back, rejected, expired, purged, damaged and paged:
    /// every message comes once, in order and with its bytes, or is accounted for.
    #[test]
    fn nothing_is_lost_or_doubled_by_paging(ops in prop::collection::vec(op(), 1..120)) {
        let settings = QueueArguments {
            dead_letter_exchange: Some(String::new()),
            ..QueueArguments::default()
        };
        let mut world = World::new(settings);
        for op in ops {
            world.step(op);
        }
        while !world.takers.is_empty() {
            world.step(Op::Cancel);
        }
        let held: BTreeSet<Seq> = world.unacked.iter().map(|(_, e)| e.seq).collect();
        let order = world.drain();
        prop_assert!(order.is_sorted());
        let mut all: BTreeSet<Seq> = order.into_iter().collect();
        prop_assert!(all.is_disjoint(&held));
        all.extend(&held);
        // Purged messages are nowhere any more; all else came.
        prop_assert!(all.is_subset(&world.expected));
        let unlogged = world.expected.difference(&all).count();
        let missing = world.expected.difference(&all).filter(|seq| world.log.contains_key(seq));
        prop_assert_eq!(missing.count(), 0, "of {} gone", unlogged);
        let n = world.unacked.len();
        world.step(Op::Ack(n));
        prop_assert!(world.log.is_empty(), "left in the log: {:?}", world.log.keys());
    }
}

fn paged(settings: QueueArguments, n: u64) -> World {
    let mut world = World::new(settings);
    world.step(Op::Publish {
        n,
        unlogged: false,
        ttl: None,
    });
    world
}

/// Without a dead-letter exchange the oldest of a limited queue go without being read.
#[test]
fn q48_a_paged_head_is_dropped_unseen() {
    let mut world = paged(
        QueueArguments {
            max_length: Some(100),
            ..QueueArguments::default()
        },
        100,
    );
    // The resident head goes, so that the next to be dropped is away.
    while world.state.ready().head_here() {
        world.get();
    }
    let taken = world.unacked.len() as u64;
    world.publish(101, 50, true, None);
    world.settle();
    let depth = world.state.depth();
    assert_eq!((depth.ready, depth.ready_bytes), (100, 400));
    let kept: Vec<Seq> = world.log.keys().copied().skip(taken as usize).collect();
    assert_eq!(kept, (51..=150).collect::<Vec<_>>());
}

/// Those with their bytes would be published by whoever rejected them, the others by the pager, which
/// may be quicker.
#[test]
fn dead_letters_keep_their_order_whoever_has_their_bytes() {
    let mut world = paged(
        QueueArguments {
            dead_letter_exchange: Some(String::new()),
            ..QueueArguments::default()
        },
        5,
    );
    (0..5).for_each(|_| world.get());
    let mut entries: Vec<Entry> = world.unacked.drain(..).map(|(_, entry)| entry).collect();
    entries[2].message.release();
    let dead = |world: &World| -> Vec<Seq> {
        let dead = world.fx.dead.iter();
        dead.map(|(entry, _)| entry.seq).collect()
    };
    world.state.rejected(None, entries, 0, &mut world.fx);
    assert!(dead(&world).is_empty());
    world.state.after(&mut world.fx);
    assert!(world.fx.load);
    world.reading = world.state.begin_load();
    assert_eq!(
        world.reading.as_ref().map(|load| &load.seqs[..]),
        Some(&[3][..])
    );
    world.end_load();
    assert_eq!(dead(&world), [1, 2, 3, 4, 5]);
    assert!(
        world
            .fx
            .dead
            .iter()
            .all(|(entry, _)| entry.message.is_present())
    );
}

#[test]
fn a_purge_settles_ranges() {
    let mut world = paged(QueueArguments::default(), 100_000);
    assert_eq!(world.state.purge(&mut world.fx), 100_000);
    assert!(world.fx.settled.len() <= LIMITS.messages);
    assert_eq!(world.fx.settled_ranges, [(17, 100_000)]);
    world.expected.clear();
    world.settle();
    assert!(world.log.is_empty());
}

#[test]
fn what_a_restart_found_is_loaded_with_its_marks() {
    let mut world = World::new(QueueArguments::default());
    let found = RecoveredQueue {
        queue: QueueId(1),
        live: vec![(3, 5), (8, 40)],
        messages: 36,
        bytes: 36 * 4,
        highest: 50,
        delivered_up_to: Some(9),
        counts: vec![(4, 7)],
    };
    world.state.recover(&found);
    let record = Record {
        taken_ms: 0,
        ttl: None,
    };
    for seq in (3..=5).chain(8..=40) {
        world.log.insert(seq, record);
    }
    let depth = world.state.depth();
    assert_eq!((depth.ready, depth.paged, depth.ready_bytes), (36, 36, 144));
    let mut got = Vec::new();
    while got.len() < 36 {
        world.state.after(&mut world.fx);
        if std::mem::take(&mut world.fx.load) {
            world.reading = world.state.begin_load();
            world.end_load();
        }
        if let Got::Message(entry) = world.state.get(true, 0, &mut world.fx) {
            got.push((entry.seq, entry.redelivered, entry.deliveries));
        }
    }
    let expected = (3..=5).chain(8..=40);
    let expected = expected.map(|seq| (seq, seq <= 9, if seq == 4 { 7 } else { 0 }));
    assert_eq!(got, expected.collect::<Vec<_>>());
}
