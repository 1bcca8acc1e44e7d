//! When something counts as durable, and what happens when the disk does not play along.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::commit::Durable;
use crate::error::LogError;
use crate::testing::Op;

/// Counts its calls, and those that came before the payload was on disk.
struct Witness {
    disk: MemDisk,
    payload: Vec<u8>,
    called: AtomicUsize,
    too_early: AtomicUsize,
}

impl Durable for Witness {
    fn durable(&self) {
        let files = self.disk.durable_files();
        let found = files.values().any(|bytes| {
            bytes
                .windows(self.payload.len())
                .any(|window| window == self.payload)
        });
        self.called.fetch_add(1, Ordering::SeqCst);
        self.too_early
            .fetch_add(usize::from(!found), Ordering::SeqCst);
    }
}

fn witness(disk: &MemDisk, payload: &str) -> Arc<Witness> {
    Arc::new(Witness {
        disk: disk.clone(),
        payload: payload.as_bytes().to_vec(),
        called: AtomicUsize::new(0),
        too_early: AtomicUsize::new(0),
    })
}

#[test]
fn waiters_are_called_once_and_not_before_the_sync() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 700);
    let mut witnesses = Vec::new();
    for seq in 0..200 {
        let payload = format!("payload <{seq}>");
        let end = log
            .append(&mut one(seq, payload.as_bytes()), seq % 3 == 0)
            .unwrap()
            .end;
        witnesses.push(witness(&disk, &payload));
        log.when_durable(
            end,
            Arc::clone(&witnesses[seq as usize]) as Arc<dyn Durable>,
        );
    }
    log.close().unwrap();
    assert_eq!(log.durable_up_to(), log.end());
    for witness in &witnesses {
        assert_eq!(witness.called.load(Ordering::SeqCst), 1);
        assert_eq!(witness.too_early.load(Ordering::SeqCst), 0);
    }
    assert_eq!(log.buffered_bytes(), 0);
    assert!(log.segments().segments > 5);
}

#[test]
fn what_nobody_waits_for_is_written_soon_and_together() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    for seq in 0..100 {
        log.append(&mut one(seq, b"x"), false).unwrap();
    }
    log.wait_durable(log.end()).unwrap();
    assert!(log.sync_count() <= 20, "{} syncs", log.sync_count());
}

#[test]
fn after_a_failure_nothing_more_is_durable() {
    for op in [Op::Write, Op::Sync, Op::Name, Op::SyncDir] {
        let disk = MemDisk::new();
        let (log, ..) = open(&disk, 100);
        let first = log.append(&mut one(1, b"first"), true).unwrap().end;
        log.wait_durable(first).unwrap();
        disk.fail(Some(op));
        // A segment of its own, so that all kinds of calls are needed.
        let second = log.append(&mut one(2, &[0; 100]), true).unwrap().end;
        let waiter = witness(&disk, "first");
        log.when_durable(second, Arc::clone(&waiter) as Arc<dyn Durable>);
        assert!(
            matches!(log.wait_durable(second), Err(LogError::Failed(_))),
            "{op:?}"
        );
        disk.fail(None);
        assert!(log.failure().unwrap().contains("made to fail"));
        assert!(matches!(
            log.append(&mut one(3, b"third"), true),
            Err(LogError::Failed(_))
        ));
        assert!(matches!(log.close(), Err(LogError::Failed(_))));
        assert_eq!(log.durable_up_to(), first);
        // Called although it failed, and from then on at once.
        assert_eq!(waiter.called.load(Ordering::SeqCst), 1);
        log.when_durable(second, Arc::clone(&waiter) as Arc<dyn Durable>);
        assert_eq!(waiter.called.load(Ordering::SeqCst), 2);
        disk.crash(&mut |_| 0);
        assert_eq!(open(&disk, 100).2.len(), 1, "{op:?}");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_durable() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1000);
    disk.set_capacity(Some(5000));
    let mut durable = 0;
    for seq in 0.. {
        match log
            .append(&mut one(seq, &[1; 90]), true)
            .and_then(|a| log.wait_durable(a.end))
        {
            Ok(()) => durable = seq + 1,
            Err(error) => {
                assert!(matches!(error, LogError::Failed(_)));
                break;
            }
        }
    }
    drop(log);
    disk.set_capacity(None);
    disk.crash(&mut |n| n - 1);
    let (_, report, seen) = open(&disk, 1000);
    assert!(
        seen.len() as u64 >= durable && durable > 20,
        "{} of {durable}",
        seen.len()
    );
    assert!(report.damaged.is_empty());
}

#[test]
fn closing_writes_what_is_left_and_takes_no_more() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    log.append(&mut one(1, b"x"), false).unwrap();
    log.close().unwrap();
    log.close().unwrap();
    assert_eq!(log.append(&mut one(2, b"y"), true), Err(LogError::Closed));
    disk.crash(&mut |_| 0);
    assert_eq!(open(&disk, 1 << 20).2.len(), 1);
}

#[test]
fn dead_segments_go_but_not_before_the_settlement_is_durable() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 300);
    let mut batch = Batch::new();
    let segments: Vec<u32> = (0..40)
        .map(|seq| log.append(&mut one(seq, &[7; 50]), true).unwrap().segment)
        .collect();
    log.wait_durable(log.end()).unwrap();
    let before = disk.files().len();
    disk.fail(Some(Op::Sync));
    for seq in 0..40 {
        batch.settle(QueueId(1), seq, segments[seq as usize]);
    }
    log.append(&mut batch, true).unwrap();
    assert!(log.close().is_err());
    assert!(
        disk.files().len() >= before,
        "the settlement was not durable"
    );

    disk.crash(&mut |_| 0);
    let (log, _, seen) = open(&disk, 300);
    assert_eq!(seen.len(), 40);
    for message in &seen {
        batch.settle(QueueId(1), message.targets[0].seq, message.segment);
    }
    log.append(&mut batch, true).unwrap();
    log.close().unwrap();
    assert_eq!(log.segments().live, 0);
    assert_eq!(log.segments().segments, 2);
}

#[test]
fn a_settlement_may_come_before_its_message() {
    for located in [false, true] {
        let disk = MemDisk::new();
        let (log, ..) = open(&disk, 200);
        let mut batch = Batch::new();
        if located {
            // The caller did not know yet that the message was in the log.
            let segment = log.append(&mut one(5, b"early"), true).unwrap().segment;
            batch.settle(QueueId(1), 5, UNKNOWN_SEGMENT);
            log.append(&mut batch, true).unwrap();
            batch.locate(QueueId(1), 5, segment);
            log.append(&mut batch, true).unwrap();
        } else {
            batch.settle(QueueId(1), 5, UNKNOWN_SEGMENT);
            let settled = log.append(&mut batch, true).unwrap().segment;
            log.append(&mut one(1, &[0; 200]), true).unwrap();
            let segment = log.append(&mut one(5, b"early"), true).unwrap().segment;
            assert!(segment > settled);
            batch.locate(QueueId(1), 5, segment);
            log.append(&mut batch, true).unwrap();
        }
        let mut all = vec![];
        for seq in 10..30 {
            all.push((
                seq,
                log.append(&mut one(seq, &[0; 150]), true).unwrap().segment,
            ));
        }
        all.iter()
            .for_each(|(seq, segment)| batch.settle(QueueId(1), *seq, *segment));
        if !located {
            batch.settle(QueueId(1), 1, 2);
        }
        log.append(&mut batch, true).unwrap();
        log.close().unwrap();
        assert_eq!(
            (log.segments().live, log.segments().segments),
            (0, 2),
            "{located}"
        );
        disk.crash(&mut |_| 0);
        assert_eq!(open(&disk, 200).2, [], "{located}");
    }
}

/// A torn write keeps the message and loses the repetition of its settlement, while the segment
/// with the settlement itself is about to go.
#[test]
fn a_settlement_before_its_message_survives_a_torn_write() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 250);
    let mut batch = Batch::new();
    batch.settle(QueueId(1), 5, UNKNOWN_SEGMENT);
    let early = log.append(&mut batch, true).unwrap();
    log.append(&mut one(1, &[0; 200]), true).unwrap();
    let begun = log.append(&mut one(2, b"begins a segment"), true).unwrap();
    log.wait_durable(log.end()).unwrap();
    disk.fail(Some(Op::Sync));
    let mut both = one(5, b"early");
    both.message(1, 0, &[(QueueId(1), 6)], &[b"stays"]);
    let bytes = both.records.len();
    let at = log.append(&mut both, true).unwrap();
    assert!(log.close().is_err());
    assert!(early.segment < begun.segment && at.segment == begun.segment);
    // Of the one unsynced write, the messages survive.
    disk.crash(&mut |n| if n == 3 { 1 } else { bytes.min(n - 1) });

    let (log, report, seen) = open(&disk, 250);
    assert!(report.highest_seqs.contains(&(QueueId(1), 6)));
    assert_eq!(
        seen.iter().map(|m| m.targets[0].seq).collect::<Vec<_>>(),
        [1, 2, 6]
    );
    seen[..2]
        .iter()
        .for_each(|m| batch.settle(QueueId(1), m.targets[0].seq, m.segment));
    log.append(&mut batch, true).unwrap();
    log.close().unwrap();
    assert_eq!(log.segments().oldest, at.segment);
    assert_eq!(open(&disk, 250).2, seen[2..]);
}

#[test]
fn threads_share_syncs_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::open(folder.path()).unwrap();
    let options = LogOptions {
        segment_bytes: 10_000,
        idle_sync: Duration::from_millis(1),
    };
    let (log, _) = MessageLog::open(&dir, options, &mut |_| {}).unwrap();
    std::thread::scope(|scope| {
        for queue in 1..=4 {
            let log = log.clone();
            scope.spawn(move || {
                let mut batch = Batch::new();
                for seq in 0..100u64 {
                    let body = [seq as u8; 200];
                    batch.message(
                        seq,
                        3,
                        &[(QueueId(queue), seq)],
                        &[&body[..100], &body[100..]],
                    );
                    let end = log.append(&mut batch, true).unwrap().end;
                    log.wait_durable(end).unwrap();
                    assert!(log.durable_up_to() >= end);
                }
            });
        }
    });
    assert!(log.sync_count() <= 400);
    drop((log, dir));
    let dir = DataDir::open(folder.path()).unwrap();
    let mut next = [0u64; 5];
    let (log, report) = MessageLog::open(&dir, options, &mut |message| {
        let target = message.targets[0];
        assert_eq!(target.seq, next[target.queue.0 as usize]);
        assert_eq!((message.enqueued_ms, message.flags), (target.seq, 3));
        assert_eq!(message.payload, [target.seq as u8; 200]);
        next[target.queue.0 as usize] += 1;
    })
    .unwrap();
    assert_eq!(next[1..], [100; 4]);
    assert_eq!(report.messages, 400);
    assert_eq!(report.highest_seqs.len(), 4);
    log.close().unwrap();
}
