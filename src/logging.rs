//! The log: levels and sinks of the configuration turned into a `tracing` subscriber, and the form
//! of a line. Nothing is written to standard output, which belongs to the start-up banner.
//!
//! ```text
//! 2026-11-21 03:27:29.098926+00:00 [info] consumer started tag="c1" connection=127.0.0.1:4711 -> ...
//! time, UTC                        level  message, the event's fields
//! ```

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use warren_mgmt_ui::{ProgramLog, Severity, write_time};

use crate::config::{LogConfig, LogFormat, LogLevel, LogSink};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The log file cannot be opened for appending.
    #[error("cannot open log file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A subscriber is installed already.
    #[error("logging is set up already")]
    Twice,
}

/// Installs the sinks of `config` for the whole process. Call once, before anything is logged.
pub(crate) fn init(config: &LogConfig) -> Result<Levels, LogError> {
    let mut sinks = Vec::new();
    if let Some(sink) = config.console {
        sinks.push((sink, Output::Console));
    }
    if let Some((path, sink)) = &config.file {
        sinks.push((*sink, Output::File(Arc::new(LogFile::open(path)?))));
    }
    let (layers, levels) = layers(sinks);
    let subscriber = Registry::default().with(layers);
    match tracing::subscriber::set_global_default(subscriber) {
        Ok(()) => Ok(levels),
        Err(_) => Err(LogError::Twice),
    }
}

/// The levels of the sinks, which can be changed.
#[derive(Clone)]
pub(crate) struct Levels {
    lines: Arc<Lines>,
    /// What `lines` wants to see.
    wanted: reload::Handle<LevelFilter, Registry>,
    json: Vec<reload::Handle<LevelFilter, Registry>>,
    files: Vec<Arc<LogFile>>,
}

impl Levels {
    /// Opens the log file anew, so that one that was moved away gets a successor. If that fails, the
    /// old one stays in use.
    pub(crate) fn renew_files(&self) -> Result<(), LogError> {
        for file in &self.files {
            tracing::info!("log file {} is opened anew", file.path.display());
            file.open_anew()
                .inspect_err(|error| tracing::error!("{error}"))?;
        }
        Ok(())
    }

    /// Does that at each SIGHUP, until the program stops.
    pub(crate) async fn renew_on(
        self,
        mut hang_ups: watch::Receiver<u32>,
        mut stopped: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                Ok(()) = hang_ups.changed() => {
                    // What fails was logged, and nobody else is to be told.
                    let _ = self.renew_files();
                }
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// The last lines.
    pub(crate) fn kept(&self) -> Arc<ProgramLog> {
        Arc::clone(&self.lines.kept)
    }

    /// Has all sinks show this level and above from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        let level = filter(level);
        for (shown, _) in &self.lines.sinks {
            *shown.write() = level;
        }
        let wanted = (&self.wanted, self.lines.wanted());
        let json = self.json.iter().map(|sink| (sink, level));
        for (sink, level) in json.chain([wanted]) {
            if let Err(error) = sink.reload(level) {
                tracing::error!(%error, "the log level stays as it is");
            }
        }
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What writes to these sinks and keeps the last lines.
fn layers(sinks: Vec<(LogSink, Output)>) -> (Vec<BoxedLayer>, Levels) {
    let (mut all, mut layers, mut json) = (Vec::new(), Vec::new(), Vec::new());
    let mut files = Vec::new();
    for (sink, output) in sinks {
        if let Output::File(file) = &output {
            files.push(Arc::clone(file));
        }
        let shown = filter(sink.level);
        match sink.format {
            LogFormat::Plaintext => all.push((RwLock::new(shown), Some(output))),
            LogFormat::Json => {
                all.push((RwLock::new(shown), None));
                let (shown, handle) = reload::Layer::new(shown);
                json.push(handle);
                layers.push(json_layer(output).with_filter(shown).boxed());
            }
        }
    }
    let lines = Arc::new(Lines {
        sinks: all,
        kept: Arc::default(),
    });
    let (filter, wanted) = reload::Layer::new(lines.wanted());
    layers.push(LinesLayer(Arc::clone(&lines)).with_filter(filter).boxed());
    let levels = Levels {
        lines,
        wanted,
        json,
        files,
    };
    (layers, levels)
}

fn json_layer(output: Output) -> impl Layer<Registry> + Send + Sync {
    let writer = match output {
        Output::Console => BoxMakeWriter::new(io::stderr),
        Output::File(file) => BoxMakeWriter::new(file),
    };
    let json = tracing_subscriber::fmt::layer().with_writer(writer).json();
    let json = json.flatten_event(true).with_timer(Utc);
    json.with_target(false)
        .with_current_span(false)
        .with_span_list(false)
}

/// Where a sink writes to.
enum Output {
    Console,
    File(Arc<LogFile>),
}

impl Output {
    /// Writes a line in one piece. Where that fails there is nobody to be told.
    fn write(&self, line: &str) {
        let _ = match self {
            Self::Console => io::stderr().write_all(line.as_bytes()),
            Self::File(file) => (&**file).write_all(line.as_bytes()),
        };
    }
}

/// A file that is appended to, and opened anew under its name when somebody has moved it away.
struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self {
            path: path.to_owned(),
            file: RwLock::new(append_to(path)?),
        })
    }

    fn open_anew(&self) -> Result<(), LogError> {
        let file = append_to(&self.path)?;
        *self.file.write() = file;
        Ok(())
    }
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.file.read()).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.file.read()).flush()
    }
}

fn append_to(path: &Path) -> Result<File, LogError> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|source| LogError::File {
        path: path.to_owned(),
        source,
    })
}

/// Our events have five levels, RabbitMQ's configuration has seven.
fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Notice | LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        LogLevel::None => LevelFilter::OFF,
    }
}

/// All sinks, and the lines for those who take plain ones: an event is made into text once for all
/// of them. Clients come and go with three lines each, so it counts.
struct Lines {
    /// With no output: one that makes JSON of events itself.
    sinks: Vec<(RwLock<LevelFilter>, Option<Output>)>,
    /// The last lines for the console: what the sinks show, and at least what is of interest to
    /// operators. Nothing of that level is written while messages pass.
    kept: Arc<ProgramLog>,
}

struct LinesLayer(Arc<Lines>);

impl Lines {
    /// The lowest level that anybody takes.
    fn wanted(&self) -> LevelFilter {
        let shown = self.sinks.iter().map(|(shown, _)| *shown.read());
        shown.fold(LevelFilter::INFO, LevelFilter::max)
    }
}

impl<S: Subscriber> Layer<S> for LinesLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let at = since_epoch();
        let mut line = String::with_capacity(256);
        let Ok(text) = write_line(&mut line, at, level, event) else {
            return; // A value that cannot be shown.
        };
        let Lines { sinks, kept } = &*self.0;
        kept.add(at, severity(level), &line[text..]);
        line.push('\n');
        for (shown, output) in sinks {
            if let Some(output) = output
                && level <= *shown.read()
            {
                output.write(&line);
            }
        }
    }
}

/// Writes the line, without its end; returns where its text begins.
fn write_line(
    line: &mut String,
    at: Duration,
    level: Level,
    event: &Event<'_>,
) -> Result<usize, fmt::Error> {
    write_time(line, at)?;
    write!(line, " [{}] ", severity(level).name())?;
    let text = line.len();
    DefaultFields::new().format_fields(Writer::new(line), event)?;
    keep_on_one_line(line, text);
    Ok(text)
}

/// Clients choose parts of what is logged; none of it may pass for a line of its own or move the
/// reader's cursor.
fn keep_on_one_line(line: &mut String, from: usize) {
    if !line[from..].contains(char::is_control) {
        return;
    }
    for c in line.split_off(from).chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        Level::INFO => Severity::Info,
        _ => Severity::Debug,
    }
}

/// `2026-11-21 03:27:29.098926+00:00`.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write_time(writer, since_epoch())
    }
}

fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Logs into files with the given sinks and returns what each holds afterwards.
    fn logged(sinks: &[LogSink], log: impl FnOnce()) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..sinks.len())
            .map(|i| dir.path().join(i.to_string()))
            .collect();
        let files = paths.iter().map(|path| file(path));
        let (layers, _levels) = layers(sinks.iter().copied().zip(files).collect());
        tracing::subscriber::with_default(Registry::default().with(layers), log);
        paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }

    fn file(path: &Path) -> Output {
        Output::File(Arc::new(LogFile::open(path).unwrap()))
    }

    fn plain(level: LogLevel) -> LogSink {
        LogSink {
            level,
            format: LogFormat::Plaintext,
        }
    }

    #[test]
    fn a_line_has_time_level_text_and_fields() {
        let lines = logged(&[plain(LogLevel::Info)], || {
            tracing::warn!(queue = "q", channel = 3, peer = %"1 -> 2", "no consumers");
        });
        let (time, rest) = lines[0].split_at(32);
        assert!(time.ends_with("+00:00"), "{time}");
        assert_eq!(
            rest,
            " [warning] no consumers queue=\"q\" channel=3 peer=1 -> 2\n"
        );
    }

    #[test]
    fn sinks_filter_for_themselves() {
        let sinks = [
            plain(LogLevel::Error),
            plain(LogLevel::Debug),
            plain(LogLevel::None),
        ];
        let lines = logged(&sinks, || {
            tracing::error!("first");
            tracing::debug!("second");
            tracing::trace!("third");
        });
        let counts: Vec<_> = lines.iter().map(|text| text.lines().count()).collect();
        assert_eq!(counts, [1, 2, 0]);
    }

    #[test]
    fn levels_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let output = file(&path);
        let (layers, levels) = layers(vec![(plain(LogLevel::Error), output)]);
        tracing::subscriber::with_default(Registry::default().with(layers), || {
            tracing::info!("kept only");
            levels.set(LogLevel::Debug);
            tracing::debug!("shown");
            levels.set(LogLevel::None);
            tracing::error!("kept only");
        });
        let (kept, _) = levels.kept().after(0, Severity::Debug, "", 10);
        let kept: Vec<&str> = kept.iter().map(|line| &*line.text).collect();
        assert_eq!(kept, ["kept only", "shown", "kept only"]);
        let shown = fs::read_to_string(&path).unwrap();
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.ends_with(" [debug] shown\n"), "{shown}");
    }

    #[test]
    fn files_that_were_moved_get_successors() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let json = LogSink {
            level: LogLevel::Info,
            format: LogFormat::Json,
        };
        let sinks = vec![
            (plain(LogLevel::Info), file(&path("plain"))),
            (json, file(&path("json"))),
        ];
        let (layers, levels) = layers(sinks);
        tracing::subscriber::with_default(Registry::default().with(layers), || {
            tracing::info!("first");
            for name in ["plain", "json"] {
                fs::rename(path(name), path(name).with_extension("1")).unwrap();
            }
            tracing::info!("second");
            levels.renew_files().unwrap();
            tracing::info!("third");
            fs::remove_file(path("plain")).unwrap();
            fs::create_dir(path("plain")).unwrap();
            assert!(levels.renew_files().is_err());
            tracing::info!("fourth");
        });
        let anew = "is opened anew";
        for (name, texts) in [
            ("plain.1", &["first", "second", anew][..]),
            ("json.1", &["first", "second", anew, anew]),
            ("json", &["third", anew, "cannot open log file", "fourth"]),
        ] {
            let found = fs::read_to_string(path(name)).unwrap();
            let lines: Vec<&str> = found.lines().collect();
            assert_eq!(lines.len(), texts.len(), "{name}: {found}");
            let mut both = lines.iter().zip(texts);
            assert!(both.all(|(line, text)| line.contains(text)), "{found}");
        }
    }

    #[test]
    fn nothing_logged_can_begin_a_new_line() {
        let lines = logged(&[plain(LogLevel::Info)], || {
            tracing::info!("user 'a\n2026 [info] forged\u{1b}[2J'");
        });
        assert_eq!(lines[0].lines().count(), 1);
        assert!(lines[0].contains("a\\n2026"), "{}", lines[0]);
        assert!(!lines[0].contains('\u{1b}'));
    }

    #[test]
    fn the_last_lines_are_kept_without_time_and_level() {
        let (layers, levels) = layers(Vec::new());
        tracing::subscriber::with_default(Registry::default().with(layers), || {
            tracing::warn!(queue = "q", "no consumers");
            tracing::debug!("not of interest");
            levels.set(LogLevel::Debug);
            tracing::debug!("no sink shows it");
        });
        let (lines, _) = levels.kept().after(0, Severity::Debug, "", 10);
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line.severity, Severity::Warning);
        assert_eq!(&*line.text, "no consumers queue=\"q\"");
        assert!(line.at.as_secs() > 1_700_000_000);
    }

    #[test]
    fn json_lines_are_objects() {
        let sink = LogSink {
            level: LogLevel::Info,
            format: LogFormat::Json,
        };
        let lines = logged(&[sink, plain(LogLevel::Info)], || {
            tracing::info!(queue = "q\n", "declared");
        });
        let line: serde_json::Value = serde_json::from_str(lines[0].trim_end()).unwrap();
        assert_eq!(line["message"], "declared");
        assert_eq!(line["queue"], "q\n");
        assert!(line["timestamp"].as_str().unwrap().ends_with("+00:00"));
        assert!(lines[1].contains("[info] declared"));
    }

    #[test]
    fn an_impossible_file_is_named() {
        let error = append_to(Path::new("/nonexistent/w.log")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot open log file /nonexistent/w.log: ")
        );
    }
}
