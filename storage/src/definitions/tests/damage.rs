//! Bytes that change on disk, and keeping the log short.

use super::*;
use crate::error::OpenError;
use crate::framing::HEADER_BYTES;

fn run(catalog: &mut Catalog, commands: std::ops::Range<u32>) {
    for n in commands {
        catalog
            .run_through(format!("key {n}=value {n}").as_bytes())
            .unwrap();
    }
    catalog.log.close().unwrap();
}

fn only_file(disk: &MemDisk, suffix: &str) -> String {
    let files = disk.files();
    let mut found = files.keys().filter(|path| path.ends_with(suffix));
    let path = found.next().unwrap().clone();
    assert_eq!(found.next(), None);
    path
}

/// Flips every bit of the file; `check` gets the definitions as opened without a view.
fn flip_every_bit(good: &MemDisk, path: &str, check: impl Fn(usize, &Catalog)) {
    let len = good.files()[path].len();
    for bit in 0..len * 8 {
        let disk = good.fork();
        disk.damage(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        check(bit, &open(&disk, &TestView::default(), u64::MAX));
    }
}

#[test]
fn a_flipped_bit_in_the_log_costs_one_command() {
    let disk = MemDisk::new();
    run(&mut open(&disk, &TestView::default(), u64::MAX), 0..4);
    flip_every_bit(&disk, &only_file(&disk, ".clog"), |bit, catalog| {
        let lost = 4 - catalog.state.len();
        assert_eq!(lost, usize::from(bit / 8 >= HEADER_BYTES), "bit {bit}");
        let reported = !catalog.opened.damaged.is_empty() || catalog.opened.cut_tail_bytes > 0;
        assert!(reported, "bit {bit}");
    });
}

#[test]
fn a_flipped_bit_in_a_snapshot_costs_one_entry() {
    let disk = MemDisk::new();
    run(&mut open(&disk, &TestView::default(), 0), 0..4);
    let path = only_file(&disk, ".snap");
    flip_every_bit(&disk, &path, |bit, catalog| {
        assert!(4 - catalog.state.len() <= 1, "bit {bit}");
        assert!(!catalog.opened.damaged.is_empty(), "bit {bit}");
    });
}

#[test]
fn an_intact_view_makes_up_for_damage_and_repairs_it() {
    let (disk, view) = (MemDisk::new(), TestView::default());
    run(&mut open(&disk, &view, u64::MAX), 0..4);
    let path = only_file(&disk, ".clog");
    disk.damage(&path, |bytes| bytes[HEADER_BYTES + 20] ^= 1);
    let catalog = open(&disk, &view, u64::MAX);
    assert_eq!(catalog.state.len(), 4);
    assert!(!catalog.opened.damaged.is_empty());
    catalog.log.close().unwrap();
    assert_eq!(snapshots(&disk).len(), 1);
    assert_eq!(open(&disk, &TestView::default(), u64::MAX).state.len(), 4);
}

#[test]
fn snapshots_keep_the_log_short() {
    let (disk, view) = (MemDisk::new(), TestView::default());
    let mut catalog = open(&disk, &view, 2000);
    for n in 0..1000 {
        catalog
            .run_through(format!("key {}=value {n}", n % 10).as_bytes())
            .unwrap();
    }
    catalog.log.close().unwrap();
    let files = disk.files();
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes < 10_000, "{bytes} bytes in {:?}", files.keys());
    assert_eq!(snapshots(&disk).len(), 1);
    drop(catalog);
    let catalog = open(&disk, &TestView::default(), 2000);
    assert_eq!((catalog.state.len(), catalog.last), (10, 1000));
    assert!(catalog.opened.tail.len() < 200);
}

#[test]
fn many_starts_do_not_pile_up_files() {
    let (disk, view) = (MemDisk::new(), TestView::default());
    for n in 0..200 {
        run(&mut open(&disk, &view, u64::MAX), n..n + 1);
    }
    assert!(disk.files().len() < 80, "{:?}", disk.files().keys());
    assert_eq!(open(&disk, &TestView::default(), u64::MAX).state.len(), 200);
}

#[test]
fn a_later_format_is_refused() {
    let disk = MemDisk::new();
    run(&mut open(&disk, &TestView::default(), u64::MAX), 0..1);
    disk.damage(&only_file(&disk, ".clog"), |bytes| {
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let dir = DataDir::on(Arc::new(disk)).unwrap();
    let error = CommandLog::open(&dir).err().unwrap();
    assert!(
        matches!(error, OpenError::NewerFormat { found: 9, .. }),
        "{error}"
    );
}

#[test]
fn the_view_waits_for_what_it_was_not_told() {
    let (disk, view) = (MemDisk::new(), TestView::default());
    let mut catalog = open(&disk, &view, u64::MAX);
    let first = catalog.run(b"a=1").unwrap();
    catalog.run_through(b"b=2").unwrap();
    catalog.log.close().unwrap();
    assert_eq!(view.clone().load().unwrap().applied, first - 1);
    let catalog = open(&disk, &view, u64::MAX);
    assert_eq!(
        (catalog.opened.base_index, catalog.opened.tail.len()),
        (0, 2)
    );
    catalog.log.close().unwrap();
    assert_eq!(view.clone().load().unwrap().applied, 2);
}
