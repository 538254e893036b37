//! `sync`: one pass over all accounts.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::MultiProgress;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ask_the_daemon::{self, Asked, merged, numbers};
use super::moment::{Moment, moment};
use super::progress;
use super::run::stop_signal;
use super::table::{span as span_text, thousands};
use super::{CliError, Exit, span};
use crate::clock::{Clock, monotonic};
use crate::config::Config;
use crate::plan::Mode;
use crate::setup;
use crate::store::Store;
use crate::store::account::AccountStatus;
use crate::store::action::ActionKind;
use crate::store::calls::SliceSize;
use crate::store::pause::Pause;
use crate::sync::engine::Engine;
use crate::sync::leadership::Leases;
use crate::sync::status::{Progress, ProgressWatch};
use crate::sync::{Account, SyncError};
use crate::voicenter::said::printable;
use crate::window::Window;

/// A pause is noticed within this time, as by a daemon.
const LOOK_FOR_PAUSE: Duration = Duration::from_secs(5);
/// A pass gives up after the ledger was changed by others this many times.
const RELOADS: u32 = 5;

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync sync                                      read everything up to now\n  cdr-sync sync --from 2026-11-01 --to 2026-11-02    read that day again\n  cdr-sync sync --from -2h                           read the last two hours again"
)]
pub(super) struct SyncArgs {
    /// Read again from this time on: RFC 3339, a day (midnight UTC), or relative such as -2h, today, yesterday.
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Read up to, but not including, this time [default: now].
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true, requires = "from")]
    to: Option<Moment>,
    /// Leave it to the daemon, and do not wait for it.
    #[arg(long, requires = "from")]
    no_wait: bool,
}

/// Reads everything up to now, or only a span again.
pub(super) async fn run(config: &Config, args: SyncArgs, clock: Clock) -> Result<Exit, CliError> {
    let span = args.from.map(|from| span(from, args.to, clock.now())).transpose()?;
    let no_wait = args.no_wait;
    setup::validate(config)?;
    let store = setup::open_store(config)?;
    store.migrate().await?;
    let accounts = setup::accounts(config, &store).await?;
    let work: Vec<_> = accounts.into_iter().map(|account| (account, span.into_iter().collect())).collect();
    if no_wait {
        return leave(&store, work, "sync").await;
    }
    let mode = if span.is_some() { Mode::Asked } else { Mode::Pass };
    pass(&store, work, mode, "sync", clock).await
}

/// Reads spans again, each for its account.
pub(super) async fn read_again(
    config: &Config,
    spans: Vec<(&str, Window)>,
    reason: &'static str,
    no_wait: bool,
    clock: Clock,
) -> Result<Exit, CliError> {
    let store = setup::open_store(config)?;
    let accounts = setup::accounts(config, &store).await?;
    let mut work = Vec::new();
    for account in accounts {
        let own = spans.iter().filter(|(name, _)| *name == account.name).map(|(_, span)| *span);
        let own = merged(own.collect());
        if !own.is_empty() {
            work.push((account, own));
        }
    }
    if work.is_empty() {
        return Err(CliError::Failed("none of these accounts is configured".into()));
    }
    if no_wait {
        return leave(&store, work, reason).await;
    }
    pass(&store, work, Mode::Asked, reason, clock).await
}

/// Asks the daemon, now or whenever one starts, and returns.
async fn leave(store: &Store, work: Vec<(Account, Vec<Window>)>, reason: &str) -> Result<Exit, CliError> {
    for (account, spans) in work {
        let ids = ask_the_daemon::ask(store, &account.name, &spans, reason).await?;
        println!("{}: left to the daemon (cdr_sync.request {})", account.name, numbers(&ids));
    }
    Ok(Exit::Done)
}

/// Runs one pass over some accounts concurrently, each with the spans asked for.
async fn pass(
    store: &Store,
    work: Vec<(Account, Vec<Window>)>,
    mode: Mode,
    reason: &'static str,
    clock: Clock,
) -> Result<Exit, CliError> {
    let began = Began { at: clock.now(), started: monotonic() };
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        stopper.cancel();
    });
    let bars = MultiProgress::new();
    let mut tasks = JoinSet::new();
    for (account, spans) in work {
        let (store, clock, stop) = (store.clone(), clock.clone(), stop.clone());
        let watch = ProgressWatch::default();
        let shown = progress::show(&bars, &account.name, watch.clone());
        tasks.spawn(async move {
            let name = account.name.clone();
            let ended =
                one(account, spans.clone(), mode, store.clone(), clock, watch.clone(), stop.clone()).await;
            // A daemon leads the account, so it does the work. Another command would not.
            let asked = match &ended {
                Err(SyncError::Led { holder, .. })
                    if mode == Mode::Asked
                        && !stop.is_cancelled()
                        && store.daemons().await.is_ok_and(|daemons| daemons.contains(holder)) =>
                {
                    Some(left_to(holder, &store, &name, &spans, reason, &watch, &stop).await)
                }
                _ => None,
            };
            drop(shown);
            (name, ended, asked, watch.read())
        });
    }
    let (mut exit, mut is_own) = (Exit::Done, false);
    while let Some(ended) = tasks.join_next().await {
        let (name, ended, asked, progress) =
            ended.map_err(|error| CliError::Failed(format!("a task panicked: {error}")))?;
        let _ = bars.clear();
        if let Some(asked) = asked {
            exit = worse(exit, report_asked(store, &name, asked, began).await?);
            continue;
        }
        is_own = true;
        exit = worse(exit, report(store, &name, ended, &progress, began).await?);
    }
    if stop.is_cancelled() && is_own {
        eprintln!(
            "cdr-sync: stopped before the end; what was read is stored, and the next start continues there"
        );
        exit = worse(exit, Exit::Failed);
    }
    Ok(exit)
}

async fn left_to(
    holder: &str,
    store: &Store,
    account: &str,
    spans: &[Window],
    reason: &str,
    watch: &ProgressWatch,
    stop: &CancellationToken,
) -> Result<Asked, CliError> {
    let ids = ask_the_daemon::ask(store, account, spans, reason).await?;
    eprintln!(
        "cdr-sync: account {account}: left to the daemon, {holder} (cdr_sync.request {}); Ctrl-C ends the waiting, not the work",
        numbers(&ids)
    );
    ask_the_daemon::wait(store, account, ids, watch, stop).await
}

async fn report_asked(
    store: &Store,
    name: &str,
    asked: Result<Asked, CliError>,
    began: Began,
) -> Result<Exit, CliError> {
    Ok(match asked {
        Ok(Asked::Finished(requests)) => {
            let mut exit = Exit::Done;
            for request in requests {
                let span = format!(
                    "{} to {}",
                    request.from.format("%Y-%m-%d %H:%M:%S"),
                    request.to.format("%Y-%m-%d %H:%M:%S UTC")
                );
                if request.state == "done" {
                    let remark = request.error.as_deref().map(|remark| format!(": {}", printable(remark)));
                    println!("{name}: the daemon has read {span} again{}", remark.unwrap_or_default());
                } else {
                    // Whoever ends a request by hand need not say why.
                    let error = request.error.as_deref().unwrap_or("withdrawn");
                    println!("{name}: {span}: {}", printable(error));
                    exit = Exit::Incomplete;
                }
            }
            let status = store.status().await?;
            let status = status.iter().find(|status| status.name == name);
            worse(exit, report_left(store, name, status, began).await?)
        }
        Ok(Asked::Left(ids)) => {
            println!("{name}: the daemon goes on with it (cdr_sync.request {})", numbers(&ids));
            Exit::Failed
        }
        Err(error) => {
            eprintln!("cdr-sync: {error}");
            error.exit()
        }
    })
}

async fn one(
    account: Account,
    spans: Vec<Window>,
    mode: Mode,
    store: Store,
    clock: Clock,
    watch: ProgressWatch,
    stop: CancellationToken,
) -> Result<(), SyncError> {
    let leases = Leases::new(&store);
    let mut reloads = 0;
    loop {
        let opening =
            Engine::open(account.clone(), store.clone(), clock.clone(), &leases, mode, watch.clone());
        let mut engine = opening.await?;
        if mode == Mode::Asked && reloads == 0 {
            let spans: Vec<String> = spans.iter().map(ToString::to_string).collect();
            store.note_action(&account.name, ActionKind::ReadAgain, &spans.join(", ")).await?;
        }
        let floor = engine.planner().ledger().kept_from;
        if let Some(floor) = floor.filter(|floor| spans.iter().any(|span| span.from() < *floor)) {
            eprintln!("{}", not_kept(&account.name, floor, "read"));
        }
        spans.iter().for_each(|span| engine.ask_for(*span));
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            pause = paused(&store, &account.name) => Err(SyncError::Paused { account: account.name.clone(), pause }),
            ended = engine.run() => ended,
        };
        // What cannot be stored in time is read again at the next start.
        let closed = tokio::time::timeout(std::time::Duration::from_secs(8), engine.close()).await;
        match ended.and(closed.unwrap_or(Ok(()))) {
            Err(SyncError::Store(error)) if error.is_stale() && reloads < RELOADS => {
                reloads += 1;
                tracing::warn!(event = "ledger_reloaded", account = account.name, %error);
            }
            Ok(()) if !stop.is_cancelled() => {
                // What the first commits of a long history left to be done at once.
                let mut size = SliceSize::default();
                while !stop.is_cancelled() && store.fold_calls(&account.name, &mut size).await?.has_more {}
                return Ok(());
            }
            result => return result,
        }
    }
}

/// Returns once an operator has paused the account.
async fn paused(store: &Store, account: &str) -> Pause {
    loop {
        tokio::time::sleep(LOOK_FOR_PAUSE).await;
        if let Ok(Some(pause)) = store.pause_of(account).await {
            return pause;
        }
    }
}

/// What a command leaves out of a span because of `retention.calls`.
pub(super) fn not_kept(account: &str, floor: DateTime<Utc>, done: &str) -> String {
    format!(
        "cdr-sync: account {account}: calls before {floor} are not kept (retention.calls), so nothing older is {done}",
        floor = floor.format("%Y-%m-%d %H:%M:%S UTC")
    )
}

async fn report(
    store: &Store,
    name: &str,
    ended: Result<(), SyncError>,
    progress: &Progress,
    began: Began,
) -> Result<Exit, CliError> {
    if let Err(error) = ended {
        eprintln!("cdr-sync: account {name}: {error}");
        return Ok(CliError::Sync(error).exit());
    }
    let status = store.status().await?;
    let status = status.iter().find(|status| status.name == name);
    let until = status.and_then(|status| status.cursor).map_or("-".into(), |cursor| cursor.to().to_rfc3339());
    println!(
        "{name}: synced until {until}: {} records in {} requests, {} inserted, {} updated, {} removed, in {}",
        thousands(progress.records),
        thousands(progress.requests),
        thousands(progress.inserted),
        thousands(progress.updated),
        thousands(progress.removed),
        span_text(chrono::TimeDelta::from_std(began.started.elapsed()).unwrap_or_default()),
    );
    report_left(store, name, status, began).await
}

async fn report_left(
    store: &Store,
    name: &str,
    status: Option<&AccountStatus>,
    began: Began,
) -> Result<Exit, CliError> {
    let (gaps, rejected) = status.map_or((0, 0), |status| (status.gaps, status.rejected));
    if gaps + rejected == 0 {
        return Ok(Exit::Done);
    }
    println!("{name}: {gaps} open gaps (cdr-sync gaps), {rejected} rejected records (cdr-sync rejected)");
    // A duplicate of a stored record is there for as long as the API returns both: it counts once.
    let counts = gaps + store.rejected_to_tell(name, began.at).await?;
    Ok(if counts > 0 { Exit::Incomplete } else { Exit::Done })
}

/// When a pass began, by the wall clock and for measuring.
#[derive(Clone, Copy, Debug)]
struct Began {
    at: DateTime<Utc>,
    started: Instant,
}

/// The exit status that matters more to the caller: wrong usage, a refused credential, a failure, then incomplete.
fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Done => 0,
        Exit::Incomplete => 1,
        Exit::Failed => 2,
        Exit::Refused => 3,
        Exit::Usage => 4,
    };
    if rank(a) >= rank(b) { a } else { b }
}
