//! GetCallHistory: the analysis of one call, for a token of its own and rationed by the week. It knows no transcript.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use chrono::{DateTime, Datelike, Days, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::api::Api;
use super::push;
use super::random::Random;
use super::record::Record;

const PATH: &str = "/api-manager-v1/Call/History/";

/// How GetCallHistory answers.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// The token to accept as `Authorization: Bearer`.
    pub token: SecretString,
    /// Requests that are answered in a week, from Monday to Monday.
    pub per_week: usize,
    /// `true` for the flat form of the vendor's types, `false` for the one that was seen in production.
    pub is_flat: bool,
}

/// One way in which an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryFault {
    /// HTTP 401 whose text names the week's limit.
    UsedUp,
    /// HTTP 200 with such a text.
    UsedUpWith200,
    /// HTTP 401 without a reason.
    Unauthorized,
    /// HTTP 403 with an HTML page, as a firewall answers.
    Blocked,
    /// An HTML page with HTTP 200.
    LoginPage,
    /// HTTP 500 with JSON.
    Http500,
    /// JSON that ends in the middle.
    Truncated,
    /// The analysis of another call.
    OtherCall,
    /// No answer ever.
    Hang,
}

/// What GetCallHistory was asked, and how it answers; clones share it.
#[derive(Clone, Debug)]
pub struct CallHistories(Arc<Mutex<Board>>);

#[derive(Debug)]
struct Board {
    options: HistoryOptions,
    fault: Option<HistoryFault>,
    asked: Vec<(DateTime<Utc>, String)>,
}

impl CallHistories {
    pub(crate) fn new(options: HistoryOptions) -> Self {
        Self(Arc::new(Mutex::new(Board { options, fault: None, asked: Vec::new() })))
    }

    /// Goes wrong like this from now on, or no more.
    pub fn fail(&self, fault: Option<HistoryFault>) {
        self.board().fault = fault;
    }

    /// The CallIDs that were asked for with the right token, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.board().asked.iter().map(|(_, call_id)| call_id.clone()).collect()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Status, type of content and body; `None`: no answer ever.
    fn reply(&self, api: &Api, call_id: &str, bearer: Option<&str>) -> Option<(u16, &'static str, String)> {
        let at = api.now();
        let mut board = self.board();
        let json = |status, body: Value| Some((status, "application/json; charset=utf-8", body.to_string()));
        let html = |status, body: &str| Some((status, "text/html; charset=utf-8", body.to_owned()));
        if bearer != Some(board.options.token.expose_secret()) {
            return json(401, json!({ "message": "Unauthorized" }));
        }
        let week = begin_of_week(at);
        let used = board.asked.iter().filter(|(asked_at, _)| begin_of_week(*asked_at) == week).count();
        board.asked.push((at, call_id.to_owned()));
        let limit = json!({ "message": "You have exceeded your weekly usage limit" });
        match board.fault {
            Some(HistoryFault::UsedUp) => return json(401, limit),
            Some(HistoryFault::UsedUpWith200) => return json(200, limit),
            Some(HistoryFault::Unauthorized) => return json(401, json!({})),
            Some(HistoryFault::Blocked) => return html(403, "<html><title>Just a moment...</title></html>"),
            Some(HistoryFault::LoginPage) => return html(200, "<html><title>Login</title></html>"),
            Some(HistoryFault::Http500) => return json(500, json!({ "message": "quota of memory" })),
            Some(HistoryFault::Hang) => return None,
            Some(HistoryFault::Truncated | HistoryFault::OtherCall) | None => {}
        }
        if used >= board.options.per_week {
            return json(401, limit);
        }
        let shown = api.world.shown_around(at, call_id);
        let mut records: Vec<Record> = shown.iter().map(|shown| shown.record(at)).collect();
        records.retain(|record| record.call_id == call_id);
        let Some(record) = records.into_iter().max_by_key(|record| record.duration) else {
            return json(404, json!({ "message": "Call not found" }));
        };
        let named = match board.fault {
            Some(HistoryFault::OtherCall) => format!("{call_id}9"),
            _ => call_id.to_owned(),
        };
        let body = written(&record, &named, board.options.is_flat).to_string();
        match board.fault {
            Some(HistoryFault::Truncated) => {
                let half = body.char_indices().nth(body.chars().count() / 2).map_or(0, |(at, _)| at);
                Some((200, "application/json", body.get(..half).unwrap_or_default().to_owned()))
            }
            _ => Some((200, "application/json; charset=utf-8", body)),
        }
    }
}

/// The analysis that is shown for a call, without a transcript; `None` if it has none.
pub fn analysis_of(record: &Record) -> Option<Value> {
    let mut random = Random::of(&record.call_id.bytes().map(u64::from).collect::<Vec<_>>());
    let has = match record.custom_data.get("AiExists") {
        Some(exists) => *exists == json!(true),
        None => random.chance(0.5),
    };
    if !has || record.dial_status != "ANSWER" {
        return None;
    }
    let mut data = push::analysis(record, &mut random);
    data.as_object_mut()?.remove("transcript");
    Some(data)
}

fn written(record: &Record, call_id: &str, is_flat: bool) -> Value {
    let ai = analysis_of(record);
    if is_flat {
        let mut body =
            json!({ "ivrUniqueId": call_id, "duration": record.duration, "dialStatus": record.dial_status });
        if let (Some(Value::Object(ai)), Some(body)) = (ai, body.as_object_mut()) {
            body.extend(ai);
        }
        return body;
    }
    let ai = ai.map(|mut ai| {
        if let Some(ai) = ai.as_object_mut() {
            ai.insert("client_phone".to_owned(), json!(record.caller_number));
        }
        ai
    });
    json!({ "Data": {
        "cdr_data": {
            "iVR_unique_id": call_id, "sec_total": record.duration, "dialstatus_name": record.dial_status,
            "client_phone": record.caller_number, "target_no": record.target_number, "caller_no": record.caller_number,
            "cdr_time": record.started_at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        },
        "ai_data": ai,
    }})
}

fn begin_of_week(at: DateTime<Utc>) -> chrono::NaiveDate {
    let date = at.date_naive();
    date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into())).unwrap_or(date)
}

/// The CallID that is asked for; `None` if the path is another.
pub(crate) fn is_meant(path: &str) -> Option<String> {
    let call_id = path.strip_prefix(PATH)?;
    let query = format!("call_id={}", call_id.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, call_id)| call_id.into_owned())
}

/// Answers a request for the analysis of a call.
pub(crate) async fn serve(
    api: &Api,
    histories: &CallHistories,
    call_id: &str,
    headers: &HeaderMap,
) -> Response<Body> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let reply = histories.reply(api, call_id, bearer.and_then(|value| value.strip_prefix("Bearer ")));
    tracing::info!(target: crate::LOG, path = PATH, "request for the analysis of a call");
    let Some((status, content_type, body)) = reply else { return std::future::pending().await };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
