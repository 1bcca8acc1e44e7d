//! Tests of the judgement, with readings made up; the last one reads this machine.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::testing::Node;

const GB: u64 = 1_000_000_000;

fn found(memory_used: u64, disk_free: u64) -> Found {
    Found {
        memory_used: Some(memory_used),
        memory_total: Some(10 * GB),
        disk_free: Some(disk_free),
    }
}

fn judged(limits: &ResourceLimits, found: Found) -> Alarms {
    Resources::judge(limits, found).alarms()
}

#[test]
fn row_a_5_reasons() {
    let alarms = |memory, disk| Alarms { memory, disk };
    assert_eq!(alarms(true, false).reason(), "low on memory");
    assert_eq!(alarms(false, true).reason(), "low on disk");
    assert_eq!(alarms(true, true).reason(), "low on disk & memory");
    assert_eq!(Alarms::default().reason(), "");
    assert!(!Alarms::default().any() && alarms(false, true).any());
    assert_eq!(
        alarms(true, true).resources().collect::<Vec<_>>(),
        ["memory", "disk"]
    );
}

#[test]
fn row_a_1_memory_above_the_watermark() {
    let limits = ResourceLimits::default();
    assert!(!judged(&limits, found(4 * GB, GB)).memory);
    assert!(judged(&limits, found(4 * GB + 1, GB)).memory);
    let absolute = ResourceLimits {
        memory_watermark: MemoryWatermark::Absolute(1000),
        ..ResourceLimits::default()
    };
    assert!(!judged(&absolute, found(1000, GB)).memory);
    assert!(judged(&absolute, found(1001, GB)).memory);
    let always = ResourceLimits {
        memory_watermark: MemoryWatermark::Relative(0.0),
        ..ResourceLimits::default()
    };
    assert!(judged(&always, found(1, GB)).memory);
    let overridden = ResourceLimits {
        total_memory_override: Some(GB),
        ..ResourceLimits::default()
    };
    assert!(judged(&overridden, found(GB / 2, GB)).memory);
}

#[test]
fn row_a_2_disk_below_the_limit() {
    let limits = ResourceLimits::default();
    assert!(!judged(&limits, found(0, 50_000_000)).disk);
    assert!(judged(&limits, found(0, 49_999_999)).disk);
    let relative = ResourceLimits {
        disk_free_limit: DiskFreeLimit::Relative(1.5),
        ..ResourceLimits::default()
    };
    assert!(judged(&relative, found(0, 15 * GB - 1)).disk);
    assert!(!judged(&relative, found(0, 15 * GB)).disk);
}

#[test]
fn what_is_not_known_raises_no_alarm() {
    let relative = ResourceLimits {
        memory_watermark: MemoryWatermark::Relative(0.0),
        disk_free_limit: DiskFreeLimit::Relative(1000.0),
        ..ResourceLimits::default()
    };
    assert!(!judged(&relative, Found::default()).any());
    let half = Found {
        memory_used: Some(GB),
        disk_free: Some(0),
        memory_total: None,
    };
    assert!(!judged(&relative, half).any());
}

#[test]
fn row_a_2_the_disk_is_watched_closer_near_its_limit() {
    let interval =
        |free| Resources::judge(&ResourceLimits::default(), found(0, free)).disk_interval();
    assert_eq!(interval(1000 * GB), Duration::from_secs(10));
    assert_eq!(interval(GB + 50_000_000), Duration::from_secs(2));
    assert_eq!(interval(50_000_001), Duration::from_millis(100));
    assert_eq!(interval(1), Duration::from_secs(10), "already in alarm");
}

#[test]
fn the_next_poll_is_the_sooner_of_both() {
    let monitor =
        |read| Monitor::reading_with("n", Path::new("/"), ResourceLimits::default(), read);
    let roomy = monitor(|_| found(0, 1000 * GB));
    roomy.sample();
    assert_eq!(roomy.next_poll(), Duration::from_millis(2500));
    let tight = monitor(|_| found(0, 50_000_001));
    tight.sample();
    assert_eq!(tight.next_poll(), Duration::from_millis(100));
    assert_eq!(tight.latest().disk_limit, Some(50_000_000));
}

#[test]
fn row_a_11_changes_are_announced_once() {
    let resources = Resources::judge(&ResourceLimits::default(), found(5 * GB, 1));
    let (off, on) = (Alarms::default(), resources.alarms());
    let lines = changes(off, on, &resources, "warren@h");
    assert_eq!(lines.len(), 10);
    assert_eq!(
        lines[0],
        "vm_memory_high_watermark set. Memory used:5000000000 allowed:4000000000"
    );
    assert_eq!(
        lines[1],
        "memory resource limit alarm set on node warren@h."
    );
    assert_eq!(
        lines[3],
        "*** Publishers will be blocked until this alarm clears ***"
    );
    assert_eq!(lines[2].len(), lines[3].len());
    assert_eq!(lines[6], "disk resource limit alarm set on node warren@h.");
    assert!(changes(on, on, &resources, "warren@h").is_empty());
    let cleared = changes(
        on,
        Alarms {
            memory: true,
            disk: false,
        },
        &resources,
        "warren@h",
    );
    assert_eq!(
        cleared[1],
        "disk resource limit alarm cleared on node warren@h"
    );
}

#[test]
fn this_machine_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = Monitor::new("n", dir.path(), ResourceLimits::default());
    assert_eq!(monitor.latest(), Resources::default());
    monitor.sample();
    let latest = monitor.latest();
    assert!(latest.disk_free.is_some());
    if cfg!(target_os = "linux") {
        assert!(latest.memory_used.unwrap() < latest.memory_total.unwrap());
    }
}

/// Publishers look at a bit, operators at the alarms. Whoever sets them finds both as the one before
/// left them: a bit stored later could overwrite that of the next.
#[test]
fn the_bit_is_set_in_the_order_of_the_alarms() {
    let node = Node::start();
    let broker = &node.broker;
    // Changes only where alarms are found, which is done in turn.
    let last = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for setter in 0..4 {
            scope.spawn(move || {
                for round in 0..100_000 {
                    let memory = (setter + round) % 2 == 0;
                    let find = || {
                        let before = last.swap(memory, Ordering::Relaxed);
                        assert_eq!(broker.alarmed(), before, "round {round}");
                        Alarms {
                            memory,
                            disk: false,
                        }
                    };
                    broker.set_alarms(find, 1000);
                }
            });
        }
    });
    assert_eq!(broker.alarmed(), broker.alarms().any());
}
