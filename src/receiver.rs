//! Receives the CDR notifications that Voicenter pushes: each is stored before it is answered. This faces the internet: nothing
//! of an address (it holds a key) or of a body may reach a log, a metric or an answer.

mod answer;
mod drain;
mod sender;
mod spool;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::routing::any;
use axum::{Router, response::Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::server::{self, Peer, ServerLimits};
use crate::metrics::{Metrics, PushOutcome};
use crate::push::KeyHash;
use crate::store::push::{PushReading, PushState, ReceivedPush};
use crate::store::{Store, StoreError};
use answer::Answer;
use spool::Spool;

/// The query of a GET request is a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// Bodies of an account that are not understood are logged once in this time.
const COMPLAIN_EVERY: TimeDelta = TimeDelta::hours(1);
/// The query of a GET request belongs to its head.
const HEAD_BYTES: usize = 64 << 10;

/// Larger bodies are read beside everything else.
const LARGE: usize = 64 << 10;

/// So many are written to the spool at once.
const SPOOLING: usize = 16;

/// One of the requests that are served at once.
type Turn = OwnedSemaphorePermit;

/// Limits for whoever sends: 10 s until a request is complete, of which storing and spooling take less than one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverLimits {
    /// A request's head must be complete within this.
    pub(crate) head: Duration,
    /// Its body must follow within this.
    pub(crate) body: Duration,
    /// The database has this long to store a notification.
    pub(crate) storing: Duration,
    /// Then the disk has this long.
    pub(crate) spooling: Duration,
    /// The largest body.
    pub(crate) body_bytes: usize,
    /// The most requests at once.
    pub(crate) requests: usize,
}

impl Default for ReceiverLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(4),
            body: Duration::from_secs(5),
            storing: Duration::from_millis(600),
            spooling: Duration::from_millis(300),
            body_bytes: 4 << 20,
            requests: 64,
        }
    }
}

/// The address of `push.listen` cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("push.listen = \"{listen}\": {source}: set another address, or \"\" to receive no CDR notifications")]
pub struct ReceiverBindError {
    listen: SocketAddr,
    source: std::io::Error,
}

/// Binds `push.listen`.
pub(crate) async fn bind(listen: SocketAddr) -> Result<TcpListener, ReceiverBindError> {
    TcpListener::bind(listen).await.map_err(|source| ReceiverBindError { listen, source })
}

/// The receiver; clones share its state.
#[derive(Clone, Debug)]
pub(crate) struct Receiver(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    limits: ReceiverLimits,
    requests: Arc<Semaphore>,
    spooling: Arc<Semaphore>,
    current: RwLock<Arc<Current>>,
    /// `true` while the database takes no notifications.
    is_database_away: AtomicBool,
    /// `true` while the spool takes none.
    is_spool_failing: AtomicBool,
    /// When bodies of an account that are not understood were last logged.
    complained: Mutex<BTreeMap<String, DateTime<Utc>>>,
    /// Something was put into the spool.
    spooled: Notify,
    /// Something new was put into the database.
    stored: Notify,
}

/// The part that a new configuration replaces.
#[derive(Debug)]
struct Current {
    store: Store,
    metrics: Metrics,
    accounts: BTreeSet<String>,
    keys: Vec<KeyHash>,
    allow_from: Vec<IpNet>,
    trusted_proxies: Vec<IpNet>,
    spool: Option<Spool>,
}

impl Current {
    fn new(config: &Config, store: Store, metrics: Metrics) -> Arc<Self> {
        let push = &config.push;
        let accounts: BTreeSet<String> = config.accounts.iter().map(|account| account.name.clone()).collect();
        if push.listen.is_some() {
            metrics.receives_pushes(accounts.iter().map(String::as_str));
        }
        let spool = push.spool.clone();
        Arc::new(Self {
            spool: spool.map(|directory| Spool::new(directory, push.spool_max_bytes, metrics.clone())),
            store,
            metrics,
            accounts,
            keys: push.keys.clone(),
            allow_from: push.allow_from.clone(),
            trusted_proxies: push.trusted_proxies.clone(),
        })
    }

    /// Returns `true` if this sender may push to this account. Every condition is tried, so that the time does not show which failed.
    fn admit(&self, account: &str, key: &str, sender: Option<IpAddr>) -> bool {
        let is_key = KeyHash::any_is_of(&self.keys, key);
        let is_account = self.accounts.contains(account);
        let is_listed = |sender: IpAddr| self.allow_from.iter().any(|network| network.contains(&sender));
        let is_sender = self.allow_from.is_empty() | sender.is_some_and(is_listed);
        is_key & is_account & is_sender
    }
}

impl Receiver {
    /// The receiver of a configuration, which stores into `store`.
    pub(crate) fn new(
        config: &Config,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        limits: ReceiverLimits,
    ) -> Self {
        Self(Arc::new(Shared {
            clock,
            limits,
            requests: Arc::new(Semaphore::new(limits.requests)),
            spooling: Arc::new(Semaphore::new(SPOOLING)),
            current: RwLock::new(Current::new(config, store, metrics)),
            is_database_away: AtomicBool::new(false),
            is_spool_failing: AtomicBool::new(false),
            complained: Mutex::default(),
            spooled: Notify::new(),
            stored: Notify::new(),
        }))
    }

    /// Receives under a new configuration from now on.
    pub(crate) fn show(&self, config: &Config, store: Store, metrics: Metrics) {
        let new = Current::new(config, store, metrics);
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Waits until a new notification was stored.
    pub(crate) async fn has_stored(&self) {
        self.0.stored.notified().await;
    }

    /// Serves on `listener` until `stop`, then ends the requests in progress.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let ReceiverLimits { head, requests, .. } = self.0.limits;
        let limits = ServerLimits {
            // Those above the limit of requests are told so.
            connections: 2 * requests,
            head_timeout: head,
            head_bytes: HEAD_BYTES,
            ..ServerLimits::default()
        };
        server::serve(listener, self.router(), limits, stop).await;
    }

    fn router(self) -> Router {
        Router::new().route("/push/{account}/{key}", any(receive)).fallback(refuse_stranger).with_state(self)
    }

    fn current(&self) -> Arc<Current> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a notification: in the database, else in the spool.
    async fn keep(&self, current: &Current, push: Arc<ReceivedPush>, turn: Turn) -> (Answer, PushOutcome) {
        let limits = self.0.limits;
        let (store, storing) = (current.store.clone(), Arc::clone(&push));
        // Only the wait for it is given up: what it has opened and sent by then is not lost, and a database that is far away takes
        // the next one sooner. Stored as well as spooled, it counts once.
        let stored = tokio::spawn(async move {
            let _turn = turn;
            let reading = reading_of(&storing).await;
            let kept = store.keep_push(&storing, &reading).await;
            kept.map(|is_new| (is_new, reading))
        });
        let stored = match timeout(limits.storing, stored).await {
            Ok(Ok(stored)) => stored,
            // A bug: the body is kept where nobody reads it for now.
            Ok(Err(error)) => Err(StoreError::Away(error.to_string())),
            Err(_) => Err(StoreError::silent(limits.storing)),
        };
        match stored {
            Ok((is_new, reading)) => {
                self.database_is_back();
                (Answer::Kept, if is_new { self.outcome(&push, &reading) } else { PushOutcome::Repeat })
            }
            Err(error) => {
                self.database_is_away(current, &error);
                self.spool(current, push).await
            }
        }
    }

    async fn spool(&self, current: &Current, push: Arc<ReceivedPush>) -> (Answer, PushOutcome) {
        let refused = (Answer::NotKept, PushOutcome::Refused);
        let Some(spool) = current.spool.clone() else { return refused };
        // On a disk that hangs, only so many threads hang with it.
        let turns = Arc::clone(&self.0.spooling);
        let writing = async move {
            let turn = turns.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                spool.write(&push)
            })
            .await
        };
        let error = match timeout(self.0.limits.spooling, writing).await {
            Ok(Ok(Ok(()))) => {
                self.0.is_spool_failing.store(false, Ordering::Relaxed);
                self.0.spooled.notify_one();
                return (Answer::Kept, PushOutcome::Spooled);
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the spool: the disk is too slow".to_owned(),
        };
        if !self.0.is_spool_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                event = "push_not_spooled",
                error,
                "CDR notifications cannot be kept: Voicenter is asked to repeat them"
            );
        }
        refused
    }

    /// What became of a new notification; one that is not understood is logged.
    fn outcome(&self, push: &ReceivedPush, reading: &PushReading) -> PushOutcome {
        let outcome = match reading.state {
            PushState::New => {
                self.0.stored.notify_one();
                return PushOutcome::New;
            }
            PushState::Forgotten => return PushOutcome::New,
            PushState::Rejected => PushOutcome::Rejected,
            PushState::Unsupported => PushOutcome::Unsupported,
        };
        let mut complained = self.0.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let last = complained.get(&push.account);
        if last.is_none_or(|last| (push.received_at - *last).abs() >= COMPLAIN_EVERY) {
            complained.insert(push.account.clone(), push.received_at);
            tracing::warn!(
                event = "push_not_understood",
                account = push.account,
                problem = reading.problem,
                "a CDR notification is kept, but nothing in it is used; more of them may follow unlogged"
            );
        }
        outcome
    }

    fn database_is_away(&self, current: &Current, error: &StoreError) {
        if !self.0.is_database_away.swap(true, Ordering::Relaxed) {
            let kept = if current.spool.is_some() { "kept in push.spool" } else { "refused" };
            tracing::warn!(
                event = "pushes_not_stored",
                %error,
                kept,
                "the database takes no CDR notifications; until it does they are kept in push.spool, or refused so that Voicenter repeats them"
            );
        }
    }

    fn database_is_back(&self) {
        if self.0.is_database_away.swap(false, Ordering::Relaxed) {
            tracing::info!(event = "pushes_stored_again", "the database takes CDR notifications again");
        }
    }
}

async fn refuse_stranger(State(receiver): State<Receiver>) -> Response {
    receiver.current().metrics.push_unauthorized();
    answer::not_found()
}

async fn receive(
    State(receiver): State<Receiver>,
    Extension(Peer(peer)): Extension<Peer>,
    address: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let current = receiver.current();
    let sender = sender::of(peer.ip(), request.headers(), &current.trusted_proxies);
    let (account, key) = address.map(|Path(parts)| parts).unwrap_or_default();
    let is_method = matches!(*request.method(), Method::GET | Method::POST);
    if !(current.admit(&account, &key, sender) & is_method) {
        current.metrics.push_unauthorized();
        return answer::not_found();
    }
    let received_at = receiver.0.clock.now();
    let turn = Arc::clone(&receiver.0.requests).try_acquire_owned().map_err(|_| Answer::TooMany);
    let taken = match turn {
        Ok(turn) => receiver.take(request).await.map(|(content_type, body)| (content_type, body, turn)),
        Err(busy) => Err(busy),
    };
    let (answer, outcome) = match taken {
        // There is nothing to keep. Somebody may have tried out the address.
        Ok((_, body, _)) if body.is_empty() => (Answer::Kept, PushOutcome::Rejected),
        Ok((content_type, body, turn)) => {
            let body_sha256 = Sha256::digest(&body).to_vec();
            let account = account.clone();
            let push = ReceivedPush { account, body_sha256, received_at, content_type, remote: sender, body };
            receiver.keep(&current, Arc::new(push), turn).await
        }
        Err(answer) => (answer, PushOutcome::Refused),
    };
    current.metrics.push_received(&account, outcome, received_at);
    answer.into()
}

impl Receiver {
    /// The body of a request and its type, within the limits.
    async fn take(&self, request: Request) -> Result<(Option<String>, Vec<u8>), Answer> {
        let limits = self.0.limits;
        let query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
        let content_type = content_type(request.headers());
        let body = timeout(limits.body, whole(request.into_body(), limits.body_bytes));
        let body = body.await.map_err(|_| Answer::TooSlow)??;
        // Without a body, whatever the method, the query is one.
        Ok(if body.is_empty() { (Some(FORM.to_owned()), query) } else { (content_type, body) })
    }
}

/// The reading of a large body takes a while, during which other requests, leases and the page go on.
async fn reading_of(push: &Arc<ReceivedPush>) -> PushReading {
    if push.body.len() < LARGE {
        return push.read();
    }
    let large = Arc::clone(push);
    tokio::task::spawn_blocking(move || large.read()).await.unwrap_or_else(|_| PushReading::failed())
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok().map(str::to_owned)
}

/// All of a body, if it has no more than `most` bytes.
async fn whole(body: Body, most: usize) -> Result<Vec<u8>, Answer> {
    let announced = hyper::body::Body::size_hint(&body).lower();
    if announced > most as u64 {
        // Who waits for "100 Continue" need not send it.
        return Err(Answer::TooLarge);
    }
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        // Whoever ended the connection waits for no answer.
        let piece = piece.map_err(|_| Answer::TooSlow)?;
        if bytes.len() + piece.len() > most {
            return Err(Answer::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
