//! What reached no queue lately: exchange, key and publisher, for whoever asks where their
//! messages went. A few dozen places, the longest unused forgotten first; a batch notes a few of
//! its own, so that a publisher of nothing else pays next to nothing for it.

use parking_lot::Mutex;

use crate::ids::ConnectionId;
use crate::route::address_strs;

/// Places remembered per vhost.
const PLACES: usize = 64;
/// Runs of one batch noted at most.
const NOTED_OF_BATCH: usize = 8;

/// Messages that went nowhere, of one exchange, routing key and fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Given back to their publisher, which had set `mandatory`; else dropped.
    pub returned: bool,
    /// How many, at least: of a busy publisher not all are noted.
    pub messages: u64,
    /// When the first of them came, Unix milliseconds.
    pub first_ms: u64,
    /// When the last of them came, Unix milliseconds.
    pub last_ms: u64,
    /// The connection the last of them came on; none for those published by the broker itself.
    pub publisher: Option<ConnectionId>,
}

/// The recent ones of a vhost.
#[derive(Default)]
pub(crate) struct RecentlyUnroutable {
    places: Mutex<Vec<Place>>,
}

struct Place {
    address: Box<[u8]>,
    returned: bool,
    messages: u64,
    first_ms: u64,
    last_ms: u64,
    publisher: Option<ConnectionId>,
}

impl RecentlyUnroutable {
    /// Notes runs of a batch: address, number of messages, whether they were given back.
    pub(crate) fn note<'a>(
        &self,
        runs: impl Iterator<Item = (&'a [u8], u64, bool)>,
        publisher: Option<ConnectionId>,
        now_ms: u64,
    ) {
        // Whoever finds it taken is one of many: what is noted is a sample anyway.
        let Some(mut places) = self.places.try_lock() else {
            return;
        };
        for (address, messages, returned) in runs.take(NOTED_OF_BATCH) {
            let known = places
                .iter_mut()
                .find(|place| place.returned == returned && *place.address == *address);
            if let Some(place) = known {
                place.messages += messages;
                place.last_ms = now_ms;
                place.publisher = publisher;
                continue;
            }
            if places.len() == PLACES {
                let oldest = places.iter().enumerate().min_by_key(|(_, p)| p.last_ms);
                if let Some(oldest) = oldest.map(|(index, _)| index) {
                    places.swap_remove(oldest);
                }
            }
            places.push(Place {
                address: address.into(),
                returned,
                messages,
                first_ms: now_ms,
                last_ms: now_ms,
                publisher,
            });
        }
    }

    /// What is remembered, the latest first.
    pub(crate) fn list(&self) -> Vec<Unroutable> {
        let places = self.places.lock();
        let mut all: Vec<Unroutable> = places.iter().map(Place::shown).collect();
        drop(places);
        all.sort_by_key(|place| std::cmp::Reverse(place.last_ms));
        all
    }
}

impl Place {
    fn shown(&self) -> Unroutable {
        let (exchange, routing_key) = address_strs(&self.address);
        Unroutable {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            returned: self.returned,
            messages: self.messages,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            publisher: self.publisher,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::make_address;

    fn address(key: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        make_address(&mut bytes, "x", key);
        bytes
    }

    #[test]
    fn the_same_place_is_counted_and_the_oldest_forgotten() {
        let recent = RecentlyUnroutable::default();
        let note = |key: &str, n, returned, at| {
            let address = address(key);
            recent.note(
                std::iter::once((&address[..], n, returned)),
                Some(ConnectionId(7)),
                at,
            );
        };
        note("a", 2, false, 1);
        note("a", 3, false, 2);
        note("a", 1, true, 3);
        let all = recent.list();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].returned, all[0].messages), (true, 1));
        assert_eq!(
            (all[1].messages, all[1].first_ms, all[1].last_ms),
            (5, 1, 2)
        );
        assert_eq!(
            (all[1].exchange.as_str(), all[1].routing_key.as_str()),
            ("x", "a")
        );
        for n in 0..PLACES as u64 {
            note(&format!("k{n}"), 1, false, 10 + n);
        }
        let all = recent.list();
        assert_eq!(all.len(), PLACES);
        assert!(all.iter().all(|place| place.routing_key != "a"));
    }

    #[test]
    fn a_batch_notes_a_few() {
        let recent = RecentlyUnroutable::default();
        let keys: Vec<_> = (0..20).map(|n| address(&n.to_string())).collect();
        recent.note(keys.iter().map(|key| (&key[..], 1, false)), None, 1);
        assert_eq!(recent.list().len(), NOTED_OF_BATCH);
    }
}
