//! How much memory the process uses and there is, and how much disk is free. Files of Linux; where
//! they are missing the answer is `None`, never a guess.

use std::fs;
use std::path::{Path, PathBuf};

/// The file system memory is read from; the root of another one in tests.
pub(super) struct Readings {
    root: PathBuf,
    page_bytes: u64,
}

impl Readings {
    pub(super) fn of_this_machine() -> Self {
        Self {
            root: PathBuf::from("/"),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// Bytes of memory this process keeps resident.
    pub(super) fn resident_memory(&self) -> Option<u64> {
        let statm = self.read("proc/self/statm")?;
        let pages = statm.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?;
        pages.checked_mul(self.page_bytes)
    }

    /// Bytes of memory there is for us: the machine's, or the lowest limit of the control groups
    /// this process is in.
    pub(super) fn total_memory(&self) -> Option<u64> {
        let machine = self.machine_memory();
        let limits = self.control_group_limits();
        limits.into_iter().chain(machine).min()
    }

    fn machine_memory(&self) -> Option<u64> {
        let meminfo = self.read("proc/meminfo")?;
        let line = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
        kib.checked_mul(1024)
    }

    /// Limits of the group and of every group above it, of both versions of control groups. "No
    /// limit" is the word `max` in version 2 and a number beyond any machine in version 1.
    fn control_group_limits(&self) -> Vec<u64> {
        let Some(groups) = self.read("proc/self/cgroup") else {
            return Vec::new();
        };
        let mut limits = Vec::new();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
                continue;
            };
            let (mounted_at, file) = match controllers {
                "" => ("sys/fs/cgroup", "memory.max"),
                _ if controllers.split(',').any(|c| c == "memory") => {
                    ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
                }
                _ => continue,
            };
            // In a container the group's own path is often not visible, but its limit stands at
            // the mount point: the walk upwards ends there.
            for above in Path::new(group.trim_start_matches('/')).ancestors() {
                let path = Path::new(mounted_at).join(above).join(file);
                limits.extend(
                    self.read(path)
                        .and_then(|text| text.trim().parse::<u64>().ok()),
                );
            }
        }
        limits
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// Bytes a process without privileges may still write to the disk `dir` is on.
pub(super) fn disk_free(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine made of the given files.
    fn machine(files: &[(&str, &str)]) -> (Readings, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (
            Readings {
                root: dir.path().to_owned(),
                page_bytes: 4096,
            },
            dir,
        )
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       16000 kB\nMemFree: 1 kB\n");

    fn total(files: &[(&str, &str)]) -> Option<u64> {
        let (readings, _dir) = machine(&[&[MEMINFO], files].concat());
        readings.total_memory()
    }

    #[test]
    fn resident_memory_is_counted_in_pages() {
        let (readings, _dir) = machine(&[("proc/self/statm", "900 25 3 1 0 7 0\n")]);
        assert_eq!(readings.resident_memory(), Some(25 * 4096));
        let (readings, _dir) = machine(&[("proc/self/statm", "900\n")]);
        assert_eq!(readings.resident_memory(), None);
    }

    #[test]
    fn without_control_groups_the_machine_counts() {
        assert_eq!(total(&[]), Some(16_000 * 1024));
        let (readings, _dir) = machine(&[]);
        assert_eq!(
            (readings.total_memory(), readings.resident_memory()),
            (None, None)
        );
    }

    #[test]
    fn version_2_limits_count_on_every_level() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let limit = |path, text| [group, (path, text)];
        assert_eq!(
            total(&limit("sys/fs/cgroup/a/b/memory.max", "1048576\n")),
            Some(1_048_576)
        );
        assert_eq!(
            total(&limit("sys/fs/cgroup/a/memory.max", "1048576\n")),
            Some(1_048_576)
        );
        assert_eq!(
            total(&limit("sys/fs/cgroup/memory.max", "1048576\n")),
            Some(1_048_576)
        );
        assert_eq!(
            total(&limit("sys/fs/cgroup/a/b/memory.max", "max\n")),
            Some(16_384_000)
        );
    }

    #[test]
    fn version_1_limits_count_on_every_level() {
        let group = ("proc/self/cgroup", "4:cpu,memory:/x/y\n3:cpuset:/\n0::/\n");
        let limit = |path, text| [group, (path, text)];
        let own = "sys/fs/cgroup/memory/x/y/memory.limit_in_bytes";
        assert_eq!(total(&limit(own, "2097152\n")), Some(2_097_152));
        assert_eq!(
            total(&limit(own, "9223372036854771712\n")),
            Some(16_384_000)
        );
        let mount = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(total(&limit(mount, "2097152\n")), Some(2_097_152));
    }

    #[test]
    fn nonsense_in_the_files_is_no_limit() {
        let files = [
            ("proc/self/cgroup", "\n:\n0::\nx:memory\n"),
            ("sys/fs/cgroup/memory.max", "?"),
        ];
        assert_eq!(total(&files), Some(16_384_000));
    }

    #[test]
    fn a_missing_folder_has_no_free_space() {
        assert_eq!(disk_free(Path::new("/nonexistent/folder")), None);
    }
}
