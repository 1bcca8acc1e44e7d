//! Segments that are mostly dead are emptied; whenever the power fails meanwhile, nothing is lost
//! and nothing comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::framing::record::mix;
use crate::log::SegmentStats;

const SEGMENT_BYTES: u32 = 2000;

fn open_unkept(disk: &MemDisk) -> (MessageLog, RecoveryReport) {
    let dir = DataDir::on(Arc::new(disk.clone())).unwrap();
    let options = LogOptions {
        segment_bytes: SEGMENT_BYTES,
        ..LogOptions::default()
    };
    MessageLog::open_unkept(&dir, options).unwrap()
}

fn sync(log: &MessageLog) -> bool {
    log.wait_durable(log.end()).is_ok()
}

/// A log of 200 messages to two queues each, some in transactions, of which every twentieth still
/// lives in queue 1 and every thirtieth in queue 2; with marks. Returns what lives.
fn pinned(log: &MessageLog) -> BTreeSet<(QueueId, Seq)> {
    let (one, two) = (QueueId(1), QueueId(2));
    let mut batch = Batch::new();
    for seq in 1..=200 {
        if seq % 7 == 0 {
            batch.begin_tx();
        }
        batch.message(seq, 1, 60, &[(one, seq), (two, seq)], &[&[seq as u8; 60]]);
        if seq == 50 {
            batch.delivered(one, 45);
            batch.delivery_count(one, 40, 3);
        }
        log.append(&mut batch, false).unwrap();
        for (queue, every) in [(one, 20), (two, 30)] {
            if seq > 9 && (seq - 9) % every != 0 {
                batch.settle(queue, seq - 9);
            }
        }
    }
    for (queue, every) in [(one, 20), (two, 30)] {
        (192..=200)
            .filter(|seq| seq % every != 0)
            .for_each(|seq| batch.settle(queue, seq));
    }
    log.append(&mut batch, true).unwrap();
    assert!(sync(log));
    let of = |queue, every: usize| {
        (every as u64..=200)
            .step_by(every)
            .map(move |seq| (queue, seq))
    };
    of(one, 20).chain(of(two, 30)).collect()
}

fn check(log: &MessageLog, report: &RecoveryReport, live: &BTreeSet<(QueueId, Seq)>) {
    let seen = read_all(log, report);
    let here: BTreeSet<_> = seen.iter().map(|message| message.target).collect();
    assert_eq!(here, *live);
    for message in seen {
        let (queue, seq) = message.target;
        assert_eq!(message.payload, [seq as u8; 60]);
        assert_eq!(message.redelivered, queue == QueueId(1) && seq <= 45);
        let counted = queue == QueueId(1) && seq == 40;
        assert_eq!(message.delivery_count, if counted { 3 } else { 0 });
    }
}

/// The figures once they are as wanted, or as they are after a while.
fn shown(log: &MessageLog, wanted: impl Fn(&SegmentStats) -> bool) -> SegmentStats {
    for _ in 0..1000 {
        if wanted(&log.segments()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    log.segments()
}

#[test]
fn few_survivors_do_not_hold_segments() {
    let disk = MemDisk::new();
    let (log, _) = open_unkept(&disk);
    let live = pinned(&log);
    // The figures follow the sync a moment later.
    let bound = |stats: &SegmentStats| 2 * stats.live_bytes + 5 * u64::from(SEGMENT_BYTES);
    let before = shown(&log, |stats| stats.live == live.len() as u64);
    assert!(before.bytes > bound(&before), "{before:?}");
    log.tidy();
    let after = shown(&log, |stats| stats.bytes <= bound(stats));
    assert_eq!(after.live, before.live);
    assert!(after.bytes <= bound(&after), "{after:?}");
    log.close().unwrap();
    drop(log);
    let (log, report) = open_unkept(&disk);
    check(&log, &report, &live);
}

#[test]
fn one_old_message_holds_one_segment_at_most() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, SEGMENT_BYTES);
    let mut batch = Batch::new();
    log.append(&mut one(1, b"old"), true).unwrap();
    for seq in 2..2000 {
        log.append(&mut one(seq, &[0; 90]), false).unwrap();
        batch.settle(QueueId(1), seq);
        log.append(&mut batch, seq % 10 == 0).unwrap();
    }
    assert!(sync(&log));
    let small = || {
        let stats = log.segments();
        (stats.live, stats.bytes < 6 * u64::from(SEGMENT_BYTES)) == (1, true)
    };
    for _ in 0..1000 {
        if small() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(small(), "{:?}", log.segments());
    log.close().unwrap();
    disk.crash(&mut |_| 0);
    assert_eq!(seqs(&open(&disk, SEGMENT_BYTES).2), [1]);
}

/// The power fails at every single call the disk sees while segments are emptied, with many
/// outcomes for what was not synced; and again while the next run empties them.
#[test]
fn the_power_may_fail_at_any_point() {
    let good = MemDisk::new();
    let (log, _) = open_unkept(&good);
    let live = pinned(&log);
    log.close().unwrap();
    drop(log);
    let mut crashes = 0;
    for n in 0.. {
        let mut last = false;
        for seed in 0..4 {
            let disk = good.fork();
            let mut state = mix(seed ^ n << 8);
            let mut dice = |n: usize| {
                state = mix(state);
                if seed == 0 {
                    0
                } else {
                    (state % n as u64) as usize
                }
            };
            let (log, report) = open_unkept(&disk);
            check(&log, &report, &live);
            let before = disk.ops().len();
            disk.power_off_after(n as usize);
            log.tidy();
            last = disk.ops().len() - before < n as usize;
            disk.power_off_after(0);
            let _ = log.close();
            disk.crash(&mut dice);
            drop(log);
            crashes += 1;
            // Once more, somewhere else.
            let (log, report) = open_unkept(&disk);
            check(&log, &report, &live);
            disk.power_off_after(dice(60));
            log.tidy();
            disk.power_off_after(0);
            let _ = log.close();
            disk.crash(&mut dice);
            drop(log);
            crashes += 1;
            let (log, report) = open_unkept(&disk);
            check(&log, &report, &live);
            // Everything that is settled from here on stays so, copies or not.
            let mut batch = Batch::new();
            batch.settle_range(QueueId(1), 0, 100);
            log.append(&mut batch, true).unwrap();
            assert!(sync(&log));
            disk.power_off_after(dice(100));
            log.tidy();
            disk.power_off_after(0);
            let _ = log.close();
            disk.crash(&mut dice);
            drop(log);
            crashes += 1;
            let left = live
                .iter()
                .filter(|(queue, seq)| *queue != QueueId(1) || *seq > 100);
            let (log, report) = open_unkept(&disk);
            check(&log, &report, &left.copied().collect());
        }
        if last {
            break;
        }
    }
    println!("{crashes} crashes");
}

#[test]
fn what_is_settled_while_it_is_copied_stays_settled() {
    // The copies are in the log, their application is not: as a settlement in between has it.
    let disk = MemDisk::new();
    let (log, _) = open_unkept(&disk);
    let mut live = pinned(&log);
    let other = log.clone();
    let settler = std::thread::spawn(move || {
        let mut batch = Batch::new();
        for seq in (20..=200).step_by(20).filter(|seq| seq % 40 == 0) {
            batch.settle(QueueId(1), seq);
            other.append(&mut batch, true).unwrap();
            assert!(sync(&other));
        }
    });
    log.tidy();
    settler.join().unwrap();
    log.tidy();
    live.retain(|(queue, seq)| *queue != QueueId(1) || seq % 40 != 0);
    disk.power_off_after(0);
    let _ = log.close();
    drop(log);
    disk.crash(&mut |_| 0);
    let (log, report) = open_unkept(&disk);
    let seen = read_all(&log, &report);
    assert_eq!(
        seen.iter().map(|it| it.target).collect::<BTreeSet<_>>(),
        live
    );
}

#[test]
fn a_segment_with_a_damaged_survivor_is_kept_and_the_others_move() {
    let disk = MemDisk::new();
    let (log, _) = open_unkept(&disk);
    let live = pinned(&log);
    // The message with number 20 in queue 1.
    let name = |segment: u64| format!("log/{}", crate::framing::FileType::Segment.name(segment));
    let mut hit = 0;
    for segment in 1..20 {
        let Some(bytes) = disk.files().remove(&name(segment)) else {
            continue;
        };
        if let Some(at) = bytes.windows(60).position(|window| window == [20; 60]) {
            disk.damage(&name(segment), |bytes| bytes[at] ^= 1);
            hit = segment;
        }
    }
    assert!(hit > 0);
    log.tidy();
    assert!(disk.files().contains_key(&name(hit)));
    let mut seen = Vec::new();
    let read = log.read(QueueId(1), 0, 60, NO_LIMIT, &mut |stored| {
        seen.push(match stored {
            Stored::Message { seq, .. } => (seq, true),
            Stored::Lost { seq, segment, .. } => (seq, u64::from(segment) != hit),
        });
    });
    assert_eq!(read.unwrap(), ReadEnd::All);
    assert_eq!(seen, [(20, false), (40, true), (60, true)]);
    log.close().unwrap();
    drop(log);
    let (log, report) = open_unkept(&disk);
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(read_all(&log, &report).len(), live.len() - 1);
}
