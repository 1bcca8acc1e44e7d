//! The last lines of the program's log, for people who have no shell on its machine.
//!
//! The program hands each line over as it writes it; nothing here is asked for by anything that
//! serves clients. Bounded by lines and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Lines that are remembered at most.
const LINES_MAX: usize = 5000;
/// Bytes of their texts at most.
const BYTES_MAX: usize = 2 << 20;
/// Bytes of one line that are kept.
const LINE_BYTES: usize = 4096;

/// How bad it is what a line says; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something failed.
    Error,
    /// Something to look at.
    Warning,
    /// Something happened.
    Info,
    /// For developers.
    Debug,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Info, Self::Debug]
            .into_iter()
            .find(|severity| severity.name() == name)
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Counts up, from 1.
    pub number: u64,
    /// When, since the Unix epoch.
    pub at: Duration,
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: Arc<str>,
}

/// See the module documentation.
pub struct ProgramLog {
    kept: Mutex<Kept>,
    /// The number of the last line.
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    number: u64,
}

impl Default for ProgramLog {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            last: watch::Sender::new(0),
        }
    }
}

impl ProgramLog {
    /// A line was written.
    pub fn add(&self, at: Duration, severity: Severity, text: &str) {
        let mut end = text.len().min(LINE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text: Arc<str> = text[..end].into();
        let mut kept = self.kept.lock();
        kept.number += 1;
        kept.bytes += text.len();
        let number = kept.number;
        kept.lines.push_back(LogLine {
            number,
            at,
            severity,
            text,
        });
        while kept.lines.len() > LINES_MAX || kept.bytes > BYTES_MAX {
            let Some(gone) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes -= gone.text.len();
        }
        drop(kept);
        // Who begins to watch now finds the line.
        if self.last.receiver_count() > 0 {
            self.last.send_replace(number);
        }
    }

    /// The last `most` lines after number `after` that are at least so bad and have the text
    /// (in lower case) in them, the oldest first; and the number of the last line of all.
    pub fn after(
        &self,
        after: u64,
        severity: Severity,
        text: &str,
        most: usize,
    ) -> (Vec<LogLine>, u64) {
        let kept = self.kept.lock();
        let fits = |line: &&LogLine| {
            line.severity <= severity
                && (text.is_empty() || line.text.to_lowercase().contains(text))
        };
        let recent = kept.lines.iter().rev();
        let recent = recent.take_while(|line| line.number > after);
        let mut found: Vec<LogLine> = recent.filter(fits).take(most).cloned().collect();
        let number = kept.number;
        drop(kept);
        found.reverse();
        (found, number)
    }

    /// Tells when there are more lines.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number_severity_and_text() {
        let log = ProgramLog::default();
        let add = |severity, text| log.add(Duration::from_secs(1), severity, text);
        add(Severity::Info, "accepting AMQP connection");
        add(Severity::Warning, "queue Orders is full");
        add(Severity::Debug, "tick");
        let texts = |after, severity, text: &str, most| -> Vec<String> {
            let (lines, last) = log.after(after, severity, text, most);
            assert_eq!(last, 3);
            lines.iter().map(|line| line.text.to_string()).collect()
        };
        assert_eq!(texts(0, Severity::Debug, "", 10).len(), 3);
        assert_eq!(texts(0, Severity::Debug, "", 2)[1], "tick");
        assert_eq!(
            texts(0, Severity::Warning, "", 10),
            ["queue Orders is full"]
        );
        assert_eq!(texts(0, Severity::Info, "orders", 10).len(), 1);
        assert_eq!(texts(2, Severity::Debug, "", 10), ["tick"]);
    }

    #[test]
    fn memory_is_bounded() {
        let log = ProgramLog::default();
        for _ in 0..LINES_MAX + 10 {
            log.add(Duration::ZERO, Severity::Info, "x");
        }
        let (lines, _) = log.after(0, Severity::Debug, "", usize::MAX);
        assert_eq!((lines.len(), lines[0].number), (LINES_MAX, 11));
        let long = "ä".repeat(LINE_BYTES);
        for _ in 0..2000 {
            log.add(Duration::ZERO, Severity::Info, &long);
        }
        let (lines, _) = log.after(0, Severity::Debug, "", usize::MAX);
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= BYTES_MAX && lines[0].text.len() <= LINE_BYTES);
    }
}
