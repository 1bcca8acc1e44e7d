//! How far each queue has handed its messages out, noted before the messages leave the process.
//!
//! The log says the same, but within milliseconds rather than at once. Between the two lies a
//! crash in which a message is delivered, acked, and comes back as if nobody had seen it. So the
//! mark is also written here, in place, one small slot for each queue, without waiting for the
//! disk: what was handed to the system survives the end of the process, however sudden. Against
//! the loss of power stands the log, with its few milliseconds.
//!
//! ```text
//!   log/delivered   slots of 24 bytes: queue u64, seq u64, CRC32C of both u32, zero u32
//! ```

use std::io;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{QueueId, Seq};
use crate::dir::LOG_DIR;
use crate::disk::{Disk, DiskFile, join, read_whole};

pub(crate) const FILE: &str = "delivered";
const NEW_FILE: &str = "delivered.new";
pub(crate) const SLOT_BYTES: usize = 24;

/// The slots. An error while writing one is logged once and costs only exactness after a crash.
pub(super) struct DeliveredMarks {
    file: Box<dyn DiskFile>,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    of: FxHashMap<QueueId, u64>,
    failed: bool,
}

/// What the slots say; a slot that was not written whole says nothing.
pub(super) fn read(disk: &dyn Disk) -> io::Result<Vec<(QueueId, Seq)>> {
    let file = match disk.open(&join(LOG_DIR, FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    read_whole(&*file, &mut bytes)?;
    Ok(bytes.chunks_exact(SLOT_BYTES).filter_map(decode).collect())
}

impl DeliveredMarks {
    /// Starts a new file with these marks in it: those of queues the log still names.
    pub(super) fn start(disk: &dyn Disk, marks: &[(QueueId, Seq)]) -> io::Result<Self> {
        let (new, path) = (join(LOG_DIR, NEW_FILE), join(LOG_DIR, FILE));
        let file = disk.create(&new)?;
        let mut bytes = Vec::with_capacity(marks.len() * SLOT_BYTES);
        let mut slots = Slots::default();
        for (n, (queue, seq)) in marks.iter().enumerate() {
            bytes.extend_from_slice(&encode(*queue, *seq));
            slots.of.insert(*queue, n as u64);
        }
        file.write_at(&bytes, 0)?;
        file.sync_data()?;
        disk.rename(&new, &path)?;
        disk.sync_dir(LOG_DIR)?;
        Ok(Self {
            file,
            slots: Mutex::new(slots),
        })
    }

    /// Everything of `queue` up to `up_to` is about to be handed out.
    pub(super) fn note(&self, queue: QueueId, up_to: Seq) {
        let mut slots = self.slots.lock();
        let next = slots.of.len() as u64;
        let slot = *slots.of.entry(queue).or_insert(next);
        // Written under the lock: two marks of one queue must not overtake each other.
        let written = self
            .file
            .write_at(&encode(queue, up_to), slot * SLOT_BYTES as u64);
        if let Err(error) = written
            && !std::mem::replace(&mut slots.failed, true)
        {
            tracing::error!("delivery marks cannot be written: {error}");
        }
    }
}

fn encode(queue: QueueId, seq: Seq) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&queue.0.to_le_bytes());
    slot[8..16].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c(&slot[..16]);
    slot[16..20].copy_from_slice(&crc.to_le_bytes());
    slot
}

pub(crate) fn decode(slot: &[u8]) -> Option<(QueueId, Seq)> {
    let (queue, rest) = slot.split_first_chunk::<8>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    let sound = crc32c::crc32c(&slot[..16]) == u32::from_le_bytes(*crc);
    sound.then_some((
        QueueId(u64::from_le_bytes(*queue)),
        u64::from_le_bytes(*seq),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::memory::MemDisk;

    #[test]
    fn marks_are_found_again_and_torn_slots_are_not() {
        let disk = MemDisk::default();
        disk.create_dir(LOG_DIR).unwrap();
        assert_eq!(read(&disk).unwrap(), []);
        let marks = DeliveredMarks::start(&disk, &[(QueueId(7), 1)]).unwrap();
        marks.note(QueueId(9), 5);
        marks.note(QueueId(7), 3);
        marks.note(QueueId(9), 6);
        assert_eq!(read(&disk).unwrap(), [(QueueId(7), 3), (QueueId(9), 6)]);
        marks.file.write_at(&[1], 0).unwrap();
        assert_eq!(read(&disk).unwrap(), [(QueueId(9), 6)]);
    }
}
