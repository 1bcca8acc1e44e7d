//! What passed between two objects: a queue and the exchanges it got messages from, a channel and
//! the exchanges it published to and the queues it was served from. Kept only while rates are kept
//! in detail; counted once per batch.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::counters::{Event, MessageStats};
use super::sampler::{Sampled, Sampler, Track};

/// Others of one object at most; what passes between it and further ones is not told apart.
const OTHERS_MAX: usize = 1024;

/// The counters of a pair.
pub struct Pair {
    /// What passed between the two.
    pub messages: MessageStats,
    track: Track,
}

impl Sampled for Pair {
    fn track(&self) -> &Track {
        &self.track
    }

    fn read(&self, values: &mut Vec<u64>) {
        values.extend(self.messages.all());
    }
}

/// The other ends by what tells them apart.
type Known<T> = FxHashMap<u64, (Weak<T>, Arc<Pair>)>;

/// The pairs one object is part of. Takes two words until something is counted.
pub struct Pairs<T>(Mutex<Option<Box<Known<T>>>>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Pairs<T> {
    /// Counts what passed between this object and `other`, of which there is one for each `key`;
    /// nothing unless the sampler keeps pairs.
    pub(crate) fn count(
        &self,
        sampler: &Arc<Sampler>,
        (key, other): (u64, &Arc<T>),
        counts: &[(Event, u64)],
    ) {
        if !sampler.keeps_pairs() || counts.iter().all(|(_, n)| *n == 0) {
            return;
        }
        let pair = {
            let mut known = self.0.lock();
            let known = known.get_or_insert_default();
            if known.len() >= OTHERS_MAX && !known.contains_key(&key) {
                known.retain(|_, (other, _)| other.strong_count() > 0);
                if known.len() >= OTHERS_MAX {
                    return;
                }
            }
            let (_, pair) = known.entry(key).or_insert_with(|| {
                let pair = Pair {
                    messages: MessageStats::default(),
                    track: Track::new(sampler),
                };
                (Arc::downgrade(other), Arc::new(pair))
            });
            Arc::clone(pair)
        };
        for (event, n) in counts {
            pair.messages.add(*event, *n);
        }
        pair.track.touched(&pair);
    }

    /// The other ends that are still there, with what passed.
    pub fn all(&self) -> Vec<(Arc<T>, Arc<Pair>)> {
        let known = self.0.lock();
        let known = known.iter().flat_map(|known| known.values());
        known
            .filter_map(|(other, pair)| Some((other.upgrade()?, Arc::clone(pair))))
            .collect()
    }

    /// What passed between this object and the one of this key.
    pub fn with(&self, key: u64) -> Option<Arc<Pair>> {
        let known = self.0.lock();
        let (_, pair) = known.as_ref()?.get(&key)?;
        Some(Arc::clone(pair))
    }
}

/// What tells an object apart that has no number: where it is. A weak reference keeps the place
/// from being used again.
pub fn key_of<T>(object: &Arc<T>) -> u64 {
    Arc::as_ptr(object) as usize as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_unless_asked_for_and_the_gone_make_room() {
        let sampler = Sampler::new(5000, 0);
        let pairs = Pairs::default();
        let other = Arc::new(1);
        pairs.count(&sampler, (7, &other), &[(Event::Publish, 3)]);
        assert!(pairs.all().is_empty());
        sampler.keep_pairs();
        pairs.count(&sampler, (7, &other), &[(Event::Publish, 3)]);
        pairs.count(&sampler, (7, &other), &[(Event::Publish, 2)]);
        assert_eq!(pairs.with(7).unwrap().messages.get(Event::Publish), 5);
        sampler.sample(5000);
        assert_eq!(pairs.with(7).unwrap().track.rates([0]), [1.0]);
        for key in 8..8 + OTHERS_MAX as u64 {
            let gone = Arc::new(2);
            pairs.count(&sampler, (key, &gone), &[(Event::Publish, 1)]);
        }
        assert_eq!(pairs.all().len(), 1);
        let late = Arc::new(3);
        pairs.count(&sampler, (1, &late), &[(Event::Publish, 1)]);
        assert_eq!(pairs.all().len(), 2);
    }
}
