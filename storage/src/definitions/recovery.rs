//! Reading the definitions back: the newest snapshot, the commands after it, and whether the
//! view can be used instead of the snapshot.

use std::collections::BTreeMap;

use super::view::{Contents, View};
use super::{COMMAND, snapshot};
use crate::dir::{DEFINITIONS_DIR, DataDir, unreadable, unwritable};
use crate::disk::{self, Disk, join};
use crate::error::OpenError;
use crate::framing::{FileHeader, FileType, Found, HEADER_BYTES, HeaderError, Seal, scan};

/// What was found when the command log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// The view after the command at `base_index`, by key.
    pub base: Vec<(Vec<u8>, Vec<u8>)>,
    /// Index of the last command the base contains; 0 if none.
    pub base_index: u64,
    /// The commands after it, by index. Without gaps unless `damaged` says so.
    pub tail: Vec<(u64, Vec<u8>)>,
    /// Bytes of an unfinished write that were cut off. Never durable, so nothing is lost.
    pub cut_tail_bytes: u64,
    /// What cannot be read any more, one line each. If the base contains it, nothing is lost.
    pub damaged: Vec<String>,
}

/// The result of [`recover`].
pub(crate) struct Recovered {
    pub(crate) definitions: Definitions,
    pub(crate) next_index: u64,
    pub(crate) next_file: u64,
    /// Log files and the index of the first command of each.
    pub(crate) files: BTreeMap<u64, u64>,
    pub(crate) log_bytes: u64,
    pub(crate) snapshot_index: u64,
    pub(crate) live_bytes: u64,
    /// The view could be opened or filled.
    pub(crate) view_works: bool,
    /// The view knows what snapshot or log have lost: a new snapshot makes the truth whole again.
    pub(crate) rescue: bool,
}

pub(crate) fn recover(dir: &DataDir, view: &mut dyn View) -> Result<Recovered, OpenError> {
    let disk: &dyn Disk = &**dir.disk();
    let names = disk
        .list(DEFINITIONS_DIR)
        .map_err(|source| unreadable(disk, DEFINITIONS_DIR, source))?;
    let numbers = |kind: FileType| {
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| kind.number(name)).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut log = LogReader::new(dir, disk);
    let snapshot = log.newest_snapshot(&numbers(FileType::Snapshot))?;
    let files = numbers(FileType::Commands);
    for number in &files {
        log.read_file(*number, Some(number) == files.last())?;
    }
    disk.sync_dir(DEFINITIONS_DIR)
        .map_err(|source| unwritable(disk, DEFINITIONS_DIR, source))?;
    let last_index = log.last_index.max(snapshot.applied);
    let snapshot_index = snapshot.applied;
    let (base, origin) = choose_base(view, snapshot, last_index);
    let rescue = origin == Origin::View && !log.damaged.is_empty();
    let live_bytes = base.bytes();
    log.commands.retain(|(index, _)| *index > base.applied);
    log.note_gaps(base.applied, last_index);
    for line in &log.damaged {
        tracing::error!("definitions: {line}");
    }
    Ok(Recovered {
        definitions: Definitions {
            base: base.entries,
            base_index: base.applied,
            tail: log.commands,
            cut_tail_bytes: log.cut_tail_bytes,
            damaged: log.damaged,
        },
        next_index: last_index + 1,
        next_file: files.last().map_or(1, |last| last + 1),
        files: log.files,
        log_bytes: log.bytes,
        snapshot_index,
        live_bytes,
        view_works: origin != Origin::SnapshotOnly,
        rescue,
    })
}

/// The view if it is intact and neither behind the snapshot nor ahead of the log; otherwise the
/// snapshot, with which the view then begins anew.
fn choose_base(view: &mut dyn View, snapshot: Contents, last_index: u64) -> (Contents, Origin) {
    if let Some(contents) = view.load() {
        if (snapshot.applied..=last_index).contains(&contents.applied) {
            return (contents, Origin::View);
        }
        tracing::warn!(
            "the view of the definitions is as of command {}, not within {}..={last_index}: rebuilt",
            contents.applied,
            snapshot.applied
        );
    }
    let reset = view.reset(&snapshot);
    if let Err(error) = &reset {
        tracing::error!("the view of the definitions cannot be rebuilt: {error}");
    }
    (
        snapshot,
        if reset.is_ok() {
            Origin::Snapshot
        } else {
            Origin::SnapshotOnly
        },
    )
}

/// Where the base came from.
#[derive(PartialEq, Eq)]
enum Origin {
    View,
    /// The view has been filled from it.
    Snapshot,
    /// The view does not work.
    SnapshotOnly,
}

struct LogReader<'a> {
    dir: &'a DataDir,
    disk: &'a dyn Disk,
    commands: Vec<(u64, Vec<u8>)>,
    files: BTreeMap<u64, u64>,
    bytes: u64,
    last_index: u64,
    cut_tail_bytes: u64,
    damaged: Vec<String>,
}

impl<'a> LogReader<'a> {
    fn new(dir: &'a DataDir, disk: &'a dyn Disk) -> Self {
        Self {
            dir,
            disk,
            commands: Vec::new(),
            files: BTreeMap::new(),
            bytes: 0,
            last_index: 0,
            cut_tail_bytes: 0,
            damaged: Vec::new(),
        }
    }

    /// The newest whole snapshot; if none is whole, what is left of the newest.
    fn newest_snapshot(&mut self, numbers: &[u64]) -> Result<Contents, OpenError> {
        let mut newest = None;
        for number in numbers.iter().rev() {
            let snapshot = snapshot::read(self.dir, *number)?;
            for (offset, len) in &snapshot.damaged {
                self.damaged.push(format!(
                    "snapshot {number}: {len} damaged bytes at {offset}"
                ));
            }
            if snapshot.whole {
                return Ok(snapshot.contents);
            }
            self.damaged.push(format!("snapshot {number} is not whole"));
            newest = newest.or(Some(snapshot.contents));
        }
        Ok(newest.unwrap_or_default())
    }

    fn read_file(&mut self, number: u64, newest: bool) -> Result<(), OpenError> {
        let path = join(DEFINITIONS_DIR, &FileType::Commands.name(number));
        let disk = self.disk;
        let file = disk.open(&path).map_err(|e| unreadable(disk, &path, e))?;
        let mut bytes = Vec::new();
        disk::read_whole(&*file, &mut bytes).map_err(|e| unreadable(disk, &path, e))?;
        let id = self.dir.storage_id();
        let mut first = match FileHeader::check(&bytes, FileType::Commands, id, number) {
            Ok(index) => Some(index),
            Err(HeaderError::Damaged) => None,
            Err(error) => return Err(crate::log::header_error(disk, &path, error)),
        };
        let has_header = first.is_some();
        let mut cut = None;
        let seal = Seal::new(id).file(FileType::Commands, number);
        scan(&bytes, HEADER_BYTES, seal, &mut |found| match found {
            Found::Record {
                kind: COMMAND,
                body,
                ..
            } if body.len() >= 8 => {
                let (index, command) = body.split_at(8);
                let index = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| index[i]));
                first = first.or(Some(index));
                self.last_index = self.last_index.max(index);
                self.commands.push((index, command.to_vec()));
            }
            Found::Tail { offset, .. } if newest => cut = Some(offset),
            Found::Record { offset, .. }
            | Found::Damage { offset, .. }
            | Found::Tail { offset, .. } => {
                self.damaged.push(format!("{path}: damaged at {offset}"));
            }
        });
        let unwritable = |source| unwritable(disk, &path, source);
        if newest && first.is_none() {
            // Created when the power went, before anything in it was durable.
            self.cut_tail_bytes += bytes.len() as u64;
            return disk.remove(&path).map_err(unwritable);
        }
        if !has_header {
            self.damaged.push(format!("{path}: the header is damaged"));
        }
        if let Some(at) = cut {
            self.cut_tail_bytes += (bytes.len() - at) as u64;
            file.set_len(at as u64).map_err(unwritable)?;
        }
        if newest {
            file.sync_data().map_err(unwritable)?;
        }
        let first = first.unwrap_or(self.last_index + 1);
        self.last_index = self.last_index.max(first.saturating_sub(1));
        self.files.insert(number, first);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Notes commands that must have been there and are not.
    fn note_gaps(&mut self, base: u64, last: u64) {
        let mut next = base + 1;
        let ends = self
            .commands
            .iter()
            .map(|(index, _)| *index)
            .chain([last + 1]);
        for index in ends {
            if index > next {
                self.damaged
                    .push(format!("commands {next} to {} are lost", index - 1));
            }
            next = index + 1;
        }
    }
}
