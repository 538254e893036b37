//! What the daemon tells over HTTP: probes, metrics, status, and the page. Nothing here changes anything, and nothing
//! shows a credential, a phone number or a name.

mod calendar;
pub(crate) mod ledger;
mod overview;
mod page;
pub(crate) mod problems;
pub mod status;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::TimeDelta;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::sync::status::Board;
use ledger::LedgerCache;

/// A probe answers within this, whatever the database does.
const PROBE: Duration = Duration::from_secs(2);

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the endpoints look at.
#[derive(Clone, Debug)]
pub struct Web {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    settings: Arc<Settings>,
    migrated: Arc<AtomicBool>,
    ledger: Arc<LedgerCache>,
}

/// What the page needs to know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `sync.poll_interval`: by it, lag counts as fresh or not.
    pub poll_interval: TimeDelta,
    /// The configured accounts.
    pub accounts: BTreeMap<String, AccountSettings>,
}

/// What the page needs to know of one account.
#[derive(Clone, Debug, Default)]
pub struct AccountSettings {
    /// Its `requests_per_minute`.
    pub requests_per_minute: u32,
    /// Where its engine, if it runs in this process, writes its progress.
    pub board: Board,
}

impl Web {
    /// Endpoints over this store, not ready until [`Web::migrated`].
    pub fn new(store: Store, clock: Clock, metrics: Metrics, settings: Settings) -> Self {
        let ledger = Arc::new(LedgerCache::new(store.clone(), clock.clone()));
        let (settings, migrated) = (Arc::new(settings), Arc::new(AtomicBool::new(false)));
        Self { store, clock, metrics, settings, migrated, ledger }
    }

    /// The schema is up to date: the process may count as ready.
    pub fn migrated(&self) {
        self.migrated.store(true, Ordering::Relaxed);
    }

    /// The endpoints.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(page::page))
            .route("/api/overview", get(overview::overview))
            .route("/api/status", get(api_status))
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/healthz", get(healthz))
            .fallback(async || (StatusCode::NOT_FOUND, "not found: see /, /metrics, /api/status, /healthz\n"))
            .with_state(self)
    }

    /// Why the process is not ready; empty when it is. Being throttled or refused by the API is no reason: another
    /// process would fare no better.
    async fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.migrated.load(Ordering::Relaxed) {
            reasons.push("the schema is not up to date yet".to_owned());
        }
        match tokio::time::timeout(PROBE, self.store.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => reasons.push(format!("the database: {error}")),
            Err(_) => reasons.push(format!("the database does not answer within {} s", PROBE.as_secs())),
        }
        reasons
    }
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, web: Web, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, web.router()).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Binds `http.listen`. The error says what to set instead.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|source| BindError { listen, source })
}

/// The address of `http.listen` cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("http.listen = \"{listen}\": {source}: set another address, or \"\" to serve no page and no metrics")]
pub struct BindError {
    listen: SocketAddr,
    source: std::io::Error,
}

/// An answer that no cache keeps and no browser takes for something else.
fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    const NOSNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store"), NOSNIFF];
    (status, headers, body).into_response()
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response {
    answer(status, "application/json", format!("{value}\n"))
}

async fn readyz(State(web): State<Web>) -> Response {
    let reasons = web.unready().await;
    if reasons.is_empty() {
        return answer(StatusCode::OK, "text/plain; charset=utf-8", "ready\n".into());
    }
    let text = format!("not ready: {}\n", reasons.join("; "));
    answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", text)
}

async fn healthz(State(web): State<Web>) -> Response {
    let reasons = web.unready().await;
    let ready = reasons.is_empty();
    let now = web.clock.now();
    let facts = web.ledger.read().await;
    let accounts: Vec<_> = facts
        .accounts
        .iter()
        .map(|account| {
            let status = &account.status;
            json!({
                "account": status.name,
                "lag_seconds": status.cursor.map(|cursor| (now - cursor.to()).num_seconds().max(0)),
                "open_gaps": status.gaps,
                "leader": status.leader,
                "last_error": status::unresolved_error(status),
            })
        })
        .collect();
    let body = json!({ "live": true, "ready": ready, "reasons": reasons, "accounts": accounts });
    json_answer(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

async fn metrics(State(web): State<Web>) -> Response {
    let facts = web.ledger.read().await;
    let text = web.metrics.expose(&facts.for_metrics(), facts.failure.is_none(), web.clock.now());
    answer(StatusCode::OK, METRICS_TYPE, text)
}

async fn api_status(State(web): State<Web>) -> Response {
    let facts = web.ledger.read().await;
    if let Some(failure) = &facts.failure {
        let body = json!({ "error": format!("the database: {failure}") });
        return json_answer(StatusCode::SERVICE_UNAVAILABLE, &body);
    }
    let accounts: Vec<_> = facts.accounts.iter().map(|account| account.status.clone()).collect();
    json_answer(StatusCode::OK, &status::json(&accounts, web.clock.now()))
}
