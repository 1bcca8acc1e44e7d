//! The end of a turn and what happens beside the client's frames: gathered publishes and acks
//! go to their queues, due confirms are written, channels are wound down, alarms block.

use std::sync::Arc;

use warren_amqp::protocol::{AMQPClass, basic, connection as conn_methods};
use warren_amqp::{ReplyError, short};
use warren_broker::stats::Event;
use warren_broker::{ConsumerId, Entry, Queue};
use warren_storage::Durable;

use super::channel::Channel;
use super::{Connection, Phase};
use crate::net::bell;
use crate::net::outbox::by_source;

impl Connection {
    /// Hands gathered publishes and acks to their queues. Done before any method whose answer
    /// depends on them, and at the end of each read.
    pub(super) fn flush(&mut self) {
        self.flush_acks();
        self.flush_publishes();
        if !self.turn.is_idle() {
            self.context.broker.finish(&mut self.turn);
        }
        self.barrier.0 = self.barrier.0.max(self.turn.take_catalog_index());
    }

    pub(super) fn flush_publishes(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let outcomes = self.context.broker.publish(&mut self.batch, &mut self.turn);
        for outcome in outcomes {
            let Some(Channel::Open(channel)) = self.channels.get_mut(&outcome.channel) else {
                continue;
            };
            let Some(confirms) = &mut channel.confirms else {
                continue;
            };
            confirms.handled(outcome.confirms.1, outcome.position, outcome.nack);
            channel.show_unconfirmed();
            if !self.confirming.contains(&outcome.channel) {
                self.confirming.push(outcome.channel);
            }
        }
        for (index, published) in self.batch.published().iter().enumerate() {
            if let Some(Channel::Open(channel)) = self.channels.get(&published.channel) {
                channel.count_published(published, self.batch.published_to(index));
            }
        }
    }

    fn flush_acks(&mut self) {
        let pairs = self.context.broker.stats().sampler().keeps_pairs();
        let (channels, turn) = (&self.channels, &mut self.turn);
        self.acks.drain(
            |queue, consumer, entries| {
                if pairs {
                    count_acked(channels.values(), queue, consumer, entries.len() as u64);
                }
                queue.ack(consumer, entries, turn);
            },
            |(number, n)| {
                if let Some(Channel::Open(channel)) = channels.get(&number) {
                    channel.live.count(Event::Ack, n);
                }
            },
        );
    }

    /// Writes the confirms that are due; asks the log to call back for the rest.
    pub(super) fn answer_confirms(&mut self) {
        let Some(mut position) = self.answer_durable() else {
            return;
        };
        if position != warren_broker::NEVER && self.commit_here(position) {
            match self.answer_durable() {
                Some(next) => position = next,
                None => return,
            }
        }
        self.await_log(position);
    }

    /// Writes the confirms that are due; gives the position the next one waits for.
    fn answer_durable(&mut self) -> Option<warren_storage::Position> {
        if self.confirming.is_empty() {
            return None;
        }
        let log = self.context.broker.log();
        let failed = log.failure().is_some();
        let durable = log.durable_up_to();
        let mut next = None;
        let (channels, confirming) = (&mut self.channels, &mut self.confirming);
        self.outbox.write(|inner| {
            confirming.retain(|number| {
                let Some(Channel::Open(channel)) = channels.get_mut(number) else {
                    return false;
                };
                let Some(confirms) = &mut channel.confirms else {
                    return false;
                };
                if failed {
                    confirms.refuse_undurable(durable);
                }
                let waits = confirms.answer(durable, &mut inner.out.bytes, *number);
                let acked = confirms.take_acked();
                channel.live.count_confirmed(acked);
                channel.show_unconfirmed();
                if let Some(position) = waits {
                    next = Some(next.unwrap_or(position).min(position));
                }
                waits.is_some()
            });
        });
        next
    }

    /// Whether everything the replies stand for is on disk.
    pub(super) fn durable(&self) -> bool {
        let (index, position) = self.barrier;
        let broker = &self.context.broker;
        (index == 0 || broker.catalog().durable_index() >= index)
            && (position == 0 || broker.log().durable_up_to() >= position)
    }

    /// Asks catalog and log to call back when the held replies may go.
    pub(super) fn await_barrier(&mut self) {
        if self.barrier == (0, 0) {
            return;
        }
        if self.durable() {
            self.barrier = (0, 0);
            return;
        }
        let (index, position) = self.barrier;
        let catalog = self.context.broker.catalog();
        let log = self.context.broker.log();
        if catalog.failure().or_else(|| log.failure()).is_some() {
            // What is held back cannot become true any more, and must not be said.
            self.outbox.discard();
            self.barrier = (0, 0);
            return self.close_connection(ReplyError::internal());
        }
        let written = log.durable_up_to() >= position || self.commit_here(position);
        if self.durable() {
            self.barrier = (0, 0);
            return;
        }
        if catalog.durable_index() < index {
            catalog.when_durable(index, Arc::clone(&self.outbox) as Arc<dyn Durable>);
        }
        if !written {
            self.await_log(position);
        }
    }

    /// Commits up to there if that is quick; what was done for other connections goes out before.
    fn commit_here(&self, position: warren_storage::Position) -> bool {
        bell::sound();
        self.context.broker.log().commit_here(position)
    }

    fn await_log(&self, position: warren_storage::Position) {
        let log = self.context.broker.log();
        // A failed log would call back at once, again and again, and never confirm anything.
        if position != warren_broker::NEVER
            && log.failure().is_none()
            && self.outbox.start_awaiting_log()
        {
            let waiter = Arc::clone(&self.outbox) as Arc<dyn Durable>;
            self.context.broker.log().when_durable(position, waiter);
        }
    }

    /// Winds a channel down: consumers cancelled, unacked messages requeued (H-11).
    pub(super) fn close_channel(&mut self, number: u16) {
        let Some(Channel::Open(channel)) = self.channels.remove(&number) else {
            return;
        };
        let mut channel = *channel;
        if let Some(confirms) = &channel.confirms
            && confirms.unanswered() > 0
        {
            tracing::warn!(
                connection = self.name,
                vhost = self.vhost_name(),
                channel = number,
                "channel is stopping with {} pending publisher confirms",
                confirms.unanswered()
            );
        }
        let Some(mut out) = self.outbox.close_channel(number) else {
            return;
        };
        let mut unsettled = out.unacked.take_all();
        if let Some(tx) = channel.tx.take() {
            unsettled.extend(tx.settlements.into_iter().flat_map(|s| s.entries));
            unsettled.sort_unstable_by_key(|unacked| unacked.tag);
        }
        let mut leaving: Vec<Leaving> = Vec::new();
        for (queue, _, entries) in by_source(&mut out, unsettled) {
            at_queue(&mut leaving, &queue).entries.extend(entries);
        }
        self.tell_channel("channel.closed", number);
        for (tag, (id, queue)) in channel.consumers.drain() {
            self.tell_consumer_deleted(number, &tag, queue.name());
            at_queue(&mut leaving, &queue).consumers.push(id);
        }
        for Leaving {
            queue,
            consumers,
            entries,
        } in leaving
        {
            queue.leave(&consumers, entries, &mut self.turn);
        }
        if let (Some(queue), Some(vhost)) = (channel.reply_queue.take(), &self.vhost) {
            vhost.close_reply_queue(&queue, &mut self.turn);
        }
        self.context.broker.finish(&mut self.turn);
    }

    /// Credit came back: let the queues of the channel's consumers deliver, another one first each
    /// time.
    pub(super) fn kick_channel(&mut self, number: u16) {
        let queues = self
            .outbox
            .lock()
            .channel(number)
            .map(|channel| channel.queues_in_turn());
        for queue in queues.unwrap_or_default() {
            queue.kick(&mut self.turn);
        }
    }

    /// A delivery was not acked in time: its channel ends (row H-91).
    pub(super) fn not_acked_in_time(&mut self, number: u16, timeout_ms: u64) {
        if self.phase != Phase::Running || self.open(number).is_err() {
            return;
        }
        self.flush();
        let text = format!(
            "delivery acknowledgement on channel {number} timed out. Timeout value used: \
             {timeout_ms} ms. This timeout value can be configured, see consumers doc guide to \
             learn more"
        );
        let error = ReplyError::precondition_failed(text).without_method();
        self.fault(number, (0, 0), error.into());
        self.settle();
    }

    /// The broker ended a consumer because its queue is gone.
    pub(super) fn consumer_cancelled(&mut self, number: u16, id: ConsumerId, tag: &str) {
        let Ok(channel) = self.open(number) else {
            return;
        };
        // The client may have cancelled it meanwhile, and used the tag again.
        if channel
            .consumers
            .get(tag)
            .is_none_or(|(current, _)| *current != id)
        {
            return;
        }
        let gone = channel.consumers.remove(tag);
        channel.live.remove_consumer(id);
        if let Some((_, queue)) = gone {
            self.tell_consumer_deleted(number, tag, queue.name());
        }
        self.outbox.remove_consumer(number, id);
        if self.capabilities.consumer_cancel_notify {
            let cancel = basic::Cancel {
                consumer_tag: short(tag),
                nowait: true,
            };
            self.send(number, &AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
        }
    }

    /// The connection published: while an alarm is on, that blocks it.
    pub(super) fn note_publish(&mut self) {
        if self.context.broker.alarmed() {
            self.block();
        }
    }

    pub(super) fn alarms_changed(&mut self) {
        if self.context.broker.alarmed() || !std::mem::take(&mut self.blocked) {
            return;
        }
        if std::mem::take(&mut self.blocked_told) {
            let unblocked = conn_methods::AMQPMethod::Unblocked(conn_methods::Unblocked {});
            self.send(0, &AMQPClass::Connection(unblocked));
        }
    }

    fn block(&mut self) {
        if self.blocked || self.phase != Phase::Running {
            return;
        }
        self.blocked = true;
        if self.capabilities.connection_blocked {
            self.blocked_told = true;
            let reason = short(self.context.broker.alarms().reason());
            let blocked = conn_methods::AMQPMethod::Blocked(conn_methods::Blocked { reason });
            self.send(0, &AMQPClass::Connection(blocked));
        }
    }
}

/// What a channel that ends takes away from a queue and gives back to it.
struct Leaving {
    queue: Arc<Queue>,
    consumers: Vec<ConsumerId>,
    entries: Vec<Entry>,
}

/// The place in the list for this queue, made when there is none.
fn at_queue<'a>(leaving: &'a mut Vec<Leaving>, queue: &Arc<Queue>) -> &'a mut Leaving {
    let at = leaving
        .iter()
        .position(|known| Arc::ptr_eq(&known.queue, queue));
    let at = at.unwrap_or_else(|| {
        let queue = Arc::clone(queue);
        leaving.push(Leaving {
            queue,
            consumers: Vec::new(),
            entries: Vec::new(),
        });
        leaving.len() - 1
    });
    &mut leaving[at]
}

/// Counts acks as what passed between a queue and the channel of the consumer. What `basic.get`
/// brought has no consumer to find its channel by.
fn count_acked<'a>(
    channels: impl Iterator<Item = &'a Channel>,
    queue: &Arc<Queue>,
    consumer: Option<ConsumerId>,
    n: u64,
) {
    let mut open = channels.filter_map(|channel| match channel {
        Channel::Open(channel) => Some(channel),
        _ => None,
    });
    let has = |id| move |(known, _): &(ConsumerId, Arc<Queue>)| *known == id;
    let owner = consumer.and_then(|id| open.find(|open| open.live.consumers().iter().any(has(id))));
    if let Some(owner) = owner {
        owner.live.count_from(queue, &[(Event::Ack, n)]);
    }
}
