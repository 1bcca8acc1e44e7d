//! A connection's outbox: bytes waiting for its socket, and the delivery state of its channels
//! (`channel`).
//!
//! Whoever brings a message to a consumer (another connection's task, a timer) encodes the
//! delivery straight into the outbox under one short lock and wakes the connection once. Large
//! bodies are not copied: they are spliced in at write time. The unacked deliveries live here
//! too, because tag, bytes and unacked entry must come into being together.
//!
//! Lock order: a queue's lock may be held when the outbox's is taken, never the other way.

mod channel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use warren_amqp::deliver::body_payload_max;
use warren_amqp::{
    ReplyError, put_body, put_body_frame_head, put_deliver_head, put_frame_end, put_get_ok_head,
};
use warren_broker::message::Message;
use warren_broker::stats::{Event, LiveChannel};
use warren_broker::{
    ChannelCredit, ConsumerId, ConsumerInfo, ConsumerSink, Entry, HeadWaiter, Held, Queue, Tap,
};
use warren_storage::{Durable, QueueId};

use self::channel::Source;
pub(crate) use self::channel::{ChannelOut, by_source};
use super::bell::Wakeup;
use super::write_buf::WriteBuf;

/// Bytes waiting for a socket beyond which its consumers get nothing more.
const ROOM: usize = 256 * 1024;

/// Bodies at least this large are spliced, not copied.
const SPLICE_MIN: usize = 8 * 1024;

/// What the connection's task is asked to do beside writing.
#[derive(Default)]
pub(crate) struct Signals {
    /// Close the connection with this error.
    pub(crate) close: Option<ReplyError>,
    /// The alarms changed.
    pub(crate) alarms: bool,
    /// The message a get waits for was loaded, or is gone.
    pub(crate) head_here: bool,
    /// Consumers the broker ended: channel, identity and tag.
    pub(crate) cancelled: Vec<(u16, ConsumerId, String)>,
    /// Channels whose shared credit came back.
    pub(crate) kick: Vec<u16>,
    /// Channels with a delivery that was not acked in time, and that time in milliseconds.
    pub(crate) overdue: Vec<(u16, u64)>,
}

impl Signals {
    fn any(&self) -> bool {
        self.close.is_some()
            || self.alarms
            || self.head_here
            || !self.cancelled.is_empty()
            || !self.kick.is_empty()
            || !self.overdue.is_empty()
    }
}

/// What the lock protects.
pub(crate) struct Inner {
    /// Bytes and splices waiting to be written.
    pub(crate) out: WriteBuf,
    /// Boxed: the table has room for more than the one channel most connections have.
    channels: FxHashMap<u16, Box<ChannelOut>>,
    wakeup: Option<Wakeup>,
    signals: Signals,
    frame_max: u32,
    /// Traces what is delivered, once the connection has a vhost.
    tap: Option<Tap>,
}

impl Inner {
    /// The delivery state of a channel.
    pub(crate) fn channel(&mut self, channel: u16) -> Option<&mut ChannelOut> {
        self.channels.get_mut(&channel).map(Box::as_mut)
    }

    /// Deliveries of a queue that are not settled, the oldest `most` of each channel.
    pub(crate) fn held_of(&self, queue: QueueId, most: usize) -> Vec<Held> {
        let mut held = Vec::new();
        for (number, channel) in &self.channels {
            channel.held_of(*number, queue, most, &mut held);
        }
        held
    }
}

/// Adds a body after its header, spliced when large.
fn put_message_body(out: &mut WriteBuf, frame_max: u32, channel: u16, message: &Message) {
    let body = message.body();
    if body.len() < SPLICE_MIN {
        put_body(&mut out.bytes, channel, frame_max, body);
        return;
    }
    let limit = body_payload_max(frame_max);
    let mut start = 0;
    while start < body.len() {
        let end = body.len().min(start + limit);
        put_body_frame_head(&mut out.bytes, channel, (end - start) as u32);
        out.splice(message.clone(), start..end);
        put_frame_end(&mut out.bytes);
        start = end;
    }
}

/// See the module documentation.
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    /// Bytes waiting, those being written included.
    pending: AtomicUsize,
    /// A queue was told there is no room: kick the queues once there is.
    starved: AtomicBool,
    /// The log calls back when durable.
    awaiting_log: AtomicBool,
}

impl Outbox {
    /// An empty outbox.
    pub(crate) fn new() -> Arc<Self> {
        let inner = Inner {
            out: WriteBuf::default(),
            channels: FxHashMap::default(),
            wakeup: None,
            signals: Signals::default(),
            frame_max: 0,
            tap: None,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            pending: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            awaiting_log: AtomicBool::new(false),
        })
    }

    /// Locks it. The bytes added meanwhile are counted by [`Outbox::done`].
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Runs `write` on the waiting bytes. For the connection's own task, which needs no waking.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner.lock();
        let before = inner.out.len();
        write(&mut inner);
        self.pending
            .fetch_add(inner.out.len() - before, Ordering::SeqCst);
    }

    /// Sets the negotiated frame size.
    pub(crate) fn set_frame_max(&self, frame_max: u32) {
        self.inner.lock().frame_max = frame_max;
    }

    /// Sets what traces deliveries.
    pub(crate) fn set_tap(&self, tap: Tap) {
        self.inner.lock().tap = Some(tap);
    }

    /// Bytes waiting.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Moves what waits into the empty `into`, or remembers to wake the task when there is
    /// something; and takes the signals.
    pub(crate) fn take(
        &self,
        into: &mut WriteBuf,
        context: &Context<'_>,
        hold: bool,
    ) -> Option<Signals> {
        let mut inner = self.inner.lock();
        if !hold && into.is_empty() && !inner.out.is_empty() {
            std::mem::swap(into, &mut inner.out);
        }
        if !inner
            .wakeup
            .as_ref()
            .is_some_and(|wakeup| wakeup.is_of(context))
        {
            inner.wakeup = Some(Wakeup::of(context));
        }
        inner
            .signals
            .any()
            .then(|| std::mem::take(&mut inner.signals))
    }

    /// Forgets what waits and was not handed to the socket yet.
    pub(crate) fn discard(&self) {
        let mut inner = self.inner.lock();
        let waiting = std::mem::take(&mut inner.out).len();
        self.pending.fetch_sub(waiting, Ordering::SeqCst);
    }

    /// `n` bytes went out. True when queues must be kicked because there is room again.
    pub(crate) fn written(&self, n: usize) -> bool {
        let left = self.pending.fetch_sub(n, Ordering::SeqCst) - n;
        left < ROOM / 2 && self.starved.swap(false, Ordering::SeqCst)
    }

    /// Gives memory back while the connection idles.
    pub(crate) fn shrink(&self) {
        let mut inner = self.inner.lock();
        if inner.out.is_empty() {
            inner.out = WriteBuf::default();
        }
        inner.channels.shrink_to_fit();
    }

    /// Opens a channel's delivery state.
    pub(crate) fn open_channel(&self, channel: u16, live: &Arc<LiveChannel>) -> Arc<ChannelCredit> {
        let state = Box::new(ChannelOut::new(live));
        let credit = Arc::clone(&state.credit);
        self.inner.lock().channels.insert(channel, state);
        credit
    }

    /// Ends a channel's deliveries: from now on nothing reaches it. Returns its state.
    pub(crate) fn close_channel(&self, channel: u16) -> Option<ChannelOut> {
        let state = self.inner.lock().channels.remove(&channel);
        state.map(|state| *state)
    }

    /// Makes a consumer known, before its queue knows it.
    /// Its deliveries may stay unacked for `timeout_ms` if that is not the queue's or the node's
    /// default.
    pub(crate) fn add_consumer(
        &self,
        channel: u16,
        id: ConsumerId,
        tag: &str,
        queue: &Arc<Queue>,
        timeout_ms: Option<u64>,
    ) {
        let mut inner = self.inner.lock();
        let Some(channel) = inner.channels.get_mut(&channel) else {
            return;
        };
        let index = channel.add_source(Source {
            queue: Arc::clone(queue),
            consumer: Some(id),
            tag: tag.as_bytes().into(),
            outstanding: 0,
            cancelled: false,
            timeout_ms: timeout_ms.or(queue.consumer_timeout_ms()),
        });
        channel.consumers.insert(id, index);
    }

    /// Forgets a consumer: nothing more is delivered to it. Its unacked deliveries stay.
    pub(crate) fn remove_consumer(&self, channel: u16, id: ConsumerId) {
        let mut inner = self.inner.lock();
        let Some(channel) = inner.channels.get_mut(&channel) else {
            return;
        };
        let Some(index) = channel.consumers.remove(&id) else {
            return;
        };
        if let Some(Some(source)) = channel.sources.get_mut(index as usize) {
            source.cancelled = true;
            if source.outstanding == 0 {
                channel.drop_source(index);
            }
        }
    }

    /// Writes a `get-ok` with the message; remembers it as unacked unless `no_ack`.
    pub(crate) fn put_get_ok(
        &self,
        channel: u16,
        queue: &Arc<Queue>,
        entry: Entry,
        no_ack: bool,
        remaining: u32,
    ) {
        self.write(|inner| {
            let Some(state) = inner.channels.get_mut(&channel) else {
                return;
            };
            let tag = state.next_tag;
            state.next_tag += 1;
            if let Some(tap) = inner.tap.as_ref().filter(|tap| tap.is_open()) {
                tap.delivered(channel, queue, &entry);
            }
            let message = entry.message.clone();
            let (address, header) = (message.address(), entry.delivered_header());
            let out = &mut inner.out.bytes;
            put_get_ok_head(
                out,
                channel,
                tag,
                entry.redelivered,
                address,
                remaining,
                &header,
            );
            if !no_ack {
                let index = state.get_source(queue);
                state.unacked.push_at(tag, index, entry.sent(), now_s());
            }
            put_message_body(&mut inner.out, inner.frame_max, channel, &message);
        });
    }

    /// Looks for deliveries that were not acked in time and tells the task of them (row H-91).
    /// `default_ms` counts where neither consumer nor queue has a timeout of its own.
    pub(crate) fn check_deliveries(&self, now_ms: u64, default_ms: Option<u64>) {
        let mut inner = self.inner.lock();
        let channels = inner.channels.iter();
        let overdue: Vec<(u16, u64)> = channels
            .filter_map(|(number, channel)| Some((*number, channel.overdue(now_ms, default_ms)?)))
            .collect();
        if overdue.is_empty() {
            return;
        }
        inner.signals.overdue = overdue;
        let wakeup = inner.wakeup.clone();
        drop(inner);
        if let Some(wakeup) = wakeup {
            wakeup.wake();
        }
    }

    /// Has the task look after itself: an operator's wish or an alarm.
    pub(crate) fn signal(&self, set: impl FnOnce(&mut Signals)) {
        let mut inner = self.inner.lock();
        set(&mut inner.signals);
        let wakeup = inner.wakeup.clone();
        drop(inner);
        if let Some(wakeup) = wakeup {
            wakeup.wake();
        }
    }

    /// Whether the log has already been asked to call back; asks for it when not.
    pub(crate) fn start_awaiting_log(&self) -> bool {
        !self.awaiting_log.swap(true, Ordering::SeqCst)
    }

    fn wake(&self) {
        let wakeup = self.inner.lock().wakeup.clone();
        if let Some(wakeup) = wakeup {
            wakeup.wake();
        }
    }
}

impl HeadWaiter for Outbox {
    fn head_here(&self) {
        self.signal(|signals| signals.head_here = true);
    }
}

impl Durable for Outbox {
    fn durable(&self) {
        self.awaiting_log.store(false, Ordering::SeqCst);
        self.wake();
    }
}

impl ConsumerSink for Outbox {
    fn room(&self) -> usize {
        let free = || ROOM.saturating_sub(self.pending.load(Ordering::SeqCst));
        let room = free();
        if room > 0 {
            return room;
        }
        self.starved.store(true, Ordering::SeqCst);
        // Looked at again: it may have been written out before the mark was set.
        free()
    }

    fn deliver(&self, consumer: &ConsumerInfo, entries: &mut Vec<Entry>) -> bool {
        let mut inner = self.inner.lock();
        let Inner {
            out,
            channels,
            wakeup,
            frame_max,
            tap,
            ..
        } = &mut *inner;
        let Some(state) = channels.get_mut(&consumer.channel) else {
            return false;
        };
        let Some(&index) = state.consumers.get(&consumer.id) else {
            return false;
        };
        let Some(Some(source)) = state.sources.get_mut(index as usize) else {
            return false;
        };
        if !consumer.no_ack {
            source.outstanding += entries.len() as u32;
        }
        if let Some(tap) = tap.as_ref().filter(|tap| tap.is_open()) {
            for entry in entries.iter() {
                tap.delivered(consumer.channel, &source.queue, entry);
            }
        }
        let before = out.len();
        let first_tag = state.next_tag;
        let n = entries.len() as u64;
        state.next_tag += n;
        let event = match consumer.no_ack {
            true => Event::DeliverNoAck,
            false => Event::Deliver,
        };
        let again = entries.iter().filter(|entry| entry.redelivered).count();
        let counts = [(event, n), (Event::Redeliver, again as u64)];
        counts
            .iter()
            .for_each(|(event, n)| state.live.count(*event, *n));
        state.live.count_from(&source.queue, &counts);
        for (entry, tag) in entries.iter().zip(first_tag..) {
            let message = &entry.message;
            put_deliver_head(
                &mut out.bytes,
                consumer.channel,
                &source.tag,
                tag,
                entry.redelivered,
                message.address(),
                &entry.delivered_header(),
            );
            put_message_body(out, *frame_max, consumer.channel, message);
        }
        if consumer.no_ack {
            entries.clear();
        } else {
            let since_s = now_s();
            for (entry, tag) in entries.drain(..).zip(first_tag..) {
                state.unacked.push_at(tag, index, entry.sent(), since_s);
            }
        }
        self.pending.fetch_add(out.len() - before, Ordering::SeqCst);
        if before == 0
            && let Some(wakeup) = wakeup
        {
            wakeup.wake();
        }
        true
    }

    fn credit_returned(&self, consumer: &ConsumerInfo) {
        self.signal(|signals| signals.kick.push(consumer.channel));
    }

    fn cancelled(&self, consumer: &ConsumerInfo) {
        let (channel, id, tag) = (consumer.channel, consumer.id, consumer.tag.clone());
        self.signal(|signals| signals.cancelled.push((channel, id, tag)));
    }
}

/// The time in Unix seconds: as much as the age of a delivery needs.
fn now_s() -> u32 {
    u32::try_from(crate::clock::now_ms() / 1000).unwrap_or(u32::MAX)
}
