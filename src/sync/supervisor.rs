//! All accounts, each in a task of its own: one account's trouble is never another's.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::engine::{Engine, RESUME_EVERY, TURN, TickOutcome};
use super::events::{
    AccountStopped, ErrorNotNoted, Fenced, HandedOver, Leading, LedgerReloaded, NotLeft, NotStored, Panicked,
    PausedByHand, Resumed, Standby,
};
use super::leadership::Leases;
use super::share::{LEFT_ALONE, Share, given_up};
use super::status::ProgressWatch;
use super::{Account, DATABASE, SyncError};
use crate::allocator;
use crate::clock::Clock;
use crate::plan::Mode;
use crate::store::{Store, StoreError};

/// An account that was led for this long was healthy: earlier failures are forgotten.
const HEALTHY: TimeDelta = TimeDelta::minutes(10);
/// Grace period for the commit in progress; the rest of the 10 s is for releasing the lease.
const CLOSING: Duration = Duration::from_secs(8);

/// What all accounts of this process share.
#[derive(Clone, Debug)]
pub struct Common {
    /// The database that holds rows and ledger.
    pub store: Store,
    /// The clock, which tests can drive.
    pub clock: Clock,
    /// The leases that this process holds.
    pub leases: Leases,
}

/// Keeps every account in sync until `stop`; returns within 10 s of it. Returns `false` if a bug in this program ended
/// it instead.
pub async fn run(
    accounts: Vec<Account>,
    common: Common,
    watches: BTreeMap<String, ProgressWatch>,
    stop: CancellationToken,
) -> bool {
    let mut sound = true;
    let share = Share::default();
    let sharing = {
        let (share, common, watches) = (share.clone(), common.clone(), watches.clone());
        async move { share.watch(&common.store, &common.clock, &common.leases.holder, &watches).await }
    };
    let _sharing = AbortOnDropHandle::new(tokio::spawn(sharing));
    let mut tasks = JoinSet::new();
    for account in accounts {
        let watch = watches.get(&account.name).cloned().unwrap_or_default();
        tasks.spawn(keep_in_sync(account, common.clone(), watch, share.clone(), stop.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // `keep_in_sync` catches its engine's panics, so this is its own: end loudly rather than continue silently.
            tracing::error!(event = "supervisor_panicked", %error, "an account's task ended");
            sound = false;
            stop.cancel();
        }
    }
    if let Err(error) = common.store.leave(&common.leases.holder).await {
        NotLeft { error: &error }.emit();
    }
    sound
}

/// How long an account is not led.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: DateTime<Utc>,
    /// `true` if the ledger says so, too.
    noted: bool,
}

async fn keep_in_sync(
    account: Account,
    common: Common,
    watch: ProgressWatch,
    share: Share,
    stop: CancellationToken,
) {
    let (mut failures, mut refusals) = (0, 0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = share.may_lead(&account.name) => {}
        }
        let began = common.clock.now();
        let read_before = watch.read().windows;
        let ended = AssertUnwindSafe(lead(&account, &common, &watch, &share, &stop)).catch_unwind().await;
        watch.metrics.leads(false);
        watch.heart.rests();
        // Nothing that was in progress continues.
        watch.update(|progress| {
            (progress.reading, progress.waiting, progress.leads) = (None, None, false);
            progress.troubled = is_trouble(&ended) || progress.troubled && progress.windows == read_before;
        });
        // A long healthy period ends a series of failures.
        if common.clock.now() - began > HEALTHY {
            failures = 0;
        }
        // An answer between two refusals: the credential was valid for a while.
        if watch.read().windows > read_before {
            refusals = 0;
        }
        let wait = match ended {
            Ok(Ok(Ending::Stopped)) => return,
            Ok(Ok(Ending::HandedOver { why })) => {
                HandedOver { account: &account.name, why }.emit();
                let until = common.clock.now() + TimeDelta::from_std(LEFT_ALONE).unwrap_or_default();
                Wait { until, noted: false }
            }
            Ok(Ok(Ending::Paused) | Err(SyncError::Paused { .. })) => {
                PausedByHand { account: &account.name }.emit();
                share.is_paused(&account.name);
                continue;
            }
            Ok(Err(error @ (SyncError::Refused { .. } | SyncError::WrongZone { .. }))) => {
                refusals += 1;
                let wait = account.backoff.doubling(refusals);
                note(&account, &common, &error, wait).await
            }
            Ok(Err(error)) => {
                failures += 1;
                let wait = wait_after(&account, &error, failures);
                note(&account, &common, &error, wait).await
            }
            Err(_) => {
                failures += 1;
                Panicked { account: &account.name, failures }.emit(&watch);
                let wait = account.backoff.drawn(failures, None);
                note(&account, &common, &SyncError::Panicked, wait).await
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = common.clock.sleep_until(wait.until) => {}
            () = resumed(&account, &common, wait) => {}
        }
    }
}

/// Returns `true` if leading ended with an error of the account itself.
fn is_trouble(ended: &std::thread::Result<Result<Ending, SyncError>>) -> bool {
    match ended {
        Ok(
            Ok(_)
            | Err(SyncError::Led { .. } | SyncError::Paused { .. } | SyncError::Store(StoreError::Fenced)),
        ) => false,
        Ok(Err(SyncError::Store(error))) => !error.is_stale(),
        Ok(Err(_)) | Err(_) => true,
    }
}

fn wait_after(account: &Account, error: &SyncError, failures: u32) -> Duration {
    match error {
        SyncError::Led { expires_in, .. } => {
            (*expires_in).clamp(Duration::from_secs(1), Duration::from_secs(10))
        }
        SyncError::Store(StoreError::Fenced) => Duration::from_secs(5),
        SyncError::Store(StoreError::CommitsLost | StoreError::RowsLost) => Duration::from_secs(1),
        SyncError::Store(error) if error.is_unavailable() => DATABASE.drawn(failures, None),
        _ => account.backoff.drawn(failures, None),
    }
}

/// Reports why the account is not led for `wait` from now; returns when that ends.
async fn note(account: &Account, common: &Common, error: &SyncError, wait: Duration) -> Wait {
    let until = common.clock.now() + TimeDelta::from_std(wait).unwrap_or_default();
    match error {
        SyncError::Led { holder, .. } => {
            Standby { account: &account.name, holder }.emit();
            return Wait { until, noted: false };
        }
        SyncError::Store(StoreError::Fenced) => {
            Fenced { account: &account.name }.emit();
            return Wait { until, noted: false };
        }
        SyncError::Store(error) if error.is_stale() => {
            LedgerReloaded { account: &account.name, error }.emit();
        }
        _ => AccountStopped { account: &account.name, error, wait }.emit(),
    }
    let noting =
        common.store.note_error(&account.name, &error.to_string(), Some(until), common.clock.now()).await;
    if let Err(error) = &noting {
        ErrorNotNoted { account: &account.name, error }.emit();
    }
    Wait { until, noted: noting.is_ok() }
}

/// Returns when an operator has ended the wait: the ledger no longer has its end.
async fn resumed(account: &Account, common: &Common, wait: Wait) {
    if !wait.noted {
        return std::future::pending().await;
    }
    loop {
        common.clock.sleep(RESUME_EVERY).await;
        if let Ok(None) = common.store.waits_until(&account.name).await {
            Resumed { account: &account.name }.emit();
            return;
        }
    }
}

/// Leads one account until the stop, an error, or another leader.
async fn lead(
    account: &Account,
    common: &Common,
    watch: &ProgressWatch,
    share: &Share,
    stop: &CancellationToken,
) -> Result<Ending, SyncError> {
    let Common { store, clock, leases } = common;
    // Boxed here and below so that it takes up memory only while it runs, not for as long as the account is led.
    let opening =
        Engine::open(account.clone(), store.clone(), clock.clone(), leases, Mode::Daemon, watch.clone());
    let opening = Box::pin(opening);
    let mut engine = tokio::select! {
        () = stop.cancelled() => {
            // It may have taken the lease already.
            let _ = tokio::time::timeout(CLOSING, leases.give_back(&account.name)).await;
            return Ok(Ending::Stopped);
        }
        opened = opening => opened?,
    };
    Leading { account: &account.name }.emit(watch);
    let ended = turn_until(&mut engine, account, common, watch, share, stop).await;
    // Commit is the only truth: what does not end in time is simply read again.
    match tokio::time::timeout(CLOSING, Box::pin(engine.close())).await {
        Ok(closed) => ended.and_then(|ending| closed.map(|()| ending)),
        Err(_) => {
            NotStored { account: &account.name }.emit();
            ended
        }
    }
}

/// Why an account is no longer led although all is well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stopped,
    HandedOver {
        why: &'static str,
    },
    /// By an operator.
    Paused,
}

async fn turn_until(
    engine: &mut Engine,
    account: &Account,
    Common { clock, .. }: &Common,
    watch: &ProgressWatch,
    share: &Share,
    stop: &CancellationToken,
) -> Result<Ending, SyncError> {
    let mut asked = false;
    loop {
        if let Some(open) = share.open_work(&account.name)
            && engine.work() != open
        {
            tokio::select! {
                () = stop.cancelled() => return Ok(Ending::Stopped),
                () = Box::pin(engine.take_on_work(&open)) => {}
            }
        }
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ending::Stopped),
            () = share.pauses(&account.name) => return Ok(Ending::Paused),
            turn = Box::pin(engine.tick()) => turn?,
            () = watch.heart.stops() => return Err(SyncError::Stuck),
            () = share.relieves(&account.name, watch) => {
                let now = clock.now();
                watch.update(|progress| {
                    progress.given_up = Some(given_up(progress.given_up, now));
                    progress.failing_for = Duration::ZERO;
                });
                return Ok(Ending::HandedOver { why: "its requests have failed here for minutes" });
            }
        };
        asked |= turn == TickOutcome::Asked;
        if let TickOutcome::Idle(until) = turn {
            if std::mem::take(&mut asked) {
                allocator::give_back();
            }
            let wait = (until - clock.now()).to_std().unwrap_or_default();
            watch.heart.beats_within(wait + TURN);
            let work = engine.work();
            tokio::select! {
                () = stop.cancelled() => return Ok(Ending::Stopped),
                // Only when idle, so that nothing that was read is lost.
                () = share.takes_away(&account.name) => {
                    return Ok(Ending::HandedOver { why: "the other daemon leads fewer accounts" });
                }
                () = clock.sleep_until(until) => {}
                () = engine.gaps_resumed() => {}
                () = share.has_other_work(&account.name, work) => {}
                () = share.pauses(&account.name) => return Ok(Ending::Paused),
            }
        }
    }
}
