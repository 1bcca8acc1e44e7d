//! The consumers of one queue and whose turn it is: priority first, then round robin among
//! those with credit and room.
//!
//! Credit is counted here, under the queue's lock, so that giving and taking need no lock of
//! their own. The limit that all consumers of a channel share (`basic.qos` with global) spans
//! queues and is the one counter kept outside, in atomics.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustc_hash::FxHashSet;
use warren_amqp::FieldTable;
use warren_storage::Seq;

use super::entry::Entry;
use crate::ids::{ConnectionId, ConsumerId};

/// Where a consumer's deliveries go. Implemented by the connection's outbox; called with the
/// queue locked, so it must not call back into a queue.
pub trait ConsumerSink: Send + Sync {
    /// Bytes it can take now. Answering 0 obliges the sink to kick its queues once it has room.
    fn room(&self) -> usize;

    /// Hands over `entries` in order, leaving the vector empty. False when the consumer is gone:
    /// the entries are then left in place and belong to the queue again.
    fn deliver(&self, consumer: &ConsumerInfo, entries: &mut Vec<Entry>) -> bool;

    /// Shared credit somebody else waits for came back: the channel's queues must be kicked, not
    /// from within this call.
    fn credit_returned(&self, consumer: &ConsumerInfo);

    /// Tells the client that the broker ended this consumer (its queue is gone).
    fn cancelled(&self, consumer: &ConsumerInfo);
}

/// What is fixed about a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerInfo {
    /// Unique in this node.
    pub id: ConsumerId,
    /// The connection it lives on.
    pub connection: ConnectionId,
    /// Channel number on that connection.
    pub channel: u16,
    /// The consumer tag.
    pub tag: String,
    /// Deliveries are settled when handed over.
    pub no_ack: bool,
    /// No other consumer is allowed on the queue.
    pub exclusive: bool,
    /// `x-priority`: higher is served first.
    pub priority: i64,
    /// Unacked deliveries allowed; 0 is unlimited.
    pub prefetch: u32,
    /// The arguments it was made with.
    pub arguments: FieldTable,
}

/// How a consumer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerLoad {
    /// Deliveries not settled yet; none are counted for a `no_ack` consumer.
    pub in_flight: u32,
    /// Deliveries it has settled or given back so far.
    pub settled: u64,
    /// An operator holds its deliveries back.
    pub paused: bool,
}

/// Unacked deliveries of a channel, limited by `basic.qos` with global set.
#[derive(Debug, Default)]
pub struct ChannelCredit {
    limit: AtomicU32,
    in_flight: AtomicU32,
    starved: AtomicBool,
}

impl ChannelCredit {
    /// Sets the limit; 0 is unlimited.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether a limit is set.
    pub fn limited(&self) -> bool {
        self.limit.load(Ordering::Relaxed) != 0
    }

    /// Takes one of what is left; remembers who went away empty-handed.
    fn reserve(&self) -> bool {
        let take = |used: u32| {
            let limit = self.limit.load(Ordering::SeqCst);
            (used < limit || limit == 0).then_some(used + 1)
        };
        let order = Ordering::SeqCst;
        if self.in_flight.fetch_update(order, order, take).is_ok() {
            return true;
        }
        self.starved.store(true, order);
        // Looked at again: it may have been given back before the mark was set.
        self.in_flight.fetch_update(order, order, take).is_ok()
    }

    fn add(&self, n: u32) {
        self.in_flight.fetch_add(n, Ordering::Relaxed);
    }

    /// Gives back `n` deliveries that were settled or returned. True when somebody had wanted
    /// one in vain: the channel's queues must then be kicked.
    pub fn release(&self, n: u32) -> bool {
        let order = Ordering::SeqCst;
        let _ = self
            .in_flight
            .fetch_update(order, order, |used| Some(used.saturating_sub(n)));
        n > 0 && self.starved.swap(false, order)
    }
}

/// A consumer as its queue sees it.
pub struct Consumer {
    /// What is fixed about it.
    pub info: ConsumerInfo,
    sink: Arc<dyn ConsumerSink>,
    credit: Arc<ChannelCredit>,
    in_flight: u32,
    /// This round's messages were taken out of the channel's shared credit beforehand.
    reserved: bool,
    /// It refused a delivery: nothing more is offered to it.
    gone: bool,
    /// An operator holds its deliveries back.
    paused: bool,
    /// Deliveries it has settled or given back so far.
    settled: u64,
    batch: Vec<Entry>,
}

impl Consumer {
    /// A consumer delivering into `sink`, counted against its channel's `credit`.
    pub fn new(
        info: ConsumerInfo,
        sink: Arc<dyn ConsumerSink>,
        credit: Arc<ChannelCredit>,
    ) -> Self {
        Self {
            info,
            sink,
            credit,
            in_flight: 0,
            reserved: false,
            gone: false,
            paused: false,
            settled: 0,
            batch: Vec::new(),
        }
    }

    /// Tells the client that the queue is gone.
    pub fn tell_cancelled(&self) {
        self.sink.cancelled(&self.info);
    }

    /// How it does.
    pub(crate) fn load(&self) -> ConsumerLoad {
        ConsumerLoad {
            in_flight: self.in_flight,
            settled: self.settled,
            paused: self.paused,
        }
    }

    /// What tells the client later that it was cancelled.
    pub(crate) fn teller(&self) -> (Arc<dyn ConsumerSink>, ConsumerInfo) {
        (Arc::clone(&self.sink), self.info.clone())
    }

    /// Credit taken for this round and not used.
    fn give_back(&self, able: Able) {
        if able.reserved && self.credit.release(able.allowance) {
            self.sink.credit_returned(&self.info);
        }
    }

    fn allowance(&self) -> u32 {
        match self.info.prefetch {
            _ if self.info.no_ack => u32::MAX,
            0 => u32::MAX,
            prefetch => prefetch.saturating_sub(self.in_flight),
        }
    }
}

/// A consumer that can take messages in this dispatch.
#[derive(Clone, Copy)]
struct Able {
    index: usize,
    allowance: u32,
    reserved: bool,
    room: usize,
}

/// The consumers of a queue, by descending priority, then age.
#[derive(Default)]
pub(crate) struct Consumers {
    list: Vec<Consumer>,
    able: Vec<Able>,
    /// Who was served last; the next round starts after it.
    last: Option<usize>,
    turn: usize,
    /// Consumers with a batch in this round.
    served: Vec<usize>,
    /// Two able consumers share a connection: messages go to `given`, in order, with their taker.
    interleaved: bool,
    given: Vec<(usize, Entry)>,
    connections: Vec<ConnectionId>,
    /// Highest number of a logged message given in this round to be acked later.
    newest_logged: Seq,
}

/// What became of the batches handed out in one round.
#[derive(Default)]
pub(crate) struct Round {
    /// Messages and body bytes now unacked.
    pub unacked: (usize, u64),
    /// Of those: messages and body bytes whose bytes are given up once they were sent.
    pub away: (usize, u64),
    /// Messages handed over to be acked.
    pub delivered: u64,
    /// Messages handed over without.
    pub delivered_no_ack: u64,
    /// Of them all: those marked redelivered.
    pub redelivered: u64,
    /// Entries whose consumer was gone: back to the queue.
    pub returned: Vec<Entry>,
}

impl Consumers {
    /// Number of consumers.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.list.iter()
    }

    /// Whether one holds the queue exclusively.
    pub(crate) fn exclusive(&self) -> bool {
        self.list.iter().any(|consumer| consumer.info.exclusive)
    }

    /// Adds one behind those of its priority.
    pub(crate) fn add(&mut self, consumer: Consumer) {
        let priority = consumer.info.priority;
        let at = self.list.partition_point(|c| c.info.priority >= priority);
        self.list.insert(at, consumer);
        self.last = self
            .last
            .map(|last| if at <= last { last + 1 } else { last });
    }

    /// Removes these; returns how many there were. Whose turn it is stays as it was.
    pub(crate) fn remove(&mut self, ids: &[ConsumerId]) -> usize {
        let many: FxHashSet<ConsumerId> = match ids {
            [] | [_] => FxHashSet::default(),
            _ => ids.iter().copied().collect(),
        };
        let leaves = |consumer: &Consumer| match ids {
            [id] => consumer.info.id == *id,
            _ => many.contains(&consumer.info.id),
        };
        if let Some(last) = self.last {
            let served = &self.list[..=last];
            let stay = served.iter().filter(|consumer| !leaves(consumer)).count();
            self.last = stay.checked_sub(1);
        }
        let before = self.list.len();
        self.list.retain(|consumer| !leaves(consumer));
        before - self.list.len()
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) -> Vec<Consumer> {
        self.last = None;
        std::mem::take(&mut self.list)
    }

    /// The one of this identity.
    pub(crate) fn get(&self, id: ConsumerId) -> Option<&Consumer> {
        self.list.iter().find(|consumer| consumer.info.id == id)
    }

    /// Holds back deliveries to one, or lets them go on. False when it is not there.
    pub(crate) fn set_paused(&mut self, id: ConsumerId, paused: bool) -> bool {
        let found = self.list.iter_mut().find(|c| c.info.id == id);
        found.map(|consumer| consumer.paused = paused).is_some()
    }

    /// Gives back credit for `n` settled deliveries.
    pub(crate) fn release(&mut self, id: ConsumerId, n: u32) {
        if let Some(consumer) = self.list.iter_mut().find(|c| c.info.id == id) {
            consumer.in_flight = consumer.in_flight.saturating_sub(n);
            consumer.settled += u64::from(n);
        }
    }

    /// Prepares a round for up to `wanted` messages among the most preferred consumers that can
    /// take any, beginning behind the one served last. With `single_active` only that one counts.
    /// False when nobody can.
    pub(crate) fn begin(&mut self, wanted: usize, single_active: Option<ConsumerId>) -> bool {
        self.able.clear();
        self.turn = 0;
        self.newest_logged = 0;
        let mut start = 0;
        while start < self.list.len() && self.able.is_empty() {
            let priority = self.list[start].info.priority;
            let group = self.list[start..].partition_point(|c| c.info.priority == priority);
            self.find_able(start..start + group, wanted, single_active);
            start += group;
        }
        self.interleaved = self.share_connections();
        if self.interleaved {
            // They share the room of their connection too.
            let sharing = self.able.len();
            self.able
                .iter_mut()
                .for_each(|able| able.room = (able.room / sharing).max(1));
        }
        !self.able.is_empty()
    }

    /// Collects the able consumers among equals; no more than there are messages for.
    fn find_able(&mut self, group: Range<usize>, wanted: usize, only: Option<ConsumerId>) {
        let first = match self.last {
            Some(last) if group.contains(&last) => last + 1,
            _ => group.start,
        };
        let most = u32::try_from(wanted).unwrap_or(u32::MAX);
        for index in (first..group.end).chain(group.start..first) {
            if self.able.len() == wanted {
                break;
            }
            let consumer = &mut self.list[index];
            if consumer.gone || consumer.paused || only.is_some_and(|id| id != consumer.info.id) {
                continue;
            }
            let mut allowance = consumer.allowance().min(most);
            let room = if allowance == 0 {
                0
            } else {
                consumer.sink.room()
            };
            if room == 0 {
                continue;
            }
            consumer.reserved = !consumer.info.no_ack && consumer.credit.limited();
            if consumer.reserved {
                // One at a time, so that what is shared is also shared out.
                allowance = u32::from(consumer.credit.reserve());
            }
            if allowance > 0 {
                let reserved = consumer.reserved;
                self.able.push(Able {
                    index,
                    allowance,
                    reserved,
                    room,
                });
            }
        }
    }

    /// Whether two able consumers write to one connection: their deliveries must then go out in
    /// queue order, not consumer by consumer.
    fn share_connections(&mut self) -> bool {
        if self.able.len() < 2 {
            return false;
        }
        self.connections.clear();
        let list = &self.list;
        self.connections.extend(
            self.able
                .iter()
                .map(|able| list[able.index].info.connection),
        );
        self.connections.sort_unstable();
        self.connections.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Whether somebody can still take a message in this round.
    pub(crate) fn hungry(&self) -> bool {
        !self.able.is_empty()
    }

    /// Gives a message to whose turn it is.
    pub(crate) fn give(&mut self, entry: Entry) {
        let able = &mut self.able[self.turn];
        let consumer = &mut self.list[able.index];
        self.last = Some(able.index);
        able.allowance -= 1;
        if !consumer.info.no_ack && entry.logged() {
            self.newest_logged = self.newest_logged.max(entry.seq);
        }
        let charge = entry.message.total_len() + DELIVERY_OVERHEAD;
        able.room = able.room.saturating_sub(charge);
        if self.interleaved {
            self.given.push((able.index, entry));
        } else {
            if consumer.batch.is_empty() {
                self.served.push(able.index);
            }
            consumer.batch.push(entry);
        }
        if able.allowance == 0 || able.room == 0 {
            let done = self.able.remove(self.turn);
            self.list[done.index].give_back(done);
        } else {
            self.turn += 1;
        }
        if self.turn >= self.able.len() {
            self.turn = 0;
        }
    }

    /// Highest number of a logged message this round hands out without settling it; 0 for none.
    pub(crate) fn newest_logged(&self) -> Seq {
        self.newest_logged
    }

    /// Ends the round: hands every consumer its batch at once. Logged entries settled by that
    /// (`no_ack`) are added to `settled`.
    pub(crate) fn finish(&mut self, settled: &mut Vec<Seq>) -> Round {
        for able in self.able.drain(..) {
            self.list[able.index].give_back(able);
        }
        let mut round = Round::default();
        for index in self.served.drain(..) {
            hand_over(&mut self.list[index], &mut round, settled);
        }
        if !self.given.is_empty() {
            self.hand_over_in_order(&mut round, settled);
        }
        round
    }

    /// Consumers that share a connection: each connection gets its messages in queue order.
    fn hand_over_in_order(&mut self, round: &mut Round, settled: &mut Vec<Seq>) {
        let mut given = std::mem::take(&mut self.given);
        given.sort_by_key(|(index, _)| self.list[*index].info.connection);
        let mut current = None;
        for (index, entry) in given.drain(..) {
            if let Some(last) = current.replace(index)
                && last != index
            {
                hand_over(&mut self.list[last], round, settled);
            }
            self.list[index].batch.push(entry);
        }
        if let Some(last) = current {
            hand_over(&mut self.list[last], round, settled);
        }
        self.given = given;
    }
}

/// Framing around a delivery, roughly: what a sink's room is charged beside the message.
const DELIVERY_OVERHEAD: usize = 64;

fn hand_over(consumer: &mut Consumer, round: &mut Round, settled: &mut Vec<Seq>) {
    let n = consumer.batch.len();
    let sum = |of: fn(&Entry) -> u64| consumer.batch.iter().map(of).sum::<u64>();
    let bytes = sum(|entry| entry.message.body_len() as u64);
    let redelivered = sum(|entry| u64::from(entry.redelivered));
    let logged = || consumer.batch.iter().filter(|entry| entry.logged());
    let manual = !consumer.info.no_ack;
    let mut away = (0, 0);
    if manual {
        for entry in consumer.batch.iter().filter(|entry| entry.lets_go()) {
            away = (away.0 + 1, away.1 + entry.message.body_len() as u64);
        }
    }
    let settled_before = settled.len();
    if !manual {
        settled.extend(logged().map(|entry| entry.seq));
    }
    // Counted before the handover: the client may answer before `deliver` returns.
    if manual && !consumer.reserved {
        consumer.credit.add(n as u32);
    }
    if consumer.sink.deliver(&consumer.info, &mut consumer.batch) {
        round.redelivered += redelivered;
        if manual {
            round.delivered += n as u64;
            consumer.in_flight += n as u32;
            round.unacked.0 += n;
            round.unacked.1 += bytes;
            round.away = (round.away.0 + away.0, round.away.1 + away.1);
        } else {
            round.delivered_no_ack += n as u64;
        }
        return;
    }
    if manual && consumer.credit.release(n as u32) {
        consumer.sink.credit_returned(&consumer.info);
    }
    settled.truncate(settled_before);
    // Its connection is winding down; the others go on without it.
    consumer.gone = true;
    round.returned.append(&mut consumer.batch);
}
