//! `run`: the daemon.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CliError, Exit};
use crate::app::{App, AppError};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config};
use crate::http::{self, AccountSettings, Web};
use crate::metrics::Metrics;
use crate::pace::Backoff;
use crate::service;
use crate::store::Store;
use crate::sync::leadership;
use crate::sync::status::Board;
use crate::sync::supervisor::{self, Common};

/// How often the diary of windows is compacted.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Keeps every account in sync until SIGTERM or SIGINT.
pub(super) async fn run(config: &Config, clock: Clock) -> Result<Exit, CliError> {
    App::validate(config)?;
    let store = App::store(config)?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        service::stopping();
        tracing::info!(event = "stopping", "finishing what is being stored; a second signal ends at once");
        stopper.cancel();
    });
    let _watchdog = service::watch(clock.clone());
    let metrics = Metrics::new().map_err(|error| CliError::Failed(error.to_string()))?;
    let board = |account: &AccountConfig| {
        let counts = metrics.account(&account.name);
        counts.budget(account.requests_per_minute);
        (account.name.clone(), Board::new(counts))
    };
    let boards: BTreeMap<String, Board> = config.accounts.iter().map(board).collect();
    let web = Web::new(store.clone(), clock.clone(), metrics, page_settings(config, &boards));
    let served = serve(config, &web, &stop).await?;
    let app = tokio::select! {
        () = stop.cancelled() => return Ok(Exit::Done),
        app = build_when_there(config, &store, &web, &clock) => app?,
    };
    web.migrated();
    service::ready();
    service::status("keeping the table in sync");
    tracing::info!(event = "started", version = env!("CARGO_PKG_VERSION"), accounts = app.accounts.len());
    warn_of_unconfigured(&app).await;
    warn_of_shared_calls(&store).await;
    show_last_successes(&store, &boards).await;
    let housekeeping = tokio::spawn(keep_house(store.clone(), clock.clone()));
    let common = Common { store: store.clone(), clock, holder: leadership::this_process() };
    let sound = supervisor::run(app.accounts, common, boards, stop).await;
    housekeeping.abort();
    let served_to_the_end = end_of_serving(served).await;
    tracing::info!(event = "stopped");
    Ok(if sound && served_to_the_end { Exit::Done } else { Exit::Failed })
}

fn page_settings(config: &Config, boards: &BTreeMap<String, Board>) -> http::Settings {
    let settings = |account: &AccountConfig| {
        let board = boards.get(&account.name).cloned().unwrap_or_default();
        (account.name.clone(), AccountSettings { requests_per_minute: account.requests_per_minute, board })
    };
    http::Settings {
        poll_interval: config.sync.poll_interval,
        accounts: config.accounts.iter().map(settings).collect(),
    }
}

/// Serves page, probes and metrics, if they are wanted. Should the server end, the daemon ends: a process that nobody
/// can watch is not to be trusted.
async fn serve(
    config: &Config,
    web: &Web,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<bool>>, CliError> {
    let Some(listen) = config.http.listen else { return Ok(None) };
    let listener = http::bind(listen).await.map_err(|error| CliError::Failed(error.to_string()))?;
    let address = listener.local_addr()?;
    tracing::info!(event = "listening", %address, "page, probes and metrics");
    let (web, stop) = (web.clone(), stop.clone());
    Ok(Some(tokio::spawn(async move {
        let serving = AssertUnwindSafe(http::serve(listener, web, stop.clone())).catch_unwind();
        let ended = serving.await;
        if stop.is_cancelled() {
            return true;
        }
        let error = ended.map(|ended| ended.err().map(|error| error.to_string()));
        tracing::error!(event = "server_ended", error = ?error, "page and metrics are gone: ending");
        stop.cancel();
        false
    })))
}

/// Open connections get a moment. `false` when the server had ended by itself.
async fn end_of_serving(served: Option<JoinHandle<bool>>) -> bool {
    let Some(mut served) = served else { return true };
    let ended = tokio::time::timeout(Duration::from_secs(1), &mut served).await;
    served.abort();
    matches!(ended, Ok(Ok(true)) | Err(_))
}

/// So that a restart does not look like a standstill.
async fn show_last_successes(store: &Store, boards: &BTreeMap<String, Board>) {
    for (account, lane, at) in store.last_successes().await.unwrap_or_default() {
        if let Some(board) = boards.get(&account) {
            board.metrics.success(&lane, at);
        }
    }
}

/// The schema brought up to date and the accounts built; a database that is away, or lets nobody in, is waited for.
async fn build_when_there(config: &Config, store: &Store, web: &Web, clock: &Clock) -> Result<App, CliError> {
    let backoff = Backoff { min: Duration::from_secs(1), max: config.api.backoff_max };
    let mut failures = 0;
    loop {
        let built = async {
            store.migrate().await?;
            App::build(config, store.clone()).await
        };
        match built.await {
            Err(AppError::Store(error)) if error.is_away() => {
                failures += 1;
                let wait = backoff.wait(failures, fastrand::f64(), None);
                tracing::warn!(event = "database_away", seconds = wait.as_secs(), %error, "waiting for it");
                web.not_migrated(&error);
                service::status("waiting for the database");
                clock.sleep(wait).await;
            }
            built => return Ok(built?),
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

/// Calls that stand under two accounts are counted twice by every chart over both.
async fn warn_of_shared_calls(store: &Store) {
    for pair in store.shared_calls().await.unwrap_or_default() {
        tracing::warn!(
            event = "accounts_share_calls",
            account = pair.account,
            other = pair.other,
            shared = pair.shared,
            sampled = pair.sampled,
            "two accounts see the same calls: charts over both count them twice"
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
