//! Dead segments are used again: their old bytes are never taken for records.

use super::*;

const SEGMENT_BYTES: u32 = 1000;

/// Appends a message to queue 1 and settles the one before; so segments die as they are filled.
fn pass_through(log: &MessageLog, seqs: std::ops::Range<Seq>) {
    let mut before = None;
    let mut batch = Batch::new();
    for seq in seqs {
        log.append(&mut one(seq, &[b'x'; 90]), true).unwrap();
        if let Some(seq) = before.replace(seq) {
            batch.settle(QueueId(1), seq);
            log.append(&mut batch, true).unwrap();
        }
        log.wait_durable(log.end()).unwrap();
        log.tidy();
    }
}

fn names(disk: &MemDisk, end: &str) -> Vec<String> {
    let files = disk.files().into_keys();
    files.filter(|path| path.ends_with(end)).collect()
}

#[test]
fn dead_segments_become_new_ones() {
    let disk = MemDisk::new();
    let (log, ..) = try_open_with(&disk, SEGMENT_BYTES, false).unwrap();
    pass_through(&log, 0..200);
    assert!(log.segments().newest > 10);
    let (segments, spares) = (names(&disk, ".wlog").len(), names(&disk, ".spare").len());
    assert!(segments <= 4 && spares <= 2, "{segments} and {spares}");
    log.close().unwrap();
    // An orderly end leaves nothing behind the last record.
    let (log, report, seen) = try_open_with(&disk, SEGMENT_BYTES, false).unwrap();
    assert_eq!((report.cut_tail_bytes, report.damaged.len()), (0, 0));
    assert_eq!(seen.len(), 1);
    // The next run goes on with what is spare.
    pass_through(&log, 1000..1001);
    assert!(names(&disk, ".spare").len() < spares.max(1));
}

#[test]
fn old_bytes_behind_the_end_are_no_messages_and_no_damage() {
    for keep in [false, true] {
        for last in 100..140 {
            let disk = MemDisk::new();
            let (log, ..) = try_open_with(&disk, SEGMENT_BYTES, false).unwrap();
            pass_through(&log, 0..last);
            disk.crash(&mut |n| if keep { n - 1 } else { 0 });
            drop(log);
            let (log, report, seen) = try_open_with(&disk, SEGMENT_BYTES, false).unwrap();
            assert_eq!(report.damaged, [], "{last}");
            assert_eq!(seqs(&seen), [last - 1], "{keep}");
            // What was cut off is cut off for good.
            log.close().unwrap();
            let (_, report, _) = try_open_with(&disk, SEGMENT_BYTES, false).unwrap();
            assert_eq!((report.cut_tail_bytes, report.damaged.len()), (0, 0));
        }
    }
}
