//! `check --semantics`: what an account's own records say about questions that the API's documents leave open.

use chrono::TimeDelta;

use super::table::render;
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;
use crate::store::semantics::Sign;

/// Long enough for rare statuses, short enough for a large account.
const LOOKED_AT: TimeDelta = TimeDelta::days(30);

pub(super) async fn run(config: &Config, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    for account in config.require_accounts()? {
        let signs = store.semantics(&account.name, clock.now() - LOOKED_AT).await?;
        if signs.iter().all(|sign| sign.of == 0) {
            println!("account {}: no records in the last 30 days\n", account.name);
            continue;
        }
        println!("account {}: records of the last 30 days\n", account.name);
        let rows: Vec<Vec<String>> = signs.iter().map(row).collect();
        println!("{}\n", render(&["of", "how many", " count", " of", " %"], &rows));
    }
    println!(
        "How voicenter.calls reads them stands in voicenter.dial_statuses and in the COMMENTs of wait_seconds and talk_seconds.\n\
         Where these figures contradict it, please report them: they hold no name and no number."
    );
    Ok(Exit::Done)
}

fn row(sign: &Sign) -> Vec<String> {
    let share = if sign.of == 0 { "-".to_owned() } else { percent(sign.count, sign.of) };
    vec![sign.among.clone(), sign.said.clone(), sign.count.to_string(), sign.of.to_string(), share]
}

/// With one decimal.
fn percent(count: i64, of: i64) -> String {
    let tenths = (i128::from(count) * 1000 + i128::from(of) / 2) / i128::from(of);
    format!("{}.{}", tenths / 10, tenths % 10)
}
