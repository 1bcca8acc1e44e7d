//! The first 64 bytes of every log file, and the names of the files.
//!
//! The header is for people and for versions to come: a record proves by itself that it belongs
//! to its file, so a damaged header costs nothing but a line in the report.

use crate::dir::StorageId;

/// Length of the header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Format written, and newest read.
pub(crate) const FILE_FORMAT: u32 = 1;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileType {
    /// Messages and what became of them.
    Segment,
    /// Commands.
    Commands,
    /// The view as of one command.
    Snapshot,
    /// What a segment says, without its messages.
    Checkpoint,
}

impl FileType {
    pub(crate) fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"WARRENLG",
            Self::Commands => *b"WARRENCL",
            Self::Snapshot => *b"WARRENSN",
            Self::Checkpoint => *b"WARRENIX",
        }
    }

    fn affixes(self) -> (&'static str, &'static str) {
        match self {
            Self::Segment => ("", ".wlog"),
            Self::Commands => ("", ".clog"),
            Self::Snapshot => ("snapshot-", ".snap"),
            Self::Checkpoint => ("", ".widx"),
        }
    }

    /// The name of file `number`.
    pub(crate) fn name(self, number: u64) -> String {
        let (before, after) = self.affixes();
        format!("{before}{number:016x}{after}")
    }

    /// The number of the file with this name, if it is a file of this type.
    pub(crate) fn number(self, name: &str) -> Option<u64> {
        let (before, after) = self.affixes();
        let digits = name.strip_prefix(before)?.strip_suffix(after)?;
        let number = u64::from_str_radix(digits, 16).ok()?;
        (self.name(number) == name).then_some(number)
    }
}

/// What the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileType,
    pub(crate) storage: StorageId,
    /// The number in the file's name.
    pub(crate) number: u64,
    /// Command log: index of the first command. Snapshot: index of the last command in it.
    pub(crate) index: u64,
}

/// Why a header was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderError {
    /// Short, or its checksum does not hold.
    Damaged,
    /// Whole, but of a later format.
    Newer(u32),
    /// Whole, but of another storage, type or number.
    Foreign,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.kind.magic());
        bytes[8..12].copy_from_slice(&FILE_FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.storage.0);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.index.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The number a header gives its file, unchecked.
    pub(crate) fn number_in(header: &[u8; HEADER_BYTES]) -> u64 {
        u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| header[32 + i]))
    }

    /// The index in the header of the file, which must be the one described by the arguments.
    pub(crate) fn check(
        bytes: &[u8],
        kind: FileType,
        storage: StorageId,
        number: u64,
    ) -> Result<u64, HeaderError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        let crc_holds = crc32c::crc32c(&header[..60]) == word(60);
        // The first 16 bytes and the checksum at the end stay where they are in all formats.
        if header[0..8] != kind.magic() || !crc_holds {
            return Err(HeaderError::Damaged);
        }
        if word(8) > FILE_FORMAT {
            return Err(HeaderError::Newer(word(8)));
        }
        let index = u64::from(word(40)) | u64::from(word(44)) << 32;
        let expected = Self {
            kind,
            storage,
            number,
            index,
        };
        if expected.encode() == *header {
            Ok(index)
        } else {
            Err(HeaderError::Foreign)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            kind: FileType::Commands,
            storage: StorageId([7; 16]),
            number: 3,
            index: 0x1_0000_0002,
        }
    }

    #[test]
    fn gives_back_what_was_written() {
        let bytes = header().encode();
        let index = FileHeader::check(&bytes, FileType::Commands, StorageId([7; 16]), 3);
        assert_eq!(index, Ok(0x1_0000_0002));
    }

    #[test]
    fn tells_damaged_newer_and_foreign_apart() {
        let id = StorageId([7; 16]);
        let good = header().encode();
        let check = |bytes: &[u8]| FileHeader::check(bytes, FileType::Commands, id, 3);
        for at in 0..HEADER_BYTES {
            let mut bytes = good;
            bytes[at] ^= 1;
            assert_eq!(check(&bytes), Err(HeaderError::Damaged), "byte {at}");
        }
        assert_eq!(check(&good[..63]), Err(HeaderError::Damaged));
        let mut newer = good;
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..60]);
        newer[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(check(&newer), Err(HeaderError::Newer(2)));
        let other = FileHeader {
            storage: StorageId([8; 16]),
            ..header()
        }
        .encode();
        assert_eq!(check(&other), Err(HeaderError::Foreign));
    }

    #[test]
    fn only_exact_names_are_ours() {
        assert_eq!(FileType::Segment.number("00000000000000ff.wlog"), Some(255));
        for name in [
            "ff.wlog",
            "00000000000000FF.wlog",
            "00000000000000ff.clog",
            "x",
        ] {
            assert_eq!(FileType::Segment.number(name), None, "{name}");
        }
        assert_eq!(FileType::Snapshot.name(1), "snapshot-0000000000000001.snap");
    }
}
