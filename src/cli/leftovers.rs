//! `gaps` and `rejected`: what could not be read or stored, and another try at it.

use std::io::IsTerminal;

use chrono::{DateTime, TimeDelta, Utc};

use super::sync::pass;
use super::table::{render, span};
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::plan::Mode;
use crate::setup;
use crate::window::Window;

/// So many rejected records are listed.
const LISTED: i64 = 200;
/// Around a rejected record, so much is read again.
const AROUND: TimeDelta = TimeDelta::minutes(1);

/// Lists the open gaps, or reads them again.
pub(super) async fn gaps(config: &Config, retry: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let gaps = store.gaps(None).await?;
    if gaps.is_empty() {
        println!("no open gaps");
        return Ok(Exit::Done);
    }
    if retry {
        let spans = gaps.iter().map(|gap| (gap.account.as_str(), gap.window)).collect::<Vec<_>>();
        return read_again(config, spans, clock).await;
    }
    let shown = CellWidth::on_stdout();
    let rows: Vec<Vec<String>> = gaps
        .iter()
        .map(|gap| {
            vec![
                gap.account.clone(),
                time(gap.window.from()),
                time(gap.window.to()),
                span(gap.window.len()),
                gap.reason.replace('_', " "),
                gap.tries.to_string(),
                time(gap.next_try_at),
                shown.cell(gap.last_error.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let heading = ["account", "from (UTC)", "to", " long", "why", " tries", "next try", "last error"];
    println!("{}", render(&heading, &rows));
    println!(
        "\nThe daemon tries them again by itself. With it stopped, cdr-sync gaps --retry does so at once."
    );
    Ok(Exit::Incomplete)
}

/// Lists the open rejected records, or reads the time around them again.
pub(super) async fn rejected(config: &Config, retry: bool, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
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
    let shown = CellWidth::on_stdout();
    let rows: Vec<Vec<String>> = rejected
        .iter()
        .map(|record| {
            vec![
                record.account.clone(),
                record.reason.replace('_', " "),
                record.error.clone().unwrap_or_default(),
                record.started_at.map_or("-".into(), time),
                record.times_seen.to_string(),
                time(record.last_seen_at),
                shown.cell(&record.raw),
            ]
        })
        .collect();
    let heading = ["account", "reason", "error", "date (UTC)", " seen", "last seen", "record"];
    println!("{}", render(&heading, &rows));
    if rejected.len() as i64 == LISTED {
        println!("\nThese are the newest {LISTED}; cdr_sync.rejected has all.");
    }
    if rejected.iter().any(|record| record.reason == "duplicate_key") {
        println!(
            "\nduplicate key: another record has the same CallID and Type, and a later Date; that one is stored."
        );
    }
    println!(
        "\nThey are tried again whenever they come. With the daemon stopped, cdr-sync rejected --retry asks for them at once."
    );
    Ok(Exit::Incomplete)
}

fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How much of a long text a cell shows: on a terminal what fits into a line or so, else all.
struct CellWidth(usize);

impl CellWidth {
    fn on_stdout() -> Self {
        Self(if std::io::stdout().is_terminal() { 60 } else { usize::MAX })
    }

    fn cell(&self, text: &str) -> String {
        let text = text.replace(['\n', '\r', '\t'], " ");
        if text.chars().count() <= self.0 {
            return text;
        }
        text.chars().take(self.0).chain(['…']).collect()
    }
}

/// Reads spans again, each for its account.
async fn read_again(config: &Config, spans: Vec<(&str, Window)>, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let accounts = setup::accounts(config, &store).await?;
    let mut work = Vec::new();
    for account in accounts {
        let own: Vec<Window> =
            spans.iter().filter(|(name, _)| *name == account.name).map(|(_, span)| *span).collect();
        if !own.is_empty() {
            work.push((account, own));
        }
    }
    if work.is_empty() {
        return Err(CliError::Failed("none of these accounts is configured".into()));
    }
    pass(&store, work, Mode::Asked, clock).await
}
