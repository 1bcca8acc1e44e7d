//! Reads everything and says what is there and what is not what was written.

use std::collections::BTreeMap;

use super::files::{Loaded, names, numbers, read};
use super::{DamagedBytes, FileFindings, Findings, QueueFindings};
use crate::definitions::{COMMAND, END, ENTRY, snapshot};
use crate::dir::{DEFINITIONS_DIR, DataDir, LOG_DIR, unreadable};
use crate::disk::join;
use crate::error::OpenError;
use crate::framing::FileType;
use crate::log::checkpoint;
use crate::log::codec::{self, Entry};
use crate::log::delivered;
use crate::log::{QueueId, Seq};

/// What the message log says of one queue.
#[derive(Default)]
struct Queue {
    published: Vec<Seq>,
    settled: Vec<(Seq, Seq)>,
    gone: bool,
    /// What damaged bytes seem to have held.
    suspected: Vec<Seq>,
}

/// Reads every byte and writes nothing.
pub fn verify(dir: &DataDir) -> Result<Findings, OpenError> {
    let mut findings = Findings::default();
    verify_log(dir, &mut findings)?;
    verify_definitions(dir, &mut findings)?;
    Ok(findings)
}

fn verify_log(dir: &DataDir, findings: &mut Findings) -> Result<(), OpenError> {
    let names = names(dir, LOG_DIR)?;
    let segments = numbers(&names, FileType::Segment);
    let mut queues: BTreeMap<QueueId, Queue> = BTreeMap::new();
    for &segment in &segments {
        let newest = Some(&segment) == segments.last();
        findings
            .files
            .push(verify_segment(dir, segment, newest, &mut queues)?);
    }
    for (queue, mut known) in queues {
        if known.gone {
            continue;
        }
        let live = known.live();
        let mut lost = std::mem::take(&mut known.suspected);
        lost.sort_unstable();
        lost.dedup();
        lost.retain(|seq| live.binary_search(seq).is_err() && !known.is_settled(*seq));
        if !live.is_empty() || !lost.is_empty() {
            findings.queues.push(QueueFindings {
                queue,
                messages: live.len() as u64,
                lost,
            });
        }
    }
    for number in numbers(&names, FileType::Checkpoint) {
        findings.files.push(verify_checkpoint(dir, number)?);
    }
    if names.iter().any(|name| name == delivered::FILE) {
        findings.files.push(verify_marks(dir)?);
    }
    Ok(())
}

impl Queue {
    /// Sorts; then the numbers that are not settled.
    fn live(&mut self) -> Vec<Seq> {
        self.settled.sort_unstable();
        self.settled.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        let mut live = std::mem::take(&mut self.published);
        live.sort_unstable();
        live.dedup();
        live.retain(|seq| !self.is_settled(*seq));
        live
    }

    fn is_settled(&self, seq: Seq) -> bool {
        let after = self.settled.partition_point(|(first, _)| *first <= seq);
        after > 0 && self.settled[after - 1].1 >= seq
    }
}

fn verify_segment(
    dir: &DataDir,
    segment: u64,
    newest: bool,
    queues: &mut BTreeMap<QueueId, Queue>,
) -> Result<FileFindings, OpenError> {
    let file = Loaded::read(dir, LOG_DIR, FileType::Segment, segment)?;
    let scanned = file.scan(&mut |kind, body| {
        let note = &mut |entry: Entry<'_>| match entry {
            Entry::Message(message) => {
                for (queue, seq) in message.targets() {
                    queues.entry(queue).or_default().published.push(seq);
                }
            }
            Entry::Settled(queue, first, last) => {
                let settled = &mut queues.entry(queue).or_default().settled;
                settled.push((first, last));
            }
            Entry::Gone(queue) => queues.entry(queue).or_default().gone = true,
            _ => {}
        };
        codec::read(kind, body, note).is_ok()
    });
    let mut found = FileFindings {
        path: file.path.clone(),
        bytes: file.bytes.len() as u64,
        records: scanned.records,
        ..FileFindings::default()
    };
    let mut ranges = scanned.damaged;
    match scanned.tail {
        Some(tail) if newest => found.unfinished_bytes = (file.bytes.len() - tail) as u64,
        Some(tail) => ranges.push(tail..file.bytes.len()),
        None => {}
    }
    for range in ranges {
        let held = held(&file, range.start);
        for (queue, seq) in &held {
            queues.entry(*queue).or_default().suspected.push(*seq);
        }
        found.damage.push(DamagedBytes {
            offset: range.start as u64,
            len: range.len() as u64,
            held,
        });
    }
    Ok(found)
}

/// The messages the damaged record at `offset` seems to have held.
fn held(file: &Loaded, offset: usize) -> Vec<(QueueId, Seq)> {
    let mut held = Vec::new();
    if let Some((kind, body)) = file.claimed(offset) {
        codec::targets_of_damaged(kind, body, &mut held);
    }
    held
}

/// A checkpoint that does not say what its segment says is damaged as a whole.
fn verify_checkpoint(dir: &DataDir, number: u64) -> Result<FileFindings, OpenError> {
    let path = join(LOG_DIR, &FileType::Checkpoint.name(number));
    let bytes = read(dir, &path)?;
    let sound = checkpoint::is_sound(dir, number, &bytes)
        .map_err(|source| unreadable(&**dir.disk(), &path, source))?;
    let mut found = FileFindings {
        path,
        bytes: bytes.len() as u64,
        records: u64::from(sound),
        ..FileFindings::default()
    };
    if !sound {
        found.damage.push(DamagedBytes {
            offset: 0,
            len: found.bytes,
            held: Vec::new(),
        });
    }
    Ok(found)
}

fn verify_marks(dir: &DataDir) -> Result<FileFindings, OpenError> {
    let path = join(LOG_DIR, delivered::FILE);
    let bytes = read(dir, &path)?;
    let mut found = FileFindings {
        path,
        bytes: bytes.len() as u64,
        ..FileFindings::default()
    };
    for (n, slot) in bytes.chunks(delivered::SLOT_BYTES).enumerate() {
        let unused = slot.iter().all(|byte| *byte == 0);
        if delivered::decode(slot).is_some() {
            found.records += 1;
        } else if !unused {
            found.damage.push(DamagedBytes {
                offset: (n * delivered::SLOT_BYTES) as u64,
                len: slot.len() as u64,
                held: Vec::new(),
            });
        }
    }
    Ok(found)
}

fn verify_definitions(dir: &DataDir, findings: &mut Findings) -> Result<(), OpenError> {
    let names = names(dir, DEFINITIONS_DIR)?;
    let mut base = 0;
    for number in numbers(&names, FileType::Snapshot) {
        let snapshot = Loaded::read(dir, DEFINITIONS_DIR, FileType::Snapshot, number)?;
        let scanned = snapshot.scan(&mut |kind, _| matches!(kind, ENTRY | END));
        let whole = snapshot::read(dir, number)?.whole;
        if whole {
            base = base.max(number);
        }
        let mut found = file_of_definitions(&snapshot, &scanned, false);
        if !whole && found.damage.is_empty() {
            // Records are missing at its end.
            found.damage.push(DamagedBytes {
                offset: found.bytes,
                ..DamagedBytes::default()
            });
        }
        findings.files.push(found);
    }
    let files = numbers(&names, FileType::Commands);
    let mut indexes = Vec::new();
    for &number in &files {
        let newest = Some(&number) == files.last();
        let file = Loaded::read(dir, DEFINITIONS_DIR, FileType::Commands, number)?;
        let scanned = file.scan(&mut |kind, body| {
            let index = body.first_chunk().map(|index| u64::from_le_bytes(*index));
            indexes.extend(index);
            kind == COMMAND && index.is_some()
        });
        findings
            .files
            .push(file_of_definitions(&file, &scanned, newest));
    }
    indexes.sort_unstable();
    let mut next = base + 1;
    for index in indexes {
        if index > next {
            findings.lost_commands.push((next, index - 1));
        }
        next = next.max(index + 1);
    }
    Ok(())
}

fn file_of_definitions(
    file: &Loaded,
    scanned: &super::files::Scanned,
    newest: bool,
) -> FileFindings {
    let mut found = FileFindings {
        path: file.path.clone(),
        bytes: file.bytes.len() as u64,
        records: scanned.records,
        ..FileFindings::default()
    };
    let mut ranges = scanned.damaged.clone();
    match scanned.tail {
        Some(tail) if newest => found.unfinished_bytes = (file.bytes.len() - tail) as u64,
        Some(tail) => ranges.push(tail..file.bytes.len()),
        None => {}
    }
    let damaged = ranges.into_iter().map(|range| DamagedBytes {
        offset: range.start as u64,
        len: range.len() as u64,
        held: Vec::new(),
    });
    found.damage.extend(damaged);
    found
}

/// The definitions as they stand, without touching anything: entries of the newest whole snapshot
/// and the commands after it, by index.
#[allow(clippy::type_complexity, reason = "the two lists of `Definitions`")]
pub fn read_definitions(
    dir: &DataDir,
) -> Result<(Vec<(Vec<u8>, Vec<u8>)>, Vec<(u64, Vec<u8>)>), OpenError> {
    let names = names(dir, DEFINITIONS_DIR)?;
    let (mut entries, mut base) = (Vec::new(), 0);
    for number in numbers(&names, FileType::Snapshot).into_iter().rev() {
        let snapshot = snapshot::read(dir, number)?;
        if snapshot.whole {
            (entries, base) = (snapshot.contents.entries, number);
            break;
        }
    }
    let mut commands = Vec::new();
    for number in numbers(&names, FileType::Commands) {
        let file = Loaded::read(dir, DEFINITIONS_DIR, FileType::Commands, number)?;
        file.scan(&mut |_, body| {
            if let Some((index, command)) = body.split_first_chunk() {
                commands.push((u64::from_le_bytes(*index), command.to_vec()));
            }
            true
        });
    }
    commands.retain(|(index, _)| *index > base);
    commands.sort_by_key(|(index, _)| *index);
    Ok((entries, commands))
}
