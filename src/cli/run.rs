//! `run`: the daemon.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::reload::Reloads;
use super::{CliError, Exit};
use crate::app::{App, AppError};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config, RetentionConfig, Sources};
use crate::http::{self, AccountSettings, Web};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::sync::leadership::Leases;
use crate::sync::status::ProgressWatch;
use crate::sync::supervisor::{self, Common};
use crate::sync::{Account, DATABASE};
use crate::systemd;
use crate::telemetry;

/// How often the diary of windows is compacted.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Keeps every account in sync until SIGTERM or SIGINT; SIGHUP reads the configuration again.
pub(super) async fn run(
    config: Config,
    sources: Sources<Vec<(String, String)>>,
    clock: Clock,
) -> Result<Exit, CliError> {
    App::validate(&config)?;
    let mut generation = Configured::first(config)?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        systemd::stopping();
        tracing::info!(event = "stopping", "finishing what is being stored; a second signal ends at once");
        stopper.cancel();
    });
    let mut reloads = Reloads::new(sources, clock.clone());
    ignore_user_signals();
    let web = Web::new(
        generation.page_store.clone(),
        clock.clone(),
        generation.metrics.clone(),
        generation.page_settings(),
    );
    let watched = web.clone();
    let _watchdog = systemd::watch(clock.clone(), move || watched.stuck().is_empty());
    let served = serve(&generation.config, &web, &stop).await?;
    let sound = loop {
        let next = {
            let own_stop = stop.child_token();
            let mut keeping = std::pin::pin!(generation.keep_in_sync(&web, &clock, own_stop.clone()));
            let next = tokio::select! {
                sound = &mut keeping => break sound?,
                next = generation.next(&mut reloads) => next,
            };
            own_stop.cancel();
            let sound = keeping.await?;
            if !sound || stop.is_cancelled() {
                break sound;
            }
            next
        };
        generation.replaced_by(&next);
        reloads.took_effect();
        generation = next;
        let Configured { page_store, metrics, .. } = &generation;
        web.show(page_store.clone(), metrics.clone(), generation.page_settings());
    };
    stop.cancel();
    let served_to_the_end = end_of_serving(served).await;
    tracing::info!(event = "stopped");
    Ok(if sound && served_to_the_end { Exit::Done } else { Exit::Failed })
}

/// What one configuration is made into. Reading another is as good as a restart, except that the server stays.
struct Configured {
    config: Config,
    store: Store,
    page_store: Store,
    metrics: Metrics,
    watches: BTreeMap<String, ProgressWatch>,
    /// Accounts that were built to see that it can be done.
    accounts: Option<Vec<Account>>,
}

impl Configured {
    /// Made without touching the database: it may have to be waited for.
    fn first(config: Config) -> Result<Self, CliError> {
        let store = App::store(&config)?;
        let page_store = App::page_store(&config, &store);
        Self::new(config, store, page_store, None)
    }

    fn new(
        config: Config,
        store: Store,
        page_store: Store,
        accounts: Option<Vec<Account>>,
    ) -> Result<Self, CliError> {
        let metrics = Metrics::new().map_err(|error| CliError::Failed(error.to_string()))?;
        telemetry::count_dropped_lines(metrics.log_lines_dropped());
        let watch = |account: &AccountConfig| {
            let counts = metrics.account(&account.name);
            counts.budget(account.requests_per_minute);
            (account.name.clone(), ProgressWatch::new(counts))
        };
        let watches = config.accounts.iter().map(watch).collect();
        Ok(Self { config, store, page_store, metrics, watches, accounts })
    }

    /// What comes after this one: a configuration that differs, and was seen to work.
    async fn next(&self, reloads: &mut Reloads) -> Self {
        loop {
            let config = reloads.next(&self.config).await;
            match self.successor(config).await {
                Ok(next) => return next,
                Err(error) => reloads.try_again(error.to_string()),
            }
        }
    }

    async fn successor(&self, config: Config) -> Result<Self, CliError> {
        let keys = self.config.changed_keys(&config);
        let (store, page_store) = match keys.iter().any(|key| key.starts_with("database.")) {
            true => {
                let store = App::store(&config)?;
                let page_store = App::page_store(&config, &store);
                (store, page_store)
            }
            false => (self.store.clone(), self.page_store.clone()),
        };
        let accounts = prepare(&config, &store).await?.accounts;
        Self::new(config, store, page_store, Some(accounts))
    }

    /// Says what changed, by name alone.
    fn replaced_by(&self, next: &Self) {
        let keys = self.config.changed_keys(&next.config);
        let changed = keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let accounts = next.config.accounts.len();
        tracing::info!(
            event = "configuration_reloaded",
            changed,
            accounts,
            "every account starts again under the new configuration"
        );
        let keys = Config::needing_restart(&keys).join(", ");
        if !keys.is_empty() {
            tracing::warn!(
                event = "restart_needed",
                keys,
                "these take effect when the process is started again"
            );
        }
    }

    /// Migrates, and keeps every account in sync until `stop`. `false` when a fault of ours ended it.
    async fn keep_in_sync(
        &self,
        web: &Web,
        clock: &Clock,
        stop: CancellationToken,
    ) -> Result<bool, CliError> {
        let Self { config, store, .. } = self;
        let accounts = match &self.accounts {
            Some(accounts) => accounts.clone(),
            None => {
                tokio::select! {
                    () = stop.cancelled() => return Ok(true),
                    prepared = prepare_when_there(config, store, web, clock) => prepared?.accounts,
                }
            }
        };
        web.migrated();
        systemd::ready();
        systemd::status("keeping the table in sync");
        tracing::info!(event = "started", version = env!("CARGO_PKG_VERSION"), accounts = accounts.len());
        warn_of_unconfigured(store, &accounts).await;
        warn_of_shared_calls(store).await;
        show_last_successes(store, &self.watches).await;
        let house = keep_house(store.clone(), clock.clone(), config.retention);
        let _housekeeping = AbortOnDropHandle::new(tokio::spawn(house));
        let common = Common { store: store.clone(), clock: clock.clone(), leases: Leases::new(store) };
        Ok(supervisor::run(accounts, common, self.watches.clone(), stop).await)
    }

    fn page_settings(&self) -> http::PageSettings {
        let settings = |account: &AccountConfig| {
            let watch = self.watches.get(&account.name).cloned().unwrap_or_default();
            let requests_per_minute = account.requests_per_minute;
            (account.name.clone(), AccountSettings { requests_per_minute, watch })
        };
        http::PageSettings {
            poll_interval: self.config.sync.poll_interval,
            hosts: self.config.http.hosts.clone(),
            accounts: self.config.accounts.iter().map(settings).collect(),
        }
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
        tracing::error!(
            event = "server_ended",
            panicked = ended.is_err(),
            "page and metrics are gone: ending"
        );
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
async fn show_last_successes(store: &Store, watches: &BTreeMap<String, ProgressWatch>) {
    for (account, lane, at) in store.last_successes().await.unwrap_or_default() {
        if let Some(watch) = watches.get(&account) {
            watch.metrics.success(&lane, at);
        }
    }
}

/// The schema brought up to date and the accounts built; a database that is away, or lets nobody in, is waited for.
async fn prepare_when_there(
    config: &Config,
    store: &Store,
    web: &Web,
    clock: &Clock,
) -> Result<App, CliError> {
    let mut failures = 0;
    loop {
        let error = match prepare(config, store).await {
            Ok(app) => return Ok(app),
            Err(CliError::Store(error) | CliError::App(AppError::Store(error))) if error.is_unavailable() => {
                error
            }
            Err(error) => return Err(error),
        };
        failures += 1;
        let wait = DATABASE.wait(failures, fastrand::f64(), None);
        tracing::warn!(event = "database_away", seconds = wait.as_secs(), %error, "waiting for it");
        web.not_migrated(&error);
        systemd::status("waiting for the database");
        clock.sleep(wait).await;
    }
}

async fn prepare(config: &Config, store: &Store) -> Result<App, CliError> {
    store.migrate().await?;
    Ok(App::build(config, store.clone()).await?)
}

/// An account that only the database knows goes stale: say so.
async fn warn_of_unconfigured(store: &Store, accounts: &[Account]) {
    let Ok(known) = store.status().await else { return };
    for account in known.iter().filter(|known| accounts.iter().all(|account| account.name != known.name)) {
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

async fn keep_house(store: Store, clock: Clock, retention: RetentionConfig) {
    loop {
        if let Err(error) = clean_up(&store, &clock, retention).await {
            tracing::warn!(event = "housekeeping_failed", %error, "trying again in an hour");
        }
        clock.sleep(HOUSEKEEPING).await;
    }
}

async fn clean_up(store: &Store, clock: &Clock, retention: RetentionConfig) -> Result<(), StoreError> {
    store.compact_window_reads(clock.now()).await?;
    let trimmed = store.trim_rejected(clock.now()).await?;
    if trimmed > 0 {
        tracing::warn!(
            event = "rejected_trimmed",
            records = trimmed,
            "the oldest of very many records that cannot be stored were deleted: see cdr-sync rejected"
        );
    }
    if let Some(kept) = retention.history {
        while store.trim_history(kept, clock.now()).await? > 0 {}
    }
    Ok(())
}

/// SIGUSR1 and SIGUSR2 mean something to other daemons, and their default is to kill: here they mean nothing.
fn ignore_user_signals() {
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // Once listened to, a signal keeps its handler, which only takes note of it.
        if let Err(error) = signal(kind) {
            tracing::error!(event = "no_signals", %error, "SIGUSR1 and SIGUSR2 cannot be ignored");
        }
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
        telemetry::flush_hurried();
        std::process::exit(128 + number);
    });
}
