//! The command line: what can be asked of the program, and its exit status.

mod account;
mod ask_the_daemon;
mod check;
mod descriptors;
mod documents;
mod fields;
mod forget;
mod gaps;
mod healthcheck;
mod moment;
mod paced_session;
mod progress;
mod push;
mod pushes;
mod query;
mod rejected;
mod resume;
mod run;
mod semantics;
mod spreadsheet;
mod status;
mod sync;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, Parser, Subcommand};

use self::moment::Moment;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, LogConfig, Sources};
use crate::daemon::DaemonError;
use crate::demo::DemoArgs;
use crate::output;
use crate::setup::{self, SetupError};
use crate::sync::SyncError;
use crate::telemetry;
use crate::window::Window;
use voicenter_simulator::SimulateArgs;

/// Keeps a PostgreSQL table an exact and fresh mirror of Voicenter's call detail records.
#[derive(Debug, Parser)]
#[command(name = "cdr-sync", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Read this configuration file (TOML); without it, the file that CDR_SYNC_CONFIG names.
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    config: Option<PathBuf>,
    /// Log more to standard error: -v what happens in detail, -vv everything. RUST_LOG wins.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet", display_order = 901)]
    verbose: u8,
    /// Log only errors, and show no progress.
    #[arg(short, long, global = true, display_order = 902)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cdr-sync demo                     try it, without installing or configuring anything
  cdr-sync check                    check the setup: what is wrong, and how to fix it
  cdr-sync run                      keep the table in sync until stopped
  cdr-sync verify --from 2026-11-01 --to 2026-11-02

Exit status: 0 done; 1 failed; 2 bad arguments or configuration; 3 the API refuses the credential or the address;
4 done, but with gaps, rejected records or differences, or an account in trouble.";

const RUN_EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://user:password@host/database VOICENTER_CODE=... cdr-sync run
  cdr-sync run --config /etc/cdr-sync/config.toml

Serves page, metrics and probes at http.listen (http://127.0.0.1:8080/ by default).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: migrate the database, then keep every account in sync until SIGTERM or SIGINT.
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// Run one pass and exit: read each account from its start, or from where the last run stopped, up to now.
    Sync(sync::SyncArgs),
    /// Read a span again and compare it with the table, without changing anything; exit status 4 if they differ.
    Verify(verify::VerifyArgs),
    /// Show the state of each account: cursor, lag, gaps, rejected records, last error; exit status 4 if one is in trouble.
    Status(status::StatusArgs),
    /// Check configuration, database and API, and say how to fix what is wrong; changes nothing.
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://... VOICENTER_CODE=... cdr-sync check")]
    Check(check::CheckArgs),
    /// Ask the running daemon if it is ready: exit status 0 or 1. For a container's HEALTHCHECK.
    Healthcheck(HealthcheckArgs),
    /// Bring the database schema up to date and exit.
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://owner@host/database cdr-sync migrate")]
    Migrate,
    /// Send one request to the API and print the answer; needs no database.
    Query(query::QueryArgs),
    /// List (or retry) the spans that could not be read in full.
    Gaps(gaps::GapsArgs),
    /// List, retry or acknowledge the records that could not be stored.
    Rejected(rejected::RejectedArgs),
    /// End whatever an account is waiting for: pauses, waits after refusals, and the waits of open gaps.
    Resume(resume::ResumeArgs),
    /// Pause, resume, rename or remove an account.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Erase what was said in a person's calls, or in one call, and keep it from coming back.
    Forget(forget::ForgetArgs),
    /// Make keys for CDR notifications, or read again those that were not understood.
    #[command(subcommand)]
    Push(push::PushCommand),
    /// Serve a simulated Voicenter API.
    Simulate(SimulateArgs),
    /// Run a demo without any configuration: simulator, private database and daemon.
    Demo(DemoArgs),
    /// Print the effective configuration, with secrets masked.
    #[command(
        after_help = "Examples:\n  cdr-sync config --config /etc/cdr-sync/config.toml\n  cdr-sync config --reference"
    )]
    Config(ConfigArgs),
    /// Print completions for a shell.
    Completions(documents::CompletionsArgs),
    /// Print the manual page in roff.
    Man(documents::ManArgs),
}

#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "Example:\n  HEALTHCHECK CMD [\"/cdr-sync\", \"healthcheck\"]")]
struct HealthcheckArgs {
    /// Check only that the process answers; it does so without its database, too.
    #[arg(long)]
    live: bool,
}

#[derive(Args, Clone, Copy, Debug)]
struct ConfigArgs {
    /// Print instead every key with its meaning, default and variable, in Markdown.
    #[arg(long)]
    reference: bool,
}

/// The exit statuses that docs/contract.md#exit-status promises.
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
    /// Standard output is closed, so nothing can be printed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Cli {
    /// What is logged: as configured, unless this command line says otherwise.
    fn logging(&self, configured: &LogConfig) -> LogConfig {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 1) => "info,cdr_sync=debug",
            (_, 2..) => "debug,cdr_sync=trace",
            // On a terminal the progress bar replaces the log lines of each window, which would break it up.
            _ if self.command.shows_progress() && progress::on_terminal() && configured.level == "info" => {
                "error"
            }
            _ => return configured.clone(),
        };
        LogConfig { level: level.into(), ..configured.clone() }
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
    /// Runs the command. Errors are printed to standard error, with advice.
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
            // The daemon nearly always waits for others. On one thread the allocator keeps one arena: with two, the
            // peak for answers of 10,000 records was 150 MB instead of 90.
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = runtime
            .enable_all()
            .build()
            .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
        let exit = runtime.block_on(self.dispatch());
        // A stuck blocking task must not keep the process from ending.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        exit
    }

    async fn dispatch(self) -> Result<Exit, CliError> {
        let clock = Clock::System;
        if self.quiet {
            progress::hide();
        }
        // For those that need no configuration.
        let plain = self.logging(&LogConfig { format: None, level: "info".into() });
        if self.command.serves() {
            descriptors::raise_limit();
        }
        match self.command {
            Command::Simulate(args) => {
                telemetry::install(&plain);
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
            Command::Config(ConfigArgs { reference: true }) => {
                print!("{}", config::reference()?);
                return Ok(Exit::Done);
            }
            Command::Push(push::PushCommand::Key) => return push::make_key(),
            Command::Completions(args) => return documents::completions(args),
            Command::Man(args) => return documents::man(args),
            _ => {}
        }
        let sources = Sources::of_this_process(self.config.clone());
        let config = Config::load(sources.clone())?;
        telemetry::install(&self.logging(&config.log));
        if !config.database.ignored_parameters.is_empty() {
            tracing::warn!(
                event = "database_parameters_ignored",
                parameters = config.database.ignored_parameters.join(", "),
                "unsupported parameters of database.url are ignored"
            );
        }
        match self.command {
            Command::Config(_) => {
                println!("{}", config.masked_toml());
                Ok(Exit::Done)
            }
            Command::Query(args) => query::run(&config, args, clock).await,
            Command::Healthcheck(args) => healthcheck::run(&config, args.live).await,
            Command::Check(args) if args.semantics => semantics::run(&config, clock).await,
            Command::Check(args) => check::run(&config, args, clock).await,
            Command::Migrate => {
                let state = setup::open_store(&config)?.migrate().await?;
                println!("the schema is up to date");
                for name in &state.newer {
                    println!("{name} was applied by a newer cdr-sync; this version works with it");
                }
                Ok(Exit::Done)
            }
            Command::Run => run::run(config, sources, clock).await,
            Command::Sync(args) => sync::run(&config, args, clock).await,
            Command::Verify(args) => verify::run(&config, args, clock).await,
            Command::Status(args) => status::run(&config, args, clock).await,
            Command::Gaps(args) => gaps::run(&config, args, clock).await,
            Command::Rejected(args) => rejected::run(&config, args, clock).await,
            Command::Resume(args) => resume::run(&config, args, clock).await,
            Command::Account(command) => account::run(&config, command).await,
            Command::Forget(args) => forget::run(&config, args).await,
            Command::Push(push::PushCommand::Replay) => push::replay(&config).await,
            Command::Push(push::PushCommand::Key)
            | Command::Simulate(_)
            | Command::Demo(_)
            | Command::Completions(_)
            | Command::Man(_) => Ok(Exit::Done),
        }
    }
}

impl Command {
    fn shows_progress(&self) -> bool {
        matches!(self, Command::Sync(_) | Command::Verify(_) | Command::Gaps(_) | Command::Rejected(_))
    }

    /// Returns `true` if others connect to it.
    fn serves(&self) -> bool {
        matches!(self, Command::Run | Command::Simulate(_) | Command::Demo(_))
    }

    /// Returns `true` if it prints and is done. What serves or syncs writes to sockets, where a closed peer
    /// raises SIGPIPE, too (hyper's writev), and must not end the process.
    fn only_prints(&self) -> bool {
        match self {
            Command::Gaps(args) => !args.retry,
            Command::Rejected(args) => !args.retry && args.acknowledge.is_empty(),
            Command::Status(_)
            | Command::Query(_)
            | Command::Push(push::PushCommand::Key)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_) => true,
            _ => false,
        }
    }
}

/// Lets `cdr-sync status | head -1` end silently: Rust ignores SIGPIPE by default, so the next line would be an error
/// and a panic.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    #[expect(
        unsafe_code,
        reason = "the default disposition runs none of this program's code in a signal handler"
    )]
    // If this fails, the command only ends less tidily.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// The span from one time to another; without an end it lasts until `now`.
fn span(from: Moment, to: Option<Moment>, now: DateTime<Utc>) -> Result<Window, CliError> {
    let (from, to) = (from.at(now), to.unwrap_or(Moment::NOW).at(now));
    let empty = || CliError::Usage(format!("--from {from} is not before --to {to}"));
    Window::new(from, to).ok_or_else(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
