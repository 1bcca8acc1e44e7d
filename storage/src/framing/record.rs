//! One record: 12 bytes of header, the body, zeros up to a multiple of 4.
//!
//! ```text
//!   0        4      5         8        12
//!   | length | kind | check   | crc    | body ... | 0..3 zeros |
//!     u32 LE   u8     3 bytes   u32 LE
//! ```
//!
//! `check` covers length, kind and place; `crc` covers length, kind and body and is masked with
//! the place. The place is (storage id, file type, file number, offset), mixed: so a record is
//! only valid where it was written. A message body that holds the bytes of a record, or a file
//! copied over another, is never mistaken for one; and because the storage id is random and
//! stays on this machine, nobody can make up a body that is.
//!
//! Encoding happens in two steps, because the offset is only known under the lock of the log:
//! [`begin`] and [`finish`] outside (all work that grows with the body), [`seal_all`] inside (a
//! few nanoseconds a record).

use std::ops::Range;

use super::FileType;
use crate::dir::StorageId;

/// Bytes before the body.
pub(crate) const RECORD_HEADER: usize = 12;
/// Records start at multiples of this.
pub(crate) const ALIGN: usize = 4;

/// The secret of a storage that ties records to their place.
#[derive(Clone, Copy)]
pub(crate) struct Seal {
    key: u64,
}

/// The same for one file.
#[derive(Clone, Copy)]
pub(crate) struct FileSeal {
    key: u64,
}

impl Seal {
    pub(crate) fn new(id: StorageId) -> Self {
        let id = u128::from_le_bytes(id.0);
        Self {
            key: mix(mix(id as u64) ^ (id >> 64) as u64),
        }
    }

    pub(crate) fn file(self, kind: FileType, number: u64) -> FileSeal {
        FileSeal {
            key: mix(mix(self.key ^ u64::from_le_bytes(kind.magic())) ^ number),
        }
    }
}

impl FileSeal {
    /// The mask for the checksum, and the check of the header, of a record at `offset`.
    fn at(self, offset: u64, len_and_kind: u64) -> (u32, u32) {
        let place = mix(self.key ^ offset);
        (place as u32, (mix(place ^ len_and_kind) >> 40) as u32)
    }
}

/// A bijection of 64 bits in which every input bit moves every output bit (the finalizer of
/// splitmix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Starts a record; the body is then appended to `buf`.
pub(crate) fn begin(buf: &mut Vec<u8>, kind: u8) -> usize {
    let start = buf.len();
    buf.extend_from_slice(&[0, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0]);
    start
}

/// Ends the record begun at `start`: length, checksum (not yet masked), padding. The body must
/// be shorter than 4 GiB, which the limit on batches sees to.
pub(crate) fn finish(buf: &mut Vec<u8>, start: usize) {
    let len = (buf.len() - start - RECORD_HEADER) as u32;
    buf[start..start + 4].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&buf[start..]);
    buf[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    buf.resize(start + padded(len as usize), 0);
}

/// Ties all records in `bytes` to their place; the first one will stand at `offset`.
pub(crate) fn seal_all(bytes: &mut [u8], seal: FileSeal, offset: u64) {
    let mut at = 0;
    while at + RECORD_HEADER <= bytes.len() {
        let header = &mut bytes[at..at + RECORD_HEADER];
        let (len, kind) = (word(header, 0), header[4]);
        let (mask, check) = seal.at(offset + at as u64, len_and_kind(len, kind));
        header[5..8].copy_from_slice(&check.to_le_bytes()[..3]);
        let crc = word(header, 8) ^ mask;
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        at += padded(len as usize);
    }
}

/// Ties sealed records to another place: from one file and offset of the first to another.
pub(crate) fn reseal_all(bytes: &mut [u8], from: (FileSeal, u64), to: (FileSeal, u64)) {
    let mut at = 0;
    while at + RECORD_HEADER <= bytes.len() {
        let header = &mut bytes[at..at + RECORD_HEADER];
        let (len, kind) = (word(header, 0), header[4]);
        let what = len_and_kind(len, kind);
        let (old_mask, _) = from.0.at(from.1 + at as u64, what);
        let (mask, check) = to.0.at(to.1 + at as u64, what);
        header[5..8].copy_from_slice(&check.to_le_bytes()[..3]);
        let crc = word(header, 8) ^ old_mask ^ mask;
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        at += padded(len as usize);
    }
}

/// What stands at an offset of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// A whole record.
    Good {
        kind: u8,
        body: Range<usize>,
        next: usize,
    },
    /// A header that can be trusted for the length, with a body that is not what was written.
    BadBody { next: usize },
    /// Nothing that can be trusted.
    Bad,
}

/// Checks the record at `at`; `bytes` is the whole file.
pub(crate) fn check(bytes: &[u8], at: usize, seal: FileSeal) -> Check {
    check_at(bytes, at, 0, seal)
}

/// Checks the record at `at` of `bytes`, which stand at `base` of the file.
pub(crate) fn check_at(bytes: &[u8], at: usize, base: u64, seal: FileSeal) -> Check {
    let Some(header) = bytes.get(at..at + RECORD_HEADER) else {
        return Check::Bad;
    };
    let (len, kind) = (word(header, 0), header[4]);
    let (mask, expected) = seal.at(base + at as u64, len_and_kind(len, kind));
    let found = word(header, 4) >> 8;
    let next = at + padded(len as usize);
    if found != expected || next > bytes.len() {
        return Check::Bad;
    }
    let end = at + RECORD_HEADER + len as usize;
    let padding_is_zero = bytes[end..next].iter().all(|byte| *byte == 0);
    if padding_is_zero && checksum(&bytes[at..end]) ^ mask == word(header, 8) {
        Check::Good {
            kind,
            body: at + RECORD_HEADER..end,
            next,
        }
    } else {
        Check::BadBody { next }
    }
}

/// Bytes from the record at `at` to the next, if its header can be trusted. `bytes` stand at
/// `base` of the file and may end within the record.
pub(crate) fn length(bytes: &[u8], at: usize, base: u64, seal: FileSeal) -> Option<usize> {
    let header = bytes.get(at..at + RECORD_HEADER)?;
    let (len, kind) = (word(header, 0), header[4]);
    let (_, expected) = seal.at(base + at as u64, len_and_kind(len, kind));
    (word(header, 4) >> 8 == expected).then_some(padded(len as usize))
}

/// Kind and body, as far as it is there, of the record that `bytes` begin with and that stood at
/// `offset`, if its header can be trusted.
pub(crate) fn claimed(bytes: &[u8], offset: u64, seal: FileSeal) -> Option<(u8, &[u8])> {
    let (header, body) = bytes.split_at_checked(RECORD_HEADER)?;
    let (len, kind) = (word(header, 0), header[4]);
    let (_, expected) = seal.at(offset, len_and_kind(len, kind));
    let end = body.len().min(len as usize);
    (word(header, 4) >> 8 == expected).then_some((kind, &body[..end]))
}

/// CRC32C of length, kind and body; `record` ends with the body.
fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..5]), &record[RECORD_HEADER..])
}

/// Bytes from the start of a record with a body of `len` to the next.
fn padded(len: usize) -> usize {
    (RECORD_HEADER + len).next_multiple_of(ALIGN)
}

fn len_and_kind(len: u32, kind: u8) -> u64 {
    u64::from(len) << 8 | u64::from(kind)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]))
}
