//! What the operating system says about this process. Files of Linux; where they are missing the
//! answer is `None`, never a guess.

use std::fs;

/// Readings of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Memory the process keeps resident, bytes.
    pub mem_used: Option<u64>,
    /// Free space on the disk of the data folder, bytes.
    pub disk_free: Option<u64>,
    /// File descriptors open.
    pub fd_used: Option<u64>,
    /// Of them, sockets.
    pub sockets_used: Option<u64>,
    /// Threads.
    pub proc_used: Option<u64>,
    /// Context switches of all threads.
    pub context_switches: Option<u64>,
    /// Calls that read.
    pub io_read_count: Option<u64>,
    /// Bytes read from disks.
    pub io_read_bytes: Option<u64>,
    /// Calls that wrote.
    pub io_write_count: Option<u64>,
    /// Bytes written to disks.
    pub io_write_bytes: Option<u64>,
}

impl Machine {
    /// Names of the readings that are sampled, as the nodes of the API have them.
    pub const NAMES: [&'static str; 10] = [
        "mem_used",
        "disk_free",
        "fd_used",
        "sockets_used",
        "proc_used",
        "context_switches",
        "io_read_count",
        "io_read_bytes",
        "io_write_count",
        "io_write_bytes",
    ];

    /// The readings in the order of [`Self::NAMES`].
    pub fn values(&self) -> impl Iterator<Item = Option<u64>> {
        [
            self.mem_used,
            self.disk_free,
            self.fd_used,
            self.sockets_used,
            self.proc_used,
            self.context_switches,
            self.io_read_count,
            self.io_read_bytes,
            self.io_write_count,
            self.io_write_bytes,
        ]
        .into_iter()
    }

    /// Looks at the process. Memory and disk are known by the watch on them and passed in. Takes
    /// about a microsecond per open file: call it where blocking is allowed.
    pub fn look(mem_used: Option<u64>, disk_free: Option<u64>) -> Self {
        let files = open_files();
        let io = fs::read_to_string("/proc/self/io").ok();
        let io = |field| io.as_deref().and_then(|text| number(text, field));
        Self {
            mem_used,
            disk_free,
            fd_used: files.map(|files| files.0),
            sockets_used: files.map(|files| files.1),
            proc_used: fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| number(&text, "Threads:")),
            context_switches: context_switches(),
            io_read_count: io("syscr:"),
            io_read_bytes: io("read_bytes:"),
            io_write_count: io("syscw:"),
            io_write_bytes: io("write_bytes:"),
        }
    }

    /// File descriptors the process may open.
    pub fn fd_limit() -> Option<u64> {
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Threads the machine allows.
    pub fn thread_limit() -> Option<u64> {
        let text = fs::read_to_string("/proc/sys/kernel/threads-max").ok()?;
        text.trim().parse().ok()
    }
}

/// Open files, and how many of them are sockets.
fn open_files() -> Option<(u64, u64)> {
    let (mut files, mut sockets) = (0u64, 0);
    for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
        files += 1;
        let target = fs::read_link(entry.path()).ok();
        let socket = target.is_some_and(|to| to.to_string_lossy().starts_with("socket:"));
        sockets += u64::from(socket);
    }
    // One of them is the listing itself.
    Some((files.saturating_sub(1), sockets))
}

fn context_switches() -> Option<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // A thread may end meanwhile.
        if let Ok(status) = fs::read_to_string(task.path().join("status")) {
            sum += number(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            sum += number(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Some(sum)
}

/// The number behind a field at the beginning of a line.
fn number(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_files_and_threads() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Machine::look(Some(1), None);
        assert!(found.fd_used.unwrap() > found.sockets_used.unwrap());
        assert!(found.sockets_used.unwrap() >= 1);
        assert!(found.proc_used.unwrap() >= 1);
        assert!(Machine::fd_limit().unwrap() > found.fd_used.unwrap());
        assert_eq!(found.values().count(), Machine::NAMES.len());
        drop(listener);
    }
}
