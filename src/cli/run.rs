//! `run`: the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CliError, Exit};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::pace::Backoff;
use crate::store::Store;
use crate::sync::leadership;
use crate::sync::supervisor::{self, Common};

/// How often the diary of windows is compacted.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Keeps every account in sync until SIGTERM or SIGINT.
pub(super) async fn run(config: &Config, clock: Clock) -> Result<Exit, CliError> {
    config.require_accounts()?;
    let store = App::store(config)?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!(event = "stopping", "finishing what is being stored; a second signal ends at once");
        stopper.cancel();
    });
    let starting = migrate_when_there(config, &store, &clock);
    tokio::select! {
        () = stop.cancelled() => return Ok(Exit::Done),
        migrated = starting => migrated?,
    }
    let app = App::build(config, store.clone()).await?;
    tracing::info!(event = "started", version = env!("CARGO_PKG_VERSION"), accounts = app.accounts.len());
    warn_of_unconfigured(&app).await;
    let boards = app
        .accounts
        .iter()
        .map(|account| (account.name.clone(), Default::default()))
        .collect::<BTreeMap<_, _>>();
    let housekeeping = tokio::spawn(keep_house(store.clone(), clock.clone()));
    let common = Common { store: store.clone(), clock, holder: leadership::this_process() };
    supervisor::run(app.accounts, common, boards, stop).await;
    housekeeping.abort();
    tracing::info!(event = "stopped");
    Ok(Exit::Done)
}

/// The schema brought up to date; a database that is away is waited for.
async fn migrate_when_there(config: &Config, store: &Store, clock: &Clock) -> Result<(), CliError> {
    let backoff = Backoff { min: Duration::from_secs(1), max: config.api.backoff_max };
    let mut failures = 0;
    loop {
        match store.migrate().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_away() => {
                failures += 1;
                let wait = backoff.wait(failures, fastrand::f64(), None);
                tracing::warn!(event = "database_away", seconds = wait.as_secs(), %error, "waiting for it");
                clock.sleep(wait).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// An account that only the database knows goes stale: say so.
async fn warn_of_unconfigured(app: &App) {
    let Ok(known) = app.store.status().await else { return };
    for account in known.iter().filter(|known| app.accounts.iter().all(|account| account.name != known.name))
    {
        tracing::warn!(
            event = "account_not_configured",
            account = account.name,
            "the database has this account, the configuration does not: its rows go stale"
        );
    }
}

async fn keep_house(store: Store, clock: Clock) {
    loop {
        if let Err(error) = store.compact_window_reads(clock.now()).await {
            tracing::warn!(event = "housekeeping_failed", %error, "trying again in an hour");
        }
        clock.sleep(HOUSEKEEPING).await;
    }
}

/// Returns at the first SIGTERM or SIGINT; the second ends the process at once.
pub(super) async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!(event = "no_signals", "signals cannot be handled; kill -9 is safe at any time");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        let number = tokio::select! {
            _ = terminate.recv() => 15,
            _ = interrupt.recv() => 2,
        };
        std::process::exit(128 + number);
    });
}
