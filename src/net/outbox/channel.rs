//! The delivery state of a channel: tags, what is unacked, and where each delivery came from. Bytes
//! are the outbox's.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use warren_broker::stats::LiveChannel;
use warren_broker::{ChannelCredit, ConsumerId, Held, Queue, TxAcks};
use warren_storage::QueueId;

use crate::connection::acks::PendingAcks;
use crate::connection::unacked::{Unacked, UnackedList};

/// Where a delivery came from: its queue and, unless it was `basic.get`, its consumer.
pub(crate) struct Source {
    /// The queue.
    pub(crate) queue: Arc<Queue>,
    /// The consumer.
    pub(crate) consumer: Option<ConsumerId>,
    pub(super) tag: Box<[u8]>,
    /// Deliveries not settled yet.
    pub(super) outstanding: u32,
    pub(super) cancelled: bool,
    /// How long its deliveries may stay unacked if that is not the node's default, milliseconds.
    pub(super) timeout_ms: Option<u64>,
}

/// Delivery state of one channel.
pub(crate) struct ChannelOut {
    pub(super) next_tag: u64,
    /// Deliveries not settled yet.
    pub(crate) unacked: UnackedList,
    pub(super) sources: Vec<Option<Source>>,
    free: Vec<u32>,
    /// Sources of `basic.get`, by queue.
    gets: FxHashMap<QueueId, u32>,
    /// Whose queue is kicked first the next time.
    next_kick: usize,
    pub(super) consumers: FxHashMap<ConsumerId, u32>,
    /// Credit shared by the channel's consumers.
    pub(crate) credit: Arc<ChannelCredit>,
    pub(super) live: Arc<LiveChannel>,
}

impl ChannelOut {
    pub(super) fn new(live: &Arc<LiveChannel>) -> Self {
        Self {
            next_tag: 1,
            unacked: UnackedList::default(),
            sources: Vec::new(),
            free: Vec::new(),
            gets: FxHashMap::default(),
            next_kick: 0,
            consumers: FxHashMap::default(),
            credit: Arc::default(),
            live: Arc::clone(live),
        }
    }

    /// The source of an unacked delivery.
    pub(crate) fn source(&self, index: u32) -> Option<&Source> {
        self.sources.get(index as usize)?.as_ref()
    }

    /// `n` deliveries of this source were settled for good.
    fn settled(&mut self, index: u32, n: u32) {
        let Some(Some(source)) = self.sources.get_mut(index as usize) else {
            return;
        };
        source.outstanding = source.outstanding.saturating_sub(n);
        if source.outstanding == 0 && source.cancelled {
            self.drop_source(index);
        }
    }

    /// Takes the deliveries an ack stands for (H-81, H-82) into `acks` and gives their credit back.
    /// Returns how many they are; `None` when that tag is not outstanding.
    pub(crate) fn ack(&mut self, tag: u64, multiple: bool, acks: &mut PendingAcks) -> Option<u64> {
        let mut taken = std::mem::take(&mut acks.taken);
        let known = match (tag, multiple) {
            (0, true) => {
                taken = self.unacked.take_all();
                Some(())
            }
            (_, true) => self.unacked.take_up_to(tag, &mut taken),
            (_, false) => self.unacked.take(tag).map(|one| taken.push(one)),
        };
        let (n, mut consumed) = (taken.len() as u64, 0);
        for Unacked { source, entry, .. } in taken.drain(..) {
            if let Some(from) = self.source(source) {
                consumed += u32::from(from.consumer.is_some());
                acks.add(&from.queue, from.consumer, entry);
                self.settled(source, 1);
            }
        }
        acks.taken = taken;
        self.credit.release(consumed);
        known.map(|()| n)
    }

    /// Gives back the shared credit of settled deliveries; `basic.get` took none.
    pub(crate) fn release_credit(&self, settled: &[Unacked]) {
        let consumed = |unacked: &&Unacked| {
            self.source(unacked.source)
                .is_some_and(|source| source.consumer.is_some())
        };
        self.credit
            .release(settled.iter().filter(consumed).count() as u32);
    }

    /// The queues its consumers consume from, each time beginning with another one.
    pub(crate) fn queues_in_turn(&mut self) -> Vec<Arc<Queue>> {
        let mut consumers: Vec<(ConsumerId, u32)> = self
            .consumers
            .iter()
            .map(|(id, index)| (*id, *index))
            .collect();
        consumers.sort_unstable_by_key(|(id, _)| *id);
        let first = self.next_kick % consumers.len().max(1);
        self.next_kick = first + 1;
        consumers.rotate_left(first);
        let mut seen = FxHashSet::default();
        let live = consumers
            .iter()
            .filter_map(|(_, index)| self.source(*index));
        let each_once = live.filter(|source| seen.insert(source.queue.id()));
        each_once.map(|source| Arc::clone(&source.queue)).collect()
    }

    /// The timeout one of its deliveries has exceeded, in milliseconds. Late rather than early.
    pub(super) fn overdue(&self, now_ms: u64, default_ms: Option<u64>) -> Option<u64> {
        if self.unacked.len() == 0 {
            return None;
        }
        let timeout = |source: &Source| source.timeout_ms.or(default_ms).filter(|ms| *ms > 0);
        let sources = self.sources.iter().flatten();
        let shortest = sources.filter_map(timeout).min()?;
        // Oldest first: the search ends with the first that is too young for anything.
        let age = |since_s: u32| now_ms.saturating_sub((u64::from(since_s) + 1) * 1000);
        let ages = self.unacked.ages().into_iter();
        let mut old = ages.flat_map(|ages| ages.take_while(|(_, at)| age(*at) >= shortest));
        old.find_map(|(index, since_s)| {
            let timeout = timeout(self.source(index)?)?;
            (age(since_s) >= timeout).then_some(timeout)
        })
    }

    /// Its deliveries of a queue that are not settled, oldest first.
    pub(crate) fn held_of(&self, number: u16, queue: QueueId, most: usize, held: &mut Vec<Held>) {
        let of_queue = |source: &Option<Source>| {
            let source = source.as_ref();
            source.is_some_and(|source| source.queue.id() == queue && source.outstanding > 0)
        };
        if !self.sources.iter().any(of_queue) {
            return;
        }
        let known = |index: u32| self.sources.get(index as usize);
        let oldest = self
            .unacked
            .oldest(most, |index| known(index).is_some_and(of_queue));
        held.extend(oldest.into_iter().map(|unacked| {
            let tag = self.source(unacked.source).map(|source| &*source.tag);
            Held {
                channel: number,
                consumer_tag: String::from_utf8_lossy(tag.unwrap_or_default()).into_owned(),
                delivery_tag: unacked.tag,
                since_s: unacked.since_s,
                redelivered: unacked.entry.redelivered,
                seq: unacked.entry.seq,
                message: unacked.entry.message,
            }
        }));
    }

    /// The source of what `basic.get` fetches from this queue, for one more delivery.
    pub(super) fn get_source(&mut self, queue: &Arc<Queue>) -> u32 {
        let known = self.gets.get(&queue.id()).copied();
        if let Some(index) = known
            && let Some(Some(source)) = self.sources.get_mut(index as usize)
        {
            source.outstanding += 1;
            return index;
        }
        let index = self.add_source(Source {
            queue: Arc::clone(queue),
            consumer: None,
            tag: Box::default(),
            outstanding: 1,
            cancelled: true,
            timeout_ms: queue.consumer_timeout_ms(),
        });
        self.gets.insert(queue.id(), index);
        index
    }

    pub(super) fn add_source(&mut self, source: Source) -> u32 {
        if let Some(index) = self.free.pop() {
            self.sources[index as usize] = Some(source);
            return index;
        }
        self.sources.push(Some(source));
        (self.sources.len() - 1) as u32
    }

    pub(super) fn drop_source(&mut self, index: u32) {
        if let Some(source) = self.sources[index as usize].take()
            && source.consumer.is_none()
        {
            self.gets.remove(&source.queue.id());
        }
        self.free.push(index);
    }
}

/// Groups settled deliveries by their source, keeping their order.
pub(crate) fn by_source(channel: &mut ChannelOut, settled: Vec<Unacked>) -> TxAcks {
    let mut sources: Vec<u32> = Vec::new();
    let mut groups = TxAcks::new();
    for Unacked { source, entry, .. } in settled {
        if let Some(at) = sources.iter().rposition(|known| *known == source) {
            groups[at].2.push(entry);
        } else if let Some(from) = channel.source(source) {
            sources.push(source);
            groups.push((Arc::clone(&from.queue), from.consumer, vec![entry]));
        }
    }
    for (source, (_, _, entries)) in sources.into_iter().zip(&groups) {
        channel.settled(source, entries.len() as u32);
    }
    groups
}
