//! How bytes stand in a log file: a header, then records.
//!
//! ```text
//!   file    header (64 bytes), record, record, ...            `FileHeader`, `FileNames`
//!   record  length, kind, check, crc, body, zeros to 4 bytes  `record`
//! ```
//!
//! Shared by message segments, command log files and snapshots. What the bodies mean is said by
//! the logs. `FORMAT.md` describes every byte.

mod header;
pub(crate) mod record;
mod scan;
pub(crate) mod varint;

pub(crate) use header::{FILE_FORMAT, FileHeader, FileType, HEADER_BYTES, HeaderError};
pub(crate) use record::{FileSeal, Seal};
pub(crate) use scan::{Found, scan};
