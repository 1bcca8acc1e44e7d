//! Data directories of earlier versions, kept as they were written, are read; later formats are
//! refused with a text that says what to do about it.
//!
//! `fixtures/format-1` was written by the first version of format 1: durable queues `one`, `two`
//! and `gone` (deleted), `both` bound to the first two, nine messages and a transaction, two
//! settled, one handed back.
//!
//! `fixtures/format-1-checkpoint` holds segments of which some have a checkpoint; see
//! [`write_checkpoint_fixture`].

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use warren_storage::{
    Batch, CommandLog, DataDir, LogOptions, MessageLog, OpenError, QueueId, ReadLimit, Seq, Stored,
};

const SEGMENT: &str = "log/0000000000000001.wlog";

/// A copy of a fixture.
fn fixture(name: &str) -> TempDir {
    let from: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures", name]
        .iter()
        .collect();
    let to = TempDir::new().unwrap();
    copy(&from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// The ends of the payloads of what is live, queue by queue.
fn bodies(log: &MessageLog, report: &warren_storage::RecoveryReport) -> Vec<Vec<String>> {
    let limit = ReadLimit {
        messages: usize::MAX,
        bytes: usize::MAX,
    };
    let queues = report.queues.iter().filter(|queue| queue.messages > 0);
    let read = queues.map(|queue| {
        let mut bodies = Vec::new();
        log.read(
            queue.queue,
            0,
            Seq::MAX,
            limit,
            &mut |stored| match stored {
                Stored::Message { payload, flags, .. } => {
                    assert_eq!(flags & 1, 1, "persistent");
                    let end = &payload[payload.len().saturating_sub(6)..];
                    let end = String::from_utf8_lossy(end);
                    bodies.push(
                        end.trim_start_matches(|c: char| !c.is_ascii_lowercase())
                            .to_owned(),
                    );
                }
                lost => panic!("{lost:?}"),
            },
        )
        .unwrap();
        bodies
    });
    read.collect()
}

#[test]
fn format_1_is_read() {
    let copy = fixture("format-1");
    for start in 0..2 {
        let dir = DataDir::open(copy.path()).unwrap();
        let (log, report) = MessageLog::open(&dir, LogOptions::default()).unwrap();
        assert_eq!((report.damaged.len(), report.messages), (0, 11), "{start}");
        let found = bodies(&log, &report);
        assert_eq!(found.len(), 2);
        let texts = |queue: usize| found[queue].join(",");
        assert!(
            texts(0).ends_with("one 2,one 3,one 4,both 0,both 1,both 2,tx a"),
            "{found:?}"
        );
        assert!(texts(1).ends_with("both 0,both 1,both 2,tx b"), "{found:?}");
        assert!(report.queues[0].delivered_up_to >= Some(2));
        assert!(report.queues[1].delivered_up_to >= Some(1));
        log.close().unwrap();
        let (commands, definitions) = CommandLog::open(&dir).unwrap();
        assert_eq!(definitions.damaged, Vec::<String>::new());
        let all: Vec<u8> = [
            definitions
                .base
                .into_iter()
                .flat_map(|(k, v)| [k, v].concat())
                .collect::<Vec<u8>>(),
            definitions
                .tail
                .into_iter()
                .flat_map(|(_, command)| command)
                .collect(),
        ]
        .concat();
        let text = String::from_utf8_lossy(&all);
        for part in ["\"one\"", "\"two\"", "\"both\"", "\"guest\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
        commands.close().unwrap();
    }
}

fn refused(copy: &TempDir) -> String {
    let dir = match DataDir::open(copy.path()) {
        Ok(dir) => dir,
        Err(error) => return error.to_string(),
    };
    match MessageLog::open(&dir, LogOptions::default()) {
        Err(error @ OpenError::NewerFormat { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn later_formats_are_refused() {
    let copy = fixture("format-1");
    fs::write(copy.path().join("format"), "warren-storage 2\n").unwrap();
    assert!(refused(&copy).ends_with("has format 2, this version reads up to format 1"));
    let path = copy.path().join(SEGMENT);
    let untouched = fs::read(&path).unwrap();
    // A segment of a later format among others.
    fs::write(copy.path().join("format"), "warren-storage 1\n").unwrap();
    let mut bytes = untouched.clone();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let text = refused(&copy);
    assert!(
        text.ends_with("has format 2, this version reads up to format 1"),
        "{text}"
    );
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was changed");
}

const CHECKPOINT: &str = "log/0000000000000001.widx";
const WITH_CHECKPOINT: &str = "format-1-checkpoint";

/// Writes the fixture anew, which is only to be done beside a new format: thirty messages of two
/// queues in small segments, every seventh settled, up to the tenth handed out, the third of queue
/// 2 delivered twice; then waits for checkpoints.
#[test]
#[ignore = "writes a fixture"]
fn write_checkpoint_fixture() {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "tests/fixtures",
        WITH_CHECKPOINT,
    ]
    .iter()
    .collect();
    fs::create_dir_all(&path).unwrap();
    let dir = DataDir::open(&path).unwrap();
    let options = LogOptions {
        segment_bytes: 1000,
        ..LogOptions::default()
    };
    let (log, _) = MessageLog::open(&dir, options).unwrap();
    let mut batch = Batch::new();
    for n in 1..=30 {
        let body = format!("body {n}");
        let targets = [(QueueId(1), n), (QueueId(2), n)];
        batch.message(1_700_000_000_000 + n, 1, 6, &targets, &[body.as_bytes()]);
        if n % 7 == 0 {
            batch.settle(QueueId(1), n);
        }
        if n == 10 {
            batch.delivered(QueueId(1), n);
        }
        if n == 3 {
            batch.delivery_count(QueueId(2), n, 2);
        }
        let end = log.append(&mut batch, true).unwrap().end;
        log.wait_durable(end).unwrap();
    }
    let start = Instant::now();
    while !path.join(CHECKPOINT).exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    log.close().unwrap();
}

/// Numbers of what is read from a queue, and of what is lost.
fn numbers(log: &MessageLog, queue: u64) -> (Vec<Seq>, Vec<Seq>) {
    let limit = ReadLimit {
        messages: usize::MAX,
        bytes: usize::MAX,
    };
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    log.read(
        QueueId(queue),
        0,
        Seq::MAX,
        limit,
        &mut |stored| match stored {
            Stored::Message { seq, payload, .. } => {
                assert_eq!(payload, format!("body {seq}").as_bytes());
                read.push(seq);
            }
            Stored::Lost { seq, .. } => lost.push(seq),
        },
    )
    .unwrap();
    (read, lost)
}

#[test]
fn checkpoints_of_format_1_are_read() {
    let all: Vec<Seq> = (1..=30).collect();
    let mut one = all.clone();
    one.retain(|n| n % 7 != 0);
    for (checkpoint, damage) in [(true, false), (false, false), (true, true), (false, true)] {
        let copy = fixture(WITH_CHECKPOINT);
        let segment = copy.path().join(SEGMENT);
        if damage {
            let mut bytes = fs::read(&segment).unwrap();
            let at = bytes.windows(6).position(|at| at == b"body 2").unwrap();
            bytes[at] ^= 1;
            fs::write(&segment, bytes).unwrap();
        }
        if !checkpoint {
            fs::remove_file(copy.path().join(CHECKPOINT)).unwrap();
        }
        let dir = DataDir::open(copy.path()).unwrap();
        let (log, report) = MessageLog::open(&dir, LogOptions::default()).unwrap();
        // With the checkpoint the segment is not read, so its damage shows when it is.
        assert_eq!(report.damaged.is_empty(), checkpoint || !damage);
        let lost = if damage { vec![2] } else { Vec::new() };
        for (queue, mut expected) in [(1, one.clone()), (2, all.clone())] {
            expected.retain(|n| !lost.contains(n));
            let (read, gone) = numbers(&log, queue);
            assert_eq!(read, expected);
            assert_eq!(gone, if checkpoint { lost.clone() } else { Vec::new() });
        }
        assert_eq!(report.queues[0].delivered_up_to, Some(10));
        assert_eq!(report.queues[1].counts, [(3, 2)]);
        log.close().unwrap();
    }
}
