//! `push`: keys for the receiver of CDR notifications, and another try at what it did not understand.

use clap::Subcommand;

use super::{CliError, Exit};
use crate::config::Config;
use crate::push::{KeyHash, new_key};
use crate::setup;
use crate::store::push::PushState;

#[derive(Subcommand, Clone, Copy, Debug)]
pub(super) enum PushCommand {
    /// Make a key: the key itself on the first line, what push.keys needs on the second.
    #[command(
        after_help = "Example:\n  cdr-sync push key\n\nThe first line belongs into the address that is entered in cPanel: https://HOST/push/ACCOUNT/KEY. It is shown only now. The second line belongs into push.keys."
    )]
    Key,
    /// Read again what was not understood when it came, for example after an upgrade.
    #[command(
        after_help = "Example:\n  cdr-sync push replay\n\nExit status: 0 if everything is understood now, 4 if something is not. Bodies that are not understood are kept."
    )]
    Replay,
}

/// Prints a new key and its hash.
pub(super) fn make_key() -> Result<Exit, CliError> {
    let key =
        new_key().map_err(|error| CliError::Failed(format!("the system has no random numbers: {error}")))?;
    println!("{key}\n{}", KeyHash::of(&key));
    Ok(Exit::Done)
}

/// Reads again what was not understood when it came. Exit status 4 if some of it still is not.
pub(super) async fn replay(config: &Config) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let accounts = store.accounts_with_unread_pushes().await?;
    let mut exit = Exit::Done;
    for account in &accounts {
        let (mut understood, mut left) = (0_u64, 0_u64);
        for state in [PushState::Rejected, PushState::Unsupported] {
            let mut last = None;
            while let Some(push) = store.next_unread_push(account, state, last.as_ref()).await? {
                let reading = push.read();
                store.note_push_reading(account, &push, &reading).await?;
                match reading.state {
                    PushState::New | PushState::Forgotten => understood += 1,
                    PushState::Rejected | PushState::Unsupported => left += 1,
                }
                last = Some(push);
            }
        }
        println!("{account}: {understood} CDR notifications are understood now, {left} are not");
        if left > 0 {
            exit = Exit::Incomplete;
        }
    }
    if accounts.is_empty() {
        println!("there are no CDR notifications that were not understood");
    }
    Ok(exit)
}
