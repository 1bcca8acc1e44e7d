//! One channel of a connection: its modes, consumers and half-received content. The deliveries
//! it has not settled live in the outbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;
use warren_amqp::ReplyError;
use warren_broker::buffers::Buffer;
use warren_broker::stats::{Event, ExchangeStats, LiveChannel};
use warren_broker::{ChannelCredit, ChannelSlot, ConsumerId, PublishBatch, Published, Queue};

use super::confirms::Confirms;
use super::fault::Fault;
use super::unacked::Unacked;

/// A channel.
///
/// ```text
///   (none) --open--> Open --close-ok sent--> (none)
///                     |  ^ error: channel.close sent
///                     v
///                  Closing: everything but close-ok (and close) is discarded --close-ok--> (none)
/// ```
pub(crate) enum Channel {
    /// In use.
    Open(Box<OpenChannel>),
    /// We closed it and wait for close-ok (H-7).
    Closing,
}

/// State of a channel in use.
pub(crate) struct OpenChannel {
    /// A publish whose content is not complete.
    pub(crate) content: Option<Content>,
    /// What an empty queue name means (H-15).
    pub(crate) last_queue: Option<String>,
    /// Publisher confirms, once selected.
    pub(crate) confirms: Option<Confirms>,
    /// Transactions, once selected.
    pub(crate) tx: Option<Tx>,
    /// Prefetch of consumers started from now on; 0 is unlimited.
    pub(crate) prefetch: u32,
    /// Consumers by tag.
    pub(crate) consumers: HashMap<String, (ConsumerId, Arc<Queue>)>,
    /// The hidden queue of the direct reply-to consumer.
    pub(crate) reply_queue: Option<Arc<Queue>>,
    /// Credit shared by its consumers.
    pub(crate) credit: Arc<ChannelCredit>,
    /// What others see of it.
    pub(crate) live: Arc<LiveChannel>,
    /// Its place among those that are limited in number.
    _slot: ChannelSlot,
}

/// A transaction in progress.
#[derive(Default)]
pub(crate) struct Tx {
    /// Publishes, routed but not enqueued (H-61).
    pub(crate) publishes: PublishBatch,
    /// Returns to be sent at commit: what `basic.return` needs (H-62).
    pub(crate) returns: Vec<Returned>,
    /// Settlements to be applied at commit, in order (H-63).
    pub(crate) settlements: Vec<Settlement>,
    /// Messages among the publishes and returns.
    pub(crate) published: u64,
    /// Deliveries among the settlements.
    pub(crate) settled: u64,
}

/// An unroutable mandatory message.
pub(crate) struct Returned {
    /// Exchange and routing key as published.
    pub(crate) address: Vec<u8>,
    /// Content header payload.
    pub(crate) header: Vec<u8>,
    /// Body.
    pub(crate) body: Vec<u8>,
}

/// An ack, nack or reject inside a transaction.
pub(crate) struct Settlement {
    /// The deliveries.
    pub(crate) entries: Vec<Unacked>,
    /// What becomes of them.
    pub(crate) fate: Fate,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Settled.
    Ack,
    /// Back to its queue.
    Requeue,
    /// Dead-lettered or dropped.
    Reject,
}

/// A publish being received, frame by frame.
pub(crate) struct Content {
    /// Exchange and routing key as sent.
    pub(crate) address: Vec<u8>,
    /// Return it when unroutable.
    pub(crate) mandatory: bool,
    /// Not supported; refused once complete.
    pub(crate) immediate: bool,
    /// Once the header came.
    pub(crate) body: Option<Body>,
}

/// A body being received.
pub(crate) struct Body {
    /// Address, content header payload and the body so far, one after the other.
    pub(crate) data: Buffer,
    /// Bytes before the body.
    pub(crate) before: usize,
    /// Length of the content header payload.
    pub(crate) header_len: usize,
    /// Declared body size.
    pub(crate) size: u64,
    /// Bytes received; more than is kept when the message is over the size limit (W-6).
    pub(crate) received: u64,
}

/// The channel, which the caller knows to be open.
pub(crate) fn open(
    channels: &mut FxHashMap<u16, Channel>,
    number: u16,
) -> Result<&mut OpenChannel, Fault> {
    match channels.get_mut(&number) {
        Some(Channel::Open(channel)) => Ok(channel),
        _ => Err(ReplyError::channel_error("expected 'channel.open'").into()),
    }
}

impl OpenChannel {
    /// A fresh channel.
    pub(crate) fn new(
        credit: Arc<ChannelCredit>,
        prefetch: u32,
        live: Arc<LiveChannel>,
        slot: ChannelSlot,
    ) -> Self {
        Self {
            content: None,
            last_queue: None,
            confirms: None,
            tx: None,
            prefetch,
            consumers: HashMap::new(),
            reply_queue: None,
            credit,
            live,
            _slot: slot,
        }
    }

    /// The number of the next publish; 0 without confirms.
    pub(crate) fn next_confirm(&mut self) -> u64 {
        self.confirms.as_mut().map_or(0, Confirms::next)
    }

    /// Counts what a published batch held of this channel.
    pub(crate) fn count_published(
        &self,
        published: &Published,
        exchange: Option<&Arc<ExchangeStats>>,
    ) {
        let counts = [
            (Event::Publish, published.messages),
            (Event::ReturnUnroutable, published.returned),
            (Event::DropUnroutable, published.dropped),
        ];
        counts
            .iter()
            .for_each(|(event, n)| self.live.count(*event, *n));
        if let Some(exchange) = exchange {
            self.live.count_to(exchange, &counts);
        }
    }

    /// Shows how many confirms are due.
    pub(crate) fn show_unconfirmed(&self) {
        let due = self.confirms.as_ref().map_or(0, Confirms::unanswered);
        self.live.unconfirmed.store(due, Ordering::Relaxed);
    }

    /// Shows how far its transaction is.
    pub(crate) fn show_tx(&self) {
        let (mut publishes, mut acks) = (0, 0);
        if let Some(tx) = &self.tx {
            publishes = tx.published;
            acks = tx.settled;
        }
        self.live.uncommitted.store(publishes, Ordering::Relaxed);
        self.live.acks_uncommitted.store(acks, Ordering::Relaxed);
    }
}
