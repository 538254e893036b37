//! `rejected`: lists or retries the records that could not be stored.

use chrono::TimeDelta;

use super::sync::read_again;
use super::table::{CellWidth, render, time};
use super::{CliError, Exit, RetryArgs};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;
use crate::window::Window;

/// The command lists at most this many records.
const LISTED: i64 = 200;
/// `--retry` reads this much before and after the date of each record.
const AROUND: TimeDelta = TimeDelta::minutes(1);

/// Lists the open rejected records, or reads the time around them again.
pub(super) async fn run(config: &Config, args: RetryArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let rejected = store.rejected(None, LISTED).await?;
    for (account, count) in store.rejected_left_out().await? {
        println!("account {account}: {count} older ones were deleted, because there were too many");
    }
    if rejected.is_empty() {
        println!("no rejected records");
        return Ok(Exit::Done);
    }
    if args.retry {
        let dated = rejected.iter().filter_map(|record| {
            let date = record.started_at?;
            Some((record.account.as_str(), Window::new(date - AROUND, date + AROUND)?))
        });
        let dated: Vec<_> = dated.collect();
        let undated = rejected.len() - dated.len();
        if undated > 0 {
            println!(
                "{undated} records have no date to search by; cdr-sync sync --from --to reads a span again"
            );
        }
        return read_again(config, dated, "rejected", args.no_wait, clock).await;
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
        println!("\nThese are the newest {LISTED}; the table cdr_sync.rejected has all of them.");
    }
    if rejected.iter().any(|record| record.reason == "duplicate_key") {
        println!(
            "\nduplicate key: another record has the same CallID and Type and a later Date; the later one is stored."
        );
    }
    println!(
        "\nThey are tried again whenever the API returns them. cdr-sync rejected --retry asks for them at once."
    );
    Ok(Exit::Incomplete)
}
