//! `status`: the state of each account at a glance.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::pushes;
use super::run::stop_signal;
use super::table::{Paint, render, span, thousands};
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::health::facts::AccountFacts;
use crate::health::{self, AccountState, Level, Problem, ProblemKind, problems};
use crate::setup;
use crate::store::Store;
use crate::store::account::AccountStatus;
use crate::store::push_figures::PushFigures;
use crate::voicenter::said::printable;

/// Of more accounts it is not counted which records had a notification.
const WITH_FIGURES: usize = 10;

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync status\n  cdr-sync status --watch\n  cdr-sync status --json | jq '.accounts[].lag_seconds'\n\nExit status: 0 if all is well, 4 if an account is in trouble."
)]
pub(super) struct StatusArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Show it again and again, this many seconds apart, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5", conflicts_with = "json",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

/// Prints a table with what is wrong below it, or JSON.
pub(super) async fn run(config: &Config, args: StatusArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    if args.json {
        let now = clock.now();
        let accounts = AccountFacts::read_all(&store, now).await?;
        let exit = exit(config, &accounts, now);
        let accounts = accounts.iter().map(|account| (&account.status, &account.overview));
        println!("{}", health::status::json(accounts, now));
        return Ok(exit);
    }
    let Some(seconds) = args.watch else {
        let (text, exit) = shown(config, &store, clock.now(), true).await?;
        print!("{text}");
        return Ok(exit);
    };
    watch(config, &store, Duration::from_secs(seconds), &clock).await
}

/// Shows it again and again, on a terminal always from its first line on. A database that does not answer is shown, too.
async fn watch(config: &Config, store: &Store, every: Duration, clock: &Clock) -> Result<Exit, CliError> {
    let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    // Noticed from the start on, also while the database is asked.
    let mut stop = tokio::spawn(stop_signal());
    loop {
        let now = clock.now();
        let (text, exit) = match shown(config, store, now, false).await {
            Err(CliError::Store(error)) => (format!("{error}\n"), Exit::Failed),
            shown => shown?,
        };
        let mut out = std::io::stdout().lock();
        write!(out, "{clear}{} UTC, every {} s\n\n{text}", now.format("%Y-%m-%d %H:%M:%S"), every.as_secs())?;
        if clear.is_empty() {
            writeln!(out)?;
        }
        out.flush()?;
        drop(out);
        tokio::select! {
            _ = &mut stop => return Ok(exit),
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Without accounts in this shell's configuration nothing can be said about what the daemon's contains; whoever is led is
/// configured there.
fn is_configured(config: &Config, account: &AccountStatus) -> bool {
    config.accounts.is_empty()
        || account.leader.is_some()
        || account.pause.is_some()
        || account.paused_until.is_some()
        || config.accounts.iter().any(|known| known.name == account.name)
}

fn exit(config: &Config, accounts: &[AccountFacts], now: DateTime<Utc>) -> Exit {
    let poll = config.sync.poll_interval;
    let is_bad = |account: &AccountFacts| {
        let configured = is_configured(config, &account.status);
        // Between two passes of a timer nobody leads an account, and for a moment while a daemon restarts: if that lasts, it falls behind.
        let counts = |problem: &Problem| problem.level == Level::Bad && problem.kind != ProblemKind::NoLeader;
        problems(account, configured, None, poll, now).iter().any(counts)
    };
    if accounts.iter().any(is_bad) { Exit::Incomplete } else { Exit::Done }
}

/// The table, and below it what is wrong.
async fn shown(
    config: &Config,
    store: &Store,
    now: DateTime<Utc>,
    with_figures: bool,
) -> Result<(String, Exit), CliError> {
    let accounts = AccountFacts::read_all(store, now).await?;
    if accounts.is_empty() {
        let text = "no account has been synced yet; cdr-sync check shows whether everything is set up\n";
        return Ok((text.to_owned(), Exit::Done));
    }
    let paint = Paint::for_stdout();
    let poll = config.sync.poll_interval;
    let mut text = String::new();
    let heading = ["account", "state", " behind", "history", " gaps", " rejected", "leader"];
    let rows: Vec<Vec<String>> = accounts.iter().map(|account| row(account, poll, now)).collect();
    for (line, plain) in render(&heading, &rows).lines().enumerate() {
        let broken = rows
            .get(line.wrapping_sub(1))
            .and_then(|row| row.get(1))
            .is_some_and(|state| state.starts_with('✗'));
        let line = if line == 0 {
            paint.quiet(plain)
        } else if broken {
            paint.bad(plain)
        } else {
            plain.to_owned()
        };
        text.push_str(&format!("{line}\n"));
    }
    for account in &accounts {
        let configured = is_configured(config, &account.status);
        for problem in problems(account, configured, None, poll, now) {
            text.push_str(&format!("\n{}\n", in_two_lines(&account.status.name, &problem, &paint)));
        }
        if let Some(pause) = &account.status.pause {
            text.push_str(&format!("  {}\n", printable(&pause.to_string())));
        }
    }
    let names: Vec<String> = accounts.iter().map(|account| account.status.name.clone()).collect();
    for (name, requests) in store.recent_work(&names).await? {
        for request in requests.iter().filter(|request| !request.is_finished()) {
            let how = match request.state.as_str() {
                "running" => format!("{:.0} % read", request.progress * 100.0),
                _ => "waiting for the daemon".to_owned(),
            };
            text.push_str(&format!(
                "\n{} {name}: to be read again from {} to {} UTC ({}): {how}\n",
                paint.quiet("·"),
                request.from.format("%Y-%m-%d %H:%M:%S"),
                request.to.format("%Y-%m-%d %H:%M:%S"),
                printable(&request.reason)
            ));
        }
    }
    let with_pushes = accounts.iter().filter(|account| account.overview.pushes.is_some()).count();
    for account in &accounts {
        if let Some(pushes) = &account.overview.pushes {
            // They take a while each: the state of the accounts is not to wait for many, nor to be missing if they fail.
            let figures = match with_figures && with_pushes <= WITH_FIGURES {
                true => store.push_figures(&account.status.name, now).await.unwrap_or_default(),
                false => PushFigures::default(),
            };
            let line = pushes::in_words(pushes, &figures, now);
            text.push_str(&format!("\n{} {}: {line}\n", paint.quiet("·"), account.status.name));
        }
    }
    for pair in store.shared_calls().await? {
        text.push_str(&format!(
            "\n{} {} and {} share calls: {} of their {} newest rows are in both.\n  → Charts over both count these calls twice: leave one account out, or narrow what it reads.\n",
            paint.warn("!"),
            pair.account,
            pair.other,
            thousands(pair.shared.unsigned_abs()),
            thousands(pair.sampled.unsigned_abs())
        ));
    }
    Ok((text, exit(config, &accounts, now)))
}

/// A problem in two lines: what, and what to do.
fn in_two_lines(name: &str, problem: &Problem, paint: &Paint) -> String {
    let sign = match problem.level {
        Level::Bad => paint.bad("✗"),
        Level::Warn => paint.warn("!"),
        Level::Note => paint.quiet("·"),
    };
    format!("{sign} {name}: {}\n  → {}", problem.text, problem.advice)
}

fn row(account: &AccountFacts, poll: TimeDelta, now: DateTime<Utc>) -> Vec<String> {
    let status = &account.status;
    let behind = status.cursor.map(|cursor| (now - cursor.to()).max(TimeDelta::zero()));
    vec![
        status.name.clone(),
        state(account, poll, now).to_owned(),
        behind.map_or("-".into(), span),
        history(account),
        thousands(status.gaps.unsigned_abs()),
        thousands(status.rejected.unsigned_abs()),
        status.leader.clone().unwrap_or_else(|| "-".into()),
    ]
}

fn state(account: &AccountFacts, poll: TimeDelta, now: DateTime<Utc>) -> &'static str {
    match health::state(account, poll, now) {
        AccountState::PausedByHand => "‖ paused by hand",
        AccountState::Paused => "✗ paused",
        AccountState::Starting => "starting",
        AccountState::Behind => "✗ behind",
        AccountState::NoLeader => "✗ no leader",
        AccountState::Fresh => "✓ fresh",
    }
}

fn history(account: &AccountFacts) -> String {
    let status = &account.status;
    let Some(cursor) = status.cursor else { return "not read yet".into() };
    let day = |instant: DateTime<Utc>| instant.format("%Y-%m-%d").to_string();
    let from = day(cursor.from());
    if account.unread <= TimeDelta::zero() {
        return format!("complete from {from}");
    }
    format!("from {from}, {} to {} left", span(account.unread), day(status.history_start))
}
