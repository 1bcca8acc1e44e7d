//! Memory and disk alarms: while one is on, publishers are blocked.
//!
//! * [`Alarms`] is the state, with the words clients are told;
//! * [`ResourceLimits`] says where the limits are, [`Resources`] what was found and where that
//!   puts them;
//! * [`Monitor`] looks at the machine, judges, logs changes and says when to look again.
//!
//! Who calls the monitor, and what blocking does to a connection, is decided elsewhere. How the
//! machine is read lives in `readings`.

mod readings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use readings::Readings;

/// Which alarms are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// More memory is in use than the watermark allows.
    pub memory: bool,
    /// Less disk space is free than the limit asks for.
    pub disk: bool,
}

impl Alarms {
    /// Whether publishers are to be blocked.
    pub fn any(self) -> bool {
        self.memory || self.disk
    }

    /// The reason in connection.blocked (row A-5); empty when no alarm is on.
    pub fn reason(self) -> &'static str {
        match (self.memory, self.disk) {
            (false, false) => "",
            (true, false) => "low on memory",
            (false, true) => "low on disk",
            (true, true) => "low on disk & memory",
        }
    }

    /// RabbitMQ's names of the resources in alarm: `memory`, `disk`.
    pub fn resources(self) -> impl Iterator<Item = &'static str> {
        let memory = self.memory.then_some("memory");
        memory.into_iter().chain(self.disk.then_some("disk"))
    }
}

/// `vm_memory_high_watermark`: memory in use above which the alarm goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryWatermark {
    /// Part of the total memory, 0 to 1; 0 keeps the alarm on.
    Relative(f64),
    /// Bytes.
    Absolute(u64),
}

impl MemoryWatermark {
    /// The watermark in bytes on a machine with that much memory.
    pub fn bytes(self, total_memory: u64) -> u64 {
        match self {
            Self::Relative(part) => scaled(total_memory, part),
            Self::Absolute(bytes) => bytes,
        }
    }
}

/// `disk_free_limit`: free disk space below which the alarm goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskFreeLimit {
    /// Multiple of the total memory.
    Relative(f64),
    /// Bytes.
    Absolute(u64),
}

impl DiskFreeLimit {
    /// The limit in bytes on a machine with that much memory.
    pub fn bytes(self, total_memory: u64) -> u64 {
        match self {
            Self::Relative(factor) => scaled(total_memory, factor),
            Self::Absolute(bytes) => bytes,
        }
    }
}

/// The cast saturates, and the factors come from a checked configuration.
fn scaled(bytes: u64, factor: f64) -> u64 {
    (bytes as f64 * factor) as u64
}

/// Where the limits are.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceLimits {
    /// Memory in use above which publishers are blocked.
    pub memory_watermark: MemoryWatermark,
    /// Total memory in bytes to calculate with instead of the detected one.
    pub total_memory_override: Option<u64>,
    /// Free disk space below which publishers are blocked.
    pub disk_free_limit: DiskFreeLimit,
    /// How often memory is looked at.
    pub memory_monitor_interval: Duration,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            memory_watermark: MemoryWatermark::Relative(0.4),
            total_memory_override: None,
            disk_free_limit: DiskFreeLimit::Absolute(50_000_000),
            memory_monitor_interval: Duration::from_millis(2500),
        }
    }
}

/// What was found at one moment, in bytes. `None` is what this system does not tell: there can be
/// no alarm about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory the process keeps resident.
    pub memory_used: Option<u64>,
    /// Memory there is, of the machine or the control group.
    pub memory_total: Option<u64>,
    /// The watermark: above it the alarm is on.
    pub memory_limit: Option<u64>,
    /// Space left to us on the disk of the data folder.
    pub disk_free: Option<u64>,
    /// The limit: below it the alarm is on.
    pub disk_limit: Option<u64>,
}

impl Resources {
    /// Puts readings beside the limits.
    fn judge(limits: &ResourceLimits, found: Found) -> Self {
        let memory_total = limits.total_memory_override.or(found.memory_total);
        let memory_limit = match limits.memory_watermark {
            MemoryWatermark::Absolute(bytes) => Some(bytes),
            relative => memory_total.map(|total| relative.bytes(total)),
        };
        let disk_limit = match limits.disk_free_limit {
            DiskFreeLimit::Absolute(bytes) => Some(bytes),
            relative => memory_total.map(|total| relative.bytes(total)),
        };
        Self {
            memory_used: found.memory_used,
            memory_total,
            memory_limit,
            disk_free: found.disk_free,
            disk_limit,
        }
    }

    /// The alarms that belong to these figures.
    pub fn alarms(&self) -> Alarms {
        let beyond =
            |big: Option<u64>, small: Option<u64>| big.zip(small).is_some_and(|(b, s)| b > s);
        Alarms {
            memory: beyond(self.memory_used, self.memory_limit),
            disk: beyond(self.disk_limit, self.disk_free),
        }
    }

    /// Time until the disk should be looked at again (row A-2): 10 s with plenty of room, 100 ms
    /// close to the limit. Half the time it takes to get there at 250 MB/s; with the alarm on
    /// there is no hurry.
    fn disk_interval(&self) -> Duration {
        const BYTES_PER_MS: u64 = 250_000;
        let room = self
            .disk_free
            .zip(self.disk_limit)
            .map(|(free, limit)| free.checked_sub(limit));
        match room {
            Some(Some(room)) => Duration::from_millis((room / BYTES_PER_MS / 2).clamp(100, 10_000)),
            Some(None) | None => Duration::from_secs(10),
        }
    }
}

/// Raw readings of the machine, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    memory_used: Option<u64>,
    memory_total: Option<u64>,
    disk_free: Option<u64>,
}

/// Watches memory and disk.
pub struct Monitor {
    node_name: String,
    data_dir: PathBuf,
    limits: Mutex<ResourceLimits>,
    latest: Mutex<Latest>,
    read: fn(&Path) -> Found,
}

#[derive(Clone, Copy, Default)]
struct Latest {
    resources: Resources,
    alarms: Alarms,
}

impl Monitor {
    /// A monitor of this process and the disk `data_dir` is on. `node_name` is for the log.
    pub fn new(node_name: &str, data_dir: &Path, limits: ResourceLimits) -> Self {
        let read = |dir: &Path| {
            let machine = Readings::of_this_machine();
            Found {
                memory_used: machine.resident_memory(),
                memory_total: machine.total_memory(),
                disk_free: readings::disk_free(dir),
            }
        };
        Self::reading_with(node_name, data_dir, limits, read)
    }

    fn reading_with(
        node_name: &str,
        data_dir: &Path,
        limits: ResourceLimits,
        read: fn(&Path) -> Found,
    ) -> Self {
        Self {
            node_name: node_name.to_owned(),
            data_dir: data_dir.to_owned(),
            limits: Mutex::new(limits),
            latest: Mutex::default(),
            read,
        }
    }

    /// Looks at memory and disk and logs what changed. Reads a few small files: microseconds.
    pub fn sample(&self) -> Alarms {
        // Held to the end: a sample by limits that are changed meanwhile must not be the last one.
        let limits = self.limits.lock();
        let resources = Resources::judge(&limits, (self.read)(&self.data_dir));
        let alarms = resources.alarms();
        let mut latest = self.latest.lock();
        let before = std::mem::replace(&mut *latest, Latest { resources, alarms }).alarms;
        drop(latest);
        for line in changes(before, alarms, &resources, &self.node_name) {
            tracing::warn!("{line}");
        }
        alarms
    }

    /// Changes where the limits are, until the program ends; what is not given stays. Looks at once.
    pub fn set_limits(
        &self,
        memory: Option<MemoryWatermark>,
        disk: Option<DiskFreeLimit>,
    ) -> Alarms {
        {
            let mut limits = self.limits.lock();
            limits.memory_watermark = memory.unwrap_or(limits.memory_watermark);
            limits.disk_free_limit = disk.unwrap_or(limits.disk_free_limit);
        }
        self.sample()
    }

    /// The folder whose disk is watched.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What the last sample found; nothing before the first one.
    pub fn latest(&self) -> Resources {
        self.latest.lock().resources
    }

    /// The alarms of the last sample.
    pub fn alarms(&self) -> Alarms {
        self.latest.lock().alarms
    }

    /// Time until the next [`sample`](Self::sample) is due: memory at its interval (row A-1), disk
    /// when its room demands it (row A-2), whichever is sooner.
    pub fn next_poll(&self) -> Duration {
        let disk = self.latest().disk_interval();
        self.limits.lock().memory_monitor_interval.min(disk)
    }
}

/// The log lines of a change (row A-11), none when nothing changed.
fn changes(before: Alarms, after: Alarms, found: &Resources, node: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let figure = |value: Option<u64>| value.unwrap_or_default();
    if before.memory != after.memory {
        lines.push(format!(
            "vm_memory_high_watermark {}. Memory used:{} allowed:{}",
            if after.memory { "set" } else { "clear" },
            figure(found.memory_used),
            figure(found.memory_limit),
        ));
        lines.extend(announcement("memory", after.memory, node));
    }
    if before.disk != after.disk {
        lines.push(format!(
            "Free disk space is {}. Free bytes: {}. Limit: {}",
            if after.disk {
                "insufficient"
            } else {
                "sufficient"
            },
            figure(found.disk_free),
            figure(found.disk_limit),
        ));
        lines.extend(announcement("disk", after.disk, node));
    }
    lines
}

/// What operators grep for.
fn announcement(resource: &str, on: bool, node: &str) -> Vec<String> {
    if !on {
        return vec![format!(
            "{resource} resource limit alarm cleared on node {node}"
        )];
    }
    let stars = "*".repeat(58);
    vec![
        format!("{resource} resource limit alarm set on node {node}."),
        stars.clone(),
        "*** Publishers will be blocked until this alarm clears ***".to_owned(),
        stars,
    ]
}

#[cfg(test)]
mod tests;
