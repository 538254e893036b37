//! A simulated Voicenter API: in-process for tests and `cdr-sync demo`, and as `cdr-sync simulate`.
//!
//! It is as strict as the documents (docs/voicenter-api.md) and as nasty as the real servers. It writes and reads
//! the wire format by itself and knows nothing of the daemon's decoder, so that both cannot share a mistake.
//!
//! Error numbers are those of docs/voicenter-api.md#errors; any other mistake in a request is error 90, with the
//! broken rule in ERROR_DESCRIPTION.

/// The target of log lines: filters for the program that this is a part of select them, too.
const LOG: &str = "cdr_sync::simulator";

/// How often it is looked for pushes that are due.
const PUSH_EVERY: Duration = Duration::from_secs(1);

mod admin;
mod answer;
mod api;
mod call_centre;
mod call_history;
mod calls;
mod clock;
mod command;
mod connection;
mod dialect;
mod faults;
mod intent;
mod lists;
mod options;
mod parse;
mod people;
mod push;
mod random;
mod record;
mod recordings;
mod records_file;
mod request;
mod request_log;
mod rules;
mod schedule;
mod search;
mod stretch;
mod tls;
mod truth;
mod wire;
mod world;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use call_history::{CallHistories, HistoryFault, HistoryOptions, analysis_of};
pub use clock::WorldClock;
pub use command::{SimulateArgs, UndocumentedArgs, run};
pub use faults::{Fault, Faults};
pub use intent::{AgentIntent, AgentRole, CallDirection, CallOutcome, Initiator, Intent, VisitIntent};
pub use lists::{ListFault, ListName, ListedExtension, ListedQueue, Lists};
pub use options::{
    ApiGeneration, Company, DateForm, DialectOptions, OverLimit, RateClock, RefusalOptions, SimulatorOptions,
    SortBehaviour, TlsOptions, TotalCounts, WorldOptions,
};
pub use push::{Deliveries, Push, PushArgs, PushForm, PushOptions, PushTime, PushTruth};
pub use record::{Empties, Record};
pub use recordings::{RecordingAnswer, Recordings};
pub use request::{Search, SortKey};
pub use request_log::{RequestEntry, RequestLog, RequestOutcome};
pub use truth::{TruthRow, fewest_possible};
pub use world::World;

use api::{Api, Beginning};
use clock::AdjustableClock;
use connection::Door;
use dialect::Dialect;
use lists::AllLists;
use push::Pusher;
use request_log::RateLimit;

/// Why a simulator could not start or run.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is in use, or not one of this host's.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address that was requested.
        address: SocketAddr,
        /// The error that the system reported.
        source: io::Error,
    },
    /// HTTPS cannot be served with the certificate or the key that was given.
    #[error("{0}")]
    Tls(String),
    /// Notifications cannot be sent as the options say.
    #[error("--push-to: {0}")]
    Push(String),
    /// The shares of all faults together are more than 1.
    #[error("--fault: {0}")]
    Faults(&'static str),
    /// The file with records cannot be read, or what is in it is not records.
    #[error("cannot serve the records of {}: {reason}", file.display())]
    Records {
        /// The file.
        file: PathBuf,
        /// What is wrong, where, and what was expected.
        reason: String,
    },
}

/// A running Voicenter API. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    api: Arc<Api>,
    server: Option<JoinHandle<()>>,
    pushing: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts answering requests.
    ///
    /// # Errors
    ///
    /// If `options.listen` cannot be listened on, or HTTPS cannot be served with `options.tls`.
    pub async fn start(
        options: SimulatorOptions,
        clock: impl Into<WorldClock>,
    ) -> Result<Self, SimulatorError> {
        Self::start_prepared(options, AdjustableClock::running(clock.into()), |_, _| Ok(())).await
    }

    /// Starts answering requests once `prepare` has changed the world and the faults.
    async fn start_prepared(
        options: SimulatorOptions,
        clock: AdjustableClock,
        prepare: impl FnOnce(&World, &Faults) -> Result<(), SimulatorError>,
    ) -> Result<Self, SimulatorError> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose().map_err(SimulatorError::Tls)?;
        let failed = |source| SimulatorError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let base = options.recordings.map(|_| base_url(address, options.tls.is_some()));
        let world = World::with_recordings(options.world.clone(), base);
        let faults = Faults::new(options.world.seed);
        prepare(&world, &faults)?;
        let pusher = options.push.clone().map(|push| Pusher::new(push, world.clone(), clock.now()));
        let pusher = pusher.transpose().map_err(SimulatorError::Push)?;
        let api = Arc::new(Api {
            beginning: Beginning { by_hand: world.copy_by_hand(), faults: faults.copy() },
            world,
            log: RequestLog::default(),
            faults,
            rate: RateLimit::new(options.requests_per_minute, options.rate_clock),
            recordings: options.recordings.map(Recordings::new),
            pusher,
            histories: options.history.clone().map(CallHistories::new),
            port: address.port(),
            stopped: CancellationToken::new(),
            lists: AllLists::new(options.world.clone()),
            clock,
            options,
        });
        api.lists.of(api.options.code.expose_secret());
        let app = Router::new().fallback(api::handle).with_state(Arc::clone(&api));
        let service = app.into_make_service_with_connect_info::<connection::Peer>();
        let stopped = api.stopped.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            // It ends only when it is stopped: axum continues after every other error.
            let _ = axum::serve(Door { listener, tls }, service).with_graceful_shutdown(stopped).await;
        });
        let pushing = tokio::spawn(push_on(Arc::clone(&api)));
        Ok(Self { address, api, server: Some(server), pushing: Some(pushing) })
    }

    /// The address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The address to configure as `api.url`.
    pub fn url(&self) -> String {
        format!("{}/hub/cdr/", self.base_url())
    }

    /// The address for clients on this host, without a path.
    fn base_url(&self) -> String {
        base_url(self.address, self.api.options.tls.is_some())
    }

    /// The records that it serves.
    pub fn world(&self) -> &World {
        &self.api.world
    }

    /// All requests received, with their outcomes.
    pub fn requests(&self) -> &RequestLog {
        &self.api.log
    }

    /// The address of a list.
    pub fn list_url(&self, list: ListName) -> String {
        format!("{}{}", self.base_url(), list.path())
    }

    /// What is listed for the credential of the options.
    pub fn lists(&self) -> Lists {
        self.lists_of(self.api.options.code.expose_secret())
    }

    /// What is listed for a code, which is known from then on, to the lists only.
    pub fn lists_of(&self, code: &str) -> Lists {
        self.api.lists.of(code)
    }

    /// The switchboard for what goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.api.faults
    }

    /// The address of GetCallHistory, without a CallID.
    pub fn history_url(&self) -> String {
        format!("{}/api-manager-v1/Call/History", base_url(self.address, self.api.options.tls.is_some()))
    }

    /// GetCallHistory, if `options.history` turned it on.
    pub fn histories(&self) -> Option<&CallHistories> {
        self.api.histories.as_ref()
    }

    /// The recording host, if `options.recordings` turned it on.
    pub fn recordings(&self) -> Option<&Recordings> {
        self.api.recordings.as_ref()
    }

    /// The options that it was started with.
    pub fn options(&self) -> &SimulatorOptions {
        &self.api.options
    }

    /// The rows that an exact mirror holds at `at` with `started_at` in `[from, to)`, ordered by key.
    ///
    /// Records that the API has purged are not included: whether a mirror keeps those is the mirror's decision.
    ///
    /// The mirror is assumed to request all fields that are not refused.
    pub fn truth(&self, at: DateTime<Utc>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<TruthRow> {
        let options = &self.api.options;
        let at = at + options.clock_offset;
        let mut rows = truth::rows(&self.api.world, &Dialect::of(options), at, from, to);
        for name in &options.refusals.names {
            rows.iter_mut().for_each(|row| row.forget(name));
        }
        if let Some(kept) = options.refusals.purged_after {
            rows.retain(|row| row.started_at >= at - kept);
        }
        rows
    }

    /// What the calls that started in `[from, to)` were, as far as the API shows one of their records at `at`; in the
    /// order of their starts. Only a call centre (`Company::CallCentre`) knows it, and nothing done by hand counts.
    pub fn intents(&self, at: DateTime<Utc>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Intent> {
        self.api.world.intents(at + self.api.options.clock_offset, from, to)
    }

    /// All pushes that are due by `until`, in the order in which they would be sent, for a test that delivers them by
    /// itself. They count as accepted.
    pub fn due_pushes(&self, until: DateTime<Utc>) -> Vec<Push> {
        self.api.pusher.as_ref().map(|pusher| pusher.due(until)).unwrap_or_default()
    }

    /// Sends all pushes that are due by the simulator's clock, with the repeats that are due by then, and waits for the
    /// answers. Whoever moves a clock by hand calls this afterwards.
    pub async fn deliver_due(&self) -> Deliveries {
        match &self.api.pusher {
            Some(pusher) => pusher.deliver(self.api.clock.now()).await,
            None => Deliveries::default(),
        }
    }

    /// All that was pushed since the start.
    pub fn deliveries(&self) -> Deliveries {
        self.api.pusher.as_ref().map(Pusher::deliveries).unwrap_or_default()
    }

    /// What became so far of the pushes of every CDR with a Date in `[from, to)`, also of those that are never pushed and
    /// of those that the API does not show (yet, or any more). Ordered by CallID and Type.
    pub fn push_truth(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<PushTruth> {
        self.api.pusher.as_ref().map(|pusher| pusher.truth(from, to)).unwrap_or_default()
    }

    /// Stops: open requests get no answer, and connections are closed.
    pub async fn stop(mut self) {
        self.api.stopped.cancel();
        if let Some(server) = self.server.take() {
            // This fails only if the server panicked, which its log already shows.
            let _ = server.await;
        }
        if let Some(pushing) = self.pushing.take() {
            let _ = pushing.await;
        }
    }
}

/// Sends pushes as the clock goes on, until the simulator stops.
async fn push_on(api: Arc<Api>) {
    let Some(pusher) = api.pusher.as_ref().filter(|pusher| pusher.is_in_background()) else { return };
    let sending = async {
        loop {
            pusher.deliver(api.clock.now()).await;
            tokio::time::sleep(PUSH_EVERY).await;
        }
    };
    tokio::select! {
        () = sending => {}
        () = api.stopped.cancelled() => {}
    }
}

/// The address for clients on this host of a server that listens on `address`.
fn base_url(address: SocketAddr, https: bool) -> String {
    let (ip, port) = (address.ip(), address.port());
    // What `localhost` is reached by; 127.0.0.2 is not.
    let is_localhost = ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
    match https {
        // Certificates for tests are made out to this name more often than to an address.
        true if is_localhost => format!("https://localhost:{port}"),
        true => format!("https://{address}"),
        false if ip.is_unspecified() => format!("http://{}:{port}", Ipv4Addr::LOCALHOST),
        false => format!("http://{address}"),
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.api.stopped.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_to_call_reaches_the_interface_that_is_listened_on() {
        for (listen, http, https) in [
            ("127.0.0.1:81", "http://127.0.0.1:81", "https://localhost:81"),
            ("[::1]:81", "http://[::1]:81", "https://localhost:81"),
            ("0.0.0.0:81", "http://127.0.0.1:81", "https://localhost:81"),
            ("127.0.0.2:81", "http://127.0.0.2:81", "https://127.0.0.2:81"),
            ("192.0.2.7:81", "http://192.0.2.7:81", "https://192.0.2.7:81"),
        ] {
            let address = listen.parse().unwrap();
            assert_eq!((base_url(address, false), base_url(address, true)), (http.into(), https.into()));
        }
    }
}
