//! The daemon's composition: `run` and `demo` start it here.

mod background;
mod call_history;
mod folding;
mod housekeeping;
mod reference;
mod reload;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use call_history::CallHistories;
use reference::ReferenceLists;
pub(crate) use reload::Reloads;

use crate::clock::{Clock, jitter};
use crate::config::{AccountConfig, Config};
use crate::http::{self, AccountSettings, BindError, Web};
use crate::joining::Joining;
use crate::metrics::{Metrics, MetricsError};
use crate::notify::{Notifier, Sender};
use crate::receiver::{self, Receiver, ReceiverBindError, ReceiverLimits};
use crate::setup::{self, SetupError, Stores};
use crate::store::Store;
use crate::sync::leadership::Leases;
use crate::sync::status::ProgressWatch;
use crate::sync::supervisor::{self, Common};
use crate::sync::{Account, DATABASE};
use crate::systemd;
use crate::telemetry;

/// The last message has this long to leave once the daemon is to end.
const NOTIFYING: Duration = Duration::from_secs(2);

/// Why the daemon could not start, or could not continue.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The database, a client or an account could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The address of page, probes and metrics cannot be bound.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The address of the receiver of CDR notifications cannot be bound.
    #[error(transparent)]
    Receive(#[from] ReceiverBindError),
    /// The metrics are defined wrongly, a bug in this program.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// The bound addresses; `None` for what is turned off.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// For page, probes and metrics.
    pub(crate) page: Option<TcpListener>,
    /// For CDR notifications.
    pub(crate) push: Option<TcpListener>,
}

/// Keeps accounts in sync and serves their state.
#[derive(Debug)]
pub(crate) struct Daemon {
    generation: Generation,
    web: Web,
    receiver: Receiver,
    clock: Clock,
    /// The database is somebody's own: nothing but the configured accounts is touched.
    is_guest: bool,
}

impl Daemon {
    /// Does not connect to the database, which may have to be waited for.
    pub(crate) fn new(config: Config, clock: Clock) -> Result<Self, DaemonError> {
        setup::validate(&config)?;
        let stores = Stores::open(&config)?;
        let generation = Generation::new(config, stores, None)?;
        let web = Web::new(
            generation.stores.page.clone(),
            clock.clone(),
            generation.metrics.clone(),
            generation.page_settings(),
        );
        let receiver = generation.receiver(&clock);
        Ok(Self { generation, web, receiver, clock, is_guest: false })
    }

    /// The same on a database that other accounts may live in: no housekeeping, and no word about them.
    pub(crate) fn into_guest(self) -> Self {
        Self { is_guest: true, ..self }
    }

    /// Binds `http.listen` and `push.listen`, where they are not turned off.
    pub(crate) async fn listen(&self) -> Result<Listeners, DaemonError> {
        let Config { http, push, .. } = &self.generation.config;
        let page = match http.listen {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let push = match push.listen {
            Some(address) => Some(receiver::bind(address).await?),
            None => None,
        };
        Ok(Listeners { page, push })
    }

    /// The progress of a configured account.
    pub(crate) fn watch(&self, account: &str) -> Option<ProgressWatch> {
        self.generation.watches.get(account).cloned()
    }

    /// Keeps every account in sync until `stop`, under each configuration that `reloads` finds. Returns `false` if a
    /// bug in this program ended it.
    pub(crate) async fn run(
        self,
        listeners: Listeners,
        mut reloads: Option<Reloads>,
        stop: CancellationToken,
    ) -> Result<bool, DaemonError> {
        let Self { mut generation, web, receiver, clock, is_guest } = self;
        let watched = web.clone();
        let _watchdog = systemd::watch(clock.clone(), move || watched.stuck().is_empty());
        let page = listeners.page.map(|listener| serve_page(listener, &web, &stop));
        let pushes = listeners.push.map(|listener| serve_receiver(listener, &receiver, &stop));
        let drained = receiver.clone();
        let _draining =
            background::start("spool", &clock, &generation.metrics, move || drained.clone().drain_spool());
        let sound = loop {
            let next = {
                let own_stop = stop.child_token();
                let mut keeping = std::pin::pin!(generation.keep_in_sync(
                    &web,
                    &receiver,
                    &clock,
                    is_guest,
                    own_stop.clone()
                ));
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
            let Generation { stores, metrics, .. } = &generation;
            web.show(stores.page.clone(), metrics.clone(), generation.page_settings());
            receiver.show(&generation.config, stores.push.clone(), metrics.clone());
        };
        stop.cancel();
        Ok(end_of_serving(page).await & end_of_serving(pushes).await & sound)
    }
}

/// Everything built from one configuration. Reloading is like a restart, except that the HTTP server keeps running.
#[derive(Debug)]
struct Generation {
    config: Config,
    stores: Stores,
    metrics: Metrics,
    watches: BTreeMap<String, ProgressWatch>,
    /// Accounts that were built to prove the configuration, ready for use.
    accounts: Option<Vec<Account>>,
}

impl Generation {
    fn new(config: Config, stores: Stores, accounts: Option<Vec<Account>>) -> Result<Self, DaemonError> {
        let metrics = Metrics::new()?;
        metrics.poll_interval(config.sync.poll_interval);
        telemetry::count_dropped_lines(metrics.log_lines_dropped());
        let watch = |account: &AccountConfig| {
            let counts = metrics.account(&account.name);
            counts.budget(account.requests_per_minute);
            (account.name.clone(), ProgressWatch::new(counts))
        };
        let watches = config.accounts.iter().map(watch).collect();
        Ok(Self { config, stores, metrics, watches, accounts })
    }

    /// The next generation: a different configuration that was found to work.
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
        let stores = match keys.iter().any(|key| key.starts_with("database.")) {
            true => Stores::open(&config)?,
            false => self.stores.clone(),
        };
        let accounts = prepare(&config, &stores.sync).await?;
        Self::new(config, stores, Some(accounts))
    }

    /// Logs the names of the changed keys, without values.
    fn replaced_by(&self, next: &Self) {
        let keys = self.config.changed_keys(&next.config);
        let changed = keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let accounts = next.config.accounts.len();
        tracing::info!(
            event = "configuration_reloaded",
            changed,
            accounts,
            "every account restarts with the new configuration"
        );
        let keys = Config::needing_restart(&keys).join(", ");
        if !keys.is_empty() {
            tracing::warn!(event = "restart_needed", keys, "these take effect when the process is restarted");
        }
    }

    /// Migrates, and keeps every account in sync until `stop`. `false` if a bug in this program ended it.
    async fn keep_in_sync(
        &self,
        web: &Web,
        receiver: &Receiver,
        clock: &Clock,
        is_guest: bool,
        stop: CancellationToken,
    ) -> Result<bool, DaemonError> {
        let Self { config, metrics, .. } = self;
        let store = &self.stores.sync;
        // Before the database is there: its absence is what people are told of.
        let notifying = (!is_guest).then(|| self.notify(clock, stop.child_token())).flatten();
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
        let names: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
        let mut _housekeeping = None;
        if !is_guest {
            warn_of_unconfigured(store, &accounts).await;
            warn_of_shared_calls(store).await;
            let (store, own_clock, config) = (store.clone(), clock.clone(), config.clone());
            _housekeeping = Some(background::start("housekeeping", clock, metrics, move || {
                housekeeping::run(store.clone(), own_clock.clone(), config.clone())
            }));
        }
        let (folded, own_clock) = (store.clone(), clock.clone());
        let _folding = background::start("folding", clock, metrics, move || {
            folding::run(folded.clone(), own_clock.clone(), is_guest.then(|| names.clone()))
        });
        let joining = Joining::new(config, store.clone(), clock.clone(), metrics.clone());
        let receiver = receiver.clone();
        let _joining =
            background::start("joining", clock, metrics, move || joining.clone().run(receiver.clone()));
        show_last_successes(store, &self.watches).await;
        let leases = Leases::new(store);
        let lists = ReferenceLists::new(config, store, &leases, clock, metrics)?;
        let _reference =
            lists.map(|lists| background::start("reference", clock, metrics, move || lists.clone().run()));
        let histories = CallHistories::new(config, store, &leases, clock, metrics).await?;
        let _histories = histories
            .map(|asked| background::start("call_history", clock, metrics, move || asked.clone().run()));
        let common = Common { store: store.clone(), clock: clock.clone(), leases };
        let sound = supervisor::run(accounts, common, self.watches.clone(), stop).await;
        if let Some(notifying) = notifying {
            // What was told and not noted would be told again. One that rests after a panic is not waited for.
            let _ = tokio::time::timeout(NOTIFYING, notifying).await;
        }
        Ok(sound)
    }

    /// Tells people of trouble, if that is configured.
    fn notify(&self, clock: &Clock, stop: CancellationToken) -> Option<AbortOnDropHandle<()>> {
        let Self { config, stores, metrics, .. } = self;
        if !config.notify.is_on() {
            return None;
        }
        let sender = Sender::new(&config.notify).inspect_err(|error| {
            tracing::error!(event = "not_notified", channel = "all", error, "nobody is told of trouble")
        });
        let notifier = Notifier {
            store: stores.page.clone(),
            clock: clock.clone(),
            settings: config.notify.clone(),
            sender: sender.ok()?,
            accounts: config.accounts.iter().map(|account| account.name.clone()).collect(),
            poll_interval: config.sync.poll_interval,
        };
        // Counted from the stop: it makes the end of the daemon no later.
        let deadline = async |stop: CancellationToken| {
            stop.cancelled().await;
            tokio::time::sleep(NOTIFYING).await;
        };
        let notifier = Arc::new(notifier);
        Some(background::start("notifying", clock, metrics, move || {
            let (notifier, stop) = (Arc::clone(&notifier), stop.clone());
            async move {
                tokio::select! {
                    () = notifier.run(stop.clone()) => {}
                    () = deadline(stop) => {}
                }
            }
        }))
    }

    fn receiver(&self, clock: &Clock) -> Receiver {
        let limits = ReceiverLimits::default();
        Receiver::new(&self.config, self.stores.push.clone(), self.metrics.clone(), clock.clone(), limits)
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

fn serve_page(listener: TcpListener, web: &Web, stop: &CancellationToken) -> JoinHandle<bool> {
    let address = listener.local_addr().ok().map(tracing::field::display);
    tracing::info!(event = "listening", address, "serving page, probes and metrics");
    serve(http::serve(listener, web.clone(), stop.clone()), stop.clone())
}

fn serve_receiver(listener: TcpListener, receiver: &Receiver, stop: &CancellationToken) -> JoinHandle<bool> {
    let address = listener.local_addr().ok().map(tracing::field::display);
    tracing::info!(event = "receiving", address, "receiving CDR notifications");
    serve(receiver.clone().serve(listener, stop.clone()), stop.clone())
}

/// Serves until `stop`. If a server ends before, so does the daemon: a process that cannot be monitored, or that loses CDR
/// notifications, must not keep running.
fn serve(server: impl Future<Output = ()> + Send + 'static, stop: CancellationToken) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let ended = AssertUnwindSafe(server).catch_unwind().await;
        if stop.is_cancelled() {
            return true;
        }
        tracing::error!(
            event = "server_ended",
            panicked = ended.is_err(),
            "the server for page and metrics, or the receiver, has ended: stopping"
        );
        stop.cancel();
        false
    })
}

/// Waits briefly for open connections. `false` if the server had ended by itself.
async fn end_of_serving(served: Option<JoinHandle<bool>>) -> bool {
    let Some(mut served) = served else { return true };
    let ended = tokio::time::timeout(Duration::from_secs(1), &mut served).await;
    served.abort();
    matches!(ended, Ok(Ok(true)) | Err(_))
}

/// Restores the times of the last successes, so that a restart does not look like a standstill.
async fn show_last_successes(store: &Store, watches: &BTreeMap<String, ProgressWatch>) {
    for (account, lane, at) in store.last_successes().await.unwrap_or_default() {
        if let Some(watch) = watches.get(&account) {
            watch.metrics.success(&lane, at);
        }
    }
}

/// Migrates and builds the accounts. Waits for a database that is unreachable or refuses connections.
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
        tracing::warn!(event = "database_away", seconds = wait.as_secs(), %error, "waiting for the database");
        web.not_migrated(&error);
        systemd::status("waiting for the database");
        clock.sleep(wait).await;
    }
}

async fn prepare(config: &Config, store: &Store) -> Result<Vec<Account>, SetupError> {
    store.migrate().await?;
    setup::accounts(config, store).await
}

/// Warns of accounts that are only in the database, whose rows are no longer updated.
async fn warn_of_unconfigured(store: &Store, accounts: &[Account]) {
    let Ok(known) = store.status().await else { return };
    for account in known.iter().filter(|known| accounts.iter().all(|account| account.name != known.name)) {
        tracing::warn!(
            event = "account_not_configured",
            account = account.name,
            "this account is in the database, but not in the configuration: its rows are no longer updated"
        );
    }
}

/// Warns of accounts that share calls, which every chart over both counts twice.
async fn warn_of_shared_calls(store: &Store) {
    for pair in store.shared_calls().await.unwrap_or_default() {
        tracing::warn!(
            event = "accounts_share_calls",
            account = pair.account,
            other = pair.other,
            shared = pair.shared,
            sampled = pair.sampled,
            "two accounts read the same calls: charts over both count them twice"
        );
    }
}
