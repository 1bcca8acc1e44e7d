//! What a segment says, written beside it, so that a start need not read the segment.
//!
//! ```text
//!   log/<16 hex digits>.widx   header as of all log files, one record of kind CHECKPOINT:
//!     segment length u64 | records varint
//!     | targets varint  | (queue varint, seq less the one before zigzag varint,
//!                          (offset less the one before) / 4 varint, weight varint,
//!                          sharers << 1 | transient u8)...
//!     | settled varint  | (queue varint, first varint, last - first varint)...
//!     | gone varint     | (queue varint)...
//!     | delivered varint | (queue varint, up to varint)...
//!     | counts varint   | (queue varint, seq varint, count varint)...
//! ```
//!
//! Made for segments that are finished and have stayed live for a while; live traffic never pays
//! for it. One that is missing, damaged or of another length of the segment is not used.

use std::io;

use super::QueueId;
use super::codec::CHECKPOINT;
use super::summary::{Payloads, Summary, Target};
use super::walk::Walk;
use crate::dir::{DataDir, LOG_DIR};
use crate::disk::{self, join};
use crate::framing::record::{self, Check};
use crate::framing::{FileHeader, FileSeal, FileType, HEADER_BYTES, Seal, varint};

/// Writes the checkpoint of a segment of `len` bytes, durably.
pub(crate) fn write(dir: &DataDir, segment: u32, len: u64, summary: &Summary) -> io::Result<()> {
    let header = FileHeader {
        kind: FileType::Checkpoint,
        storage: dir.storage_id(),
        number: segment.into(),
        index: 0,
    };
    let mut bytes = header.encode().to_vec();
    let start = record::begin(&mut bytes, CHECKPOINT);
    encode(&mut bytes, len, summary);
    record::finish(&mut bytes, start);
    let seal = Seal::new(dir.storage_id()).file(FileType::Checkpoint, segment.into());
    record::seal_all(&mut bytes[HEADER_BYTES..], seal, HEADER_BYTES as u64);
    let name = FileType::Checkpoint.name(segment.into());
    disk::write_whole(&**dir.disk(), LOG_DIR, &name, &bytes)
}

/// Reads the checkpoint of a segment of `len` bytes; false if there is none that can be used.
pub(crate) fn read(dir: &DataDir, segment: u32, len: u64, into: &mut Summary) -> bool {
    let path = join(LOG_DIR, &FileType::Checkpoint.name(segment.into()));
    let Ok(file) = dir.disk().open(&path) else {
        return false;
    };
    let mut bytes = Vec::new();
    if disk::read_whole(&*file, &mut bytes).is_err() {
        return false;
    }
    let seal = Seal::new(dir.storage_id()).file(FileType::Checkpoint, segment.into());
    parse(&bytes, seal, len, into)
}

/// Takes in the checkpoint of a segment of `len` bytes; false if these bytes are none.
fn parse(bytes: &[u8], seal: FileSeal, len: u64, into: &mut Summary) -> bool {
    let decoded = match record::check(bytes, HEADER_BYTES, seal) {
        Check::Good {
            kind: CHECKPOINT,
            body,
            ..
        } => decode(&bytes[body], len, into),
        _ => None,
    };
    decoded.is_some()
}

/// Whether the file is a whole checkpoint that says what its segment says now, as far as that can
/// be told without looking at payloads. One without a segment is; the next start removes it.
pub(crate) fn is_sound(dir: &DataDir, segment: u64, bytes: &[u8]) -> io::Result<bool> {
    let id = dir.storage_id();
    let header = FileHeader::check(bytes, FileType::Checkpoint, id, segment);
    let path = join(LOG_DIR, &FileType::Segment.name(segment));
    let file = match dir.disk().open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(header.is_ok()),
        Err(error) => return Err(error),
    };
    let mut said = Summary::default();
    let seal = Seal::new(id).file(FileType::Checkpoint, segment);
    if header.is_err() || !parse(bytes, seal, file.len()?, &mut said) {
        return Ok(false);
    }
    let blind = Payloads {
        weigh: |_, _| 0,
        transient: |_| false,
    };
    let mut is = Summary::default();
    let seal = Seal::new(id).file(FileType::Segment, segment);
    is.read(Walk::new(&*file, seal), blind)?;
    if !is.damaged.is_empty() || is.tail.is_some() {
        // Reported where it is; the checkpoint is of before.
        return Ok(true);
    }
    for target in &mut said.targets {
        (target.weight, target.transient) = (0, false);
    }
    Ok(said == is)
}

/// Removes the checkpoint of a segment that is gone. One that stays is removed at the next start.
pub(crate) fn remove(dir: &DataDir, segment: u32) {
    let path = join(LOG_DIR, &FileType::Checkpoint.name(segment.into()));
    let _ = dir.disk().remove(&path);
}

fn encode(into: &mut Vec<u8>, len: u64, summary: &Summary) {
    into.extend_from_slice(&len.to_le_bytes());
    varint::put(into, summary.records);
    varint::put(into, summary.targets.len() as u64);
    let (mut seq, mut offset) = (0, 0);
    for target in &summary.targets {
        varint::put(into, target.queue.0);
        varint::put(into, zigzag(target.seq.wrapping_sub(seq)));
        varint::put(into, u64::from((target.offset - offset) / 4));
        varint::put(into, target.weight.into());
        into.push(target.sharers << 1 | u8::from(target.transient));
        (seq, offset) = (target.seq, target.offset);
    }
    varint::put(into, summary.settled.len() as u64);
    for (queue, first, last) in &summary.settled {
        put_all(into, [queue.0, *first, last - first]);
    }
    varint::put(into, summary.gone.len() as u64);
    summary.gone.iter().for_each(|it| varint::put(into, it.0));
    varint::put(into, summary.delivered.len() as u64);
    for (queue, up_to) in &summary.delivered {
        put_all(into, [queue.0, *up_to]);
    }
    varint::put(into, summary.counts.len() as u64);
    for (queue, seq, count) in &summary.counts {
        put_all(into, [queue.0, *seq, u64::from(*count)]);
    }
}

fn put_all<const N: usize>(into: &mut Vec<u8>, numbers: [u64; N]) {
    numbers
        .into_iter()
        .for_each(|number| varint::put(into, number));
}

fn decode(mut from: &[u8], len: u64, into: &mut Summary) -> Option<()> {
    into.clear();
    let from = &mut from;
    let (segment_len, rest) = from.split_first_chunk()?;
    *from = rest;
    if u64::from_le_bytes(*segment_len) != len {
        return None;
    }
    into.records = varint::take(from)?;
    let (mut seq, mut offset) = (0u64, 0u32);
    for _ in 0..varint::take(from)? {
        let queue = QueueId(varint::take(from)?);
        seq = seq.wrapping_add(unzigzag(varint::take(from)?));
        let step = u32::try_from(varint::take(from)?.checked_mul(4)?).ok()?;
        offset = offset.checked_add(step)?;
        let weight = u32::try_from(varint::take(from)?).ok()?;
        let (flags, rest) = from.split_first()?;
        *from = rest;
        into.targets.push(Target {
            queue,
            seq,
            offset,
            weight,
            sharers: (flags >> 1).min(7),
            transient: flags & 1 != 0,
        });
    }
    for _ in 0..varint::take(from)? {
        let (queue, first) = (QueueId(varint::take(from)?), varint::take(from)?);
        let last = first.checked_add(varint::take(from)?)?;
        into.settled.push((queue, first, last));
    }
    for _ in 0..varint::take(from)? {
        into.gone.push(QueueId(varint::take(from)?));
    }
    for _ in 0..varint::take(from)? {
        let (queue, up_to) = (QueueId(varint::take(from)?), varint::take(from)?);
        into.delivered.push((queue, up_to));
    }
    for _ in 0..varint::take(from)? {
        let (queue, seq) = (QueueId(varint::take(from)?), varint::take(from)?);
        let count = u32::try_from(varint::take(from)?).ok()?;
        into.counts.push((queue, seq, count));
    }
    from.is_empty().then_some(())
}

/// Small numbers for small differences of either sign.
fn zigzag(difference: u64) -> u64 {
    let difference = difference as i64;
    (difference << 1 ^ difference >> 63) as u64
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::MemDisk;

    fn summary() -> impl Strategy<Value = Summary> {
        let target = (
            any::<u64>(),
            any::<u64>(),
            0u32..1000,
            any::<u32>(),
            0u8..8,
            any::<bool>(),
        );
        let pair = || (any::<u64>(), any::<u64>());
        (
            prop::collection::vec(target, 0..50),
            prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..9),
            prop::collection::vec(any::<u64>(), 0..4),
            prop::collection::vec(pair(), 0..9),
            prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>()), 0..9),
        )
            .prop_map(|(targets, settled, gone, delivered, counts)| {
                let mut offset = 64;
                let targets =
                    targets
                        .into_iter()
                        .map(|(queue, seq, step, weight, sharers, transient)| {
                            offset += step * 4;
                            let queue = QueueId(queue);
                            Target {
                                queue,
                                seq,
                                offset,
                                weight,
                                sharers,
                                transient,
                            }
                        });
                let ranges = settled.into_iter();
                let ranges = ranges.map(|(queue, a, b)| (QueueId(queue), a.min(b), a.max(b)));
                Summary {
                    records: 7,
                    targets: targets.collect(),
                    settled: ranges.collect(),
                    gone: gone.into_iter().map(QueueId).collect(),
                    delivered: delivered
                        .into_iter()
                        .map(|(q, n)| (QueueId(q), n))
                        .collect(),
                    counts: counts
                        .into_iter()
                        .map(|(q, n, c)| (QueueId(q), n, c))
                        .collect(),
                    ..Summary::default()
                }
            })
    }

    proptest! {
        #[test]
        fn it_comes_back_or_not_at_all(summary in summary(), flip in any::<prop::sample::Index>()) {
            let disk = MemDisk::new();
            let dir = DataDir::on(Arc::new(disk.clone())).unwrap();
            let mut found = Summary::default();
            prop_assert!(!read(&dir, 5, 1000, &mut found));
            write(&dir, 5, 1000, &summary).unwrap();
            prop_assert!(read(&dir, 5, 1000, &mut found));
            prop_assert_eq!(&found, &summary);
            prop_assert!(!read(&dir, 5, 1001, &mut found));
            prop_assert!(!read(&dir, 6, 1000, &mut found));
            disk.damage("log/0000000000000005.widx", |bytes| {
                let bit = flip.index((bytes.len() - HEADER_BYTES) * 8) + HEADER_BYTES * 8;
                bytes[bit / 8] ^= 1 << (bit % 8);
            });
            prop_assert!(!read(&dir, 5, 1000, &mut found));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes, 0, &mut Summary::default());
        }
    }
}
