//! The daemon, put together in one place: `run` and `demo` start it here.

mod housekeeping;
mod reload;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use reload::Reloads;

use crate::clock::{Clock, jitter};
use crate::config::{AccountConfig, Config};
use crate::http::{self, AccountSettings, BindError, Web};
use crate::metrics::{Metrics, MetricsError};
use crate::setup::{self, SetupError};
use crate::store::Store;
use crate::sync::leadership::Leases;
use crate::sync::status::ProgressWatch;
use crate::sync::supervisor::{self, Common};
use crate::sync::{Account, DATABASE};
use crate::systemd;
use crate::telemetry;

/// Why the daemon could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A part could not be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The address of the page.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// A fault of the metrics' own definition.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Keeps accounts in sync and shows how they are.
#[derive(Debug)]
pub(crate) struct Daemon {
    generation: Generation,
    web: Web,
    clock: Clock,
}

impl Daemon {
    /// Made without touching the database: it may have to be waited for.
    pub(crate) fn new(config: Config, clock: Clock) -> Result<Self, DaemonError> {
        setup::validate(&config)?;
        let store = setup::open_store(&config)?;
        let page_store = setup::page_store(&config, &store);
        let generation = Generation::new(config, store, page_store, None)?;
        let web = Web::new(
            generation.page_store.clone(),
            clock.clone(),
            generation.metrics.clone(),
            generation.page_settings(),
        );
        Ok(Self { generation, web, clock })
    }

    /// Binds `http.listen`; `None` where that is turned off.
    pub(crate) async fn listen(&self) -> Result<Option<TcpListener>, DaemonError> {
        match self.generation.config.http.listen {
            Some(address) => Ok(Some(http::bind(address).await?)),
            None => Ok(None),
        }
    }

    /// The progress of a configured account.
    pub(crate) fn watch(&self, account: &str) -> Option<ProgressWatch> {
        self.generation.watches.get(account).cloned()
    }

    /// Keeps every account in sync until `stop`, under each configuration that `reloads` finds. Returns `false` when a
    /// fault of the program itself ended it.
    pub(crate) async fn run(
        self,
        listener: Option<TcpListener>,
        mut reloads: Option<Reloads>,
        stop: CancellationToken,
    ) -> Result<bool, DaemonError> {
        let Self { mut generation, web, clock } = self;
        let watched = web.clone();
        let _watchdog = systemd::watch(clock.clone(), move || watched.stuck().is_empty());
        let served = listener.map(|listener| serve(listener, &web, &stop));
        let sound = loop {
            let next = {
                let own_stop = stop.child_token();
                let mut keeping = std::pin::pin!(generation.keep_in_sync(&web, &clock, own_stop.clone()));
                let next = tokio::select! {
                    sound = &mut keeping => break sound?,
                    next = generation.next(reloads.as_mut()) => next,
                };
                own_stop.cancel();
                let sound = keeping.await?;
                if !sound || stop.is_cancelled() {
                    break sound;
                }
                next
            };
            generation.replaced_by(&next);
            if let Some(reloads) = &mut reloads {
                reloads.took_effect();
            }
            generation = next;
            let Generation { page_store, metrics, .. } = &generation;
            web.show(page_store.clone(), metrics.clone(), generation.page_settings());
        };
        stop.cancel();
        Ok(end_of_serving(served).await && sound)
    }
}

/// What one configuration is made into. Reading another is as good as a restart, except that the server stays.
#[derive(Debug)]
struct Generation {
    config: Config,
    store: Store,
    page_store: Store,
    metrics: Metrics,
    watches: BTreeMap<String, ProgressWatch>,
    /// Accounts that were built to see that it can be done.
    accounts: Option<Vec<Account>>,
}

impl Generation {
    fn new(
        config: Config,
        store: Store,
        page_store: Store,
        accounts: Option<Vec<Account>>,
    ) -> Result<Self, DaemonError> {
        let metrics = Metrics::new()?;
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
    async fn next(&self, reloads: Option<&mut Reloads>) -> Self {
        let Some(reloads) = reloads else { return std::future::pending().await };
        loop {
            let config = reloads.next(&self.config).await;
            match self.successor(config).await {
                Ok(next) => return next,
                Err(error) => reloads.try_again(error.to_string()),
            }
        }
    }

    async fn successor(&self, config: Config) -> Result<Self, DaemonError> {
        let keys = self.config.changed_keys(&config);
        let (store, page_store) = match keys.iter().any(|key| key.starts_with("database.")) {
            true => {
                let store = setup::open_store(&config)?;
                let page_store = setup::page_store(&config, &store);
                (store, page_store)
            }
            false => (self.store.clone(), self.page_store.clone()),
        };
        let accounts = prepare(&config, &store).await?;
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

    /// Migrates, and keeps every account in sync until `stop`. `false` when a fault of the program itself ended it.
    async fn keep_in_sync(
        &self,
        web: &Web,
        clock: &Clock,
        stop: CancellationToken,
    ) -> Result<bool, DaemonError> {
        let Self { config, store, .. } = self;
        let accounts = match &self.accounts {
            Some(accounts) => accounts.clone(),
            None => {
                tokio::select! {
                    () = stop.cancelled() => return Ok(true),
                    prepared = prepare_when_there(config, store, web, clock) => prepared?,
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
        let housekeeping = housekeeping::run(store.clone(), clock.clone(), config.retention);
        let _housekeeping = AbortOnDropHandle::new(tokio::spawn(housekeeping));
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

/// Serves page, probes and metrics. Should the server end, the daemon ends: a process that nobody
/// can watch is not to be trusted.
fn serve(listener: TcpListener, web: &Web, stop: &CancellationToken) -> JoinHandle<bool> {
    let address = listener.local_addr().ok().map(tracing::field::display);
    tracing::info!(event = "listening", address, "page, probes and metrics");
    let (web, stop) = (web.clone(), stop.clone());
    tokio::spawn(async move {
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
    })
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

/// The schema brought up to date and the accounts built. Waits for a database that is unreachable or refuses connections.
async fn prepare_when_there(
    config: &Config,
    store: &Store,
    web: &Web,
    clock: &Clock,
) -> Result<Vec<Account>, SetupError> {
    let mut failures = 0;
    loop {
        let error = match prepare(config, store).await {
            Err(SetupError::Store(error)) if error.is_unavailable() => error,
            prepared => return prepared,
        };
        failures += 1;
        let wait = DATABASE.wait(failures, jitter(), None);
        tracing::warn!(event = "database_away", seconds = wait.as_secs(), %error, "waiting for it");
        web.not_migrated(&error);
        systemd::status("waiting for the database");
        clock.sleep(wait).await;
    }
}

async fn prepare(config: &Config, store: &Store) -> Result<Vec<Account>, SetupError> {
    store.migrate().await?;
    setup::accounts(config, store).await
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
