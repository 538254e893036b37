//! `account`: pauses and resumes an account, renames and forgets one that the configuration renames or no longer has.

use std::io::{IsTerminal, Write};

use clap::Subcommand;

use super::table::thousands;
use super::{CliError, Exit};
use crate::config::Config;
use crate::setup;
use crate::store::Store;
use crate::store::account::AccountStatus;
use crate::sync::SyncError;
use crate::sync::leadership::{Leadership, Leases};
use crate::sync::status::Heart;
use crate::voicenter::said::printable;

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Pause an account: nothing is asked of the API for it until it is resumed. Its rows stay.
    #[command(
        after_help = "Example:\n  cdr-sync account pause sales --reason \"moving to another PBX\"\n\nA running daemon notices within about five seconds. The pause outlasts restarts, and status and page show it. verify, query and check still ask\nwhen they are called. What is missed meanwhile is read once the account is resumed."
    )]
    Pause {
        /// The account's name.
        name: String,
        /// Why, for whoever sees that it is paused.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End an account's pause.
    #[command(
        after_help = "Example:\n  cdr-sync account resume sales\n\nA running daemon notices within about five seconds."
    )]
    Resume {
        /// The account's name.
        name: String,
    },
    /// Rename an account in its rows and in the ledger; nothing is read again.
    #[command(after_help = "Example:\n  cdr-sync account rename default sales")]
    Rename {
        /// The account's present name in the database.
        old: String,
        /// The name that the configuration will use.
        new: String,
    },
    /// Remove an account from the ledger; its rows stay unless --delete is given.
    #[command(
        after_help = "Examples:\n  cdr-sync account forget sales            keep its rows\n  cdr-sync account forget sales --delete   delete them as well"
    )]
    Forget {
        /// The account's name in the database.
        name: String,
        /// Delete its rows and their history as well.
        #[arg(long)]
        delete: bool,
        /// Do not ask before deleting.
        #[arg(long, requires = "delete")]
        yes: bool,
    },
}

pub(super) async fn run(config: &Config, command: AccountCommand) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    match command {
        AccountCommand::Pause { name, reason } => pause(&store, &name, reason.as_deref()).await,
        AccountCommand::Resume { name } => resume(&store, &name).await,
        AccountCommand::Rename { old, new } => rename(config, &store, &old, &new).await,
        AccountCommand::Forget { name, delete, yes } => forget(config, &store, &name, delete, yes).await,
    }
}

async fn pause(store: &Store, name: &str, reason: Option<&str>) -> Result<Exit, CliError> {
    let known = store.status().await?;
    let status = known.iter().find(|account| account.name == name).ok_or_else(|| unknown(&known, name))?;
    let pause = store.pause_account(name, reason).await?;
    if status.pause.is_some() {
        println!("account {name} was already {}", printable(&pause.to_string()));
        return Ok(Exit::Done);
    }
    println!("account {name} is paused; cdr-sync account resume {name} ends that");
    if let Some(leader) = &status.leader {
        println!("{leader} stops reading it within about five seconds");
    }
    Ok(Exit::Done)
}

async fn resume(store: &Store, name: &str) -> Result<Exit, CliError> {
    let known = store.status().await?;
    if !known.iter().any(|account| account.name == name) {
        return Err(unknown(&known, name));
    }
    match store.end_pause(name).await? {
        Some(pause) => println!("account {name} is resumed; it was {}", printable(&pause.to_string())),
        None => println!("account {name} is not paused; cdr-sync resume {name} ends what else it waits for"),
    }
    Ok(Exit::Done)
}

async fn rename(config: &Config, store: &Store, old: &str, new: &str) -> Result<Exit, CliError> {
    let known = store.status().await?;
    find(&known, old)?.ok_or_else(|| unknown(&known, old))?;
    if new.is_empty() || new.len() > 200 {
        return Err(CliError::Usage("an account's name must have 1 to 200 bytes".into()));
    }
    if known.iter().any(|account| account.name == new) {
        return Err(CliError::Failed(format!(
            "the database already has an account {new:?}, and two accounts cannot be merged. \
             If its rows are not needed, remove it first: cdr-sync account forget {new} --delete"
        )));
    }
    // Rows of two accounts under one name would be one account whose ledger covers only half of them.
    if store.has_rows(new).await? {
        return Err(CliError::Failed(format!(
            "there are still rows of a forgotten account {new:?}. \
             If they are not needed, delete them first: cdr-sync account forget {new} --delete"
        )));
    }
    let leads = lead(store, old).await?;
    store.rename_account(old, new).await?;
    leads.release().await;
    println!("account {old} is now {new}");
    if config.accounts.iter().any(|account| account.name == old) {
        println!(
            "rename it in the configuration, too, before the next start; otherwise {old} is read again from the start"
        );
    }
    Ok(Exit::Done)
}

async fn forget(
    config: &Config,
    store: &Store,
    name: &str,
    delete: bool,
    yes: bool,
) -> Result<Exit, CliError> {
    let known = store.status().await?;
    if find(&known, name)?.is_none() {
        if !store.has_rows(name).await? {
            return Err(unknown(&known, name));
        }
        if !delete {
            return Err(CliError::Failed(format!(
                "account {name} has already been forgotten, and its rows remain; --delete deletes them as well"
            )));
        }
    }
    let rows = store.count_rows(name).await?.unsigned_abs();
    if delete && !yes && !confirmed(name, rows)? {
        println!("nothing was changed");
        return Ok(Exit::Failed);
    }
    let leads = lead(store, name).await?;
    let deleted = store.forget_account(name, delete).await?;
    leads.release().await;
    if delete {
        println!("account {name} is forgotten, and its {} rows have been deleted", thousands(deleted));
    } else {
        println!(
            "account {name} is forgotten; its {} rows remain, but they are no longer updated",
            thousands(rows)
        );
    }
    if config.accounts.iter().any(|account| account.name == name) {
        println!("the configuration still contains it: the next start reads all of it again");
    }
    Ok(Exit::Done)
}

/// The account, if the ledger has it; an error while a process keeps it in sync.
fn find<'a>(known: &'a [AccountStatus], name: &str) -> Result<Option<&'a AccountStatus>, CliError> {
    let found = known.iter().find(|account| account.name == name);
    match found.and_then(|account| account.leader.as_ref()) {
        Some(leader) => Err(CliError::Failed(format!("{leader} keeps {name} in sync: stop it first"))),
        None => Ok(found),
    }
}

/// Takes the account's lease, so that no daemon starts to sync it meanwhile: a daemon whose account is paused has
/// released the lease and takes it again later.
async fn lead(store: &Store, name: &str) -> Result<Leadership, CliError> {
    match Leases::new(store).take(name, &Heart::default()).await {
        Ok(leads) => Ok(leads),
        Err(SyncError::Led { holder, .. }) => {
            Err(CliError::Failed(format!("{holder} keeps {name} in sync: stop it first")))
        }
        Err(error) => Err(CliError::Failed(error.to_string())),
    }
}

fn unknown(known: &[AccountStatus], name: &str) -> CliError {
    let names: Vec<_> = known.iter().map(|account| account.name.as_str()).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    CliError::Usage(format!("the database has no account {name:?}; it has: {names}"))
}

/// Asks on a terminal; elsewhere --delete alone is enough.
fn confirmed(name: &str, rows: u64) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    print!("delete {} rows of {name} and their history? [y/N] ", thousands(rows));
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
