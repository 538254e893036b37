//! Log lines: to stderr, as JSON or for people; panics too. With the feature `otel`, spans to a collector.

mod lines;
#[cfg(feature = "otel")]
mod traces;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::IntCounter;
use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt, LevelFilter, dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFormat};
use crate::store::migration::is_migrating;
use lines::Lines;

/// How long pending lines may take when the process ends; the rest is lost.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same when the user wants to quit at once.
const HURRIED: Duration = Duration::from_millis(200);

/// Standard error, as everything in this process writes to it.
pub(crate) fn stderr() -> &'static Lines {
    static STDERR: OnceLock<Lines> = OnceLock::new();
    STDERR.get_or_init(|| {
        // A descriptor of its own: the thread that writes must not hold the lock of `io::stderr` while it waits for a
        // reader.
        let out: Box<dyn Write + Send> = match io::stderr().as_fd().try_clone_to_owned() {
            Ok(own) => Box::new(File::from(own)),
            Err(_) => Box::new(io::stderr()),
        };
        Lines::new(out, report_dropped)
    })
}

fn report_dropped(lines: u64) {
    tracing::warn!(
        event = "log_lines_dropped",
        lines,
        "standard error was not read, or could not be written"
    );
}

/// Counts dropped log lines in `counter`.
pub(crate) fn count_dropped_lines(counter: IntCounter) {
    stderr().count_dropped_in(counter);
}

/// Prints a text beside the log and waits for it to be written, though never for long.
pub(crate) fn print(text: String) {
    stderr().push(text.into_bytes());
    stderr().flush(LAST_WORDS);
}

/// Starts logging to stderr as `log` says; `RUST_LOG` overrides `log.level`. Returns `true` if it did: a second call
/// changes nothing.
pub fn install(log: &LogConfig) -> bool {
    let terminal = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let rust_log = std::env::var("RUST_LOG").ok();
    let (filter, refused) = filter(rust_log.as_deref(), &log.level);
    #[cfg(feature = "otel")]
    let (traces, traces_failed) = traces::layer();
    #[cfg(not(feature = "otel"))]
    let (traces, traces_failed) = (None::<BoxedLayer>, None::<String>);
    if subscriber(format, colour, filter, stderr, traces).try_init().is_err() {
        return false;
    }
    if let Some(error) = traces_failed {
        tracing::error!(
            event = "traces_off",
            error,
            "no spans are exported: check OTEL_EXPORTER_OTLP_ENDPOINT"
        );
    }
    if refused {
        tracing::warn!(
            event = "rust_log_ignored",
            level = log.level,
            "RUST_LOG cannot be read as filter directives: log.level is in effect"
        );
    }
    std::panic::set_hook(Box::new(log_panic));
    true
}

/// The filter in effect, and whether `RUST_LOG` had to be ignored.
///
/// A bare level of info or less is this program's own: what sqlx would log of a lost connection is returned as an error
/// and logged with an event. What PostgreSQL says to a migration is not.
fn filter(rust_log: Option<&str>, level: &str) -> (EnvFilter, bool) {
    let parse = |text: &str| EnvFilter::builder().parse(text).ok();
    let wanted = rust_log.map(str::trim).filter(|text| !text.is_empty());
    let parsed = wanted.filter(|text| names_a_level(text)).and_then(parse);
    let refused = wanted.is_some() && parsed.is_none();
    let level = match level.trim() {
        level @ ("error" | "warn" | "info") => format!("{level},sqlx=off,sqlx::postgres::notice={level}"),
        level => level.to_owned(),
    };
    (parsed.or_else(|| parse(&level)).unwrap_or_else(|| EnvFilter::new("info")), refused)
}

/// Returns `true` unless all parts are words other than levels, such as `warning`: taken for module names, they would
/// silence the program.
fn names_a_level(directives: &str) -> bool {
    directives.split(',').map(str::trim).any(|part| {
        part.contains(['=', '[']) || part.starts_with("cdr_sync") || part.parse::<LevelFilter>().is_ok()
    })
}

/// Returns `true` for what sqlx logs while it reads an address or a password file: at any level it can hold what was
/// read.
fn may_hold_secrets(target: &str) -> bool {
    target.starts_with("sqlx_postgres::options")
}

/// What PostgreSQL says, as sqlx logs it.
const NOTICE: &str = "sqlx::postgres::notice";

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn subscriber<W>(
    format: LogFormat,
    colour: bool,
    filter: EnvFilter,
    writer: W,
    traces: Option<BoxedLayer>,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Lines have what they need in their own fields; spans are for traces and would only repeat it.
    let filter = filter.and(filter_fn(|what| !what.is_span() && !may_hold_secrets(what.target())));
    // Not `filter_fn`, whose answer would be kept.
    let filter = filter.and(dynamic_filter_fn(|what, _| what.target() != NOTICE || is_migrating()));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let lines: BoxedLayer = match format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_span_list(false).with_current_span(false).boxed()
        }
        LogFormat::Pretty => lines.with_target(false).boxed(),
    };
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(traces);
    tracing_subscriber::registry().with(layers)
}

/// Sends pending traces and writes pending log lines, before the process ends.
pub fn flush() {
    #[cfg(feature = "otel")]
    traces::flush();
    stderr().flush(LAST_WORDS);
}

/// Writes pending log lines, for a process that ends at once.
pub(crate) fn flush_hurried() {
    stderr().flush(HURRIED);
}

/// Logs where it happened, not the message, which can hold a record's content.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(event = "panic", location, thread = thread.name(), backtrace, "panicked");
    // The process may end with it.
    stderr().flush(LAST_WORDS);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The panic hook is the process's: under `cargo test`, its tests take turns.
    static HOOK: Mutex<()> = Mutex::new(());

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Every line that is logged meanwhile, unfiltered.
    pub(crate) fn lines_of(log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    fn written(format: LogFormat, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(format, false, filter(None, "info").0, move || writer.clone(), None);
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_is_one_flat_object_a_line_without_its_spans() {
        let text = written(LogFormat::Json, || {
            let _span = tracing::info_span!("account", account = "sales").entered();
            tracing::info!(rows = 3, "stored");
            tracing::debug!("not at this level");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(
            (&line["message"], &line["rows"], &line["level"]),
            (&"stored".into(), &3.into(), &"INFO".into())
        );
        assert_eq!(line.get("span"), None);
    }

    #[test]
    fn pretty_is_text() {
        let text = written(LogFormat::Pretty, || tracing::info!(rows = 3, "stored"));
        assert!(text.ends_with(" INFO stored rows=3\n"), "{text}");
    }

    #[test]
    fn rust_log_wins_unless_it_cannot_be_read() {
        let in_effect = |rust_log, level| {
            let (filter, refused) = filter(rust_log, level);
            (filter.to_string(), refused)
        };
        assert_eq!(in_effect(None, "warn"), ("sqlx::postgres::notice=warn,sqlx=off,warn".to_owned(), false));
        assert_eq!(in_effect(None, "debug"), ("debug".to_owned(), false));
        assert_eq!(
            in_effect(Some(""), "warn"),
            ("sqlx::postgres::notice=warn,sqlx=off,warn".to_owned(), false)
        );
        assert_eq!(in_effect(Some("cdr_sync=debug"), "warn"), ("cdr_sync=debug".to_owned(), false));
        assert_eq!(
            in_effect(Some("a=b=c"), "warn"),
            ("sqlx::postgres::notice=warn,sqlx=off,warn".to_owned(), true)
        );
        assert_eq!(
            in_effect(Some("warning"), "warn"),
            ("sqlx::postgres::notice=warn,sqlx=off,warn".to_owned(), true)
        );
        assert_eq!(in_effect(Some("INFO"), "warn"), ("info".to_owned(), false));
    }

    #[test]
    fn the_driver_reads_addresses_and_password_files_in_silence() {
        let kept = Kept::default();
        let writer = kept.clone();
        let all = EnvFilter::builder().parse("trace").unwrap();
        let subscriber = subscriber(LogFormat::Json, false, all, move || writer.clone(), None);
        let read = || "postgres://u@h/d?sslpassword=HUSH".parse::<sqlx::postgres::PgConnectOptions>();
        tracing::subscriber::with_default(subscriber, || drop(read()));
        assert!(kept.0.lock().unwrap().is_empty());
        assert!(lines_of(|| drop(read())).contains("HUSH"), "it would say it");
    }

    #[test]
    fn what_postgresql_says_to_a_migration_is_logged_and_statements_are_not() {
        let say = |what: &str| {
            // The driver asks first.
            if tracing::enabled!(target: "sqlx::postgres::notice", tracing::Level::INFO) {
                tracing::info!(target: "sqlx::postgres::notice", "{what}");
            }
        };
        let said = written(LogFormat::Json, || {
            say("a library has changed");
            let heard = crate::store::migration::Heard::begin();
            say("the role was not created");
            tracing::info!(target: "sqlx::query", "select 1");
            drop(heard);
            say("a library has changed");
        });
        assert!(said.contains("the role was not created") && said.lines().count() == 1, "{said}");
    }

    #[test]
    fn a_second_call_changes_nothing() {
        let log = LogConfig { format: Some(LogFormat::Json), level: "off".to_owned() };
        let _turn = HOOK.lock().unwrap();
        let before = std::panic::take_hook();
        install(&log);
        let second = install(&log);
        std::panic::set_hook(before);
        assert!(!second);
    }

    #[test]
    fn a_panic_is_logged_without_what_it_said() {
        let _turn = HOOK.lock().unwrap();
        let before = std::panic::take_hook();
        let text = written(LogFormat::Json, || {
            std::panic::set_hook(Box::new(log_panic));
            let result = std::panic::catch_unwind(|| panic!("972501234567"));
            assert!(result.is_err());
        });
        std::panic::set_hook(before);
        assert!(text.contains("\"panicked\"") && text.contains("telemetry.rs"), "{text}");
        assert!(!text.contains("972501234567"), "{text}");
    }
}
