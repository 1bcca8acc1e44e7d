//! The records of a segment, read a window at a time.

use std::io;
use std::ops::Range;

use crate::disk::{DiskFile, read_lenient};
use crate::framing::record::{self, Check, RECORD_HEADER};
use crate::framing::{FileSeal, HEADER_BYTES};

/// How much is read at once.
const WINDOW_BYTES: usize = if cfg!(test) { 256 } else { 1 << 20 };

/// What stands in a segment, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// A good record; its body in the window.
    Record {
        offset: u64,
        kind: u8,
        body: Range<usize>,
    },
    /// Bytes that are no record, with a good one after them.
    Damage { offset: u64, len: u64 },
    /// Bytes that are no record, up to the end.
    Tail { offset: u64, len: u64 },
}

/// See the module documentation.
pub(crate) struct Walk<'a> {
    file: &'a dyn DiskFile,
    seal: FileSeal,
    /// Where the window stands in the file.
    base: u64,
    window: Vec<u8>,
    at: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, seal: FileSeal) -> Self {
        Self {
            file,
            seal,
            base: HEADER_BYTES as u64,
            window: Vec::new(),
            at: 0,
        }
    }

    /// The bytes of which the last record is a part.
    pub(crate) fn window(&self) -> &[u8] {
        &self.window
    }

    /// Goes to what stands next; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Walked>> {
        if self.window.len() - self.at < RECORD_HEADER && self.fill(WINDOW_BYTES)? < RECORD_HEADER {
            let (offset, len) = (self.base, self.window.len() as u64);
            self.at = self.window.len();
            return Ok((len > 0).then_some(Walked::Tail { offset, len }));
        }
        let length = record::length(&self.window, self.at, self.base, self.seal);
        if let Some(length) = length.filter(|length| self.at + length > self.window.len()) {
            // Not more than there is, whatever a damaged header says.
            let rest = self.file.len()?.saturating_sub(self.offset());
            let rest = usize::try_from(rest).map_err(io::Error::other)?;
            self.fill(length.max(WINDOW_BYTES).min(rest))?;
        }
        let offset = self.offset();
        match record::check_at(&self.window, self.at, self.base, self.seal) {
            Check::Good { kind, body, next } => {
                self.at = next;
                Ok(Some(Walked::Record { offset, kind, body }))
            }
            Check::BadBody { .. } | Check::Bad => self.skip().map(Some),
        }
    }

    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Reads on from the current place; returns how many bytes there are.
    fn fill(&mut self, bytes: usize) -> io::Result<usize> {
        let rest = self.file.len()?.saturating_sub(self.offset());
        let bytes = bytes.min(usize::try_from(rest).map_err(io::Error::other)?);
        self.base = self.offset();
        self.at = 0;
        self.window.clear();
        self.window.resize(bytes, 0);
        read_lenient(self.file, &mut self.window, self.base);
        Ok(bytes)
    }

    /// Goes to the next good record behind a bad one.
    fn skip(&mut self) -> io::Result<Walked> {
        self.fill(usize::MAX)?;
        let is_good = |at: &usize| {
            let check = record::check_at(&self.window, *at, self.base, self.seal);
            matches!(check, Check::Good { .. })
        };
        let mut places = (record::ALIGN..self.window.len()).step_by(record::ALIGN);
        let next = places.find(is_good);
        let (offset, len) = (self.base, next.unwrap_or(self.window.len()) as u64);
        self.at = next.unwrap_or(self.window.len());
        Ok(match next {
            Some(_) => Walked::Damage { offset, len },
            None => Walked::Tail { offset, len },
        })
    }
}
