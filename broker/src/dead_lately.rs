//! What died lately: of which queue, why, and where it went, for whoever asks why a dead-letter
//! queue fills. A few dozen places per vhost, the longest unused forgotten first; a death costs one
//! short lock beside the publishing of the dead letter itself.

use parking_lot::Mutex;
use warren_storage::QueueId;

use crate::dead_letter::DeathReason;

/// Places remembered per vhost.
const PLACES: usize = 64;
/// Minutes counted one by one.
const MINUTES: usize = 5;
const MINUTE_MS: u64 = 60_000;

/// Messages of a queue that died for one reason within the last five minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLately {
    /// The queue they died in.
    pub queue: String,
    /// Why.
    pub reason: &'static str,
    /// How many, in the minute that runs and the four before it.
    pub messages: u64,
    /// When the last of them died, Unix milliseconds.
    pub last_ms: u64,
    /// The queue the last of them went to; none when it went nowhere.
    pub target: Option<String>,
}

/// The recent ones of a vhost.
#[derive(Default)]
pub(crate) struct RecentlyDead {
    places: Mutex<Vec<Place>>,
}

struct Place {
    id: QueueId,
    queue: Box<str>,
    reason: DeathReason,
    /// Counts of the minutes up to `last_ms`, that minute first.
    minutes: [u64; MINUTES],
    last_ms: u64,
    target: Option<Box<str>>,
}

impl RecentlyDead {
    /// A message died in the queue and went to `target`.
    pub(crate) fn note(
        &self,
        (id, queue): (QueueId, &str),
        reason: DeathReason,
        target: Option<&str>,
        now_ms: u64,
    ) {
        let mut places = self.places.lock();
        let known = |place: &&mut Place| place.id == id && place.reason == reason;
        if let Some(place) = places.iter_mut().find(known) {
            place.count(now_ms);
            if place.target.as_deref() != target {
                place.target = target.map(Into::into);
            }
            return;
        }
        if places.len() == PLACES {
            let oldest = places.iter().enumerate().min_by_key(|(_, p)| p.last_ms);
            if let Some(oldest) = oldest.map(|(index, _)| index) {
                places.swap_remove(oldest);
            }
        }
        let mut minutes = [0; MINUTES];
        minutes[0] = 1;
        places.push(Place {
            id,
            queue: queue.into(),
            reason,
            minutes,
            last_ms: now_ms,
            target: target.map(Into::into),
        });
    }

    /// Who lost messages in the last minutes, those who lost most first.
    pub(crate) fn list(&self, now_ms: u64) -> Vec<DeadLately> {
        let places = self.places.lock();
        let mut all: Vec<DeadLately> = places.iter().map(|place| place.shown(now_ms)).collect();
        drop(places);
        all.retain(|place| place.messages > 0);
        all.sort_by_key(|place| std::cmp::Reverse(place.messages));
        all
    }
}

impl Place {
    fn count(&mut self, now_ms: u64) {
        let past = minutes_between(self.last_ms, now_ms);
        if past >= MINUTES {
            self.minutes = [0; MINUTES];
        } else {
            self.minutes.rotate_right(past);
            self.minutes[..past].fill(0);
        }
        self.minutes[0] += 1;
        self.last_ms = self.last_ms.max(now_ms);
    }

    fn shown(&self, now_ms: u64) -> DeadLately {
        let past = minutes_between(self.last_ms, now_ms).min(MINUTES);
        DeadLately {
            queue: self.queue.to_string(),
            reason: self.reason.as_str(),
            messages: self.minutes[..MINUTES - past].iter().sum(),
            last_ms: self.last_ms,
            target: self.target.as_deref().map(str::to_owned),
        }
    }
}

/// Minutes of the clock from one time to a later one.
fn minutes_between(from_ms: u64, to_ms: u64) -> usize {
    let minutes = (to_ms / MINUTE_MS).saturating_sub(from_ms / MINUTE_MS);
    usize::try_from(minutes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(recent: &RecentlyDead, id: u64, reason: DeathReason, target: Option<&str>, at: u64) {
        recent.note((QueueId(id), &format!("q{id}")), reason, target, at);
    }

    #[test]
    fn a_place_counts_its_last_five_minutes() {
        let recent = RecentlyDead::default();
        let rejected = DeathReason::Rejected;
        for minute in [0, 0, 1, 4] {
            note(&recent, 1, rejected, Some("dead"), minute * MINUTE_MS);
        }
        let messages = |minute: u64| {
            let all = recent.list(minute * MINUTE_MS);
            all.first().map_or(0, |place| place.messages)
        };
        assert_eq!(
            [messages(4), messages(5), messages(6), messages(8)],
            [4, 2, 1, 1]
        );
        assert_eq!(messages(9), 0);
        note(&recent, 1, rejected, None, 20 * MINUTE_MS);
        let all = recent.list(20 * MINUTE_MS);
        assert_eq!((all[0].messages, all[0].target.as_deref()), (1, None));
        // A clock that was set back loses nothing.
        note(&recent, 1, rejected, None, 19 * MINUTE_MS);
        assert_eq!(recent.list(20 * MINUTE_MS)[0].messages, 2);
    }

    #[test]
    fn reasons_are_told_apart_and_the_oldest_place_is_forgotten() {
        let recent = RecentlyDead::default();
        note(&recent, 1, DeathReason::Expired, None, 0);
        note(&recent, 1, DeathReason::MaxLen, None, 1);
        note(&recent, 1, DeathReason::MaxLen, None, 2);
        let all = recent.list(3);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].reason, all[0].messages), ("maxlen", 2));
        for id in 2..=PLACES as u64 + 1 {
            note(&recent, id, DeathReason::Expired, None, 10 + id);
        }
        let all = recent.list(100);
        assert_eq!(all.len(), PLACES);
        assert!(all.iter().all(|place| place.queue != "q1"));
    }
}
