//! `status`: the state of each account at a glance.

use chrono::{DateTime, TimeDelta, Utc};

use super::table::{Paint, render, span, thousands};
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::health::facts::AccountFacts;
use crate::health::{self, AccountState, Level, Problem, problems};
use crate::setup;
use crate::store::account::AccountStatus;
use crate::voicenter::said::printable;

/// Prints a table with what is wrong below it, or JSON.
pub(super) async fn run(config: &Config, as_json: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let now = clock.now();
    let accounts = AccountFacts::read_all(&store, now).await?;
    if as_json {
        let accounts: Vec<AccountStatus> = accounts.into_iter().map(|account| account.status).collect();
        println!("{}", health::status::json(&accounts, now));
        return Ok(Exit::Done);
    }
    if accounts.is_empty() {
        println!("no account has been synced yet; cdr-sync check shows whether everything is set up");
        return Ok(Exit::Done);
    }
    let paint = Paint::for_stdout();
    let poll = config.sync.poll_interval;
    let heading = ["account", "state", " behind", "history", " gaps", " rejected", "leader"];
    let rows: Vec<Vec<String>> = accounts.iter().map(|account| row(account, poll, now)).collect();
    for (line, text) in render(&heading, &rows).lines().enumerate() {
        let broken = rows
            .get(line.wrapping_sub(1))
            .and_then(|row| row.get(1))
            .is_some_and(|state| state.starts_with('✗'));
        println!(
            "{}",
            if line == 0 {
                paint.quiet(text)
            } else if broken {
                paint.bad(text)
            } else {
                text.to_owned()
            }
        );
    }
    for account in &accounts {
        let name = &account.status.name;
        let configured = config.accounts.iter().any(|known| known.name == *name);
        for problem in problems(account, configured, None, poll, now) {
            println!("\n{}", in_two_lines(name, &problem, &paint));
        }
    }
    let names: Vec<String> = accounts.iter().map(|account| account.status.name.clone()).collect();
    for (name, requests) in store.recent_work(&names).await? {
        for request in requests.iter().filter(|request| !request.is_finished()) {
            let how = match request.state.as_str() {
                "running" => format!("{:.0} % read", request.progress * 100.0),
                _ => "waiting for the daemon".to_owned(),
            };
            println!(
                "\n{} {name}: to be read again from {} to {} UTC ({}): {how}",
                paint.quiet("·"),
                request.from.format("%Y-%m-%d %H:%M:%S"),
                request.to.format("%Y-%m-%d %H:%M:%S"),
                printable(&request.reason)
            );
        }
    }
    for pair in store.shared_calls().await? {
        println!(
            "\n{} {} and {} share calls: {} of their {} newest rows are in both.\n  → Charts over both count these calls twice: leave one account out, or narrow what it reads.",
            paint.warn("!"),
            pair.account,
            pair.other,
            thousands(pair.shared.unsigned_abs()),
            thousands(pair.sampled.unsigned_abs())
        );
    }
    Ok(Exit::Done)
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
