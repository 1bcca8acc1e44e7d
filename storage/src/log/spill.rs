//! Blocks of the index that do not fit in memory, in a scratch file.
//!
//! Means nothing after the end of the process: each start makes the index afresh. So nothing is
//! synced.
//!
//! ```text
//!   log/index.spill   places of one block each: slots of 12 bytes, CRC32C of them u32
//! ```

use std::io;
use std::sync::Arc;

use super::blocks::{BLOCK, Slot};
use crate::dir::LOG_DIR;
use crate::disk::{Disk, DiskFile, join};

const FILE: &str = "index.spill";
const SLOT_BYTES: usize = 12;
/// Bytes of a place.
const PLACE_BYTES: usize = BLOCK as usize * SLOT_BYTES + 4;

/// The scratch file; made when it is first needed.
pub(crate) struct Spill {
    disk: Arc<dyn Disk>,
    file: Option<Box<dyn DiskFile>>,
    /// Places not in use, and the one behind all others.
    free: Vec<u32>,
    end: u32,
    /// An error was reported.
    failed: bool,
    bytes: Vec<u8>,
}

impl Spill {
    /// Removes what an earlier run left.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> io::Result<Self> {
        match disk.remove(&join(LOG_DIR, FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            disk,
            file: None,
            free: Vec::new(),
            end: 0,
            failed: false,
            bytes: Vec::new(),
        })
    }

    /// Writes a block out and says where; none if that failed.
    pub(crate) fn write(&mut self, slots: &[Slot]) -> Option<u32> {
        if self.failed {
            return None;
        }
        let place = self.free.pop().unwrap_or(self.end);
        self.bytes.clear();
        slots
            .iter()
            .for_each(|slot| self.bytes.extend_from_slice(&slot.encode()));
        let crc = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        match self.put(place) {
            Ok(()) => {
                self.end = self.end.max(place + 1);
                Some(place)
            }
            Err(error) => {
                tracing::error!("the index of the log stays in memory: {error}");
                self.failed = true;
                None
            }
        }
    }

    fn put(&mut self, place: u32) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.disk.create(&join(LOG_DIR, FILE))?),
        };
        file.write_at(&self.bytes, offset(place))
    }

    /// Reads the `len` slots of a block into `slots`. On failure they stay empty: what they named
    /// is out of reach until a restart.
    pub(crate) fn read(&self, place: u32, len: usize, slots: &mut Vec<Slot>) {
        slots.clear();
        match self.load(place, len) {
            Ok(bytes) => {
                let (bytes, _) = bytes.as_chunks();
                slots.extend(bytes.iter().take(len).map(Slot::decode));
            }
            Err(error) => {
                tracing::error!("{len} messages are out of reach until a restart: {error}");
                slots.resize(len, Slot::default());
            }
        }
    }

    fn load(&self, place: u32, len: usize) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; len * SLOT_BYTES + 4];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset(place) + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        let (slots, crc) = bytes.split_at(len * SLOT_BYTES);
        if crc32c::crc32c(slots).to_le_bytes() != *crc {
            return Err(io::Error::other("log/index.spill is damaged"));
        }
        Ok(bytes)
    }

    /// The place is no longer needed.
    pub(crate) fn free(&mut self, place: u32) {
        self.free.push(place);
    }
}

fn offset(place: u32) -> u64 {
    u64::from(place) * PLACE_BYTES as u64
}
