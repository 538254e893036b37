//! What the daemon serves over HTTP: probes, metrics, status, and the page. It is read-only, and shows no credential,
//! phone number or name.

mod calendar;
mod handbook;
mod host;
mod ledger;
mod overview;
mod page;
mod readiness;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::TimeDelta;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, monotonic};
use crate::health::status::{self, unresolved_error};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::sync::status::ProgressWatch;
use ledger::LedgerCache;
use readiness::Readiness;
use server::ServerLimits;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

const PAGE: &str = "/";
const OVERVIEW: &str = "/api/overview";
const STATUS: &str = "/api/status";
const METRICS: &str = "/metrics";
const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";
const HEALTHZ: &str = "/healthz";
const PATHS: [&str; 7] = [PAGE, OVERVIEW, STATUS, METRICS, LIVEZ, READYZ, HEALTHZ];

/// The state that the endpoints show; clones share it.
#[derive(Clone, Debug)]
pub struct Web {
    clock: Clock,
    shown: Arc<RwLock<Arc<CurrentView>>>,
}

/// The part of the state that a new configuration replaces.
#[derive(Debug)]
struct CurrentView {
    settings: PageSettings,
    metrics: Metrics,
    readiness: Readiness,
    ledger: LedgerCache,
}

/// The settings of the configuration that the page uses.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// `sync.poll_interval`, from which the lag that still counts as fresh is derived.
    pub poll_interval: TimeDelta,
    /// `http.hosts`: the host names under which the page is served, besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The configured accounts by name.
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// The settings of one account that the page uses.
#[derive(Clone, Debug, Default)]
pub struct AccountSettings {
    /// `requests_per_minute` of the account's credential.
    pub requests_per_minute: u32,
    /// Where its engine, if it runs in this process, writes its progress.
    pub watch: ProgressWatch,
}

impl Web {
    /// Endpoints over this store, not ready until [`Web::migrated`].
    pub fn new(store: Store, clock: Clock, metrics: Metrics, settings: PageSettings) -> Self {
        let shown = Arc::new(RwLock::new(shown(store, &clock, metrics, settings)));
        Self { clock, shown }
    }

    /// Shows a new configuration from now on; not ready until [`Web::migrated`].
    pub fn show(&self, store: Store, metrics: Metrics, settings: PageSettings) {
        let new = shown(store, &self.clock, metrics, settings);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The accounts whose engines have made no progress for longer than any wait may last.
    pub fn stuck(&self) -> Vec<String> {
        let shown = self.shown();
        let accounts = shown.settings.accounts.iter();
        let stuck = accounts.filter(|(_, account)| account.watch.heart.late_by().is_some());
        stuck.map(|(name, _)| name.clone()).collect()
    }

    /// Reports that the schema cannot be brought up to date for now.
    pub fn not_migrated(&self, why: &StoreError) {
        self.shown().readiness.not_migrated(why);
    }

    /// Reports that the schema is up to date, so that the process may count as ready.
    pub fn migrated(&self) {
        self.shown().readiness.migrated();
    }

    /// Routes for page, status, metrics and probes.
    pub fn router(self) -> Router {
        Router::new()
            .route(PAGE, get(page::page))
            .route(OVERVIEW, get(overview::overview))
            .route(STATUS, get(api_status))
            .route(METRICS, get(metrics))
            .route(LIVEZ, get(async || "alive\n"))
            .route(READYZ, get(readyz))
            .route(HEALTHZ, get(healthz))
            .route("/docs/{name}", get(handbook::document))
            .fallback(async || (StatusCode::NOT_FOUND, "not found: see /, /metrics, /api/status, /healthz\n"))
            .layer(middleware::from_fn_with_state(self.clone(), host::refuse_foreign))
            .layer(middleware::from_fn_with_state(self.clone(), counted))
            .with_state(self)
    }

    fn shown(&self) -> Arc<CurrentView> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn shown(store: Store, clock: &Clock, metrics: Metrics, settings: PageSettings) -> Arc<CurrentView> {
    let readiness = Readiness::new(store.clone(), clock.clone());
    Arc::new(CurrentView { settings, metrics, readiness, ledger: LedgerCache::new(store, clock.clone()) })
}

/// Serves `web` on `listener` until `stop`.
pub async fn serve(listener: TcpListener, web: Web, stop: CancellationToken) {
    server::serve(listener, web.router(), ServerLimits::default(), stop).await;
}

/// Binds `http.listen`. The error shows what to set instead.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|source| BindError { listen, source })
}

/// The address of `http.listen` cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("http.listen = \"{listen}\": {source}: set another address, or \"\" to serve no page and no metrics")]
pub struct BindError {
    listen: SocketAddr,
    source: std::io::Error,
}

/// An answer that no cache keeps and whose type no browser guesses.
fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    const NOSNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store"), NOSNIFF];
    (status, headers, body).into_response()
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response {
    answer(status, "application/json", format!("{value}\n"))
}

/// Counts every answer. Strangers' paths are one: a label is from a closed list.
async fn counted(State(web): State<Web>, request: Request, next: Next) -> Response {
    let asked = request.uri().path();
    let is_handbook = asked.starts_with("/docs/").then_some("/docs");
    let path = PATHS.into_iter().find(|path| *path == asked).or(is_handbook).unwrap_or("other");
    let started = monotonic();
    let answer = next.run(request).await;
    web.shown().metrics.process().answered(path, answer.status().as_u16(), started.elapsed());
    answer
}

async fn readyz(State(web): State<Web>) -> Response {
    let reasons = web.shown().readiness.reasons().await;
    if reasons.is_empty() {
        return answer(StatusCode::OK, TEXT, "ready\n".into());
    }
    let text = format!("not ready: {}\n", reasons.join("; "));
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
}

async fn healthz(State(web): State<Web>) -> Response {
    let shown = web.shown();
    let mut reasons = shown.readiness.reasons().await;
    let stuck = web.stuck();
    reasons.extend(stuck.iter().map(|account| format!("account {account} makes no progress")));
    let ready = reasons.is_empty();
    let now = web.clock.now();
    let facts = shown.ledger.read().await;
    let accounts: Vec<_> = facts
        .accounts
        .iter()
        .map(|account| {
            let status = &account.status;
            json!({
                "account": status.name,
                "lag_seconds": status.cursor.map(|cursor| (now - cursor.to()).num_seconds().max(0)),
                "turns": !stuck.contains(&status.name),
                "open_gaps": status.gaps,
                "leader": status.leader,
                "last_error": unresolved_error(status),
            })
        })
        .collect();
    let body = json!({ "live": true, "ready": ready, "reasons": reasons, "accounts": accounts });
    json_answer(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

async fn metrics(State(web): State<Web>) -> Response {
    let shown = web.shown();
    let facts = shown.ledger.read().await;
    shown.metrics.table_sizes(&facts.table_sizes);
    let in_use = shown.ledger.connections();
    shown.metrics.process().connections(in_use.used, in_use.idle, in_use.most);
    let stuck = web.stuck();
    shown.settings.accounts.keys().for_each(|name| shown.metrics.stalled(name, stuck.contains(name)));
    let text = shown.metrics.expose(&facts.for_metrics(), facts.failure.is_none(), web.clock.now());
    answer(StatusCode::OK, METRICS_TYPE, text)
}

async fn api_status(State(web): State<Web>) -> Response {
    let facts = web.shown().ledger.read().await;
    if let Some(failure) = &facts.failure {
        let body = json!({ "error": format!("the database: {failure}") });
        return json_answer(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    let accounts = facts.accounts.iter().map(|account| (&account.status, &account.overview));
    json_answer(StatusCode::OK, &status::json(accounts, web.clock.now()))
}
