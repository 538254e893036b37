//! `verify`: the API against the table.

use clap::Args;
use indicatif::MultiProgress;
use serde_json::{Value, json};

use super::moment::{Moment, moment};
use super::progress;
use super::sync::not_kept;
use super::table::{render, thousands};
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;
use crate::store::calls::CallsCompared;
use crate::sync::status::ProgressWatch;
use crate::sync::verify::{Difference, Verified, verify};
use crate::window::Window;

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync verify --from 2026-11-01 --to 2026-11-08\n  cdr-sync verify --from yesterday --to today --details\n  cdr-sync verify --from -2h --json"
)]
pub(super) struct VerifyArgs {
    /// Compare from this time on: RFC 3339, a day (midnight UTC), or relative such as -2h, today, yesterday.
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    from: Moment,
    /// Compare up to, but not including, this time [default: now].
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    to: Option<Moment>,
    /// List the records that differ, and the columns that differ in each.
    #[arg(long)]
    details: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Compares every account within a span; changes nothing.
pub(super) async fn run(config: &Config, args: VerifyArgs, clock: Clock) -> Result<Exit, CliError> {
    let span = super::span(args.from, args.to, clock.now())?;
    if span.from() >= clock.now() {
        return Err(CliError::Usage("the span is in the future: there is nothing to compare yet".into()));
    }
    let store = setup::open_store(config)?;
    let accounts = setup::accounts(config, &store).await?;
    let bars = MultiProgress::new();
    let (mut rows, mut different, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut equal = true;
    for account in accounts {
        let (name, watch) = (account.name.clone(), ProgressWatch::default());
        let shown = progress::show(&bars, &name, watch.clone());
        let verified = verify(account, &store, clock.clone(), span, watch, args.details).await?;
        drop(shown);
        let _ = bars.clear();
        if let Some(floor) = verified.kept_from {
            eprintln!("{}", not_kept(&name, floor, "compared"));
        }
        for hole in &verified.unread {
            eprintln!("cdr-sync: account {name}: the API did not return {hole} in full");
        }
        if verified.has_wrong_calls() {
            let CallsCompared { calls, wrong, wrong_quarters, wrong_days, .. } = verified.calls;
            eprintln!(
                "cdr-sync: account {name}: {wrong} of {calls} calls in voicenter.calls, and the counts of {wrong_quarters} \
                 quarters of an hour and of {wrong_days} days, differ from the records: please report it"
            );
        }
        equal &= verified.is_equal();
        different.extend(verified.details.iter().map(|difference| detail(&name, difference)));
        all.push(as_json(&name, &verified));
        rows.push(row(name, &verified));
    }
    let exit = if equal { Exit::Done } else { Exit::Incomplete };
    if args.json {
        println!("{}", json!({ "from": span.from(), "to": span.to(), "equal": equal, "accounts": all }));
        return Ok(exit);
    }
    println!("{}", render(&HEADING, &rows));
    if !different.is_empty() {
        println!("\n{}", render(&DETAILS, &different));
    }
    Ok(exit)
}

fn as_json(account: &str, verified: &Verified) -> Value {
    let CallsCompared { calls, wrong, wrong_quarters, wrong_days, .. } = verified.calls;
    let span = |window: &Window| json!({ "from": window.from(), "to": window.to() });
    let details = verified.details.iter().map(|difference| {
        json!({
            "what": difference.kind.as_str(), "call_id": difference.key.call_id, "type": difference.key.call_type,
            "started_at": difference.started_at, "columns": difference.fields,
        })
    });
    json!({
        "account": account, "equal": verified.is_equal(), "at_the_api": verified.at_the_api,
        "in_the_table": verified.in_the_table, "missing": verified.missing, "different": verified.different,
        "extra": verified.extra, "rejected": verified.rejected, "unread": verified.unread.iter().map(span).collect::<Vec<_>>(),
        "kept_from": verified.kept_from, "details": details.collect::<Vec<_>>(),
        "calls": { "compared": calls, "wrong": wrong, "wrong_quarters": wrong_quarters, "wrong_days": wrong_days },
    })
}

/// The heading of the comparison.
pub(crate) const HEADING: [&str; 7] =
    ["account", " at the API", " in the table", " missing", " different", " extra", " rejected"];

const DETAILS: [&str; 6] = ["account", "what", "CallID", "Type", "Date (UTC)", "columns"];

fn detail(account: &str, difference: &Difference) -> Vec<String> {
    vec![
        account.to_owned(),
        difference.kind.as_str().to_owned(),
        difference.key.call_id.clone(),
        difference.key.call_type.clone(),
        difference.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        difference.fields.join(", "),
    ]
}

fn row(name: String, verified: &Verified) -> Vec<String> {
    let counts = [
        verified.at_the_api,
        verified.in_the_table,
        verified.missing,
        verified.different,
        verified.extra,
        verified.rejected,
    ];
    std::iter::once(name).chain(counts.map(thousands)).collect()
}
