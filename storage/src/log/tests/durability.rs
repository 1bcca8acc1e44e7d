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
    for seq in 0..40 {
        log.append(&mut one(seq, &[7; 50]), true).unwrap();
    }
    log.wait_durable(log.end()).unwrap();
    let before = disk.files().len();
    disk.fail(Some(Op::Sync));
    batch.settle_range(QueueId(1), 0, 39);
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
        batch.settle(QueueId(1), message.target.1);
    }
    log.append(&mut batch, true).unwrap();
    log.close().unwrap();
    assert_eq!(log.segments().live, 0);
    assert_eq!(log.segments().segments, 1);
}

#[test]
fn dead_segments_go_whatever_lives_before_them() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 300);
    let mut batch = Batch::new();
    for seq in 0..40 {
        log.append(&mut one(seq, &[7; 50]), true).unwrap();
        if seq > 0 {
            batch.settle(QueueId(1), seq);
            log.append(&mut batch, false).unwrap();
        }
    }
    log.close().unwrap();
    let stats = log.segments();
    assert_eq!((stats.live, stats.oldest), (1, 1));
    // The first, the newest, and at most one with a settlement that concerns another.
    assert!(stats.segments <= 3, "{stats:?}");
    disk.crash(&mut |_| 0);
    assert_eq!(seqs(&open(&disk, 300).2), [0]);
}

#[test]
fn marks_outlive_the_segment_they_were_written_to() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 400);
    let mut batch = Batch::new();
    log.append(&mut one(1, b"stays"), true).unwrap();
    log.append(&mut one(2, &[0; 300]), true).unwrap();
    batch.delivered(QueueId(1), 1);
    batch.delivery_count(QueueId(1), 1, 7);
    batch.message(1, 0, 0, &[(QueueId(2), 1)], &[&[0; 300]]);
    let marked = segment(log.append(&mut batch, true).unwrap().end);
    batch.settle(QueueId(2), 1);
    log.append(&mut batch, true).unwrap();
    log.append(&mut one(3, &[0; 300]), true).unwrap();
    log.wait_durable(log.end()).unwrap();
    let name = format!(
        "log/{}",
        crate::framing::FileType::Segment.name(marked.into())
    );
    for _ in 0..500 {
        if !disk.files().contains_key(&name) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!disk.files().contains_key(&name));
    log.close().unwrap();
    disk.crash(&mut |_| 0);
    let (_, _, seen) = open(&disk, 400);
    assert_eq!(seqs(&seen), [1, 2, 3]);
    assert_eq!((seen[0].redelivered, seen[0].delivery_count), (true, 7));
    assert!(!seen[1].redelivered);
}

#[test]
fn reading_stops_at_its_limits_and_goes_on() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 2000);
    for seq in 0..100 {
        log.append(&mut one(seq, &[seq as u8; 100]), false).unwrap();
    }
    let mut batch = Batch::new();
    batch.settle_range(QueueId(1), 10, 19);
    log.append(&mut batch, false).unwrap();
    for limit in [
        ReadLimit {
            messages: 7,
            bytes: usize::MAX,
        },
        ReadLimit {
            messages: usize::MAX,
            bytes: 650,
        },
        ReadLimit {
            messages: 0,
            bytes: 0,
        },
    ] {
        let (mut from, mut all) = (5, Vec::new());
        loop {
            let before = all.len();
            let end = log.read(QueueId(1), from, 94, limit, &mut |stored| match stored {
                Stored::Message { seq, payload, .. } => {
                    assert_eq!(payload, [seq as u8; 100]);
                    all.push(seq);
                }
                lost => panic!("{lost:?}"),
            });
            let expected = if limit.messages == 0 { 1 } else { 7 };
            assert!(all.len() - before <= expected);
            match end.unwrap() {
                ReadEnd::All => break,
                ReadEnd::Next(next) => from = next,
            }
        }
        assert_eq!(all, (5..10).chain(20..95).collect::<Vec<_>>());
    }
}

#[test]
fn messages_that_are_only_paged_out_do_not_survive_a_restart() {
    let disk = MemDisk::new();
    let open = || {
        let dir = DataDir::on(Arc::new(disk.clone())).unwrap();
        let options = LogOptions {
            transient: |flags| flags & 1 == 0,
            ..LogOptions::default()
        };
        MessageLog::open(&dir, options).unwrap()
    };
    let (log, _) = open();
    let mut batch = Batch::new();
    batch.message(1, 0, 3, &[(QueueId(1), 1)], &[b"out"]);
    batch.message(1, 1, 4, &[(QueueId(1), 2)], &[b"stay"]);
    log.append(&mut batch, true).unwrap();
    let mut seen = 0;
    log.read(QueueId(1), 0, 9, NO_LIMIT, &mut |_| seen += 1)
        .unwrap();
    assert_eq!(seen, 2);
    log.close().unwrap();
    drop(log);
    let (_, report) = open();
    assert_eq!(report.queues[0].live, [(2, 2)]);
    assert_eq!(report.queues[0].highest, 2);
}

#[test]
fn threads_share_syncs_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::open(folder.path()).unwrap();
    let options = LogOptions {
        segment_bytes: 10_000,
        idle_sync: Duration::from_millis(1),
        ..LogOptions::default()
    };
    let (log, _) = MessageLog::open(&dir, options).unwrap();
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
                        200,
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
    let (log, report) = MessageLog::open(&dir, options).unwrap();
    assert_eq!((report.messages, report.queues.len()), (400, 4));
    for queue in 1..=4 {
        let mut next = 0;
        let read = log.read(QueueId(queue), 0, 99, NO_LIMIT, &mut |stored| {
            let Stored::Message {
                seq,
                enqueued_ms,
                flags,
                payload,
            } = stored
            else {
                panic!("{stored:?}");
            };
            assert_eq!((seq, enqueued_ms, flags), (next, next, 3));
            assert_eq!(payload, [seq as u8; 200]);
            next += 1;
        });
        assert_eq!((read.unwrap(), next), (ReadEnd::All, 100));
    }
    log.close().unwrap();
}

/// Whatever the fan-out, the body is written once.
#[test]
fn a_message_to_fifty_queues_costs_little_more_than_its_body() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 30);
    let (body, address, mut batch) = ([7; 1024], [7; 40], Batch::new());
    for seq in 1..=100 {
        let targets: Vec<_> = (1..=50).map(|queue| (QueueId(queue), seq)).collect();
        batch.message(1_700_000_000_000, 1, 1024, &targets, &[&address, &body]);
        log.append(&mut batch, true).unwrap();
    }
    log.close().unwrap();
    let segments = disk.files().into_iter();
    let segments = segments.filter(|(path, _)| path.ends_with(".wlog"));
    let written: usize = segments.map(|(_, bytes)| bytes.len()).sum();
    assert!(written * 10 < 100 * body.len() * 12, "{written} bytes");
}
