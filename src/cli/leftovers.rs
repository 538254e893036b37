//! `gaps` and `rejected`: what could not be read or stored, and another try at it.

use chrono::TimeDelta;

use super::sync::pass;
use super::table::render;
use super::{CliError, Exit};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::window::Window;
use crate::window::planner::Mode;

/// So many rejected records are listed.
const LISTED: i64 = 200;
/// Around a rejected record, so much is read again.
const AROUND: TimeDelta = TimeDelta::minutes(1);

/// Lists the open gaps, or reads them again.
pub(super) async fn gaps(config: &Config, retry: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = App::store(config)?;
    let gaps = store.gaps(None).await?;
    if gaps.is_empty() {
        println!("no open gaps");
        return Ok(Exit::Done);
    }
    if retry {
        let spans = gaps.iter().map(|gap| (gap.account.as_str(), gap.window)).collect::<Vec<_>>();
        return read_again(config, spans, clock).await;
    }
    let rows: Vec<Vec<String>> = gaps
        .iter()
        .map(|gap| {
            vec![
                gap.account.clone(),
                gap.window.from().to_rfc3339(),
                gap.window.to().to_rfc3339(),
                gap.reason.clone(),
                gap.tries.to_string(),
                gap.next_try_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
                gap.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    println!("{}", render(&["account", "from", "to", "reason", " tries", "next try", "last error"], &rows));
    Ok(Exit::Incomplete)
}

/// Lists the open rejected records, or reads the time around them again.
pub(super) async fn rejected(config: &Config, retry: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = App::store(config)?;
    let rejected = store.rejected(None, LISTED).await?;
    if rejected.is_empty() {
        println!("no rejected records");
        return Ok(Exit::Done);
    }
    if retry {
        let dated = rejected.iter().filter_map(|record| {
            let date = record.started_at?;
            Some((record.account.as_str(), Window::new(date - AROUND, date + AROUND)?))
        });
        let dated: Vec<_> = dated.collect();
        let undated = rejected.len() - dated.len();
        if undated > 0 {
            println!(
                "{undated} records have no date to look for them by; cdr-sync sync --from --to reads a span again"
            );
        }
        return read_again(config, dated, clock).await;
    }
    let rows: Vec<Vec<String>> = rejected
        .iter()
        .map(|record| {
            vec![
                record.account.clone(),
                record.reason.clone(),
                record.error.clone().unwrap_or_default(),
                record.started_at.map_or("-".into(), |date| date.to_rfc3339()),
                record.times_seen.to_string(),
                record.last_seen_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
                record.raw.chars().take(120).collect(),
            ]
        })
        .collect();
    println!("{}", render(&["account", "reason", "error", "date", " seen", "last seen", "record"], &rows));
    Ok(Exit::Incomplete)
}

/// Reads spans again, each for its account.
async fn read_again(config: &Config, spans: Vec<(&str, Window)>, clock: Clock) -> Result<Exit, CliError> {
    let store = App::store(config)?;
    let app = App::build(config, store).await?;
    let mut work = Vec::new();
    for account in app.accounts {
        let own: Vec<Window> =
            spans.iter().filter(|(name, _)| *name == account.name).map(|(_, span)| *span).collect();
        if !own.is_empty() {
            work.push((account, own));
        }
    }
    if work.is_empty() {
        return Err(CliError::Failed("none of these accounts is configured".into()));
    }
    pass(&app.store, work, Mode::Asked, clock).await
}
