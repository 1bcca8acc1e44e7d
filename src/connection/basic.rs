//! Consuming: consume, cancel, get, acknowledgements, recover, prefetch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use warren_amqp::method::{Ack, Nack, Reject};
use warren_amqp::protocol::{AMQPClass, access, basic};
use warren_amqp::{ReplyError, short};
use warren_broker::arguments::{QueueType, parse_consumer_arguments};
use warren_broker::stats::Event;
use warren_broker::{
    ConsumeRefused, Consumer, ConsumerInfo, Got, HeadWaiter, Queue, REPLY_TO, generated_name,
};

use super::channel::{Channel, Fate, Settlement};
use super::fault::Fault;
use super::unacked::Unacked;
use super::{Connection, unimplemented_method};
use crate::net::outbox::by_source;
use basic::AMQPMethod as Method;

/// A `basic.get` whose message is being loaded.
pub(super) struct ParkedGet {
    channel: u16,
    queue: Arc<Queue>,
    no_ack: bool,
}

/// Deliveries settled at once by one ack, about.
const ACKS_AT_ONCE: usize = 1 << 16;

impl Connection {
    pub(super) fn basic_class(
        &mut self,
        number: u16,
        method: Method,
        payload: &[u8],
    ) -> Result<(), Fault> {
        match method {
            Method::Qos(qos) => self.qos(number, &qos, payload),
            Method::Consume(consume) => self.consume(number, consume),
            Method::Cancel(cancel) => self.cancel(number, &cancel),
            // The client may answer our own cancel (H-113).
            Method::CancelOk(_) => Ok(()),
            Method::Get(get) => self.get(number, &get),
            Method::Recover(recover) => self.recover(number, recover.requeue, true),
            Method::RecoverAsync(recover) => self.recover(number, recover.requeue, false),
            _ => Err(unimplemented_method().into()),
        }
    }

    pub(super) fn access_class(
        &mut self,
        number: u16,
        method: access::AMQPMethod,
    ) -> Result<(), Fault> {
        match method {
            access::AMQPMethod::Request(_) => {
                self.send_raw(number, &[0, 30, 0, 11, 0, 1]);
                Ok(())
            }
            access::AMQPMethod::RequestOk(_) => Err(unimplemented_method().into()),
        }
    }

    /// H-70 to H-76. The prefetch size stands in the method's first four argument bytes.
    fn qos(&mut self, number: u16, qos: &basic::Qos, payload: &[u8]) -> Result<(), Fault> {
        let size = payload.get(4..8).and_then(|bytes| bytes.try_into().ok());
        let size = u32::from_be_bytes(size.unwrap_or_default());
        if size != 0 {
            let text = format!("prefetch_size!=0 ({size})");
            return Err(ReplyError::not_implemented(text).into());
        }
        let channel = self.open(number)?;
        let prefetch = u32::from(qos.prefetch_count);
        if qos.global {
            channel.credit.set_limit(prefetch);
            let shown = &channel.live.global_prefetch;
            shown.store(prefetch, Ordering::Relaxed);
        } else {
            // As RabbitMQ: a limit per consumer also lifts the one of the channel.
            channel.prefetch = prefetch;
            channel.credit.set_limit(0);
            channel.live.prefetch.store(prefetch, Ordering::Relaxed);
            channel.live.global_prefetch.store(0, Ordering::Relaxed);
        }
        self.send(number, &AMQPClass::Basic(Method::QosOk(Default::default())));
        self.kick_channel(number);
        self.flush();
        Ok(())
    }

    fn consume(&mut self, number: u16, consume: basic::Consume) -> Result<(), Fault> {
        let name = self.queue_name(number, consume.queue.as_str())?;
        let tag = match consume.consumer_tag.as_str() {
            "" => generated_name("amq.ctag-"),
            tag => tag.to_owned(),
        };
        let limit = self.context.limits.consumer_max_per_channel;
        let channel = self.open(number)?;
        if channel.consumers.contains_key(&tag) {
            let text = format!("attempt to reuse consumer tag '{tag}'");
            return Err(ReplyError::not_allowed(text).into());
        }
        if limit.is_some_and(|limit| channel.consumers.len() >= limit) {
            let text = format!(
                "reached maximum ({}) of consumers per channel",
                limit.unwrap_or_default()
            );
            return Err(ReplyError::not_allowed(text).into());
        }
        let prefetch = channel.prefetch;
        let queue = if name == REPLY_TO {
            self.open_reply_queue(number, consume.no_ack)?
        } else {
            let (session, vhost, _) = self.opened()?;
            vhost.readable_queue(session, &name)?
        };
        let vhost_name = queue.definition().vhost.to_string();
        let quorum = queue.kind() == QueueType::Quorum;
        if quorum && self.open(number)?.credit.limited() {
            let text =
                format!("queue '{name}' in vhost '{vhost_name}' does not support global qos");
            return Err(ReplyError::not_implemented(text).into());
        }
        let arguments = parse_consumer_arguments(&name, &vhost_name, &consume.arguments)?;
        let info = ConsumerInfo {
            id: self.context.broker.new_consumer_id(),
            connection: self.id,
            channel: number,
            tag: tag.clone(),
            no_ack: consume.no_ack,
            // H-107.
            exclusive: consume.exclusive && !quorum,
            priority: arguments.priority,
            prefetch,
            arguments: consume.arguments,
        };
        let timeout_ms = arguments.timeout_ms;
        self.start_consumer(number, &queue, info, (timeout_ms, consume.nowait))
    }

    fn start_consumer(
        &mut self,
        number: u16,
        queue: &Arc<Queue>,
        info: ConsumerInfo,
        (timeout_ms, nowait): (Option<u64>, bool),
    ) -> Result<(), Fault> {
        let (id, tag) = (info.id, info.tag.clone());
        let told = info.clone();
        let credit = Arc::clone(&self.open(number)?.credit);
        self.outbox
            .add_consumer(number, id, &tag, queue, timeout_ms);
        let consumer = Consumer::new(info, self.sink(), credit);
        // Answered first: a publisher elsewhere may deliver as soon as the queue knows (H-103).
        if let Err(refused) = queue.add_consumer(consumer, self.turn.now_ms(), || {
            if !nowait {
                let ok = basic::ConsumeOk {
                    consumer_tag: short(&tag),
                };
                self.send(number, &AMQPClass::Basic(Method::ConsumeOk(ok)));
            }
        }) {
            self.outbox.remove_consumer(number, id);
            return Err(consume_refused(queue, refused).into());
        }
        let channel = self.open(number)?;
        channel.consumers.insert(tag, (id, Arc::clone(queue)));
        channel.live.add_consumer(id, queue);
        self.consumes = Some(queue.id());
        self.tell_consumer_created(&told, queue.name());
        queue.kick(&mut self.turn);
        self.flush();
        Ok(())
    }

    ///
    fn open_reply_queue(&mut self, number: u16, no_ack: bool) -> Result<Arc<Queue>, Fault> {
        let id = self.id;
        let channel = self.open(number)?;
        if channel.reply_queue.is_some() {
            return Err(ReplyError::precondition_failed("reply consumer already set").into());
        }
        if !no_ack {
            let text = "reply consumer cannot acknowledge";
            return Err(ReplyError::precondition_failed(text).into());
        }
        let (_, vhost, turn) = self.opened()?;
        let queue = vhost.open_reply_queue(id, turn.now_ms());
        self.open(number)?.reply_queue = Some(Arc::clone(&queue));
        Ok(queue)
    }

    fn cancel(&mut self, number: u16, cancel: &basic::Cancel) -> Result<(), Fault> {
        let tag = cancel.consumer_tag.as_str();
        let channel = self.open(number)?;
        if let Some((id, queue)) = channel.consumers.remove(tag) {
            channel.live.remove_consumer(id);
            self.outbox.remove_consumer(number, id);
            queue.remove_consumer(id, &mut self.turn);
            self.tell_consumer_deleted(number, tag, queue.name());
            let channel = self.open(number)?;
            let was_reply = channel
                .reply_queue
                .take_if(|reply| Arc::ptr_eq(reply, &queue));
            if let (Some(reply), Some(vhost)) = (was_reply, &self.vhost) {
                vhost.close_reply_queue(&reply, &mut self.turn);
            }
            self.flush();
        }
        if !cancel.nowait {
            let ok = basic::CancelOk {
                consumer_tag: cancel.consumer_tag.clone(),
            };
            self.send(number, &AMQPClass::Basic(Method::CancelOk(ok)));
        }
        Ok(())
    }

    fn get(&mut self, number: u16, get: &basic::Get) -> Result<(), Fault> {
        let name = self.queue_name(number, get.queue.as_str())?;
        let (session, vhost, _) = self.opened()?;
        let queue = vhost.readable_queue(session, &name)?;
        if queue.kind() == QueueType::Quorum && queue.is_single_active() {
            let text = format!(
                "cannot obtain access to locked queue '{name}' in vhost '{}'. basic.get operations \
                 are not supported by quorum queues with single active consumer",
                vhost.name()
            );
            return Err(ReplyError::resource_locked(text).into());
        }
        self.get_from(number, queue, get.no_ack)
    }

    /// Answers at once, unless the message must be loaded first: then nothing more is handled
    /// until it is there.
    fn get_from(&mut self, number: u16, queue: Arc<Queue>, no_ack: bool) -> Result<(), Fault> {
        let waiter = Arc::clone(&self.outbox) as Arc<dyn HeadWaiter>;
        let live = Arc::clone(&self.open(number)?.live);
        match queue.get(no_ack, &waiter, &mut self.turn) {
            Got::Message((entry, remaining)) => {
                let got = if no_ack { Event::GetNoAck } else { Event::Get };
                let counts = [(got, 1), (Event::Redeliver, u64::from(entry.redelivered))];
                counts.iter().for_each(|(event, n)| live.count(*event, *n));
                live.count_from(&queue, &counts);
                let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
                self.outbox
                    .put_get_ok(number, &queue, entry, no_ack, remaining);
            }
            Got::Empty => {
                live.count(Event::GetEmpty, 1);
                let empty = Method::GetEmpty(Default::default());
                self.send(number, &AMQPClass::Basic(empty));
            }
            Got::Away => {
                self.parked = Some(ParkedGet {
                    channel: number,
                    queue,
                    no_ack,
                });
            }
        }
        self.flush();
        Ok(())
    }

    /// The message a get waits for is there, or gone.
    pub(super) fn resume_get(&mut self) {
        let Some(parked) = self.parked.take() else {
            return;
        };
        if let Err(fault) = self.get_from(parked.channel, parked.queue, parked.no_ack) {
            self.fault(parked.channel, (60, 70), fault);
        }
    }

    /// The queues are told at the end of the turn.
    pub(super) fn ack(&mut self, number: u16, ack: Ack) -> Result<(), Fault> {
        let (tag, multiple) = (ack.delivery_tag, ack.multiple);
        if self.open(number)?.tx.is_some() {
            let settled = self.take_unacked(number, tag, multiple)?;
            return self.settle_deliveries(number, settled, Fate::Ack);
        }
        while multiple && let Some(part) = self.take_part(number, tag) {
            self.acks.count(number, part.len() as u64);
            self.apply_settlement(number, part, Fate::Ack);
            self.flush();
        }
        let limited = {
            let mut inner = self.outbox.lock();
            let Some(channel) = inner.channel(number) else {
                return Ok(());
            };
            let n = channel.ack(tag, multiple, &mut self.acks);
            self.acks.count(number, n.ok_or_else(|| unknown_tag(tag))?);
            channel.credit.limited()
        };
        if limited {
            // Credit shared between queues: each may have waited for it, so whoever is next in turn
            // gets it, not the queue that was acked.
            self.kick_channel(number);
        }
        Ok(())
    }

    /// Part of what a tag stands for, when that is so much that it should not be taken apart at
    /// once.
    fn take_part(&mut self, number: u16, tag: u64) -> Option<Vec<Unacked>> {
        let mut inner = self.outbox.lock();
        inner.channel(number)?.unacked.take_part(tag, ACKS_AT_ONCE)
    }

    pub(super) fn nack(&mut self, number: u16, nack: Nack) -> Result<(), Fault> {
        let settled = self.take_unacked(number, nack.delivery_tag, nack.multiple)?;
        let fate = if nack.requeue {
            Fate::Requeue
        } else {
            Fate::Reject
        };
        self.settle_deliveries(number, settled, fate)
    }

    pub(super) fn reject(&mut self, number: u16, reject: Reject) -> Result<(), Fault> {
        let settled = self.take_unacked(number, reject.delivery_tag, false)?;
        let fate = if reject.requeue {
            Fate::Requeue
        } else {
            Fate::Reject
        };
        self.settle_deliveries(number, settled, fate)
    }

    /// The outstanding deliveries a tag stands for (H-81, H-82).
    fn take_unacked(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
    ) -> Result<Vec<Unacked>, Fault> {
        let mut inner = self.outbox.lock();
        let Some(channel) = inner.channel(number) else {
            return Ok(Vec::new());
        };
        let unknown = || unknown_tag(tag);
        match (tag, multiple) {
            (0, true) => Ok(channel.unacked.take_all()),
            (_, true) => {
                let mut taken = Vec::new();
                channel
                    .unacked
                    .take_up_to(tag, &mut taken)
                    .ok_or_else(unknown)?;
                Ok(taken)
            }
            (_, false) => Ok(vec![channel.unacked.take(tag).ok_or_else(unknown)?]),
        }
    }

    fn settle_deliveries(
        &mut self,
        number: u16,
        entries: Vec<Unacked>,
        fate: Fate,
    ) -> Result<(), Fault> {
        let channel = self.open(number)?;
        if let Some(tx) = &mut channel.tx {
            tx.settled += entries.len() as u64;
            tx.settlements.push(Settlement { entries, fate });
            channel.show_tx();
            return Ok(());
        }
        self.apply_settlement(number, entries, fate);
        Ok(())
    }

    /// Tells the queues at once.
    pub(super) fn apply_settlement(&mut self, number: u16, entries: Vec<Unacked>, fate: Fate) {
        let (groups, limited) = {
            let mut inner = self.outbox.lock();
            let Some(channel) = inner.channel(number) else {
                return;
            };
            channel.release_credit(&entries);
            let limited = channel.credit.limited();
            (by_source(channel, entries), limited)
        };
        if limited {
            self.kick_channel(number);
        }
        for (queue, consumer, entries) in groups {
            match fate {
                Fate::Ack => {
                    if let Some(Channel::Open(channel)) = self.channels.get(&number) {
                        let n = entries.len() as u64;
                        channel.live.count_from(&queue, &[(Event::Ack, n)]);
                    }
                    queue.ack(consumer, &entries, &mut self.turn);
                }
                Fate::Requeue => queue.requeue(consumer, entries, &mut self.turn),
                Fate::Reject => queue.reject(consumer, entries, &mut self.turn),
            }
        }
    }

    /// H-86: the answer first, then everything unacked goes back to its queue.
    fn recover(&mut self, number: u16, requeue: bool, answer: bool) -> Result<(), Fault> {
        if !requeue {
            return Err(ReplyError::not_implemented("requeue=false").into());
        }
        if answer {
            self.send(
                number,
                &AMQPClass::Basic(Method::RecoverOk(Default::default())),
            );
        }
        let entries = {
            let mut inner = self.outbox.lock();
            inner
                .channel(number)
                .map(|channel| channel.unacked.take_all())
        };
        self.apply_settlement(number, entries.unwrap_or_default(), Fate::Requeue);
        self.flush();
        Ok(())
    }

    /// The queue an operation names; empty means the channel's last declared one (H-15).
    pub(super) fn queue_name(&mut self, number: u16, name: &str) -> Result<String, Fault> {
        if !name.is_empty() {
            return Ok(name.to_owned());
        }
        let last = self.open(number)?.last_queue.clone();
        last.ok_or_else(|| ReplyError::not_found("no previously declared queue").into())
    }
}

fn unknown_tag(tag: u64) -> Fault {
    ReplyError::precondition_failed(format!("unknown delivery tag {tag}")).into()
}

fn consume_refused(queue: &Queue, refused: ConsumeRefused) -> ReplyError {
    let phrase = format!(
        "queue '{}' in vhost '{}'",
        queue.name(),
        queue.definition().vhost
    );
    match refused {
        ConsumeRefused::Gone => ReplyError::not_found(format!("no {phrase}")),
        ConsumeRefused::InUse => ReplyError::access_refused(format!("{phrase} in exclusive use")),
    }
}
