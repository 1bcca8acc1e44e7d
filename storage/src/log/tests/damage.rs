//! Bytes that change on disk cost the record they are in, and are reported.

use super::*;
use crate::framing::{FILE_FORMAT, FileType, HEADER_BYTES};

const MESSAGES: u64 = 6;

fn path(segment: u64) -> String {
    format!("log/{}", FileType::Segment.name(segment))
}

/// A disk with one segment of a few messages, and the offset of the end of each.
fn written() -> (MemDisk, Vec<usize>) {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    let ends = (0..MESSAGES)
        .map(|seq| {
            log.append(&mut one(seq, format!("body {seq}").as_bytes()), true)
                .unwrap()
                .end
        })
        .map(|end| (end & 0xffff_ffff) as usize)
        .collect();
    log.close().unwrap();
    (disk, ends)
}

#[test]
fn every_flipped_bit_costs_one_message_at_most() {
    let (good, ends) = written();
    let len = good.files()[&path(1)].len();
    for bit in 0..len * 8 {
        let disk = good.fork();
        disk.damage(&path(1), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let (_, report, seen) = open(&disk, 1 << 20);
        let seqs = seqs(&seen);
        let hit = ends.iter().position(|end| bit / 8 < *end).unwrap() as u64;
        let in_header = bit / 8 < HEADER_BYTES;
        let left: Vec<_> = (0..MESSAGES)
            .filter(|seq| in_header || *seq != hit)
            .collect();
        assert_eq!(seqs, left, "bit {bit}");
        let last = hit == MESSAGES - 1;
        assert_eq!(report.damaged.len(), usize::from(!last), "bit {bit}");
        assert_eq!(report.cut_tail_bytes > 0, last, "bit {bit}");
    }
}

#[test]
fn every_cut_leaves_the_messages_before_it() {
    let (good, ends) = written();
    for len in 0..=*ends.last().unwrap() {
        let disk = good.fork();
        disk.damage(&path(1), |bytes| bytes.truncate(len));
        let (log, report, seen) = open(&disk, 1 << 20);
        assert_eq!(
            seen.len(),
            ends.iter().filter(|end| **end <= len).count(),
            "{len}"
        );
        assert_eq!(report.damaged, [], "{len}");
        // What was cut stays cut, and the log goes on.
        log.append(&mut one(100, b"more"), true).unwrap();
        log.close().unwrap();
        let (_, report, again) = open(&disk, 1 << 20);
        assert_eq!(
            (again.len(), report.cut_tail_bytes),
            (seen.len() + 1, 0),
            "{len}"
        );
    }
}

#[test]
fn an_older_segment_is_never_cut() {
    let (disk, _) = written();
    let (log, ..) = try_open_with(&disk, 1 << 20, false).unwrap();
    log.append(&mut one(50, b"newer"), true).unwrap();
    log.close().unwrap();
    disk.damage(&path(1), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let before = disk.files();
    let (_, report, seen) = try_open_with(&disk, 1 << 20, false).unwrap();
    assert_eq!(seen.len() as u64, MESSAGES);
    assert_eq!((report.damaged.len(), report.cut_tail_bytes), (1, 0));
    let after = disk.files();
    assert_eq!(after[&path(1)], before[&path(1)]);
    assert_eq!(after[&path(2)], before[&path(2)]);
}

#[test]
fn a_missing_segment_is_not_the_end() {
    let disk = MemDisk::new();
    for seq in 0..3 {
        let (log, ..) = open(&disk, 1 << 20);
        log.append(&mut one(seq, b"x"), true).unwrap();
    }
    disk.damage(&path(2), Vec::clear);
    let (_, report, seen) = open(&disk, 1 << 20);
    assert_eq!(seen.len(), 2);
    assert_eq!(
        report.damaged,
        [Damage {
            segment: 2,
            offset: 0,
            len: 0
        }]
    );
}

#[test]
fn later_formats_and_other_storages_are_refused() {
    let (good, _) = written();
    let disk = good.fork();
    disk.damage(&path(1), |bytes| {
        bytes[8] = FILE_FORMAT as u8 + 1;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let error = try_open(&disk, 1 << 20).err().unwrap();
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );

    let disk = good.fork();
    disk.damage("storage-id", |bytes| {
        bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' }
    });
    let error = try_open(&disk, 1 << 20).err().unwrap();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(good.files(), good.fork().files());
}

#[test]
fn what_is_damaged_while_the_log_is_open_is_reported_with_its_place() {
    let disk = MemDisk::new();
    let (log, ..) = open(&disk, 1 << 20);
    let mut offset = 0;
    for seq in 1..=3 {
        let end = log
            .append(&mut one(seq, &[seq as u8; 100]), true)
            .unwrap()
            .end;
        if seq == 1 {
            offset = end & 0xffff_ffff;
        }
    }
    log.wait_durable(log.end()).unwrap();
    disk.damage(&path(1), |bytes| bytes[offset as usize + 50] ^= 4);
    let mut seen = Vec::new();
    let end = log.read(QueueId(1), 1, 3, NO_LIMIT, &mut |stored| {
        seen.push(match stored {
            Stored::Message { seq, .. } => (seq, None),
            Stored::Lost {
                seq,
                segment,
                offset,
            } => (seq, Some((segment, offset))),
        });
    });
    assert_eq!(end.unwrap(), ReadEnd::All);
    assert_eq!(seen, [(1, None), (2, Some((1, offset))), (3, None)]);
}
