//! The HTTP side: accepts a request, has it judged, and sends the answer in the way that a fault requires.

use std::convert::Infallible;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::admin;
use super::answer::{self, WireError};
use super::call_history::{self, CallHistories};
use super::connection::Peer;
use super::dialect::Dialect;
use super::faults::{Fault, FaultBoard, Faults};
use super::lists::{self, AllLists};
use super::options::{ApiGeneration, SimulatorOptions};
use super::push::Pusher;
use super::recordings::Recordings;
use super::request::{self, BadRequest};
use super::request_log::{RateLimit, RequestEntry, RequestLog, RequestOutcome};
use super::rules;
use super::search;
use super::world::{ByHand, World};
use crate::clock::AdjustableClock;

/// Request bodies larger than this are refused.
pub(crate) const LARGEST_REQUEST: usize = 1 << 20;

/// The same for requests to `/simulator/`, which may bring many records.
pub(crate) const LARGEST_ADMIN_REQUEST: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) options: SimulatorOptions,
    pub(crate) clock: AdjustableClock,
    pub(crate) world: World,
    pub(crate) log: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) rate: RateLimit,
    /// `None` if links to recordings lead nowhere.
    pub(crate) recordings: Option<Recordings>,
    /// `None` if no notifications are sent.
    pub(crate) pusher: Option<Pusher>,
    /// `None` if there is no GetCallHistory.
    pub(crate) histories: Option<CallHistories>,
    /// The port that is listened on.
    pub(crate) port: u16,
    pub(crate) stopped: CancellationToken,
    pub(crate) beginning: Beginning,
    pub(crate) lists: AllLists,
}

/// What can be changed while the API runs, as it was before the first request.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) by_hand: ByHand,
    pub(crate) faults: FaultBoard,
}

/// An answer before it is sent.
struct Reply {
    status: u16,
    content_type: &'static str,
    retry_after: Option<&'static str>,
    body: Vec<u8>,
    /// The fault by which it is sent, if any.
    fault: Option<Fault>,
}

impl Reply {
    fn json(status: u16, body: Vec<u8>) -> Self {
        let content_type = "application/json; charset=utf-8";
        Self { status, content_type, retry_after: None, body, fault: None }
    }

    fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self { status, content_type, retry_after: None, body: body.into(), fault: None }
    }
}

/// Answers one HTTP request, as the options and faults require.
pub(crate) async fn handle(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let answer = async {
        let at = api.now();
        let (parts, body) = request.into_parts();
        if api.options.admin && admin::is_meant(parts.uri.path()) {
            return administer(&api, &parts, body).await;
        }
        let recording = api.recordings.as_ref().and_then(|host| host.reply(parts.uri.path(), at, api.port));
        if let Some(reply) = recording {
            return reply;
        }
        if let (Some(histories), Some(call_id)) = (&api.histories, call_history::is_meant(parts.uri.path())) {
            return call_history::serve(&api, histories, &call_id, &parts.headers).await;
        }
        if let Some(list) = lists::is_meant(parts.uri.path()) {
            return lists::serve(&api, list, &parts, body).await;
        }
        if !matches!(parts.uri.path(), "/hub/cdr/" | "/hub/cdr") {
            let other = if api.options.admin { " or /simulator/" } else { "" };
            return response(
                Reply::html(404, format!("<html><body>404: try /hub/cdr/{other}</body></html>\n")),
                at,
            );
        }
        // A body that is too large or breaks off is refused like anything else that is not JSON.
        let body = to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default();
        if !api.options.latency.is_zero() {
            tokio::time::sleep(api.options.latency).await;
        }
        let asked = Asked {
            method: parts.method,
            query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
            headers: parts.headers,
            body,
        };
        let reply = api.reply(&asked, &peer, at);
        api.send(reply, &asked.headers, &peer, at).await
    };
    let mut response = tokio::select! {
        response = answer => response,
        () = api.stopped.cancelled() => {
            peer.close();
            Response::default()
        }
    };
    if !api.options.date_header {
        // Without a header of its own, hyper would add the host's time.
        response.headers_mut().insert(header::DATE, HeaderValue::from_static("-"));
    }
    Ok(response)
}

/// Answers a request to `/simulator/`.
async fn administer(api: &Api, parts: &Parts, body: Body) -> Response<Body> {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let answer = match admin::guard::refusal(&parts.headers, api.options.listen.ip()) {
        Some(refusal) => refusal,
        None => {
            let body = to_bytes(body, LARGEST_ADMIN_REQUEST).await.ok();
            admin::answer(api, &parts.method, path, query, body.as_deref())
        }
    };
    tracing::info!(target: crate::LOG, method = %parts.method, path, status = answer.status, "simulator request");
    let text = serde_json::to_string_pretty(&answer.body).unwrap_or_default() + "\n";
    let mut response = response(Reply::json(answer.status, text.into_bytes()), api.now());
    if let Some(allow) = answer.allow {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// A request as it was received.
struct Asked {
    method: Method,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

/// A request of the right shape, with its credential separated from its content.
struct Shaped {
    code: Option<String>,
    ask: Ask,
}

pub(crate) enum Ask {
    Body(Map<String, Value>),
    Query(Vec<(String, String)>),
}

impl Asked {
    fn shaped(&self) -> Result<Shaped, WireError> {
        let refused = |text: &str| Err(WireError::new(90, format!("bad request: {text}")));
        let (codes, query): (Vec<_>, Vec<_>) = self.query.iter().cloned().partition(|(key, _)| key == "code");
        let code = codes.into_iter().next().map(|(_, code)| code);
        if self.method == Method::GET {
            return Ok(Shaped { code, ask: Ask::Query(query) });
        }
        if self.method != Method::POST {
            return refused("the method must be POST or GET");
        }
        if let Some((key, _)) = query.first() {
            return refused(&format!("unknown key: {key} (in the query of a POST only code is allowed)"));
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(|value| value.to_lowercase().starts_with("application/json")) {
            return refused("the content type of a POST must be application/json");
        }
        let Ok(Value::Object(mut body)) = serde_json::from_slice(&self.body) else {
            return refused("the body must be a JSON object");
        };
        match body.remove("code") {
            Some(Value::String(code)) => Ok(Shaped { code: Some(code), ask: Ask::Body(body) }),
            Some(_) => refused("code must be a string"),
            None => Ok(Shaped { code, ask: Ask::Body(body) }),
        }
    }
}

impl Api {
    /// The time according to the API's own clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.options.clock_offset
    }

    /// Undoes what was changed since the start, and forgets all requests.
    pub(crate) fn reset(&self) {
        self.world.restore_by_hand(&self.beginning.by_hand);
        self.faults.restore(&self.beginning.faults);
        self.clock.restart();
        self.recordings.iter().for_each(Recordings::restart);
        self.pusher.iter().for_each(|pusher| pusher.restart(self.clock.now()));
        self.forget_requests();
    }

    /// Forgets the requests, also those that count towards the limit per minute.
    pub(crate) fn forget_requests(&self) {
        self.log.clear();
        self.rate.forget();
    }

    fn reply(&self, asked: &Asked, peer: &Peer, at: DateTime<Utc>) -> Reply {
        let mut entry = RequestEntry {
            at,
            real: Instant::now(),
            method: asked.method.to_string(),
            search: None,
            fields: None,
            sort: Vec::new(),
            outcome: RequestOutcome::Answered,
            returned: 0,
            total: 0,
        };
        let reply = match self.judge(asked, peer, &mut entry) {
            Ok(reply) => reply,
            Err(error) => {
                let generation = self.options.generation;
                Reply::json(error.status(generation), error.body(generation))
            }
        };
        let bounds = entry.search.as_ref().map(|search| (search.from, search.to));
        let (from, to) = bounds.unwrap_or_default();
        tracing::info!(target: crate::LOG,
            method = entry.method,
            from = from.map(tracing::field::display),
            to = to.map(tracing::field::display),
            outcome = ?entry.outcome,
            returned = entry.returned,
            total = entry.total,
            milliseconds = entry.real.elapsed().as_millis() as u64,
            "request"
        );
        self.log.push(entry);
        reply
    }

    fn judge(&self, asked: &Asked, peer: &Peer, entry: &mut RequestEntry) -> Result<Reply, WireError> {
        let refuse = |entry: &mut RequestEntry, error: WireError| {
            entry.outcome = RequestOutcome::Refused(error.text.clone());
            error
        };
        let shaped = asked.shaped().map_err(|error| refuse(entry, error))?;
        self.authorize(asked, shaped.code.as_deref(), peer, entry)?;
        let generation = self.options.generation;
        rules::check_names(&self.options.refusals, &shaped.ask).map_err(|error| refuse(entry, error))?;
        let request = match shaped.ask {
            Ask::Body(body) => request::from_body(body, generation),
            Ask::Query(query) => request::from_query(query, generation),
        };
        let request = request.map_err(|broken| {
            let known = matches!(broken, BadRequest::Range(_)) && generation == ApiGeneration::Current;
            refuse(entry, WireError::new(if known { 5 } else { 90 }, broken.to_string()))
        })?;
        entry.search = Some(request.search.clone());
        entry.fields =
            request.fields.as_ref().map(|fields| fields.iter().map(|field| field.name()).collect());
        let dialect = Dialect::of(&self.options);
        rules::check_range(&self.options.refusals, &request.search, dialect.wall_time(entry.at))
            .map_err(|error| refuse(entry, error))?;
        let turn = self.log.len() as u64;
        let found = search::find(&self.world, &self.options, &request, entry.at, turn);
        entry.sort.clone_from(&request.sort);
        (entry.total, entry.returned) = (found.total, found.page.len());
        if found.refused {
            entry.outcome = RequestOutcome::OverLimit;
            return Err(WireError::over_limit());
        }
        if let Some(fault) = self.faults.take(found.page.iter().map(|shown| shown.started)) {
            entry.outcome = RequestOutcome::Spoilt(fault);
            if let Some(reply) = self.instead(fault, peer) {
                entry.returned = 0;
                return Ok(reply);
            }
            let body = answer::json(&found, request.fields.as_deref(), &self.options, Some(fault), entry.at);
            return Ok(Reply { fault: Some(fault), ..Reply::json(200, body) });
        }
        if found.total > found.page.len() {
            entry.outcome = RequestOutcome::Cut;
        }
        let fields = request.fields.as_deref();
        Ok(match request.html {
            true => Reply::html(200, answer::html(&found, fields, &self.options, entry.at)),
            false => Reply::json(200, answer::json(&found, fields, &self.options, None, entry.at)),
        })
    }

    /// Checks for errors 2, 4 and 1, in this order.
    fn authorize(
        &self,
        asked: &Asked,
        code: Option<&str>,
        peer: &Peer,
        entry: &mut RequestEntry,
    ) -> Result<(), WireError> {
        let current = self.options.generation == ApiGeneration::Current;
        let bearer = asked.headers.get(header::AUTHORIZATION).filter(|_| current);
        let bearer = bearer.map(|value| value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")));
        let is_token =
            |given: &str| self.options.token.as_ref().is_some_and(|token| token.expose_secret() == given);
        let credential = match (bearer, code) {
            (Some(Some(given)), _) if is_token(given) => given,
            (None, Some(given)) if given == self.options.code.expose_secret() => given,
            (bearer, code) => {
                entry.outcome = RequestOutcome::Unauthorized;
                let why = if bearer.is_none() && code.is_none() { " (code is missing)" } else { "" };
                return Err(WireError::new(2, format!("Authorization failed.{why}")));
            }
        };
        if self.options.refuse_address && bearer.is_none() {
            entry.outcome = RequestOutcome::Untrusted;
            return Err(WireError::untrusted(peer.address.ip()));
        }
        if !self.rate.admit(credential, entry.at) {
            entry.outcome = RequestOutcome::RateLimited;
            return Err(WireError::rate_limited());
        }
        Ok(())
    }

    /// The answer that a fault sends instead of the records, if it does.
    fn instead(&self, fault: Fault, peer: &Peer) -> Option<Reply> {
        let page =
            |title: &str| format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
        let error = match fault {
            Fault::RateLimited | Fault::RateLimitedRetryAfter => WireError::rate_limited(),
            Fault::AuthorizationFailed => WireError::new(2, "Authorization failed."),
            Fault::LimitExceeded => WireError::over_limit(),
            Fault::Untrusted => WireError::untrusted(peer.address.ip()),
            Fault::UnknownError => WireError::new(77, "Something undocumented."),
            Fault::Http500 => return Some(Reply::html(500, page("500 Internal Server Error"))),
            Fault::Http502 => return Some(Reply::html(502, page("502 Bad Gateway"))),
            Fault::HtmlWith200 => return Some(Reply::html(200, page("Down for maintenance"))),
            Fault::EmptyBody => return Some(Reply::json(200, Vec::new())),
            _ => return None,
        };
        let generation = self.options.generation;
        let reply = Reply::json(error.status(generation), error.body(generation));
        Some(match fault {
            Fault::RateLimitedRetryAfter => Reply { status: 429, retry_after: Some("7"), ..reply },
            _ => reply,
        })
    }

    async fn send(
        &self,
        mut reply: Reply,
        asked: &HeaderMap,
        peer: &Peer,
        at: DateTime<Utc>,
    ) -> Response<Body> {
        match reply.fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Reset) => peer.reset(),
            Some(Fault::AnswerLost) => peer.close(),
            Some(Fault::CutBody) => return cut(reply, at),
            Some(Fault::SlowDrip) => return drip(reply, at, self.stopped.clone()),
            _ => {}
        }
        let accepts = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let truncated = reply.fault == Some(Fault::TruncatedGzip);
        let wanted = self.options.gzip && accepts.is_some_and(|value| value.contains("gzip"));
        if !truncated && !wanted {
            return response(reply, at);
        }
        let mut compressed = gzip(&reply.body);
        if truncated {
            compressed.truncate(compressed.len() / 2);
        }
        reply.body = compressed;
        let mut response = response(reply, at);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    }
}

fn response(reply: Reply, at: DateTime<Utc>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Ok(date) = HeaderValue::from_str(&at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        headers.insert(header::DATE, date);
    }
    if let Some(seconds) = reply.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    *response.body_mut() = Body::from(reply.body);
    response
}

/// Announces the whole body, sends half of it and closes the connection.
fn cut(reply: Reply, at: DateTime<Utc>) -> Response<Body> {
    let length = reply.body.len();
    let half = Bytes::copy_from_slice(reply.body.get(..length / 2).unwrap_or_default());
    let mut response = response(Reply { body: Vec::new(), ..reply }, at);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let parts = stream::unfold(Some(half), |half| async {
        match half {
            Some(half) => Some((Ok(half), None)),
            None => {
                // Time for the first half to be sent; otherwise the client would see no body at all.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None))
            }
        }
    });
    *response.body_mut() = Body::from_stream(parts);
    response
}

fn drip(reply: Reply, at: DateTime<Utc>, stopped: CancellationToken) -> Response<Body> {
    let left = Bytes::from(reply.body.clone());
    let mut response = response(Reply { body: Vec::new(), ..reply }, at);
    let drops = stream::unfold((left, stopped), |(mut left, stopped)| async {
        if left.is_empty() || stopped.is_cancelled() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let drop = left.split_to(left.len().min(16));
        Some((Ok::<_, Infallible>(drop), (left, stopped)))
    });
    *response.body_mut() = Body::from_stream(drops);
    response
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}
