//! `gaps`: lists or retries the spans that could not be read in full.

use super::sync::read_again;
use super::table::{CellWidth, render, span, time};
use super::{CliError, Exit, RetryArgs};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;

/// Lists the open gaps, or reads them again.
pub(super) async fn run(config: &Config, args: RetryArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let gaps = store.gaps(None).await?;
    if gaps.is_empty() {
        println!("no open gaps");
        return Ok(Exit::Done);
    }
    if args.retry {
        let spans = gaps.iter().map(|gap| (gap.account.as_str(), gap.window)).collect::<Vec<_>>();
        return read_again(config, spans, "gaps", args.no_wait, clock).await;
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
        "\nThe daemon retries them automatically; cdr-sync resume ACCOUNT makes it try at once. cdr-sync gaps --retry asks for them now."
    );
    Ok(Exit::Incomplete)
}
