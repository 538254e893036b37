//! `verify`: the API against the table.

use indicatif::MultiProgress;

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

/// Compares every account within `span`; changes nothing. With `details` it lists what differs.
pub(super) async fn run(
    config: &Config,
    span: Window,
    details: bool,
    clock: Clock,
) -> Result<Exit, CliError> {
    if span.from() >= clock.now() {
        return Err(CliError::Usage("the span is in the future: there is nothing to compare yet".into()));
    }
    let store = setup::open_store(config)?;
    let accounts = setup::accounts(config, &store).await?;
    let bars = MultiProgress::new();
    let (mut rows, mut different) = (Vec::new(), Vec::new());
    let mut equal = true;
    for account in accounts {
        let (name, watch) = (account.name.clone(), ProgressWatch::default());
        let shown = progress::show(&bars, &name, watch.clone());
        let verified = verify(account, &store, clock.clone(), span, watch, details).await?;
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
        rows.push(row(name, &verified));
    }
    println!("{}", render(&HEADING, &rows));
    if !different.is_empty() {
        println!("\n{}", render(&DETAILS, &different));
    }
    Ok(if equal { Exit::Done } else { Exit::Incomplete })
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
