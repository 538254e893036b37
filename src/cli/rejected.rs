//! `rejected`: lists, retries or acknowledges the records that could not be stored.

use chrono::TimeDelta;
use clap::Args;
use serde_json::json;

use super::sync::read_again;
use super::table::{CellWidth, render, time};
use super::{CliError, Exit};
use crate::cdr::RejectReason;
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;
use crate::store::Store;
use crate::store::rejected::OpenRejected;
use crate::window::Window;

/// The command lists at most this many records.
const LISTED: i64 = 200;
/// All of them, for `--json`: an account keeps at most as many.
const MOST: i64 = 100_000;
/// `--retry` reads this much before and after the date of each record.
const AROUND: TimeDelta = TimeDelta::minutes(1);

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync rejected                          list them\n  cdr-sync rejected --acknowledge 17 18      these are known and need nothing\n  cdr-sync rejected --acknowledge all\n\nExit status: 0 if there are none, 4 if there are any. Acknowledged ones do not count, and neither do records that are only duplicates of a stored one.\n\nBeside a daemon, --retry leaves the work to it and waits; Ctrl-C ends the waiting, not the work."
)]
pub(super) struct RejectedArgs {
    /// Ask the API for them again now.
    #[arg(long)]
    pub(super) retry: bool,
    /// Leave it to the daemon, and do not wait for it.
    #[arg(long, requires = "retry")]
    no_wait: bool,
    /// These are known and need nothing: status and exit status count them no longer. Give their numbers, or the word all.
    #[arg(long, value_name = "NUMBER", num_args = 1.., value_delimiter = ',', value_parser = which, conflicts_with_all = ["retry", "all"])]
    pub(super) acknowledge: Vec<Which>,
    /// List those that were acknowledged as well.
    #[arg(long)]
    all: bool,
    /// Print JSON instead of a table.
    #[arg(long, conflicts_with_all = ["retry", "acknowledge"])]
    json: bool,
}

/// Which records are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    One(i64),
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "all" => Ok(Which::All),
        number => number.parse().map(Which::One).map_err(|_| {
            "expected the number of a record (the first column of cdr-sync rejected), or all".to_owned()
        }),
    }
}

/// Lists the open rejected records, reads the time around them again, or acknowledges them.
pub(super) async fn run(config: &Config, args: RejectedArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    if !args.acknowledge.is_empty() {
        return acknowledge(&store, &args.acknowledge).await;
    }
    let most = if args.json { MOST } else { LISTED };
    let mut rejected = store.rejected(None, most).await?;
    let is_cut = rejected.len() as i64 == most;
    let acknowledged = rejected.iter().filter(|record| record.acknowledged_at.is_some()).count();
    if !args.all {
        rejected.retain(|record| record.acknowledged_at.is_none());
    }
    let exit = if rejected.iter().any(counts) { Exit::Incomplete } else { Exit::Done };
    if args.json {
        println!("{}", json!(rejected));
        return Ok(exit);
    }
    for (account, count) in store.rejected_left_out().await? {
        println!("account {account}: {count} older ones were deleted, because there were too many");
    }
    if rejected.is_empty() {
        match acknowledged {
            0 => println!("no rejected records"),
            _ => println!("no rejected records but those acknowledged (--all lists them)"),
        }
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
    list(&rejected, is_cut);
    Ok(exit)
}

/// Returns `true` for a record that somebody should look at.
fn counts(record: &OpenRejected) -> bool {
    record.acknowledged_at.is_none() && record.reason != RejectReason::DuplicateKey.as_str()
}

fn list(rejected: &[OpenRejected], is_cut: bool) {
    let shown = CellWidth::on_stdout();
    let rows: Vec<Vec<String>> = rejected
        .iter()
        .map(|record| {
            let acknowledged = if record.acknowledged_at.is_some() { " (acknowledged)" } else { "" };
            vec![
                record.id.to_string(),
                record.account.clone(),
                format!("{}{acknowledged}", record.reason.replace('_', " ")),
                record.error.clone().unwrap_or_default(),
                record.started_at.map_or("-".into(), time),
                record.times_seen.to_string(),
                time(record.last_seen_at),
                shown.cell(&record.raw),
            ]
        })
        .collect();
    let heading = [" number", "account", "reason", "error", "date (UTC)", " seen", "last seen", "record"];
    println!("{}", render(&heading, &rows));
    if is_cut {
        println!("\nThese are {LISTED} of them; the table cdr_sync.rejected has all of them.");
    }
    if rejected.iter().any(|record| record.reason == RejectReason::DuplicateKey.as_str()) {
        println!(
            "\nduplicate key: another record has the same CallID and Type and a later Date; the later one is stored."
        );
    }
    println!(
        "\nThey are tried again whenever the API returns them. cdr-sync rejected --retry asks for them at once; \
         cdr-sync rejected --acknowledge NUMBER says that one needs nothing."
    );
}

async fn acknowledge(store: &Store, which: &[Which]) -> Result<Exit, CliError> {
    let wanted: Vec<i64> = which
        .iter()
        .filter_map(|which| match which {
            Which::One(id) => Some(*id),
            Which::All => None,
        })
        .collect();
    let ids = if which.contains(&Which::All) { None } else { Some(wanted.as_slice()) };
    let mut done = Vec::new();
    for account in store.account_names().await? {
        done.extend(store.acknowledge(&account, ids).await?);
    }
    println!("{} rejected records are acknowledged", done.len());
    let missed: Vec<String> =
        wanted.iter().filter(|id| ids.is_some() && !done.contains(id)).map(ToString::to_string).collect();
    if missed.is_empty() {
        return Ok(Exit::Done);
    }
    eprintln!(
        "cdr-sync: no open rejected record has the number {}; or it was acknowledged before (cdr-sync rejected --all)",
        missed.join(", ")
    );
    Ok(Exit::Failed)
}
