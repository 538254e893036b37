//! `gaps`: lists or retries the spans that could not be read in full.

use clap::Args;
use serde_json::{Value, json};

use super::sync::read_again;
use super::table::{CellWidth, render, span, time};
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Exit status: 0 if there are none, 4 if there are any.\n\nBeside a daemon, --retry leaves the work to it and waits; Ctrl-C ends the waiting, not the work."
)]
pub(super) struct GapsArgs {
    /// Ask the API for them again now.
    #[arg(long)]
    pub(super) retry: bool,
    /// Leave it to the daemon, and do not wait for it.
    #[arg(long, requires = "retry")]
    no_wait: bool,
    /// Print JSON instead of a table.
    #[arg(long, conflicts_with = "retry")]
    json: bool,
}

/// Lists the open gaps, or reads them again.
pub(super) async fn run(config: &Config, args: GapsArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let gaps = store.gaps(None).await?;
    let exit = if gaps.is_empty() { Exit::Done } else { Exit::Incomplete };
    if args.json {
        let gaps: Vec<Value> = gaps
            .iter()
            .map(|gap| {
                json!({
                    "account": gap.account, "from": gap.window.from(), "to": gap.window.to(), "reason": gap.reason,
                    "tries": gap.tries, "opened_at": gap.opened_at, "next_try_at": gap.next_try_at,
                    "last_error": gap.last_error,
                })
            })
            .collect();
        println!("{}", json!(gaps));
        return Ok(exit);
    }
    if gaps.is_empty() {
        println!("no open gaps");
        return Ok(exit);
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
    Ok(exit)
}
