//! Looking at a queue's ready messages without taking them, and taking chosen ones out.
//!
//! Browsing changes nothing: no redelivered flag, no order, no counter. What is in the log only is
//! read for the reader, with no queue locked, and not kept. Messages stand here by their number,
//! which is the order of arrival, whatever their priority.

use std::sync::Arc;

use warren_storage::{MessageLog, ReadError, Seq};

use super::entry::Entry;
use super::ready::Ready;
use super::{Load, Queue, What};
use crate::message::Message;
use crate::pager::reader::Reader;
use crate::turn::Turn;

/// A ready message as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct Browsed {
    /// Its number in the queue.
    pub seq: Seq,
    /// The message.
    pub message: Message,
    /// Whether its next delivery says `redelivered`.
    pub redelivered: bool,
    /// How often it came back.
    pub deliveries: u16,
}

/// Where browsing begins and how far it goes.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// From this number on (inclusive); from the end where it begins if `None`.
    pub from: Option<Seq>,
    /// Towards older messages.
    pub newest_first: bool,
    /// Messages at most.
    pub messages: usize,
    /// Bytes of messages that must be read from the log, roughly.
    pub bytes: usize,
}

/// A number with what the queue has of its message in memory.
pub(crate) struct Seen {
    seq: Seq,
    here: Option<Entry>,
}

impl Ready {
    /// The next numbers in the given direction, over all levels.
    pub(super) fn glance(&self, glance: &Glance) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        for level in self.level_views() {
            let (resident, paged) = level;
            if glance.newest_first {
                let end = glance.from.map_or(Seq::MAX, |from| from);
                let at = resident.partition_point(|entry| entry.seq <= end);
                let newest = resident.range(..at).rev().take(glance.messages);
                seen.extend(newest.map(Seen::here));
                seen.extend(paged.down_from(end).take(glance.messages).map(Seen::away));
            } else {
                let start = glance.from.unwrap_or(0);
                let at = resident.partition_point(|entry| entry.seq < start);
                let oldest = resident.range(at..).take(glance.messages);
                seen.extend(oldest.map(Seen::here));
                seen.extend(paged.up_from(start).take(glance.messages).map(Seen::away));
            }
        }
        seen.sort_unstable_by_key(|seen| seen.seq);
        if glance.newest_first {
            seen.reverse();
        }
        seen.truncate(glance.messages);
        seen
    }
}

impl Seen {
    fn here(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            here: Some(entry.clone()),
        }
    }

    fn away(seq: Seq) -> Self {
        Self { seq, here: None }
    }

    fn needs_reading(&self) -> bool {
        self.here
            .as_ref()
            .is_none_or(|entry| !entry.message.is_present())
    }
}

impl Queue {
    /// Ready messages in the direction asked for. Blocks on the disk for those that are in the log
    /// only; damaged ones are left out.
    pub fn browse(&self, log: &MessageLog, glance: &Glance) -> Result<Vec<Browsed>, ReadError> {
        let seen = self.state.lock().glance(glance);
        let mut away: Vec<Seq> = seen
            .iter()
            .filter(|seen| seen.needs_reading())
            .map(|seen| seen.seq)
            .collect();
        away.sort_unstable();
        let read = self.read(log, away, glance.bytes)?;
        let mut browsed = Vec::with_capacity(seen.len());
        for seen in seen {
            let (redelivered, deliveries) = seen
                .here
                .as_ref()
                .map_or((false, 0), |entry| (entry.redelivered, entry.deliveries));
            let message = if seen.needs_reading() {
                match read.binary_search_by_key(&seen.seq, |(seq, _)| *seq) {
                    Ok(at) => read[at].1.clone(),
                    // Beyond the bytes asked for: the next page begins here.
                    Err(at) if at == read.len() && !glance.newest_first => break,
                    Err(_) => continue,
                }
            } else {
                match seen.here {
                    Some(entry) => entry.message,
                    None => continue,
                }
            };
            browsed.push(Browsed {
                seq: seen.seq,
                message,
                redelivered,
                deliveries,
            });
        }
        Ok(browsed)
    }

    /// Takes the ready messages with these numbers out, as `basic.get` would: they are unacked
    /// until they are acked, rejected or requeued without a consumer. Those that are gone are left
    /// out. Blocks on the disk for those in the log only.
    pub fn pick(
        self: &Arc<Self>,
        log: &MessageLog,
        seqs: &[Seq],
        turn: &mut Turn,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut wanted = seqs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let away = self.state.lock().away_of(&wanted);
        let read = self.read(log, away, usize::MAX)?;
        Ok(self.enter(turn, |state, now, _| state.pick(&wanted, &read, now)))
    }

    fn read(
        &self,
        log: &MessageLog,
        seqs: Vec<Seq>,
        bytes: usize,
    ) -> Result<Vec<(Seq, Message)>, ReadError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let load = Load {
            what: What::Level(0),
            seqs,
            bytes,
        };
        let mut reader = Reader::default();
        let read = reader.read(log, self, &load)?;
        Ok(std::mem::take(&mut read.messages))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::ready::tests::entry;

    fn seqs(ready: &Ready, from: Option<Seq>, newest_first: bool, messages: usize) -> Vec<Seq> {
        let glance = Glance {
            from,
            newest_first,
            messages,
            bytes: 0,
        };
        ready.glance(&glance).iter().map(|seen| seen.seq).collect()
    }

    proptest! {
        /// However messages are spread over levels, memory and log: browsing goes by number, takes
        /// nothing, and what is removed is gone.
        #[test]
        fn browsing_goes_by_number(
            kinds in prop::collection::vec((0u8..3, any::<bool>()), 1..80),
            from in 0u64..90,
            messages in 1usize..30,
            removed in prop::collection::vec(0u64..90, 0..10),
        ) {
            let mut ready = Ready::new(2);
            for (seq, (level, paged)) in kinds.iter().enumerate() {
                match paged {
                    true => ready.push_paged(*level, seq as u64, 1),
                    false => ready.push(entry(seq as u64, *level)),
                }
            }
            ready.settle_late();
            let mut all: Vec<Seq> = (0..kinds.len() as u64).collect();
            let message = entry(0, 0).message;
            for seq in removed {
                let taken = ready.remove(seq, Some(&message)).map(|entry| entry.seq);
                prop_assert_eq!(taken, all.contains(&seq).then_some(seq));
                all.retain(|other| *other != seq);
            }
            let up: Vec<Seq> = all.iter().copied().filter(|seq| *seq >= from).take(messages).collect();
            prop_assert_eq!(seqs(&ready, Some(from), false, messages), up);
            let down: Vec<Seq> = all.iter().rev().copied().filter(|seq| *seq <= from).take(messages).collect();
            prop_assert_eq!(seqs(&ready, Some(from), true, messages), down);
            prop_assert_eq!(seqs(&ready, None, false, 100), all.clone());
            prop_assert_eq!(ready.len(), all.len());
            prop_assert_eq!(ready.body_bytes() as usize, all.len());
        }
    }
}
