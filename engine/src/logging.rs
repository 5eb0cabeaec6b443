//! The daemon's log: MediaMTX's line format, which operators' tools know (`2006/01/02 15:04:05 INF message`), or JSON
//! lines. Lines go through a bounded queue to a thread of their own: a slow terminal or disk loses lines, counted, and
//! stalls nobody.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use chrono::{DateTime, Local, SecondsFormat};
use shardcast_config::{LogConfig, LogDestination, LogLevel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

/// Lines that wait to be written, per destination.
const QUEUE_LINES_MAX: usize = 16_384;

/// Keeps the log's threads; what waits is written when this is dropped.
#[derive(Debug)]
pub(crate) struct LogGuard {
    _workers: Vec<WorkerGuard>,
}

/// Changes how much is written, and how, while the process runs.
#[derive(Clone, Debug)]
pub(crate) struct LogControl {
    levels: Vec<reload::Handle<LevelFilter, Registry>>,
    is_structured: Arc<AtomicBool>,
}

impl LogControl {
    /// Goes over to `logLevel` and `logStructured`; destinations stay.
    pub(crate) fn follow(&self, config: &LogConfig) {
        self.is_structured
            .store(config.structured, Ordering::Relaxed);
        for handle in &self.levels {
            // It fails only when the log is gone, and then there is nobody to tell.
            let _log_is_gone = handle.reload(level(config.level));
        }
    }
}

/// Starts the log of this process.
///
/// # Errors
/// If the log file cannot be opened.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<(LogGuard, LogControl)> {
    let (mut layers, mut workers) = (Vec::new(), Vec::new());
    let mut control = LogControl {
        levels: Vec::new(),
        is_structured: Arc::new(AtomicBool::new(config.structured)),
    };
    for destination in &config.destinations {
        let (writer, worker) = match destination {
            LogDestination::Stdout => queue(io::stdout()),
            LogDestination::File => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&config.file);
                queue(file.with_context(|| format!("logFile: cannot open '{}'", config.file))?)
            }
        };
        workers.push(worker);
        let lines = Lines {
            is_structured: control.is_structured.clone(),
        };
        let (filter, handle) = reload::Layer::new(level(config.level));
        control.levels.push(handle);
        layers.push(
            tracing_subscriber::fmt::layer()
                .event_format(lines)
                .with_writer(writer)
                .with_filter(filter.and(filter_fn(is_ours))),
        );
    }
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers))?;
    Ok((LogGuard { _workers: workers }, control))
}

fn queue(destination: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES_MAX)
        .finish(destination)
}

/// What libraries say to themselves, as each frame of HTTP/2, is no line of this log.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("shardcast") || *metadata.level() <= Level::WARN
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Writes events as lines.
struct Lines {
    is_structured: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = Message::default();
        event.record(&mut message);
        let line = line(
            self.is_structured.load(Ordering::Relaxed),
            Local::now(),
            *event.metadata().level(),
            &message.0,
        );
        writeln!(writer, "{line}")
    }
}

/// The message of an event, with its other fields behind it.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
}

/// Control characters of a peer's text must not begin a line of their own.
fn line(is_structured: bool, at: DateTime<Local>, level: Level, message: &str) -> String {
    let level = match level {
        Level::ERROR => "ERR",
        Level::WARN => "WAR",
        Level::INFO => "INF",
        Level::DEBUG | Level::TRACE => "DEB",
    };
    if is_structured {
        let timestamp = at.to_rfc3339_opts(SecondsFormat::Micros, false);
        return serde_json::json!({ "timestamp": timestamp, "level": level, "message": message })
            .to_string();
    }
    let message: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("{} {level} {message}", at.format("%Y/%m/%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    fn at() -> DateTime<Local> {
        Local.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).unwrap()
    }

    #[test]
    fn a_line_has_mediamtx_form() {
        assert_eq!(
            line(false, at(), Level::INFO, "hello"),
            "2026/03/04 05:06:07 INF hello"
        );
        assert_eq!(
            line(false, at(), Level::WARN, "a\nb"),
            "2026/03/04 05:06:07 WAR a b"
        );
    }

    #[test]
    fn a_structured_line_is_one_json_object_whatever_the_message_holds() {
        let line = line(true, at(), Level::ERROR, "\"quoted\"\nnew");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (value["level"].as_str(), value["message"].as_str()),
            (Some("ERR"), Some("\"quoted\"\nnew"))
        );
        assert!(
            value["timestamp"]
                .as_str()
                .is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok())
        );
        assert!(!line.contains('\n'));
    }
}
