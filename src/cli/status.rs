//! `status`: how each account fares.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::table::{render, span};
use super::{CliError, Exit};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::account::AccountStatus;

/// Prints a table, or JSON.
pub(super) async fn run(config: &Config, as_json: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = App::store(config)?;
    let accounts = store.status().await?;
    let now = clock.now();
    if as_json {
        let accounts: Vec<Value> = accounts.iter().map(|account| json_of(account, now)).collect();
        println!("{}", json!({ "now": now, "accounts": accounts }));
        return Ok(Exit::Done);
    }
    if accounts.is_empty() {
        println!("no account was synced yet: cdr-sync check tells whether everything is set up");
        return Ok(Exit::Done);
    }
    let heading =
        ["account", "synced until", " lag", "history from", "of", " gaps", " rejected", " missing", "leader"];
    let rows: Vec<Vec<String>> = accounts.iter().map(|account| row(account, now)).collect();
    println!("{}", render(&heading, &rows));
    for account in &accounts {
        for line in remarks(account, now) {
            println!("{}: {line}", account.name);
        }
    }
    for account in
        accounts.iter().filter(|known| config.accounts.iter().all(|account| account.name != known.name))
    {
        println!("{}: in the database, but not in the configuration: its rows go stale", account.name);
    }
    Ok(Exit::Done)
}

fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn row(account: &AccountStatus, now: DateTime<Utc>) -> Vec<String> {
    let cursor = account.cursor;
    vec![
        account.name.clone(),
        cursor.map_or("-".into(), |cursor| time(cursor.to())),
        cursor.map_or("-".into(), |cursor| span(now - cursor.to())),
        cursor.map_or("-".into(), |cursor| time(cursor.from())),
        time(account.history_start),
        account.gaps.to_string(),
        account.rejected.to_string(),
        account.missing.to_string(),
        account.leader.clone().unwrap_or_else(|| "-".into()),
    ]
}

fn remarks(account: &AccountStatus, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((error, at)) = &account.last_error {
        let over = account.last_success_at.is_some_and(|success| success > *at);
        let over = if over { ", over since" } else { "" };
        lines.push(format!("last error at {}{over}: {error}", time(*at)));
    }
    lines.extend(
        account
            .paused_until
            .filter(|until| *until > now)
            .map(|until| format!("paused until {}", time(until))),
    );
    lines.extend(account.horizon.map(|floor| {
        format!("the vendor returns nothing before {}: nothing older is marked removed", time(floor))
    }));
    if account.suspicious > 0 {
        lines.push(format!("{} rows went missing at once, which is suspicious: none is marked before three reads over six hours agree", account.suspicious));
    }
    if account.gaps > 0 {
        lines.push("cdr-sync gaps tells what could not be read, and why".into());
    }
    if account.rejected > 0 {
        lines.push("cdr-sync rejected tells what could not be stored, and why".into());
    }
    lines
}

fn json_of(account: &AccountStatus, now: DateTime<Utc>) -> Value {
    json!({
        "account": account.name,
        "synced_until": account.cursor.map(|cursor| cursor.to()),
        "lag_seconds": account.cursor.map(|cursor| (now - cursor.to()).num_seconds()),
        "history_from": account.cursor.map(|cursor| cursor.from()),
        "history_start": account.history_start,
        "horizon": account.horizon,
        "last_success_at": account.last_success_at,
        "last_error": account.last_error.as_ref().map(|(error, _)| error),
        "last_error_at": account.last_error.as_ref().map(|(_, at)| at),
        "paused_until": account.paused_until,
        "open_gaps": account.gaps,
        "rejected_records": account.rejected,
        "missing_rows": account.missing,
        "suspicious_rows": account.suspicious,
        "leader": account.leader,
    })
}
