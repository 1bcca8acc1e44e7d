//! Property and unit tests of the queue state machine with a sink that records what it gets.

use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use warren_amqp::FieldTable;

use super::consumers::{ChannelCredit, Consumer, ConsumerInfo, ConsumerSink};
use super::entry::Entry;
use super::state::{Arrivals, Effects, Got, Logged, QueueState};
use crate::arguments::{Overflow, QueueArguments};
use crate::dead_letter::DeathReason;
use crate::ids::{ConnectionId, ConsumerId};
use crate::message::{Chunk, Meta};

/// A connection that takes up to `room` bytes and keeps what it was given.
#[derive(Default)]
pub(super) struct Taker {
    room: Mutex<usize>,
    pub(super) got: Mutex<Vec<Entry>>,
    gone: Mutex<bool>,
}

impl ConsumerSink for Taker {
    fn room(&self) -> usize {
        *self.room.lock()
    }

    fn deliver(&self, _: &ConsumerInfo, entries: &mut Vec<Entry>) -> bool {
        if *self.gone.lock() {
            return false;
        }
        self.got.lock().append(entries);
        true
    }

    fn credit_returned(&self, _: &ConsumerInfo) {}

    fn cancelled(&self, _: &ConsumerInfo) {}
}

pub(super) fn taker() -> Arc<Taker> {
    Arc::new(Taker {
        room: Mutex::new(usize::MAX),
        ..Taker::default()
    })
}

pub(super) fn consumer(id: u64, taker: &Arc<Taker>, prefetch: u32, priority: i64) -> Consumer {
    let credit = Arc::new(ChannelCredit::default());
    consumer_with(id, taker, prefetch, priority, &credit)
}

fn consumer_with(
    id: u64,
    taker: &Arc<Taker>,
    prefetch: u32,
    priority: i64,
    credit: &Arc<ChannelCredit>,
) -> Consumer {
    let info = ConsumerInfo {
        id: ConsumerId(id),
        connection: ConnectionId(Arc::as_ptr(taker) as u64),
        channel: 1,
        tag: id.to_string(),
        no_ack: false,
        exclusive: false,
        priority,
        prefetch,
        arguments: FieldTable::default(),
    };
    Consumer::new(
        info,
        Arc::clone(taker) as Arc<dyn ConsumerSink>,
        Arc::clone(credit),
    )
}

/// A chunk of messages with these expirations.
fn chunk(expirations: &[Option<u64>]) -> Arc<Chunk> {
    let mut chunk = Chunk::default();
    for expiration_ms in expirations {
        let flags = if expiration_ms.is_some() {
            crate::message::FLAG_EXPIRES
        } else {
            0
        };
        let meta = Meta {
            flags,
            priority: 0,
            expiration_ms: expiration_ms.unwrap_or(0),
        };
        chunk.push(b"\0\0", b"", b"body", meta);
    }
    chunk.share(0)
}

/// Enqueues messages with these expirations, numbered from `first_seq`.
fn enqueue(state: &mut QueueState, first_seq: u64, expirations: &[Option<u64>], fx: &mut Effects) {
    let new = Arrivals {
        chunk: &chunk(expirations),
        ranges: &[(0, expirations.len() as u32)],
        first_seq,
        logged: Logged::All,
    };
    state.enqueue(new, 0, fx);
}

fn queue(settings: QueueArguments) -> QueueState {
    QueueState::new(settings, false, 0)
}

fn publish(state: &mut QueueState, seqs: impl Iterator<Item = u64>, fx: &mut Effects) {
    let seqs: Vec<u64> = seqs.collect();
    enqueue(state, seqs[0], &vec![None; seqs.len()], fx);
}

fn take(state: &mut QueueState, now_ms: u64, fx: &mut Effects) -> Option<Entry> {
    match state.get(false, now_ms, fx) {
        Got::Message(entry) => Some(entry),
        Got::Empty => None,
        Got::Away => panic!("nothing is paged here"),
    }
}

fn seqs(taker: &Taker) -> Vec<u64> {
    taker.got.lock().iter().map(|entry| entry.seq).collect()
}

#[test]
fn h110_round_robin_among_equals() {
    let mut state = queue(QueueArguments::default());
    let (a, b, c) = (taker(), taker(), taker());
    for (id, taker) in [(1, &a), (2, &b), (3, &c)] {
        state.add_consumer(consumer(id, taker, 0, 0), 0);
    }
    let mut fx = Effects::default();
    publish(&mut state, 1..=4, &mut fx);
    publish(&mut state, 5..=6, &mut fx);
    let mut all = [seqs(&a), seqs(&b), seqs(&c)];
    all.sort();
    assert_eq!(all, [vec![1, 4], vec![2, 5], vec![3, 6]]);
}

/// The first message went to the second consumer, and a removal changed whose turn it was.
#[test]
fn h110_the_turn_begins_with_the_first_and_survives_removals() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    let takers: Vec<Arc<Taker>> = (0..4).map(|_| taker()).collect();
    for (id, taker) in (1..).zip(&takers) {
        state.add_consumer(consumer(id, taker, 0, 0), 0);
    }
    publish(&mut state, 1..=2, &mut fx);
    state.remove_consumer(ConsumerId(1), 0, &mut fx);
    publish(&mut state, 3..=5, &mut fx);
    let got: Vec<Vec<u64>> = takers.iter().map(|taker| seqs(taker)).collect();
    assert_eq!(got, [vec![1], vec![2, 5], vec![3], vec![4]]);
}

#[test]
fn h111_higher_priority_first_while_it_has_room() {
    let mut state = queue(QueueArguments::default());
    let (low, high) = (taker(), taker());
    state.add_consumer(consumer(1, &low, 10, 0), 0);
    state.add_consumer(consumer(2, &high, 2, 5), 0);
    let mut fx = Effects::default();
    publish(&mut state, 1..=4, &mut fx);
    assert_eq!((seqs(&high), seqs(&low)), (vec![1, 2], vec![3, 4]));
}

#[test]
fn h72_a_shared_limit_holds_over_consumers() {
    let mut state = queue(QueueArguments::default());
    let (a, b) = (taker(), taker());
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(3);
    state.add_consumer(consumer_with(1, &a, 0, 0, &credit), 0);
    state.add_consumer(consumer_with(2, &b, 0, 0, &credit), 0);
    let mut fx = Effects::default();
    publish(&mut state, 1..=10, &mut fx);
    assert_eq!(a.got.lock().len() + b.got.lock().len(), 3);
    credit.release(2);
    state.dispatch(0, &mut fx);
    assert_eq!(a.got.lock().len() + b.got.lock().len(), 5);
}

#[test]
fn a_consumer_that_is_gone_gives_its_messages_back() {
    let mut state = queue(QueueArguments::default());
    let (dead, alive) = (taker(), taker());
    *dead.gone.lock() = true;
    state.add_consumer(consumer(1, &dead, 0, 0), 0);
    state.add_consumer(consumer(2, &alive, 0, 0), 0);
    let mut fx = Effects::default();
    publish(&mut state, 1..=4, &mut fx);
    state.remove_consumer(ConsumerId(1), 0, &mut fx);
    let mut got = seqs(&alive);
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4]);
    assert!(alive.got.lock().iter().all(|entry| !entry.redelivered));
}

#[test]
fn q41_expired_messages_are_never_delivered() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    enqueue(&mut state, 1, &[Some(10), Some(1000), None], &mut fx);
    assert_eq!(fx.deadline, Some(10));
    assert!(!state.expire(10, &mut fx));
    assert_eq!(fx.dead.len(), 1);
    assert_eq!((fx.dead[0].0.seq, fx.dead[0].1), (1, DeathReason::Expired));
    let taker = taker();
    state.add_consumer(consumer(1, &taker, 0, 0), 2000);
    state.dispatch(2000, &mut fx);
    assert_eq!(seqs(&taker), [3]);
}

#[test]
fn q43_ttl_zero_is_delivered_at_once_or_not_at_all() {
    let mut state = queue(QueueArguments {
        message_ttl_ms: Some(0),
        ..Default::default()
    });
    let mut fx = Effects::default();
    publish(&mut state, 1..=1, &mut fx);
    assert_eq!(fx.dead.len(), 1);
    let taker = taker();
    state.add_consumer(consumer(1, &taker, 0, 0), 0);
    publish(&mut state, 2..=2, &mut fx);
    assert_eq!((seqs(&taker), fx.dead.len()), (vec![2], 1));
}

#[test]
fn q45_an_unused_queue_expires() {
    let mut state = queue(QueueArguments {
        expires_ms: Some(100),
        ..Default::default()
    });
    let mut fx = Effects::default();
    state.touch(50, &mut fx);
    assert_eq!(fx.deadline.take(), Some(150));
    assert!(!state.expire(149, &mut fx));
    let taker = taker();
    state.add_consumer(consumer(1, &taker, 0, 0), 149);
    assert!(!state.expire(1000, &mut fx));
    state.remove_consumer(ConsumerId(1), 1000, &mut fx);
    assert_eq!(fx.deadline, Some(1100));
    assert!(state.expire(1100, &mut fx));
}

#[test]
fn q48_q49_length_limits() {
    let mut state = queue(QueueArguments {
        max_length: Some(2),
        ..Default::default()
    });
    let mut fx = Effects::default();
    publish(&mut state, 1..=3, &mut fx);
    assert_eq!(fx.dead.iter().map(|(e, _)| e.seq).collect::<Vec<_>>(), [1]);
    let reject = QueueArguments {
        max_length: Some(2),
        overflow: Overflow::RejectPublish,
        ..Default::default()
    };
    let (mut state, mut fx) = (queue(reject), Effects::default());
    publish(&mut state, 1..=4, &mut fx);
    assert_eq!((fx.rejected, fx.settled), (vec![2, 3], vec![3, 4]));
    assert_eq!(state.depth().ready, 2);
}

#[test]
fn q83_single_active_consumer_hands_over() {
    let single = QueueArguments {
        single_active_consumer: true,
        ..Default::default()
    };
    let (mut state, mut fx) = (queue(single), Effects::default());
    let (a, b) = (taker(), taker());
    state.add_consumer(consumer(1, &a, 0, 0), 0);
    state.add_consumer(consumer(2, &b, 0, 9), 0);
    publish(&mut state, 1..=2, &mut fx);
    state.remove_consumer(ConsumerId(1), 0, &mut fx);
    publish(&mut state, 3..=3, &mut fx);
    assert_eq!((seqs(&a), seqs(&b)), (vec![1, 2], vec![3]));
}

/// A channel died holding messages while another consumer idled: the other one got them in two
/// interleaved halves, because the dying consumer was still offered every second one.
#[test]
fn h85_what_a_dying_channel_held_goes_on_in_order() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    let (a, b) = (taker(), taker());
    state.add_consumer(consumer(1, &a, 0, 0), 0);
    publish(&mut state, 1..=6, &mut fx);
    state.add_consumer(consumer(2, &b, 0, 0), 0);
    let held = std::mem::take(&mut *a.got.lock());
    *a.gone.lock() = true;
    state.leave(&[ConsumerId(1)], held, 0, &mut fx);
    assert_eq!(seqs(&b), [1, 2, 3, 4, 5, 6]);
    assert!(b.got.lock().iter().all(|entry| entry.redelivered));
}

/// Two consumers on one connection got their messages consumer by consumer: 1 3 5 2 4 6 on the
/// wire, although order is promised per channel.
#[test]
fn p14_one_connection_gets_queue_order_whoever_consumes() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    let shared = taker();
    state.add_consumer(consumer(1, &shared, 0, 0), 0);
    state.add_consumer(consumer(2, &shared, 0, 0), 0);
    publish(&mut state, 1..=6, &mut fx);
    assert_eq!(seqs(&shared), [1, 2, 3, 4, 5, 6]);
}

/// The timer stayed where the old head had put it when the head left by delivery.
#[test]
fn q41_the_next_head_sets_the_timer() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    enqueue(&mut state, 1, &[Some(60_000), Some(300)], &mut fx);
    assert_eq!(fx.deadline.take(), Some(60_000));
    assert_eq!(take(&mut state, 0, &mut fx).map(|entry| entry.seq), Some(1));
    assert_eq!(fx.deadline.take(), Some(300));
}

/// A deleted queue that somebody still held set a deadline in the past, again and again.
#[test]
fn q45_a_deleted_queue_has_no_deadline() {
    let mut state = queue(QueueArguments {
        expires_ms: Some(100),
        ..Default::default()
    });
    let mut fx = Effects::default();
    state.touch(0, &mut fx);
    assert!(state.expire(100, &mut fx));
    state.delete(&mut fx);
    fx.deadline = None;
    assert!(!state.expire(200, &mut fx));
    assert_eq!(fx.deadline, None);
}

/// With one unacked delivery shared by a channel, the first consumer got everything.
#[test]
fn h72_shared_credit_goes_round() {
    let mut state = queue(QueueArguments::default());
    let mut fx = Effects::default();
    let (a, b) = (taker(), taker());
    let credit = Arc::new(ChannelCredit::default());
    credit.set_limit(1);
    state.add_consumer(consumer_with(1, &a, 0, 0, &credit), 0);
    state.add_consumer(consumer_with(2, &b, 0, 0, &credit), 0);
    publish(&mut state, 1..=6, &mut fx);
    for _ in 0..5 {
        credit.release(1);
        state.dispatch(0, &mut fx);
    }
    assert_eq!((a.got.lock().len(), b.got.lock().len()), (3, 3));
}

#[derive(Clone, Debug)]
enum Op {
    Publish(u64),
    Consume { prefetch: u32 },
    Cancel,
    Ack(usize),
    Requeue(usize),
    Reject(usize),
    Get,
    Room(bool),
    Purge,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1u64..8).prop_map(Op::Publish),
        2 => (0u32..5).prop_map(|prefetch| Op::Consume { prefetch }),
        1 => Just(Op::Cancel),
        6 => (0usize..50).prop_map(Op::Ack),
        3 => (0usize..50).prop_map(Op::Requeue),
        2 => (0usize..50).prop_map(Op::Reject),
        2 => Just(Op::Get),
        2 => any::<bool>().prop_map(Op::Room),
        1 => Just(Op::Purge),
    ]
}

proptest! {
    /// Whatever happens: every message is ready, unacked or gone, exactly once; counters agree;
    /// no prefetch is exceeded; nothing waits while somebody could take it; first deliveries
    /// come in order.
    #[test]
    fn nothing_is_lost_or_doubled(ops in prop::collection::vec(op(), 1..80)) {
        let mut state = queue(QueueArguments::default());
        let mut fx = Effects::default();
        let mut takers: Vec<(u64, u32, Arc<Taker>)> = Vec::new();
        // Unacked deliveries: consumer (0 for get) and entry.
        let mut unacked: Vec<(u64, Entry)> = Vec::new();
        let (mut next_seq, mut next_id, mut gone, mut last_first) = (1, 1, 0, 0);
        for op in ops {
            match op {
                Op::Publish(n) => {
                    publish(&mut state, next_seq..next_seq + n, &mut fx);
                    next_seq += n;
                }
                Op::Consume { prefetch } => {
                    let taker = taker();
                    state.add_consumer(consumer(next_id, &taker, prefetch, 0), 0);
                    takers.push((next_id, prefetch, taker));
                    next_id += 1;
                    state.dispatch(0, &mut fx);
                }
                Op::Cancel => {
                    if let Some((id, _, taker)) = takers.pop() {
                        let rest = std::mem::take(&mut *taker.got.lock());
                        unacked.extend(rest.into_iter().map(|entry| (id, entry)));
                        state.remove_consumer(ConsumerId(id), 0, &mut fx);
                    }
                }
                Op::Ack(at) | Op::Requeue(at) | Op::Reject(at) if !unacked.is_empty() => {
                    let (id, entry) = unacked.remove(at % unacked.len());
                    let from = (id != 0).then_some(ConsumerId(id));
                    match op {
                        Op::Ack(_) => {
                            gone += 1;
                            state.acked(from, &[entry], 0, &mut fx);
                        }
                        Op::Requeue(_) => state.requeue(from, vec![entry], 0, &mut fx),
                        _ => {
                            gone += 1;
                            state.rejected(from, vec![entry], 0, &mut fx);
                        }
                    }
                }
                Op::Get => {
                    if let Some(entry) = take(&mut state, 0, &mut fx) {
                        if !entry.redelivered {
                            prop_assert!(entry.seq > last_first);
                            last_first = entry.seq;
                        }
                        unacked.push((0, entry));
                    }
                }
                Op::Room(room) => {
                    for (_, _, taker) in &takers {
                        *taker.room.lock() = if room { usize::MAX } else { 0 };
                    }
                    state.dispatch(0, &mut fx);
                }
                Op::Purge => gone += state.purge(&mut fx) as u64,
                _ => {}
            }
            let mut delivered: Vec<(u64, Entry)> = Vec::new();
            for (id, _, taker) in &takers {
                delivered.extend(std::mem::take(&mut *taker.got.lock()).into_iter().map(|e| (*id, e)));
            }
            delivered.sort_by_key(|(_, entry)| entry.seq);
            for (id, entry) in delivered {
                if !entry.redelivered {
                    prop_assert!(entry.seq > last_first, "{} after {last_first}", entry.seq);
                    last_first = entry.seq;
                }
                unacked.push((id, entry));
            }
            let depth = state.depth();
            prop_assert_eq!(depth.unacked, unacked.len());
            prop_assert_eq!(depth.unacked_bytes, 4 * unacked.len() as u64);
            prop_assert_eq!((depth.ready + unacked.len()) as u64 + gone, next_seq - 1);
            for (id, prefetch, taker) in &takers {
                let held = unacked.iter().filter(|(by, _)| by == id).count();
                prop_assert!(*prefetch == 0 || held <= *prefetch as usize);
                let free = *prefetch == 0 || held < *prefetch as usize;
                let idle = free && *taker.room.lock() > 0;
                prop_assert!(!idle || depth.ready == 0, "ready messages and an idle consumer");
            }
            let mut seen: Vec<u64> = unacked.iter().map(|(_, e)| e.seq).collect();
            seen.extend(state.ready().iter().map(|e| e.seq));
            let n = seen.len();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), n);
        }
    }
}

#[test]
fn a_paused_consumer_gets_nothing_and_a_paused_queue_gives_nothing() {
    let mut queue = queue(QueueArguments::default());
    let mut fx = Effects::default();
    let takers = [taker(), taker()];
    for (id, taker) in takers.iter().enumerate() {
        queue.add_consumer(consumer(id as u64, taker, 0, 0), 0);
    }
    let got = || takers.each_ref().map(|taker| taker.got.lock().len());
    assert!(queue.consumers_mut().set_paused(ConsumerId(0), true));
    assert!(!queue.consumers_mut().set_paused(ConsumerId(9), true));
    publish(&mut queue, 1..=4, &mut fx);
    assert_eq!(got(), [0, 4]);
    queue.set_paused(true);
    publish(&mut queue, 5..=7, &mut fx);
    assert_eq!((got(), queue.depth().ready), ([0, 4], 3));
    assert!(matches!(queue.get(true, 0, &mut fx), Got::Message(_)));
    queue.set_paused(false);
    queue.consumers_mut().set_paused(ConsumerId(0), false);
    queue.dispatch(0, &mut fx);
    assert_eq!((got(), queue.depth().ready), ([1, 5], 0));
    // What was settled is counted.
    let entries: Vec<Entry> = takers[1].got.lock().drain(..2).collect();
    queue.acked(Some(ConsumerId(1)), &entries, 0, &mut fx);
    let load = queue.consumers().get(ConsumerId(1)).map(Consumer::load);
    let load = load.map(|load| (load.in_flight, load.settled));
    assert_eq!(load, Some((3, 2)));
}
