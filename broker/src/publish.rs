//! Publishing: the messages of one read, grouped per target queue and enqueued together.
//!
//! A batch gathers messages whose checks and routes are done. [`Broker::publish`] then numbers
//! them in their queues, appends the persistent ones to the commit log once (before any queue
//! sees them, so that no settlement can precede its message), enters each queue once, and says
//! for each run of messages at which log position it is safe to confirm it.

use std::sync::Arc;

use warren_storage::{Batch, Position, QueueId, Seq};

mod outcome;
mod record;
mod routes;
mod slots;

pub(crate) use record::{lasting, paged_only, read_record, record, record_paged};
use routes::Routes;
use slots::Slots;

use crate::broker::Broker;
use crate::buffers::{Buffer, LARGE};
use crate::ids::{ConnectionId, ConsumerId};
use crate::message::{CHUNK_TARGET_BYTES, Chunk, Meta};
use crate::queue::{Entry, Queue};
use crate::route::Route;
use crate::stats::{ExchangeStats, Sizes};
use crate::turn::Turn;

/// A position that is never reached: what the log refused is never confirmed.
pub const NEVER: Position = u64::MAX;

/// Consecutive messages of one channel with one route.
struct Run {
    /// Its number among the batch's routes.
    route: u32,
    channel: u16,
    /// Publish sequence number of the first one; 0 when the channel is not in confirm mode.
    first_confirm: u64,
    /// Messages, including those nobody keeps, that are not in the chunk.
    n: u32,
    /// First message in the chunk; meaningless when nobody keeps them.
    start: u32,
    /// Unroutable and mandatory: the publisher got them back.
    returned: bool,
}

/// What one channel published in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The channel.
    pub channel: u16,
    /// Messages, those below included.
    pub messages: u64,
    /// Of them: returned as unroutable.
    pub returned: u64,
    /// Of them: unroutable and dropped.
    pub dropped: u64,
}

/// When a run of publishes may be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The channel published on.
    pub channel: u16,
    /// Publish sequence numbers, first and last.
    pub confirms: (u64, u64),
    /// Log position that must be durable first; 0 for at once, [`NEVER`] when the log failed.
    pub position: Position,
    /// A queue refused them: answer with nack.
    pub nack: bool,
}

/// Messages on their way; reused from read to read.
#[derive(Default)]
pub struct PublishBatch {
    chunk: Chunk,
    /// Bytes and messages of the chunk before.
    last: (usize, u32),
    runs: Vec<Run>,
    routes: Routes,
    slots: Slots,
    log: Batch,
    targets: Vec<(QueueId, Seq)>,
    /// Queues that take the message to the log for want of memory only.
    paged: Vec<(QueueId, Seq)>,
    /// Something in `log` is to survive a restart.
    lasting: bool,
    outcomes: Vec<Outcome>,
    rejected: Vec<u32>,
    published: Vec<Published>,
    /// The exchange of each of `published`, while rates are kept in detail.
    exchanges: Vec<Option<Arc<ExchangeStats>>>,
    sizes: Sizes,
    /// Whose messages they are, if a connection's.
    publisher: Option<ConnectionId>,
    contended: bool,
    last_queue: Option<QueueId>,
}

/// Deliveries a transaction acks: their queue, their consumer (none for `basic.get`), entries.
pub type TxAcks = Vec<(Arc<Queue>, Option<ConsumerId>, Vec<Entry>)>;

impl PublishBatch {
    /// A batch of a connection's messages.
    pub fn of(publisher: ConnectionId) -> Self {
        Self {
            publisher: Some(publisher),
            ..Self::default()
        }
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether the batch should be published before more is added.
    pub fn is_full(&self) -> bool {
        self.chunk.bytes() >= CHUNK_TARGET_BYTES || self.runs.len() >= 4096
    }

    /// Whether a queue published to since the last call was behind its consumers: they should get
    /// their turn before more is published. Starts over.
    pub fn take_contended(&mut self) -> bool {
        std::mem::take(&mut self.contended)
    }

    /// The first of the queues published to last.
    pub fn last_queue(&self) -> Option<QueueId> {
        self.last_queue
    }

    /// Bytes gathered.
    pub fn bytes(&self) -> usize {
        self.chunk.bytes()
    }

    /// What each channel published in the batch that was published last.
    pub fn published(&self) -> &[Published] {
        &self.published
    }

    /// The exchange the entry `index` of [`published`](Self::published) went to; none unless rates
    /// are kept in detail.
    pub fn published_to(&self, index: usize) -> Option<&Arc<ExchangeStats>> {
        self.exchanges.get(index)?.as_ref()
    }

    /// Adds a message. `confirm` is its publish sequence number (0 without confirms); `parts`
    /// are address, content header payload and body.
    pub fn push(
        &mut self,
        route: &Arc<Route>,
        channel: u16,
        confirm: u64,
        parts: [&[u8]; 3],
        meta: Meta,
    ) {
        let start = self.chunk.len();
        self.sizes.add(parts[2].len());
        self.keep(route, parts, meta);
        self.push_run(route, channel, confirm, start, false);
    }

    /// Adds an unroutable message that its publisher gets back: it is counted and confirmed, and
    /// kept where an exchange remembers it or holds it back.
    pub fn push_returned(
        &mut self,
        route: &Arc<Route>,
        channel: u16,
        confirm: u64,
        parts: [&[u8]; 3],
        meta: Meta,
    ) {
        let start = self.chunk.len();
        self.sizes.add(parts[2].len());
        self.keep(route, parts, meta);
        self.push_run(route, channel, confirm, start, true);
    }

    fn keep(&mut self, route: &Route, parts: [&[u8]; 3], meta: Meta) {
        if route.is_void() {
            return;
        }
        if self.chunk.is_empty() {
            self.chunk = match parts[2].len() {
                LARGE.. => Chunk::for_message(parts.iter().map(|part| part.len()).sum()),
                _ => Chunk::like(self.last),
            };
        }
        self.chunk.push(parts[0], parts[1], parts[2], meta);
    }

    fn take_chunk(&mut self, now_ms: u64) -> Arc<Chunk> {
        self.last = (self.chunk.bytes(), self.chunk.len());
        self.last.0 = self.last.0.min(CHUNK_TARGET_BYTES + CHUNK_TARGET_BYTES / 8);
        std::mem::take(&mut self.chunk).share(now_ms)
    }

    fn push_run(
        &mut self,
        route: &Arc<Route>,
        channel: u16,
        confirm: u64,
        start: u32,
        returned: bool,
    ) {
        let route = self.routes.of(route);
        if let Some(run) = self.runs.last_mut()
            && run.route == route
            && run.channel == channel
            && run.returned == returned
            && (confirm == 0 || run.first_confirm + u64::from(run.n) == confirm)
            && (confirm == 0) == (run.first_confirm == 0)
        {
            run.n += 1;
            return;
        }
        self.runs.push(Run {
            route,
            channel,
            first_confirm: confirm,
            n: 1,
            start,
            returned,
        });
    }

    /// Makes the batch one large message whose address, header and body stand in `data`.
    /// The batch must be empty.
    pub fn push_large(
        &mut self,
        route: &Arc<Route>,
        channel: u16,
        confirm: u64,
        (data, address_len, header_len): (Buffer, usize, usize),
        meta: Meta,
    ) {
        debug_assert!(self.runs.is_empty(), "a large message stands alone");
        self.sizes.add(data.len() - address_len - header_len);
        if !route.is_void() {
            self.chunk = Chunk::assembled(data, address_len, header_len, meta);
        }
        self.push_run(route, channel, confirm, 0, false);
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.routes.clear();
        self.slots.clear();
    }

    /// Collects the target queues and numbers the messages in them.
    fn group(&mut self) {
        self.slots.clear();
        self.routes.find_slots(&mut self.slots);
        for run in &self.runs {
            for slot in self.routes.slots(run.route) {
                let slot = &mut self.slots.list[*slot as usize];
                slot.n += u64::from(run.n);
                match slot.ranges.last_mut() {
                    Some(last) if last.0 + last.1 == run.start => last.1 += run.n,
                    _ => slot.ranges.push((run.start, run.n)),
                }
            }
        }
        let first = self.slots.list.first();
        self.last_queue = first.map(|slot| slot.queue.id()).or(self.last_queue);
        for slot in &mut self.slots.list {
            slot.first_seq = slot.queue.reserve_seqs(slot.n);
            slot.next_seq = slot.first_seq;
            slot.durable = slot.queue.durable();
            slot.pages = slot.queue.pages();
            slot.stores_all = slot.queue.stores_all();
            self.contended |= slot.queue.contended();
        }
    }

    /// Whether any target may have something for the log.
    fn may_log(&self) -> bool {
        let mut slots = self.slots.list.iter();
        slots.any(|slot| slot.durable || slot.pages)
    }

    /// Writes the log records of `chunk`'s persistent messages for durable queues, and of all
    /// messages for queues that page.
    fn record(&mut self, chunk: &Chunk, now_ms: u64) {
        for run in &self.runs {
            let slots = self.routes.slots(run.route);
            if slots.is_empty() {
                continue;
            }
            for index in run.start..run.start + run.n {
                let persistent = chunk.meta(index).persistent();
                self.targets.clear();
                self.paged.clear();
                for slot in slots {
                    let slot = &mut self.slots.list[*slot as usize];
                    if slot.durable && (persistent || slot.stores_all) {
                        slot.logged += 1;
                        self.targets.push((slot.queue.id(), slot.next_seq));
                    } else if slot.pages {
                        self.paged.push((slot.queue.id(), slot.next_seq));
                    }
                    slot.next_seq += 1;
                }
                let (meta, parts) = (chunk.meta(index), chunk.parts(index));
                if !self.targets.is_empty() {
                    self.lasting = true;
                    record(&mut self.log, &self.targets, lasting(meta), parts, now_ms);
                }
                if !self.paged.is_empty() {
                    record(&mut self.log, &self.paged, paged_only(meta), parts, now_ms);
                }
            }
        }
    }

    /// Has exchanges that remember their messages do so.
    fn remember(&self, chunk: &Arc<Chunk>) {
        for run in &self.runs {
            for history in self.routes[run.route].histories() {
                history.remember(chunk, run.start, run.n);
            }
        }
    }
}

impl Broker {
    /// Publishes the batch and returns what may be confirmed when, per channel in order. The
    /// batch is empty afterwards.
    pub fn publish<'b>(&self, batch: &'b mut PublishBatch, turn: &mut Turn) -> &'b [Outcome] {
        batch.outcomes.clear();
        batch.published.clear();
        batch.exchanges.clear();
        if batch.runs.is_empty() {
            return &batch.outcomes;
        }
        let chunk = batch.take_chunk(turn.now_ms());
        batch.group();
        if batch.may_log() {
            batch.record(&chunk, turn.now_ms());
        }
        let urgent = batch.runs.iter().any(|run| run.first_confirm != 0);
        batch.count(self.stats(), turn.now_ms());
        let (logged, position) = self.append_published(batch, urgent, turn);
        self.enqueue_slots(batch, &chunk, logged, turn);
        batch.outcome(position);
        batch.clear();
        &batch.outcomes
    }

    /// Commits a transaction: all its publishes and acks are one record of the log. Returns the
    /// position to wait for ([`NEVER`] when the log failed) and whether a queue refused a
    /// publish (H-66).
    pub fn commit(
        &self,
        batch: &mut PublishBatch,
        acks: &mut TxAcks,
        turn: &mut Turn,
    ) -> (Position, bool) {
        let chunk = batch.take_chunk(turn.now_ms());
        batch.group();
        batch.log.begin_tx();
        batch.record(&chunk, turn.now_ms());
        for (queue, _, entries) in acks.iter_mut() {
            for entry in entries.iter_mut().filter(|entry| entry.logged()) {
                batch.log.settle(queue.id(), entry.seq);
                batch.lasting = true;
                // Logged here, as part of the transaction: the queue must not log it again.
                entry.logged = false;
            }
        }
        batch.log.end_tx();
        let (logged, position) = self.append_published(batch, true, turn);
        if position == NEVER {
            // Nothing of it happens: the publishes are dropped, the deliveries come back.
            batch.clear();
            batch.published.clear();
            batch.exchanges.clear();
            batch.sizes = Sizes::default();
            for (queue, consumer, entries) in acks.drain(..) {
                queue.requeue(consumer, entries, turn);
            }
            return (NEVER, false);
        }
        batch.count(self.stats(), turn.now_ms());
        self.enqueue_slots(batch, &chunk, logged, turn);
        let refused = !batch.rejected.is_empty();
        batch.clear();
        for (queue, consumer, entries) in acks.drain(..) {
            queue.ack(consumer, &entries, turn);
        }
        (position, refused)
    }

    fn enqueue_slots(
        &self,
        batch: &mut PublishBatch,
        chunk: &Arc<Chunk>,
        logged: bool,
        turn: &mut Turn,
    ) {
        batch.rejected.clear();
        batch.remember(chunk);
        for slot in &batch.slots.list {
            let written = if logged { slot.logged } else { 0 };
            slot.queue.count_published(slot.n, written);
            slot.queue.enqueue(
                chunk,
                &slot.ranges,
                slot.first_seq,
                slot.logged(logged),
                turn,
                &mut batch.rejected,
            );
        }
        batch.rejected.sort_unstable();
        batch.rejected.dedup();
    }

    fn append_published(
        &self,
        batch: &mut PublishBatch,
        urgent: bool,
        turn: &mut Turn,
    ) -> (bool, Position) {
        let lasting = std::mem::take(&mut batch.lasting);
        if batch.log.is_empty() {
            return (false, 0);
        }
        // What is confirmed for a queue must find its queue after a restart.
        for slot in batch.slots.list.iter().filter(|slot| slot.durable) {
            turn.need_catalog(slot.queue.defined_at());
        }
        match self.log().append(&mut batch.log, urgent && lasting) {
            Ok(appended) if lasting => (true, appended.end),
            Ok(_) => (true, 0),
            // What is there for want of memory only is kept in memory then.
            Err(_) if !lasting => (false, 0),
            Err(_) => (false, NEVER),
        }
    }
}
