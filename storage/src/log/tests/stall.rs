//! A disk that fails stalls the log: nothing is confirmed, nothing is lost, and it goes on when
//! the disk does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::commit::Durable;
use crate::error::LogError;
use crate::testing::Op;

const OPS: [Op; 4] = [Op::Write, Op::Sync, Op::Name, Op::SyncDir];

#[derive(Default)]
struct Count(AtomicUsize);

impl Durable for Count {
    fn durable(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn append(log: &MessageLog, seq: Seq, bytes: usize) -> Position {
    log.append(&mut one(seq, &vec![seq as u8; bytes]), true)
        .unwrap()
        .end
}

/// Waits until a few attempts have been made in vain.
fn retries(disk: &MemDisk) {
    let made = disk.ops().len();
    eventually("attempts", || disk.ops().len() > made + 6);
}

#[test]
fn a_failure_confirms_nothing_until_it_is_over() {
    for op in OPS {
        let disk = MemDisk::new();
        let (log, ..) = open(&disk, 100);
        let first = append(&log, 1, 5);
        log.wait_durable(first).unwrap();
        disk.fail(Some(op));
        // A segment of its own, so that all kinds of calls are needed.
        let second = append(&log, 2, 100);
        let waiter = Arc::new(Count::default());
        log.when_durable(second, Arc::clone(&waiter) as Arc<dyn Durable>);
        assert!(
            matches!(log.wait_durable(second), Err(LogError::Stalled(_))),
            "{op:?}"
        );
        assert!(log.stalled().unwrap().contains("made to fail"));
        // What comes meanwhile is taken, what was there is served.
        append(&log, 3, 100);
        let mut batch = Batch::new();
        batch.settle(QueueId(1), 1);
        let third = log.append(&mut batch, true).unwrap().end;
        let mut seen = Vec::new();
        let end = log.read(QueueId(1), 0, 1, NO_LIMIT, &mut |stored| {
            seen.push(matches!(stored, Stored::Message { seq: 1, .. }));
        });
        assert_eq!((end.unwrap(), seen), (ReadEnd::All, vec![true]));
        // The same without waiting, where what is not durable yet is nothing.
        let mut seen = 0;
        let end = log.read_durable(QueueId(1), 0, 2, NO_LIMIT, &mut |_| seen += 1);
        assert_eq!((end.unwrap(), seen), (ReadEnd::All, 1));
        // What waits to be written is not taken for lost.
        let end = log.read(QueueId(1), 0, 2, NO_LIMIT, &mut |_| {});
        assert!(matches!(end, Err(ReadError::NotWritten(_))), "{end:?}");
        retries(&disk);
        assert!(!log.commit_here(third));
        assert_eq!(log.durable_up_to(), first);
        assert_eq!(waiter.0.load(Ordering::SeqCst), 0);
        assert!(log.buffered_bytes() > 200);

        disk.fail(None);
        eventually("goes on", || log.durable_up_to() >= third);
        assert_eq!((log.stalled(), log.failure()), (None, None));
        eventually("told", || waiter.0.load(Ordering::SeqCst) == 1);
        log.wait_durable(append(&log, 4, 5)).unwrap();
        assert_eq!(log.buffered_bytes(), 0);
        disk.crash(&mut |_| 0);
        drop(log);
        let (_, report, seen) = open(&disk, 100);
        assert_eq!(seqs(&seen), [2, 3, 4], "{op:?}");
        assert_eq!(report.damaged, [], "{op:?}");
    }
}

/// The disk in memory forgets what a failed sync should have saved, as Linux does: a later sync
/// of the same file succeeds and means nothing.
#[test]
fn what_a_failed_sync_left_is_written_again() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    log.wait_durable(append(&log, 1, 50)).unwrap();
    disk.fail(Some(Op::Sync));
    let second = append(&log, 2, 50);
    assert!(log.wait_durable(second).is_err());
    disk.fail(None);
    eventually("goes on", || log.durable_up_to() >= second);
    assert!(segment(log.end()) > segment(second));
    disk.crash(&mut |_| 0);
    drop(log);
    assert_eq!(seqs(&open(&disk, 1 << 20).2), [1, 2]);
}

/// The write succeeds, the sync fails, and so does taking the write back: a start might find it. So
/// its segment is emptied and removed like one with copies, and settlements keep to it until then.
#[test]
fn what_could_not_be_taken_back_does_not_outlive_its_segment() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    log.wait_durable(append(&log, 1, 50)).unwrap();
    let before = log.segments();
    log.tidy();
    assert_eq!(log.segments(), before);
    disk.fail(Some(Op::Sync));
    assert!(log.wait_durable(append(&log, 2, 50)).is_err());
    disk.fail(None);
    eventually("goes on", || log.durable_up_to() == log.end());
    log.tidy();
    let after = log.segments();
    assert!(after.oldest > before.newest, "{after:?}");
    assert_eq!(after.live, 2);
    disk.crash(&mut |_| 0);
    drop(log);
    assert_eq!(seqs(&open(&disk, 1 << 20).2), [1, 2]);
}

#[test]
fn power_that_fails_while_the_log_is_stalled_loses_only_what_was_not_confirmed() {
    for op in OPS {
        for keep in [false, true] {
            let disk = MemDisk::new();
            let (log, ..) = open(&disk, 100);
            log.wait_durable(append(&log, 1, 5)).unwrap();
            disk.fail(Some(op));
            let second = append(&log, 2, 100);
            assert!(log.wait_durable(second).is_err());
            retries(&disk);
            assert!(matches!(log.close(), Err(LogError::Failed(_))));
            assert!(log.durable_up_to() < second);
            assert!(log.append(&mut one(3, b""), true).is_err());
            disk.crash(&mut |n| if keep { n - 1 } else { 0 });
            let (_, report, seen) = open(&disk, 100);
            assert_eq!(seen[0].target.1, 1, "{op:?}");
            assert!(seen.len() <= 2);
            assert_eq!(report.damaged, [], "{op:?}");
        }
    }
}

#[test]
fn a_full_disk_that_gets_room_loses_nothing() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1000);
    disk.set_capacity(Some(5000));
    let mut seq = 0;
    while log.wait_durable(append(&log, seq, 90)).is_ok() {
        seq += 1;
    }
    assert!(seq > 10);
    for more in 1..30 {
        append(&log, seq + more, 90);
    }
    retries(&disk);
    disk.set_capacity(None);
    eventually("goes on", || log.durable_up_to() == log.end());
    disk.crash(&mut |_| 0);
    drop(log);
    let (_, report, seen) = open(&disk, 1000);
    assert_eq!(seqs(&seen), (0..seq + 30).collect::<Vec<_>>());
    assert_eq!(report.damaged, []);
}

#[test]
fn a_caller_that_commits_by_itself_hands_a_failure_over() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1000);
    for seq in 0..50 {
        if seq == 20 {
            disk.fail(Some(Op::Sync));
        }
        let end = append(&log, seq, 20);
        let here = log.commit_here(end);
        assert!(!(here && seq >= 20));
        assert!(!here || log.durable_up_to() >= end);
    }
    eventually("stalls", || log.stalled().is_some());
    disk.fail(None);
    eventually("goes on", || log.durable_up_to() == log.end());
    disk.crash(&mut |_| 0);
    drop(log);
    assert_eq!(open(&disk, 1000).2.len(), 50);
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    Settle,
    Wait,
    Fail(usize),
    Heal,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..200).prop_map(Step::Publish),
        4 => Just(Step::Settle),
        3 => Just(Step::Wait),
        2 => (0..OPS.len()).prop_map(Step::Fail),
        3 => Just(Step::Heal),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However often the disk fails and comes back: what counted as durable is there after a
    /// crash, and what was settled durably is not.
    #[test]
    fn failures_come_and_go(steps in prop::collection::vec(step(), 1..60)) {
        let disk = MemDisk::new();
        let (mut log, ..) = open(&disk, 400);
        let (mut published, mut settled) = (Vec::<(Seq, Position)>::new(), Vec::new());
        let mut next = 0;
        for step in steps.into_iter().chain([Step::Crash(0)]) {
            match step {
                Step::Publish(bytes) => {
                    published.push((next, append(&log, next, bytes.into())));
                    next += 1;
                }
                Step::Settle => {
                    let mut batch = Batch::new();
                    if let Some((seq, _)) = published.first().copied() {
                        published.remove(0);
                        batch.settle(QueueId(1), seq);
                        settled.push((seq, log.append(&mut batch, true).unwrap().end));
                    }
                }
                Step::Wait => {
                    let _ = log.wait_durable(log.end());
                }
                Step::Fail(op) => disk.fail(Some(OPS[op])),
                Step::Heal => disk.fail(None),
                Step::Crash(dice) => {
                    disk.power_off_after(0);
                    let _ = log.close();
                    let durable = log.durable_up_to();
                    drop(log);
                    let mut state = dice | 1;
                    disk.crash(&mut |n| {
                        state = crate::framing::record::mix(state);
                        if dice == 0 { 0 } else { (state % n as u64) as usize }
                    });
                    disk.power_off_after(usize::MAX / 2);
                    let (again, _, seen) = open(&disk, 400);
                    log = again;
                    let found = seqs(&seen);
                    for (seq, end) in &published {
                        prop_assert!(*end > durable || found.contains(seq), "{} is lost", seq);
                    }
                    for (seq, end) in &settled {
                        prop_assert!(*end > durable || !found.contains(seq), "{} is back", seq);
                    }
                    for message in &seen {
                        let bytes = &message.payload;
                        prop_assert!(bytes.iter().all(|byte| *byte == message.target.1 as u8));
                    }
                    // From here on what was found counts.
                    published = found.iter().map(|seq| (*seq, 0)).collect();
                    settled.clear();
                }
            }
        }
    }
}
