//! The history of one object's numbers: only changes are kept, a few bytes each.
//!
//! Time is counted in ticks of the sampling interval. A series has one level per resolution; a
//! level remembers a bounded number of buckets and forgets the oldest. What is not written did
//! not change, so an object at rest adds nothing, and reading interpolates by steps.

use std::collections::VecDeque;

/// Resolution of a level: ticks per bucket, and buckets remembered.
pub(crate) type Level = (u64, u64);

/// Of objects: ten minutes at every tick, an hour at every twelfth (with ticks of five seconds).
pub(crate) const BASIC: &[Level] = &[(1, 121), (12, 61)];

/// Of vhosts and the node: eight hours and a day as well.
pub(crate) const GLOBAL: &[Level] = &[(1, 121), (12, 61), (120, 49), (360, 49)];

/// Which part of the past is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How far back, seconds.
    pub age_s: u64,
    /// Time between two samples, seconds; never 0.
    pub incr_s: u64,
}

/// Samples of one object, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// When, Unix milliseconds.
    pub timestamps: Vec<u64>,
    values: Vec<u64>,
    width: usize,
}

impl History {
    /// `values` holds a row of `width` numbers for each of `timestamps`.
    pub fn new(timestamps: Vec<u64>, values: Vec<u64>, width: usize) -> Self {
        Self {
            timestamps,
            values,
            width,
        }
    }

    /// The sum of two numbers at all times, as the one column of a history.
    pub fn sum(&self, a: usize, b: usize) -> Self {
        let sums = self.column(a).zip(self.column(b)).map(|(a, b)| a + b);
        Self::new(self.timestamps.clone(), sums.collect(), 1)
    }

    /// One number at all times.
    pub fn column(&self, index: usize) -> impl Iterator<Item = u64> + Clone + '_ {
        let width = self.width.max(1);
        self.values.iter().skip(index).step_by(width).copied()
    }
}

/// Changes at one resolution. Each entry: buckets since the last one, a mask of the numbers that
/// changed, their differences; all of variable length.
#[derive(Debug)]
struct Buckets {
    ticks: u64,
    keep: u64,
    /// Values before the oldest entry, and the bucket that entry is counted from.
    base: Box<[u64]>,
    base_at: u64,
    /// Values after the newest entry, and its bucket.
    last: Box<[u64]>,
    last_at: u64,
    bytes: VecDeque<u8>,
}

/// The history of some numbers.
#[derive(Debug)]
pub(crate) struct Series {
    levels: Vec<Buckets>,
    /// Values before the newest sample.
    before: Box<[u64]>,
    last_tick: u64,
}

impl Series {
    /// A series whose numbers were `origin` until `tick`.
    pub(crate) fn new(levels: &[Level], origin: &[u64], tick: u64) -> Self {
        let level = |&(ticks, keep): &Level| Buckets {
            ticks,
            keep,
            base: origin.into(),
            base_at: tick / ticks,
            last: origin.into(),
            last_at: tick / ticks,
            bytes: VecDeque::new(),
        };
        Self {
            levels: levels.iter().map(level).collect(),
            before: origin.into(),
            last_tick: tick,
        }
    }

    /// The numbers are `values` from `tick` on.
    pub(crate) fn push(&mut self, tick: u64, values: &[u64]) {
        let Some(finest) = self.levels.first() else {
            return;
        };
        let (newest, since) = (finest.last.clone(), self.last_tick);
        for level in &mut self.levels {
            // At the bucket boundaries passed meanwhile nothing had changed yet.
            let passed = since.div_ceil(level.ticks);
            if passed * level.ticks < tick {
                level.push(passed, &newest);
            }
            if tick.is_multiple_of(level.ticks) {
                level.push(tick / level.ticks, values);
            }
        }
        self.before = newest;
        self.last_tick = tick;
    }

    /// How much number `index` changed in the interval that ended with `tick`.
    pub(crate) fn change(&self, index: usize, tick: u64) -> i64 {
        let newest = self.levels.first().and_then(|level| level.last.get(index));
        match (self.last_tick == tick, newest, self.before.get(index)) {
            (true, Some(now), Some(before)) => now.wrapping_sub(*before) as i64,
            _ => 0,
        }
    }

    /// Values at each of `ticks`, which descend; of the finest level that remembers `age` ticks.
    pub(crate) fn at(&self, ticks: impl Iterator<Item = u64>, age: u64) -> (Vec<u64>, usize) {
        let fits = |level: &&Buckets| level.ticks * (level.keep - 1) >= age;
        let Some(level) = self.levels.iter().find(fits).or(self.levels.last()) else {
            return (Vec::new(), 0);
        };
        let width = level.base.len();
        let (starts, rows) = level.decode();
        let mut values = Vec::new();
        for tick in ticks {
            // Between two buckets of a coarse level, the older one.
            let row = starts.partition_point(|start| *start <= tick / level.ticks);
            values.extend_from_slice(&rows[row * width..(row + 1) * width]);
        }
        (values, width)
    }

    /// Gives back what has become older than the series remembers.
    pub(crate) fn forget(&mut self, tick: u64) {
        for level in &mut self.levels {
            level.evict(tick / level.ticks);
            if level.bytes.is_empty() {
                level.bytes = VecDeque::new();
            }
        }
    }
}

impl Buckets {
    fn push(&mut self, at: u64, values: &[u64]) {
        let mut mask = 0u64;
        for (index, (now, last)) in values.iter().zip(&self.last).enumerate() {
            mask |= u64::from(now != last) << index;
        }
        if mask == 0 {
            return;
        }
        self.evict(at);
        if self.bytes.is_empty() {
            self.base_at = at;
        }
        let since = if self.bytes.is_empty() {
            at
        } else {
            self.last_at
        };
        put(&mut self.bytes, at - since);
        put(&mut self.bytes, mask);
        for (now, last) in values.iter().zip(&self.last).filter(|(a, b)| a != b) {
            let change = now.wrapping_sub(*last) as i64;
            put(&mut self.bytes, ((change << 1) ^ (change >> 63)) as u64);
        }
        self.last.copy_from_slice(values);
        self.last_at = at;
    }

    /// Takes entries that `at` makes too old into the base.
    fn evict(&mut self, at: u64) {
        while !self.bytes.is_empty() {
            let mut bytes = self.bytes.iter().copied();
            let before = bytes.len();
            let bucket = self.base_at + get(&mut bytes);
            if bucket + self.keep > at {
                break;
            }
            apply(&mut bytes, &mut self.base);
            let used = before - bytes.len();
            self.bytes.drain(..used);
            self.base_at = bucket;
        }
    }

    /// Buckets in which entries begin, and the values before the first and after each.
    fn decode(&self) -> (Vec<u64>, Vec<u64>) {
        let mut bytes = self.bytes.iter().copied();
        let mut values = self.base.to_vec();
        let (mut starts, mut rows) = (Vec::new(), self.base.to_vec());
        let mut at = self.base_at;
        while bytes.len() > 0 {
            at += get(&mut bytes);
            apply(&mut bytes, &mut values);
            starts.push(at);
            rows.extend_from_slice(&values);
        }
        (starts, rows)
    }
}

/// Adds the differences of one entry, whose gap has been read.
fn apply(bytes: &mut impl Iterator<Item = u8>, values: &mut [u64]) {
    let mask = get(bytes);
    for (index, value) in values.iter_mut().enumerate() {
        if mask >> index & 1 == 1 {
            let coded = get(bytes);
            let change = (coded >> 1) as i64 ^ -((coded & 1) as i64);
            *value = value.wrapping_add(change as u64);
        }
    }
}

fn put(bytes: &mut VecDeque<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push_back(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push_back(value as u8);
}

fn get(bytes: &mut impl Iterator<Item = u8>) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.next().unwrap_or(0);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_did_not_change_is_not_written() {
        let mut series = Series::new(BASIC, &[0; 15], 100);
        for tick in 101..200 {
            series.push(tick, &[0; 15]);
        }
        assert!(series.levels.iter().all(|level| level.bytes.is_empty()));
    }

    #[test]
    fn a_change_counts_in_its_own_interval_only() {
        let mut series = Series::new(BASIC, &[5], 100);
        series.push(103, &[25]);
        assert_eq!(series.change(0, 103), 20);
        assert_eq!(series.change(0, 104), 0);
        series.push(104, &[15]);
        assert_eq!(series.change(0, 104), -10);
    }

    #[test]
    fn a_busy_object_stays_small() {
        let mut series = Series::new(BASIC, &[0; 15], 0);
        let mut values = [0u64; 15];
        for tick in 1..2000 {
            for value in &mut values[..4] {
                *value += 5000 + tick;
            }
            series.push(tick, &values);
        }
        let bytes: usize = series.levels.iter().map(|level| level.bytes.len()).sum();
        assert!(bytes < 3000, "{bytes}");
    }

    proptest! {
        /// Whatever happens when, every level answers what a list of all changes answers.
        #[test]
        fn the_past_is_as_it_was(
            changes in prop::collection::vec((1u64..40, prop::collection::vec(0u64..300, 3)), 1..120),
            asked in prop::collection::vec(0u64..2000, 1..20),
        ) {
            let start = 1000;
            let mut series = Series::new(BASIC, &[7, 7, 7], start);
            let mut truth: Vec<(u64, Vec<u64>)> = vec![(start, vec![7, 7, 7])];
            let mut tick = start;
            for (gap, values) in changes {
                tick += gap;
                series.push(tick, &values);
                truth.push((tick, values));
            }
            let then = |tick: u64| {
                let at = truth.partition_point(|(from, _)| *from <= tick);
                &truth[at.saturating_sub(1)].1
            };
            let mut asked: Vec<u64> = asked.into_iter().map(|back| tick - back.min(tick)).collect();
            asked.sort_unstable_by(|a, b| b.cmp(a));
            for (factor, keep) in BASIC {
                let age = factor * (keep - 1);
                let kept: Vec<u64> = asked.iter().copied()
                    .filter(|t| t / factor + keep > tick / factor && *t >= start).collect();
                let (values, width) = series.at(kept.iter().copied(), age);
                for (row, t) in values.chunks(width).zip(&kept) {
                    prop_assert_eq!(row, &then(t / factor * factor)[..], "tick {} of {}", t, factor);
                }
            }
        }
    }
}
