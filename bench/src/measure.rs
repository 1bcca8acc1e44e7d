//! Latency as a histogram; CPU time and memory of processes out of `/proc` (zeros without it).

use std::fs;

const STEP_BITS: u32 = 5;
const STEPS: u64 = 1 << STEP_BITS;

/// Counts of times in nanoseconds, 32 steps per power of two: within about 3 percent.
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram(vec![0; (STEPS * 60) as usize])
    }

    #[inline]
    pub(crate) fn add(&mut self, ns: u64) {
        let shift = ns.max(STEPS).ilog2() - STEP_BITS;
        self.0[(u64::from(shift) * STEPS + (ns >> shift)) as usize] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Histogram) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The time, in microseconds, within which this part (0 to 1) lies; `None` of nothing.
    pub(crate) fn quantile_us(&self, part: f64) -> Option<u64> {
        let all: u64 = self.0.iter().sum();
        let rank = ((all as f64 * part).ceil() as u64).max(1);
        let mut below = 0;
        let at = self.0.iter().position(|count| {
            below += count;
            below >= rank
        })? as u64;
        let shift = (at / STEPS).saturating_sub(1);
        Some(((at - shift * STEPS) << shift).div_ceil(1000))
    }
}

/// CPU seconds of these processes, with all their threads and the children they waited for.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let stats = pids
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    let ticks: u64 = stats.filter_map(|stat| cpu_ticks(&stat)).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// User and system time, own and of children: fields 14 to 17 (proc(5)). The name before them may
/// contain anything, so counting begins after its closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    times.map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// The sum of the most memory each of these processes ever had resident, in KiB.
pub(crate) fn peak_kib(pids: &[u32]) -> u64 {
    let all = pids
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    all.filter_map(|status| high_water(&status)).sum()
}

/// The memory these processes have resident now, in KiB.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    let all = pids
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    all.filter_map(|status| value(&status, "VmRSS:")).sum()
}

fn high_water(status: &str) -> Option<u64> {
    value(status, "VmHWM:")
}

fn value(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0";
        assert_eq!((cpu_ticks(stat), cpu_ticks("12 (a")), (Some(127), None));
        assert_eq!(
            high_water("VmPeak:\t 9 kB\nVmHWM:\t  1234 kB\n"),
            Some(1234)
        );
        assert_eq!((cpu_seconds(&[u32::MAX]), peak_kib(&[u32::MAX])), (0.0, 0));
    }

    #[test]
    fn quantiles_are_close() {
        let mut times = Histogram::new();
        assert_eq!(times.quantile_us(0.5), None);
        (1..=1000).for_each(|us| times.add(us * 1000));
        for (part, us) in [(0.001, 1), (0.5, 500), (0.99, 990)] {
            let got = times.quantile_us(part).unwrap();
            assert!(got.abs_diff(us) <= us / 32 + 1, "{got} {us}");
        }
        [0, 31, 32, u64::MAX]
            .into_iter()
            .for_each(|ns| times.add(ns));
    }
}
