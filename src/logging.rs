//! The log: levels and sinks of the configuration turned into a `tracing` subscriber, and the form
//! of a line. Nothing is written to standard output, which belongs to the start-up banner.
//!
//! ```text
//! 2026-11-21 03:27:29.098926+00:00 [info] consumer started tag="c1" connection=127.0.0.1:4711 -> ...
//! time, UTC                        level  message, the event's fields, its spans' fields
//! ```

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use warren_mgmt_ui::{ProgramLog, Severity};

use crate::clock;
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
    let mut layers: Vec<BoxedLayer> = Vec::new();
    let mut levels = Levels::default();
    if let Some(sink) = config.console {
        layers.push(layer(sink, io::stderr, &mut levels));
    }
    if let Some((path, sink)) = &config.file {
        layers.push(layer(*sink, open(path)?, &mut levels));
    }
    layers.push(keep(config, &mut levels));
    let subscriber = Registry::default().with(layers);
    match tracing::subscriber::set_global_default(subscriber) {
        Ok(()) => Ok(levels),
        Err(_) => Err(LogError::Twice),
    }
}

/// The levels of the sinks, which can be changed.
#[derive(Clone, Default)]
pub(crate) struct Levels {
    sinks: Vec<reload::Handle<LevelFilter, Registry>>,
    keeper: Option<reload::Handle<LevelFilter, Registry>>,
    kept: Arc<ProgramLog>,
}

impl Levels {
    /// The last lines.
    pub(crate) fn kept(&self) -> Arc<ProgramLog> {
        Arc::clone(&self.kept)
    }

    /// Has all sinks show this level and above from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        let sinks = self.sinks.iter().map(|sink| (sink, filter(level)));
        let keeper = self.keeper.iter();
        let keeper = keeper.map(|keeper| (keeper, filter(level).max(LevelFilter::INFO)));
        for (sink, level) in sinks.chain(keeper) {
            if let Err(error) = sink.reload(level) {
                tracing::error!(%error, "the log level stays as it is");
            }
        }
    }
}

/// The layer that remembers the last lines for the console: what the sinks show, and at least what
/// is of interest to operators. Nothing of that level is written while messages pass.
fn keep(config: &LogConfig, levels: &mut Levels) -> BoxedLayer {
    let sinks = [config.console, config.file.as_ref().map(|(_, sink)| *sink)];
    let shown = sinks.into_iter().flatten().map(|sink| filter(sink.level));
    let most = shown.chain([LevelFilter::INFO]).max();
    let (filter, level) = reload::Layer::new(most.unwrap_or(LevelFilter::INFO));
    levels.keeper = Some(level);
    let fields = tracing_subscriber::fmt::format::DefaultFields::new();
    tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(fields)
        .event_format(Plain)
        .with_writer(Keeper(levels.kept()))
        .with_filter(filter)
        .boxed()
}

/// Writes lines where they are kept.
struct Keeper(Arc<ProgramLog>);

/// The one line of an event, kept when it is complete.
struct Kept<'a> {
    log: &'a ProgramLog,
    severity: Severity,
}

impl<'a> MakeWriter<'a> for Keeper {
    type Writer = Kept<'a>;

    fn make_writer(&'a self) -> Kept<'a> {
        Kept {
            log: &self.0,
            severity: Severity::Info,
        }
    }

    fn make_writer_for(&'a self, of: &tracing::Metadata<'_>) -> Kept<'a> {
        let severity = match *of.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Info,
            _ => Severity::Debug,
        };
        Kept {
            log: &self.0,
            severity,
        }
    }
}

impl io::Write for Kept<'_> {
    /// The subscriber writes an event's line in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.log
            .add(clock::now_ms(), self.severity, text.trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line without its time and level, which are kept beside it.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write_text(ctx, &mut writer, event)?;
        writeln!(writer)
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn open(path: &PathBuf) -> Result<Arc<File>, LogError> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(Arc::new).map_err(|source| LogError::File {
        path: path.clone(),
        source,
    })
}

fn layer<W>(sink: LogSink, writer: W, levels: &mut Levels) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    let (filter, level) = reload::Layer::new(filter(sink.level));
    levels.sinks.push(level);
    match sink.format {
        LogFormat::Plaintext => layer.event_format(Line).with_filter(filter).boxed(),
        LogFormat::Json => {
            let json = layer.json().flatten_event(true).with_timer(Utc);
            json.with_target(false)
                .with_current_span(false)
                .with_filter(filter)
                .boxed()
        }
    }
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

/// A plain text line.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        Utc.format_time(&mut writer)?;
        write!(writer, " [{}] ", level_name(*event.metadata().level()))?;
        write_text(ctx, &mut writer, event)?;
        writeln!(writer)
    }
}

/// The message, the event's fields, its spans' fields.
fn write_text<S, N>(
    ctx: &FmtContext<'_, S, N>,
    writer: &mut Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut text = String::new();
    ctx.format_fields(Writer::new(&mut text), event)?;
    for span in ctx.event_scope().into_iter().flatten() {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && !fields.is_empty()
        {
            write!(text, " {fields}")?;
        }
    }
    write_on_one_line(writer, &text)
}

/// Clients choose parts of what is logged; none of it may pass for a line of its own or move the
/// reader's cursor.
fn write_on_one_line(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() {
            write!(writer, "{}", c.escape_default())?
        } else {
            writer.write_char(c)?
        }
    }
    Ok(())
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// `2026-11-21 03:27:29.098926+00:00`.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        write_time(writer, since.unwrap_or_default())
    }
}

fn write_time(writer: &mut dyn fmt::Write, since_epoch: Duration) -> fmt::Result {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let micros = since_epoch.subsec_micros();
    write!(
        writer,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00:00"
    )
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the
/// leap day is the last of its year, in eras of 400 years (146,097 days).
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let leap_corrected =
        day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096;
    let year_of_era = leap_corrected / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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
        let layers: Vec<_> = sinks
            .iter()
            .zip(&paths)
            .map(|(sink, path)| layer(*sink, open(path).unwrap(), &mut Levels::default()))
            .collect();
        tracing::subscriber::with_default(Registry::default().with(layers), log);
        paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }

    fn plain(level: LogLevel) -> LogSink {
        LogSink {
            level,
            format: LogFormat::Plaintext,
        }
    }

    #[test]
    fn a_line_has_time_level_text_and_span_fields() {
        let lines = logged(&[plain(LogLevel::Info)], || {
            let connection = tracing::info_span!("connection", connection = %"1 -> 2");
            let _in_connection = connection.enter();
            let channel = tracing::info_span!("channel", channel = 3);
            let _in_channel = channel.enter();
            tracing::warn!(queue = "q", "no consumers");
        });
        let (time, rest) = lines[0].split_at(32);
        assert!(time.ends_with("+00:00"), "{time}");
        assert_eq!(
            rest,
            " [warning] no consumers queue=\"q\" channel=3 connection=1 -> 2\n"
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
        let config = LogConfig {
            console: None,
            file: None,
        };
        let mut levels = Levels::default();
        let layer = keep(&config, &mut levels);
        tracing::subscriber::with_default(Registry::default().with(vec![layer]), || {
            let span = tracing::info_span!("connection", connection = %"1 -> 2");
            let _in_span = span.enter();
            tracing::warn!(queue = "q", "no consumers");
            tracing::debug!("not of interest");
        });
        let (lines, _) = levels.kept().after(0, Severity::Debug, "", 10);
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line.severity, Severity::Warning);
        assert_eq!(&*line.text, "no consumers queue=\"q\" connection=1 -> 2");
        assert!(line.at_ms > 1_700_000_000_000);
    }

    #[test]
    fn json_lines_are_objects() {
        let sink = LogSink {
            level: LogLevel::Info,
            format: LogFormat::Json,
        };
        let lines = logged(&[sink, plain(LogLevel::Info)], || {
            let span = tracing::info_span!("connection", vhost = "/");
            let _in_span = span.enter();
            tracing::info!(queue = "q\n", "declared");
        });
        let line: serde_json::Value = serde_json::from_str(lines[0].trim_end()).unwrap();
        assert_eq!(line["message"], "declared");
        assert_eq!(line["queue"], "q\n");
        assert_eq!(line["spans"][0]["vhost"], "/");
        assert!(line["timestamp"].as_str().unwrap().ends_with("+00:00"));
        assert!(lines[1].contains("[info] declared"));
    }

    #[test]
    fn dates_are_right() {
        let text = |seconds: u64, micros: u32| {
            let mut out = String::new();
            write_time(&mut out, Duration::new(seconds, micros * 1000)).unwrap();
            out
        };
        assert_eq!(text(0, 0), "1970-01-01 00:00:00.000000+00:00");
        assert_eq!(text(951_782_400, 1), "2000-02-29 00:00:00.000001+00:00");
        assert_eq!(
            text(951_868_799, 999_999),
            "2000-02-29 23:59:59.999999+00:00"
        );
        assert_eq!(
            text(1_795_231_649, 98_926),
            "2026-11-21 03:27:29.098926+00:00"
        );
        assert_eq!(text(4_107_542_400, 0), "2100-03-01 00:00:00.000000+00:00");
    }

    #[test]
    fn an_impossible_file_is_named() {
        let error = open(&PathBuf::from("/nonexistent/w.log")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot open log file /nonexistent/w.log: ")
        );
    }
}
