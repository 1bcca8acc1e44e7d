//! From files to settings: reads one rabbitmq.conf, or every `*.conf` of a folder in the order of
//! their names, and keeps where each setting came from. Also the node's default name.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::conf_file;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file, counted from 1.
    Line(Rc<Path>, usize),
    /// A file or folder as a whole.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// A command line flag.
    Flag(&'static str),
    /// All of them together.
    Sources,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Sources => f.write_str("configuration"),
        }
    }
}

/// A setting that cannot be used, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {text}")]
pub(crate) struct Problem {
    origin: Origin,
    text: String,
}

impl Problem {
    /// A problem with something that came from `origin`.
    pub(crate) fn new(origin: &Origin, text: String) -> Self {
        Self {
            origin: origin.clone(),
            text,
        }
    }
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The dotted key, split at its dots.
    pub(crate) key: Vec<String>,
    /// The text after `=`.
    pub(crate) value: String,
    /// Where it stands.
    pub(crate) origin: Origin,
}

/// Reads a configuration file, or the `*.conf` files of a folder. Settings that can be read are
/// returned even when others cannot: the caller reports all problems at once.
pub(crate) fn read_settings(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Setting>, Vec<Problem>) {
    let mut settings = Vec::new();
    let mut problems = Vec::new();
    let files = match files_of(path) {
        Ok(files) => files,
        Err(error) => return (settings, vec![unreadable(path, &error)]),
    };
    for file in files {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                problems.push(unreadable(&file, &error));
                continue;
            }
        };
        let name: Rc<Path> = Rc::from(file);
        let (read, bad) = conf_file::read(&text, env);
        settings.extend(read.into_iter().map(|s| {
            let origin = Origin::Line(Rc::clone(&name), s.line);
            Setting {
                key: s.key,
                value: s.value,
                origin,
            }
        }));
        problems.extend(
            bad.into_iter()
                .map(|b| Problem::new(&Origin::Line(Rc::clone(&name), b.line), b.text)),
        );
    }
    (settings, problems)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        &Origin::File(path.to_owned()),
        format!("cannot be read: {error}"),
    )
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|e| e == "conf") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// `warren@<host>`.
pub(super) fn default_node_name() -> String {
    format!("warren@{}", host_name())
}

/// A node name with its host; `None` when it cannot be one.
pub(super) fn full_node_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plausible = |part: &str| !part.is_empty() && part.chars().all(allowed);
    match name.split_once('@') {
        Some((node, host)) => (plausible(node) && plausible(host)).then(|| name.to_owned()),
        None => plausible(name).then(|| format!("{name}@{}", host_name())),
    }
}

/// This machine's short name. Linux says it in /proc; elsewhere the shell's variable has to do.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let short = name.trim().split('.').next().unwrap_or_default();
    if short.is_empty() {
        "localhost".to_owned()
    } else {
        short.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("20-b.conf"), "heartbeat = 2\n").unwrap();
        fs::write(dir.path().join("10-a.conf"), "\nheartbeat = 1\noops\n").unwrap();
        fs::write(dir.path().join("README"), "not a setting\n").unwrap();
        let (settings, problems) = read_settings(dir.path(), &|_| None);
        let values: Vec<_> = settings.iter().map(|s| s.value.as_str()).collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(problems.len(), 1);
        let text = problems[0].to_string();
        assert!(
            text.ends_with("10-a.conf:3: expected `key = value`"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let (settings, problems) = read_settings(Path::new("/nonexistent/w.conf"), &|_| None);
        assert!(settings.is_empty());
        let text = problems[0].to_string();
        assert!(
            text.starts_with("/nonexistent/w.conf: cannot be read: "),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.conf");
        fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
        let (_, problems) = read_settings(&file, &|_| None);
        assert!(problems[0].to_string().contains("cannot be read: "));
    }

    #[test]
    fn node_names_get_a_host() {
        assert_eq!(full_node_name("a@b.c").as_deref(), Some("a@b.c"));
        assert_eq!(full_node_name("a"), Some(format!("a@{}", host_name())));
        for name in ["", "@b", "a@", "a@b@c", "a b"] {
            assert_eq!(full_node_name(name), None, "{name}");
        }
    }
}
