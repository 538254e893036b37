//! `resume`: ends whatever an account is waiting for.

use clap::Args;

use super::table::span;
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::setup;
use crate::voicenter::said::printable;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  cdr-sync resume sales\n\nA running daemon notices within a few seconds. If the API still refuses, the account waits again."
)]
pub(super) struct ResumeArgs {
    /// The name of the account.
    account: String,
}

/// Ends every wait of the account, and prints what it was waiting for.
pub(super) async fn run(config: &Config, args: ResumeArgs, clock: Clock) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let known = store.status().await?;
    let name = args.account.as_str();
    let configured = config.accounts.iter().any(|account| account.name == name);
    let status = known.iter().find(|status| status.name == name);
    if !configured && status.is_none() {
        let mut names: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
        names.extend(known.iter().map(|status| status.name.as_str()));
        names.sort_unstable();
        names.dedup();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(CliError::Usage(format!("there is no account {name:?}; accounts: {names}")));
    }
    let now = clock.now();
    let mut lifted = Vec::new();
    if configured {
        let accounts = setup::accounts(config, &store).await?;
        for account in accounts.iter().filter(|account| account.name == name) {
            let credential = account.rate_limit.resume().await?;
            if let Some(pause) = credential.pause {
                let left = chrono::TimeDelta::from_std(pause).unwrap_or_default();
                lifted.push(format!("the pause of its credential ({} remaining)", span(left)));
            }
            if let Some(rate) = credential.lowered_to {
                lifted.push(format!("the lowered rate of its credential ({rate} requests a minute)"));
            }
        }
    }
    if let Some(until) = store.resume_account(name).await?
        && until > now
    {
        lifted.push(format!("the wait after an error ({} remaining)", span(until - now)));
    }
    if let Some(pause) = store.end_pause(name).await? {
        lifted.push(format!("its pause: it was {}", printable(&pause.to_string())));
    }
    let gaps = store.hasten_gaps(name, now).await?;
    if gaps > 0 {
        lifted.push(format!("the waits of open gaps ({gaps}), which are retried at once"));
    }
    if lifted.is_empty() {
        println!("{name}: it is not waiting for anything");
    }
    for what in lifted {
        println!("{name}: ended {what}");
    }
    Ok(Exit::Done)
}
