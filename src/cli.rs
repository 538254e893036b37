//! The command line: what can be asked of the program, and its exit status.

mod account;
mod check;
mod descriptors;
mod documents;
mod fields;
mod gaps;
mod healthcheck;
mod pacing;
mod progress;
mod query;
mod rejected;
mod resume;
mod run;
mod status;
mod sync;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Parser, Subcommand};

use crate::clock::Clock;
use crate::config::{Config, ConfigError, LogConfig, Sources};
use crate::daemon::DaemonError;
use crate::demo::DemoArgs;
use crate::output;
use crate::setup::{self, SetupError};
use crate::sync::SyncError;
use crate::telemetry;
use crate::window::Window;
use voicenter_simulator::SimulateArgs;

/// Keeps a PostgreSQL table an exact, fresh mirror of Voicenter's call detail records.
#[derive(Debug, Parser)]
#[command(name = "cdr-sync", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// A configuration file in TOML; without it, CDR_SYNC_CONFIG may name one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cdr-sync demo                     try it: nothing to install or configure
  cdr-sync check                    is everything set up? what is wrong, and how to mend it
  cdr-sync run                      keep the table in sync, for ever
  cdr-sync verify --from 2026-11-01 --to 2026-11-02

Exit status: 0 done; 1 failed; 2 bad arguments or configuration; 3 the API refuses the credential or the address;
4 done, but with gaps or rejected records.";

const RUN_EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://user:password@host/database VOICENTER_CODE=... cdr-sync run
  cdr-sync run --config /etc/cdr-sync/config.toml

Serves page, metrics and probes at http.listen (http://127.0.0.1:8080/ by default).";

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon: migrate, then keep every account in sync until SIGTERM or SIGINT.
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// One pass and exit: everything from each account's start, or where it stopped, up to now.
    Sync(SpanArgs),
    /// Read a span again and compare it with the table; changes nothing. Exit status 4 unless equal.
    Verify(VerifyArgs),
    /// How each account fares: cursor, lag, gaps, rejected records, last error.
    Status(StatusArgs),
    /// Try configuration, database and API: says what is wrong and how to mend it; changes nothing.
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://... VOICENTER_CODE=... cdr-sync check")]
    Check,
    /// Ask the running daemon whether it is ready: exit status 0 or 1. For a container's HEALTHCHECK.
    Healthcheck(HealthcheckArgs),
    /// Bring the database's schema up to date, and nothing else.
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://owner@host/database cdr-sync migrate")]
    Migrate,
    /// One question to the API, straight to the terminal; needs no database.
    Query(query::QueryArgs),
    /// Spans that could not be read in full.
    Gaps(RetryArgs),
    /// Records that could not be stored.
    Rejected(RetryArgs),
    /// Let an account ask the API again at once: lifts pauses, waits after refusals, and the waits of gaps.
    Resume(resume::ResumeArgs),
    /// When the configuration names an account anew, or drops one.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// A Voicenter API to try things on.
    Simulate(SimulateArgs),
    /// All of it with nothing configured: simulator, a private database, and the daemon.
    Demo(DemoArgs),
    /// The effective configuration, secrets masked.
    #[command(after_help = "Example:\n  cdr-sync config --config /etc/cdr-sync/config.toml")]
    Config,
    /// Completions for a shell.
    Completions(documents::CompletionsArgs),
    /// The manual page.
    Man(documents::ManArgs),
}

/// A span that may be left out.
#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync sync                                      everything up to now\n  cdr-sync sync --from 2026-11-01 --to 2026-11-02    that day once more"
)]
struct SpanArgs {
    /// Read again from here (RFC 3339, or YYYY-MM-DD in UTC).
    #[arg(long, value_name = "T", value_parser = instant, requires = "to")]
    from: Option<DateTime<Utc>>,
    /// Up to here, exclusive.
    #[arg(long, value_name = "T", value_parser = instant, requires = "from")]
    to: Option<DateTime<Utc>>,
}

/// A span, and how much to say of it.
#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync verify --from 2026-11-01 --to 2026-11-08\n  cdr-sync verify --from 2026-11-01 --to 2026-11-02 --details"
)]
struct VerifyArgs {
    /// From here (RFC 3339, or YYYY-MM-DD in UTC).
    #[arg(long, value_name = "T", value_parser = instant)]
    from: DateTime<Utc>,
    /// Up to here, exclusive.
    #[arg(long, value_name = "T", value_parser = instant)]
    to: DateTime<Utc>,
    /// List the records that differ, and the columns in which they do.
    #[arg(long)]
    details: bool,
}

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync status\n  cdr-sync status --json | jq '.accounts[].lag_seconds'"
)]
struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "Example:\n  HEALTHCHECK CMD [\"/cdr-sync\", \"healthcheck\"]")]
struct HealthcheckArgs {
    /// Ask only whether it lives: without its database it still does.
    #[arg(long)]
    live: bool,
}

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Exit status 4 while there are any. --retry asks the API at once; stop the daemon first."
)]
struct RetryArgs {
    /// Try again at once.
    #[arg(long)]
    retry: bool,
}

/// The exit status: docs/contract.md#exit-status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Incomplete = 4,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// Standard output is closed: nobody listens any more.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Command {
    /// Lines for each window would tear the progress bar apart; on a terminal it takes their place.
    fn logging(&self, configured: &LogConfig) -> LogConfig {
        let shows_bar =
            matches!(self, Command::Sync(_) | Command::Verify(_) | Command::Gaps(_) | Command::Rejected(_));
        if shows_bar && progress::on_terminal() && configured.level == "info" {
            return LogConfig { level: "error".into(), ..configured.clone() };
        }
        configured.clone()
    }
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            CliError::Config(_)
            | CliError::Usage(_)
            | CliError::Setup(SetupError::Config(_) | SetupError::Client(_))
            | CliError::Daemon(DaemonError::Setup(SetupError::Config(_) | SetupError::Client(_))) => {
                Exit::Usage
            }
            CliError::Sync(SyncError::Refused { .. }) => Exit::Refused,
            CliError::Sync(SyncError::WrongZone { .. }) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

impl Cli {
    /// Runs the command. Errors go to standard error, with what to do.
    pub fn run(self) -> ExitCode {
        let exit = match self.start() {
            Ok(exit) => exit,
            Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Err(error) => {
                eprintln!("cdr-sync: {error}");
                error.exit()
            }
        };
        let exit = match output::failure() {
            Some(error) if exit == Exit::Done => {
                eprintln!("cdr-sync: the output could not be written: {error}");
                Exit::Failed
            }
            _ => exit,
        };
        telemetry::flush();
        ExitCode::from(exit as u8)
    }

    fn start(self) -> Result<Exit, CliError> {
        if self.command.only_prints() {
            end_with_the_reader();
        }
        let mut runtime = match self.command {
            Command::Simulate(_) | Command::Demo(_) => tokio::runtime::Builder::new_multi_thread(),
            // The daemon waits for others nearly always. On one thread the allocator keeps one arena: with two, the
            // peak for answers of 10,000 records was 150 MB instead of 90.
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = runtime
            .enable_all()
            .build()
            .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
        let exit = runtime.block_on(self.dispatch());
        // A stuck blocking task must not hold the process up.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        exit
    }

    async fn dispatch(self) -> Result<Exit, CliError> {
        let clock = Clock::System;
        if self.command.serves() {
            descriptors::raise_limit();
        }
        // These need no configuration.
        match self.command {
            Command::Simulate(args) => {
                telemetry::install(&LogConfig { format: None, level: "info".into() });
                let ended = voicenter_simulator::run(args, clock, run::stop_signal()).await;
                return ended.map(|()| Exit::Done).map_err(|error| CliError::Failed(error.to_string()));
            }
            Command::Demo(args) => {
                let agreed = crate::demo::run(args, clock, run::stop_signal()).await;
                return match agreed {
                    Ok(true) => Ok(Exit::Done),
                    Ok(false) => Ok(Exit::Incomplete),
                    Err(error) => Err(CliError::Failed(error.to_string())),
                };
            }
            Command::Completions(args) => return documents::completions(args),
            Command::Man(args) => return documents::man(args),
            _ => {}
        }
        let sources = Sources::of_this_process(self.config);
        let config = Config::load(sources.clone())?;
        telemetry::install(&self.command.logging(&config.log));
        if !config.database.ignored_parameters.is_empty() {
            tracing::warn!(
                event = "database_parameters_ignored",
                parameters = config.database.ignored_parameters.join(", "),
                "parameters of database.url that mean nothing here are ignored"
            );
        }
        match self.command {
            Command::Config => {
                println!("{}", config.masked_toml());
                Ok(Exit::Done)
            }
            Command::Query(args) => query::run(&config, args, clock).await,
            Command::Healthcheck(args) => healthcheck::run(&config, args.live).await,
            Command::Check => check::run(&config, clock).await,
            Command::Migrate => {
                let state = setup::open_store(&config)?.migrate().await?;
                println!("the schema is up to date");
                for name in &state.newer {
                    println!("{name} is of a newer cdr-sync: this one works with it");
                }
                Ok(Exit::Done)
            }
            Command::Run => run::run(config, sources, clock).await,
            Command::Sync(args) => sync::run(&config, span(args)?, clock).await,
            Command::Verify(VerifyArgs { from, to, details }) => {
                let span = span(SpanArgs { from: Some(from), to: Some(to) })?;
                verify::run(
                    &config,
                    span.ok_or_else(|| CliError::Usage("--from and --to are needed".into()))?,
                    details,
                    clock,
                )
                .await
            }
            Command::Status(args) => status::run(&config, args.json, clock).await,
            Command::Gaps(args) => gaps::run(&config, args.retry, clock).await,
            Command::Rejected(args) => rejected::run(&config, args.retry, clock).await,
            Command::Resume(args) => resume::run(&config, args, clock).await,
            Command::Account(command) => account::run(&config, command).await,
            Command::Simulate(_) | Command::Demo(_) | Command::Completions(_) | Command::Man(_) => {
                Ok(Exit::Done)
            }
        }
    }
}

impl Command {
    /// Returns `true` if others connect to it.
    fn serves(&self) -> bool {
        matches!(self, Command::Run | Command::Simulate(_) | Command::Demo(_))
    }

    /// Returns `true` if it prints and is done. What serves or syncs writes to sockets, where a peer that went away raises SIGPIPE, too
    /// (hyper's writev), and must not end the process.
    fn only_prints(&self) -> bool {
        match self {
            Command::Gaps(args) | Command::Rejected(args) => !args.retry,
            Command::Status(_)
            | Command::Query(_)
            | Command::Config
            | Command::Completions(_)
            | Command::Man(_) => true,
            _ => false,
        }
    }
}

/// Lets `cdr-sync status | head -1` end silently, as programs do that print: Rust's own start makes the next line an error
/// and that a panic.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    #[expect(unsafe_code, reason = "the default disposition runs no code of ours in a signal's context")]
    // A signal that keeps its old disposition only makes for an uglier end.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

fn span(args: SpanArgs) -> Result<Option<Window>, CliError> {
    let (Some(from), Some(to)) = (args.from, args.to) else { return Ok(None) };
    let empty = || CliError::Usage(format!("--from {from} is not before --to {to}"));
    Window::new(from, to).map(Some).ok_or_else(empty)
}

/// RFC 3339, or a day in UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Ok(date.to_utc());
    }
    let day = text
        .parse::<NaiveDate>()
        .map_err(|_| "expected a time like 2026-11-01T08:00:00Z or a day like 2026-11-01".to_owned())?;
    Ok(day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_or_a_day() {
        assert_eq!(instant("2026-11-01").unwrap().to_rfc3339(), "2026-11-01T00:00:00+00:00");
        assert_eq!(instant("2026-11-01T02:00:00+02:00").unwrap().to_rfc3339(), "2026-11-01T00:00:00+00:00");
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
