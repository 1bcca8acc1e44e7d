//! From counters to rates and history: what one task does at every tick.
//!
//! An object enters the list of the next tick when something is counted on it for the first time
//! since the last one, so a tick costs what has happened, not what there is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::series::{BASIC, History, Level, Series, Window};

/// Ticks between two looks for history that has become too old to keep.
const SWEEP_TICKS: u64 = 60;

/// An object with numbers that are sampled.
pub trait Sampled: Send + Sync {
    /// Its history.
    fn track(&self) -> &Track;

    /// Appends its numbers, always as many and in the same order. At most 64.
    fn read(&self, values: &mut Vec<u64>);

    /// What its numbers were before anything was counted, when that is not zero.
    fn origin(&self, values: &mut [u64]) {
        let _ = values;
    }

    /// The resolutions it is remembered in.
    fn levels(&self) -> &'static [Level] {
        BASIC
    }
}

/// The part of an object that the sampler works with.
pub struct Track {
    sampler: Arc<Sampler>,
    /// On the list of the next tick.
    listed: AtomicBool,
    /// The last tick something was counted in.
    active_tick: AtomicU64,
    series: Mutex<Option<Box<Series>>>,
}

impl Track {
    pub(crate) fn new(sampler: &Arc<Sampler>) -> Self {
        Self {
            sampler: Arc::clone(sampler),
            listed: AtomicBool::new(false),
            active_tick: AtomicU64::new(sampler.tick.load(Ordering::Relaxed)),
            series: Mutex::new(None),
        }
    }

    /// Something was counted on `object`, whose track this is.
    pub(crate) fn touched<T: Sampled + 'static>(&self, object: &Arc<T>) {
        if !self.listed.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::AcqRel) {
            let object = Arc::clone(object) as Arc<dyn Sampled>;
            self.sampler.fresh.lock().push(object);
        }
    }

    pub(crate) fn sampler(&self) -> &Arc<Sampler> {
        &self.sampler
    }

    /// Since when nothing was counted, Unix milliseconds, as exact as the sampling interval; none
    /// while it is busy.
    pub fn idle_since_ms(&self) -> Option<u64> {
        let active = self.active_tick.load(Ordering::Relaxed);
        let busy = self.listed.load(Ordering::Relaxed)
            || active >= self.sampler.tick.load(Ordering::Acquire);
        (!busy).then_some(active * self.sampler.interval_ms)
    }

    /// Change per second of each of `indexes` over the last completed interval.
    pub fn rates<const N: usize>(&self, indexes: [usize; N]) -> [f64; N] {
        let sampler = &self.sampler;
        let tick = sampler.tick.load(Ordering::Acquire);
        let elapsed_ms = sampler.elapsed_ms.load(Ordering::Relaxed).max(1);
        match &*self.series.lock() {
            Some(series) => indexes.map(|index| {
                let change = series.change(index, tick);
                if change == 0 {
                    return 0.0;
                }
                change as f64 * 1000.0 / elapsed_ms as f64
            }),
            None => [0.0; N],
        }
    }

    /// Samples of all numbers of `object`, whose track this is, at multiples of the increment.
    pub fn history(&self, object: &dyn Sampled, window: Window) -> History {
        let sampler = &self.sampler;
        let tick = sampler.tick.load(Ordering::Acquire);
        let (age, incr) = (window.age_s * 1000, window.incr_s.max(1) * 1000);
        let newest = tick * sampler.interval_ms / incr * incr;
        let timestamps: Vec<u64> = (0..=age / incr)
            .map(|back| newest.saturating_sub(back * incr))
            .collect();
        if let Some(series) = &*self.series.lock() {
            let ticks = timestamps.iter().map(|time| time / sampler.interval_ms);
            let (values, width) = series.at(ticks, age / sampler.interval_ms);
            return History::new(timestamps, values, width);
        }
        // Nothing happened within memory: it has always been as it is.
        let mut values = Vec::new();
        object.read(&mut values);
        let width = values.len();
        let values = values.repeat(timestamps.len());
        History::new(timestamps, values, width)
    }

    fn sample(&self, object: &Arc<dyn Sampled>, last: u64, tick: u64) -> bool {
        // Cleared before reading: what is counted from here on lists the object again.
        self.listed.swap(false, Ordering::AcqRel);
        let mut values = Vec::new();
        object.read(&mut values);
        self.active_tick.store(tick, Ordering::Relaxed);
        let mut series = self.series.lock();
        let new = series.is_none();
        let series = series.get_or_insert_with(|| {
            let mut origin = vec![0; values.len()];
            object.origin(&mut origin);
            Box::new(Series::new(object.levels(), &origin, last))
        });
        series.push(tick, &values);
        new
    }
}

/// See the module documentation. One per node.
pub struct Sampler {
    interval_ms: u64,
    /// Number of the last completed tick: Unix time in intervals.
    tick: AtomicU64,
    /// What the last tick's changes took.
    elapsed_ms: AtomicU64,
    /// What passes between two objects is counted too.
    keeps_pairs: AtomicBool,
    fresh: Mutex<Vec<Arc<dyn Sampled>>>,
    /// All that have a history.
    kept: Mutex<Vec<Weak<dyn Sampled>>>,
}

impl Sampler {
    /// A sampler called every `interval_ms`, beginning after `now_ms`.
    pub fn new(interval_ms: u64, now_ms: u64) -> Arc<Self> {
        let interval_ms = interval_ms.max(1);
        Arc::new(Self {
            interval_ms,
            tick: AtomicU64::new(now_ms / interval_ms),
            elapsed_ms: AtomicU64::new(interval_ms),
            keeps_pairs: AtomicBool::new(false),
            fresh: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// Time between two samples, milliseconds.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// Has what passes between two objects counted from now on.
    pub fn keep_pairs(&self) {
        self.keeps_pairs.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn keeps_pairs(&self) -> bool {
        self.keeps_pairs.load(Ordering::Relaxed)
    }

    /// The last completed sampling, Unix milliseconds.
    pub fn sampled_at_ms(&self) -> u64 {
        self.tick.load(Ordering::Acquire) * self.interval_ms
    }

    /// Forgets all history: it begins anew with what the numbers are now. Counters stay.
    pub fn forget(&self) {
        let tick = self.tick.load(Ordering::Acquire);
        for object in self.kept.lock().iter().filter_map(Weak::upgrade) {
            let mut values = Vec::new();
            object.read(&mut values);
            let mut series = object.track().series.lock();
            *series = Some(Box::new(Series::new(object.levels(), &values, tick)));
        }
    }

    /// Samples what has changed since the last call, unless that was within the same interval.
    pub fn sample(&self, now_ms: u64) {
        let tick = now_ms / self.interval_ms;
        let last = self.tick.load(Ordering::Acquire);
        if tick <= last {
            return;
        }
        let fresh = std::mem::take(&mut *self.fresh.lock());
        let mut new = Vec::new();
        for object in &fresh {
            if object.track().sample(object, last, tick) {
                new.push(Arc::downgrade(object));
            }
        }
        self.elapsed_ms
            .store((tick - last) * self.interval_ms, Ordering::Relaxed);
        self.tick.store(tick, Ordering::Release);
        let mut kept = self.kept.lock();
        kept.extend(new);
        if tick / SWEEP_TICKS != last / SWEEP_TICKS {
            kept.retain(|object| object.strong_count() > 0);
            for object in kept.iter().filter_map(Weak::upgrade) {
                if let Some(series) = &mut *object.track().series.lock() {
                    series.forget(tick);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter {
        value: AtomicU64,
        track: Track,
    }

    impl Sampled for Counter {
        fn track(&self) -> &Track {
            &self.track
        }

        fn read(&self, values: &mut Vec<u64>) {
            values.push(self.value.load(Ordering::Relaxed));
        }
    }

    fn counter(sampler: &Arc<Sampler>) -> Arc<Counter> {
        Arc::new(Counter {
            value: AtomicU64::new(0),
            track: Track::new(sampler),
        })
    }

    fn count(counter: &Arc<Counter>, n: u64) {
        counter.value.fetch_add(n, Ordering::Relaxed);
        counter.track.touched(counter);
    }

    #[test]
    fn a_rate_is_the_change_of_the_last_interval() {
        let sampler = Sampler::new(5000, 1_000_000);
        let counter = counter(&sampler);
        count(&counter, 50);
        assert_eq!(counter.track.rates([0]), [0.0]);
        sampler.sample(1_005_000);
        assert_eq!(counter.track.rates([0]), [10.0]);
        count(&counter, 5);
        // Within the same interval nothing changes.
        sampler.sample(1_006_000);
        assert_eq!(counter.track.rates([0]), [10.0]);
        sampler.sample(1_010_001);
        assert_eq!(counter.track.rates([0]), [1.0]);
        sampler.sample(1_015_000);
        assert_eq!(counter.track.rates([0]), [0.0]);
        // A sampler that was held up divides by the time that has passed.
        count(&counter, 30);
        sampler.sample(1_030_000);
        assert_eq!(counter.track.rates([0]), [2.0]);
    }

    #[test]
    fn an_idle_object_is_not_looked_at() {
        let sampler = Sampler::new(5000, 0);
        let counter = counter(&sampler);
        sampler.sample(5000);
        assert!(counter.track.series.lock().is_none());
        count(&counter, 1);
        count(&counter, 1);
        assert_eq!(sampler.fresh.lock().len(), 1);
        sampler.sample(10_000);
        assert_eq!(sampler.fresh.lock().len(), 0);
    }

    #[test]
    fn samples_are_newest_first_at_multiples_of_the_increment() {
        let sampler = Sampler::new(5000, 1_000_000);
        let counter = counter(&sampler);
        for n in 1..=13 {
            count(&counter, 10);
            sampler.sample(1_000_000 + n * 5000);
        }
        let window = Window {
            age_s: 60,
            incr_s: 20,
        };
        let history = counter.track.history(&*counter, window);
        let times = [1_060_000, 1_040_000, 1_020_000, 1_000_000];
        assert_eq!(history.timestamps, times);
        let values: Vec<u64> = history.column(0).collect();
        assert_eq!(values, [120, 80, 40, 0]);
    }

    #[test]
    fn a_history_that_is_forgotten_begins_with_what_the_numbers_are() {
        let sampler = Sampler::new(5000, 0);
        let counter = counter(&sampler);
        count(&counter, 50);
        sampler.sample(5000);
        sampler.forget();
        assert_eq!(counter.track.rates([0]), [0.0]);
        let window = Window {
            age_s: 5,
            incr_s: 5,
        };
        let values = |history: History| history.column(0).collect::<Vec<u64>>();
        assert_eq!(values(counter.track.history(&*counter, window)), [50, 50]);
        count(&counter, 5);
        sampler.sample(10_000);
        assert_eq!(counter.track.rates([0]), [1.0]);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let sampler = Sampler::new(5000, 0);
        let counter = counter(&sampler);
        count(&counter, 1);
        sampler.sample(5000);
        assert_eq!(sampler.kept.lock().len(), 1);
        drop(counter);
        sampler.sample(5000 * (SWEEP_TICKS + 1));
        assert_eq!(sampler.kept.lock().len(), 0);
    }
}
