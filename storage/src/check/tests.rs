//! Directories on disk, damaged in every way one byte can be, verified, repaired, started.

use std::fs;
use std::path::Path;

use super::*;
use crate::dir::DataDir;
use crate::framing::HEADER_BYTES;
use crate::log::{Batch, LogOptions, MessageLog};

const SEGMENT: &str = "log/0000000000000001.wlog";

/// A directory with two segments: nine messages of three queues, of which one is settled, in the
/// first.
fn written(path: &Path) -> usize {
    let dir = DataDir::open(path).unwrap();
    for round in 0..2 {
        let (log, _) = MessageLog::open(&dir, LogOptions::default()).unwrap();
        let mut batch = Batch::new();
        for seq in 1..=3 {
            for queue in 1..=3 {
                let body = format!("body {round} of {queue}.{seq}");
                let target = (QueueId(queue), round * 10 + seq);
                batch.message(0, 0, body.len() as u32, &[target], &[body.as_bytes()]);
                if seq == 2 && queue == 2 {
                    batch.settle(target.0, target.1);
                }
                batch.delivered(QueueId(queue), 1);
                log.append(&mut batch, true).unwrap();
            }
        }
        log.note_delivered(QueueId(1), 1);
        log.close().unwrap();
    }
    fs::metadata(path.join(SEGMENT)).unwrap().len() as usize
}

fn look(path: &Path) -> Findings {
    verify(&DataDir::open_existing(path).unwrap()).unwrap()
}

fn live(findings: &Findings) -> u64 {
    findings.queues.iter().map(|queue| queue.messages).sum()
}

#[test]
fn a_sound_directory_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let findings = look(folder.path());
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!(live(&findings), 16);
    let queue = &findings.queues[1];
    assert_eq!((queue.queue, queue.messages), (QueueId(2), 4));
    let records: Vec<u64> = findings.files.iter().map(|file| file.records).collect();
    // Nine messages, nine marks and one settlement in each segment; one mark of each queue.
    assert_eq!(records, [19, 19, 3]);
}

#[test]
fn every_flipped_byte_is_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let len = written(path);
    let good = fs::read(path.join(SEGMENT)).unwrap();
    for at in (0..len).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(path.join(SEGMENT), &bytes).unwrap();
        let found = look(path);
        let damage: Vec<_> = found.files.iter().flat_map(|file| &file.damage).collect();
        assert_eq!(damage.len(), 1, "{at}");
        let span = damage[0].offset..damage[0].offset + damage[0].len;
        assert!(span.contains(&(at as u64)), "{at}: {span:?}");
        assert!(at >= HEADER_BYTES || live(&found) == 16);
        let lost: usize = found.queues.iter().map(|queue| queue.lost.len()).sum();
        assert!(live(&found) as usize + lost <= 17, "{at}");

        let repaired = repair(&DataDir::open_existing(path).unwrap()).unwrap();
        assert_eq!(repaired.actions.len(), 1, "{at}");
        let kept = path.join(&repaired.kept_in);
        let name = format!("0000000000000001.wlog.{}", span.start);
        let span = span.start as usize..span.end as usize;
        assert_eq!(fs::read(kept.join(name)).unwrap(), bytes[span]);
        let after = look(path);
        assert!(after.is_clean(), "{at}: {after:?}");
        assert_eq!(live(&after), live(&found));
        if at % 7 == 0 {
            // The start agrees, and repairs nothing more.
            let before = fs::read(path.join(SEGMENT)).unwrap();
            let dir = DataDir::open(path).unwrap();
            let (log, report) = MessageLog::open(&dir, LogOptions::default()).unwrap();
            assert_eq!((report.damaged.len(), report.messages), (0, live(&found)));
            log.close().unwrap();
            assert_eq!(fs::read(path.join(SEGMENT)).unwrap(), before);
        }
        fs::remove_dir_all(kept).unwrap();
    }
}

const CHECKPOINT: &str = "log/0000000000000001.widx";

/// The same with a checkpoint of the first segment.
fn checkpointed(path: &Path) {
    written(path);
    let dir = DataDir::open(path).unwrap();
    let (log, _) = MessageLog::open_unkept(&dir, LogOptions::default()).unwrap();
    log.tidy();
    log.close().unwrap();
}

#[test]
fn every_flipped_byte_of_a_checkpoint_is_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    checkpointed(path);
    assert!(look(path).is_clean(), "{:?}", look(path));
    let good = fs::read(path.join(CHECKPOINT)).unwrap();
    // The last bytes may fill up to a multiple of 4.
    for at in (0..good.len() - 3).step_by(5) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(path.join(CHECKPOINT), &bytes).unwrap();
        let found = look(path);
        let damaged: Vec<_> = found
            .files
            .iter()
            .filter(|it| !it.damage.is_empty())
            .collect();
        assert_eq!(damaged.len(), 1, "{at}");
        assert_eq!(damaged[0].path, CHECKPOINT);
        assert_eq!(live(&found), 16);
        let repaired = repair(&DataDir::open_existing(path).unwrap()).unwrap();
        assert_eq!(repaired.actions, [format!("{CHECKPOINT}: taken away")]);
        let kept = path.join(&repaired.kept_in);
        assert_eq!(fs::read(kept.join("0000000000000001.widx")).unwrap(), bytes);
        assert!(look(path).is_clean());
        assert!(!path.join(CHECKPOINT).exists());
        fs::remove_dir_all(kept).unwrap();
    }
}

/// Cut between two records, a segment looks whole; its checkpoint knows better.
#[test]
fn a_checkpoint_gives_a_truncated_segment_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    checkpointed(path);
    let good = fs::read(path.join(SEGMENT)).unwrap();
    let cuts = (HEADER_BYTES..good.len()).step_by(4).filter(|cut| {
        fs::write(path.join(SEGMENT), &good[..*cut]).unwrap();
        let found = look(path);
        assert!(!found.is_clean(), "{cut}");
        let whole = found.files.iter().filter(|file| file.path == SEGMENT);
        whole.into_iter().all(|file| file.damage.is_empty())
    });
    assert!(cuts.count() > 10);
}

#[test]
fn a_flip_in_a_body_names_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    written(path);
    let mut bytes = fs::read(path.join(SEGMENT)).unwrap();
    let find = |text: &str| {
        let text = text.as_bytes();
        bytes.windows(text.len()).position(|at| at == text).unwrap()
    };
    let (live, settled) = (find("body 0 of 3.2"), find("body 0 of 2.2"));
    bytes[live] ^= 1;
    bytes[settled] ^= 1;
    fs::write(path.join(SEGMENT), &bytes).unwrap();
    let found = look(path);
    let lost: Vec<_> = found
        .queues
        .iter()
        .map(|queue| queue.lost.clone())
        .collect();
    // What was settled is damaged, not lost.
    assert_eq!(lost, [vec![], vec![], vec![2]]);
    assert_eq!(found.files[0].damage.len(), 2);
    assert_eq!(found.files[0].damage[1].held, [(QueueId(3), 2)]);
}

#[test]
fn every_cut_is_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let len = written(path);
    let good = fs::read(path.join(SEGMENT)).unwrap();
    for cut in (HEADER_BYTES..len).step_by(5) {
        fs::write(path.join(SEGMENT), &good[..cut]).unwrap();
        let found = look(path);
        let repaired = repair(&DataDir::open_existing(path).unwrap()).unwrap();
        assert_eq!(repaired.actions.len(), found.files[0].damage.len(), "{cut}");
        let after = look(path);
        assert!(after.is_clean(), "{cut}: {after:?}");
        assert_eq!(live(&after), live(&found));
    }
}

#[test]
fn nothing_is_created_and_nobody_is_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DataDir::open_existing(folder.path()).is_err());
    assert!(DataDir::open_existing(folder.path().join("nothing")).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let path = folder.path().join("data");
    written(&path);
    let used = DataDir::open(&path).unwrap();
    let error = DataDir::open_existing(&path).unwrap_err();
    assert!(matches!(error, crate::OpenError::InUse { .. }), "{error}");
    drop(used);
    DataDir::open_existing(&path).unwrap();
}
