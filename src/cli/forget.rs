//! `forget`: erases what was said in the calls of a person, or in one call, and keeps it from coming back.

use clap::Args;

use super::table::thousands;
use super::{CliError, Exit};
use crate::config::Config;
use crate::setup;
use crate::store::Store;
use crate::store::forget::{Erased, Forget, Forgettable};

// No `Debug`: it holds the number.
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  cdr-sync forget --account sales --phone 0541234567 --dry-run   what there is\n  cdr-sync forget --account sales --phone 0541234567\n  cdr-sync forget --account sales --call-id 202406101204550124c\n\nErases transcripts, what AI makes of the calls, and the CDR notifications with them; what is pushed about them later is not kept.\nvoicenter.cdr mirrors Voicenter's call log, so its rows stay: docs/operations.md says how they go. Runs beside a daemon, and may be cut off and run again."
)]
pub(super) struct ForgetArgs {
    /// The account, by its name in the configuration.
    #[arg(long, value_name = "NAME")]
    account: String,
    /// All calls from and to this number, however it is written, and those to come.
    #[arg(long, value_name = "NUMBER", required_unless_present = "call_id", conflicts_with = "call_id")]
    phone: Option<String>,
    /// This call.
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Only show how much there is.
    #[arg(long)]
    dry_run: bool,
}

impl std::fmt::Debug for ForgetArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForgetArgs").field("account", &self.account).field("dry_run", &self.dry_run).finish()
    }
}

/// Erases what was said in some calls. Prints how much, and what remains.
pub(super) async fn run(config: &Config, args: ForgetArgs) -> Result<Exit, CliError> {
    let what = match (args.phone, args.call_id.as_deref().map(str::trim)) {
        (Some(number), _) => Forget::Number(number),
        (None, Some(call_id)) if !call_id.is_empty() => Forget::Call(call_id.to_owned()),
        _ => return Err(CliError::Usage("--call-id is empty: give the CallID of a call".into())),
    };
    let store = setup::open_store(config)?;
    let account = args.account.as_str();
    check_account(config, &store, account).await?;
    let what = store.forget_in_one_spelling(account, what).await?;
    let what = what.map_err(|error| CliError::Usage(error.to_string()))?;
    if args.dry_run {
        let found = store.forgettable(account, &what).await?;
        let erasable = store.count_erasable(account, &found).await?;
        println!("{}: nothing was changed; to be erased:", counted(found.calls() as u64, "call"));
        print(&erasable, &found);
        return Ok(Exit::Done);
    }
    // First of all nothing may come back, whatever happens next.
    let is_new = store.forget_from_now_on(account, &what).await?;
    let found = store.forgettable(account, &what).await?;
    let erased = store.erase(account, &found).await?;
    let before = if is_new { "" } else { " (it was forgotten before)" };
    println!("{} of {account} forgotten{before}; erased:", counted(found.calls() as u64, "call"));
    print(&erased, &found);
    match what {
        Forget::Number(_) => {
            println!(
                "Of calls from and to this number, no notification and no analysis is kept from now on."
            );
        }
        Forget::Call(_) => println!("Of this call, no notification and no analysis is kept from now on."),
    }
    Ok(Exit::Done)
}

fn print(erased: &Erased, found: &Forgettable) {
    println!("  {} with an analysis", counted(erased.analyses, "call"));
    println!("  {} of transcripts", counted(erased.lines, "line"));
    println!("  {} of CDR notifications", counted(erased.bodies, "body"));
    println!("  {} made of CDR notifications", counted(erased.pushed, "row"));
    if found.mirrored > 0 || found.versions > 0 {
        println!(
            "What remains: {} of voicenter.cdr and {} of voicenter.cdr_history, with numbers, names and links to recordings. They mirror \
             Voicenter's call log: have the calls and recordings deleted at Voicenter, and let retention.calls and retention.history \
             delete the rows (docs/operations.md).",
            counted(found.mirrored.unsigned_abs(), "row"),
            counted(found.versions.unsigned_abs(), "row")
        );
    }
    println!("Backups, log archives, copies in BI tools and files in push.spool are not reached from here.");
}

fn counted(number: u64, what: &str) -> String {
    match (number, what) {
        (1, _) => format!("1 {what}"),
        (_, "body") => format!("{} bodies", thousands(number)),
        _ => format!("{} {what}s", thousands(number)),
    }
}

/// Forgetting for an account that is misspelt would leave everything where it is, and say that it is gone.
async fn check_account(config: &Config, store: &Store, account: &str) -> Result<(), CliError> {
    let mut names: Vec<String> = store.account_names().await?;
    names.extend(config.accounts.iter().map(|account| account.name.clone()));
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name == account) || store.has_rows(account).await? {
        return Ok(());
    }
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    Err(CliError::Usage(format!("there is no account {account:?}; there are: {names}")))
}
