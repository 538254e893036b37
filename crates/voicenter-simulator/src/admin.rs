//! What a test asks of the simulator itself, under `/simulator/`: faults, clock, records, and what was received
//! (docs/simulator.md#the-admin-endpoint).
//!
//! These requests are not part of the API: they are not logged among its requests, not limited, and no fault, latency
//! or credential applies to them.

mod clock;
mod faults;
mod given;
pub(crate) mod guard;
mod pushes;
mod recordings;
mod requests;

use axum::http::Method;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde_json::{Value, json};

use super::api::Api;
use super::dialect::Dialect;
use super::faults::Fault;
use super::records_file;
use given::Given;

/// An answer in JSON.
#[derive(Debug)]
pub(crate) struct AdminAnswer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The methods that the path has, if the request's is not one of them.
    pub(crate) allow: Option<&'static str>,
}

/// Why a request changed nothing; the text says how to fix the request.
struct AdminError {
    status: u16,
    text: String,
}

impl AdminError {
    fn bad(text: impl Into<String>) -> Self {
        Self { status: 400, text: text.into() }
    }
}

const PATHS: &str = "/simulator/, /simulator/faults, /simulator/requests, /simulator/clock, /simulator/records, \
     /simulator/recordings and /simulator/pushes";

/// Returns `true` for the paths that are answered here.
pub(crate) fn is_meant(path: &str) -> bool {
    path == "/simulator" || path.starts_with("/simulator/")
}

/// Answers a request; `body` is `None` if it was too large or broke off.
pub(crate) fn answer(
    api: &Api,
    method: &Method,
    path: &str,
    query: &str,
    body: Option<&[u8]>,
) -> AdminAnswer {
    let topic = path.trim_start_matches("/simulator").trim_matches('/');
    let allow = match topic {
        "" => "GET, DELETE",
        "faults" => "GET, POST, DELETE",
        "requests" => "GET, DELETE",
        "clock" | "recordings" => "GET, POST",
        "records" => "POST",
        "pushes" => "GET",
        _ => return failed(404, format!("there is no {path}; there are {PATHS}")),
    };
    // HEAD is GET without the body.
    let method = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    if !allow.split(", ").any(|allowed| allowed == method) {
        let text =
            format!("{path} cannot be requested with {method}; it can with {}", allow.replace(", ", " or "));
        return AdminAnswer { allow: Some(allow), ..failed(405, text) };
    }
    let Some(body) = body else {
        return failed(
            413,
            format!("the body broke off, or has more than {} bytes", super::api::LARGEST_ADMIN_REQUEST),
        );
    };
    let done = match (topic, method) {
        ("faults", "POST") => faults::add(api, body),
        ("faults", "DELETE") => Ok(faults::clear(api)),
        ("faults", _) => Ok(faults::list(api)),
        ("requests", "DELETE") => Ok(requests::forget(api)),
        ("requests", _) => requests::list(api, query),
        ("clock", "POST") => clock::change(api, body),
        ("clock", _) => Ok(clock::show(api)),
        ("records", _) => add_records(api, body),
        ("recordings", "POST") => recordings::change(api, body),
        ("recordings", _) => recordings::show(api),
        ("pushes", _) => pushes::show(api),
        (_, "DELETE") => {
            api.reset();
            Ok(overview(api))
        }
        _ => Ok(overview(api)),
    };
    match done {
        Ok(body) => AdminAnswer { status: 200, body, allow: None },
        Err(error) => failed(error.status, error.text),
    }
}

fn failed(status: u16, text: String) -> AdminAnswer {
    AdminAnswer { status, body: json!({"error": text}), allow: None }
}

/// An instant in RFC 3339, to the millisecond if it is not whole.
fn written(instant: DateTime<Utc>) -> String {
    instant.trunc_subsecs(3).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn overview(api: &Api) -> Value {
    let dialect = Dialect::of(&api.options);
    json!({
        "api": "/hub/cdr/",
        "generation": api.options.generation.name(),
        "zone": dialect.zone.name(),
        "clock": clock::show(api),
        "faults": faults::list(api),
        "known_faults": Fault::all().iter().map(|fault| fault.name()).collect::<Vec<_>>(),
        "received": api.log.len(),
        "paths": {
            "/simulator/": "GET, DELETE",
            "/simulator/faults": "GET, POST, DELETE",
            "/simulator/requests": "GET, DELETE",
            "/simulator/clock": "GET, POST",
            "/simulator/records": "POST",
            "/simulator/recordings": "GET, POST",
            "/simulator/pushes": "GET",
        },
    })
}

/// Adds records, which the API shows at once: whoever adds one in a test expects to see it. One whose call has ended
/// is there from that end on, so that it does not vanish when the clock is set back a little.
fn add_records(api: &Api, body: &[u8]) -> Result<Value, AdminError> {
    let text = std::str::from_utf8(body).map_err(|_| AdminError::bad("the body must be UTF-8"))?;
    let records = records_file::read(text, Dialect::of(&api.options).zone);
    let records = records.map_err(|error| AdminError::bad(error.to_string()))?;
    let (now, added) = (api.now(), records.len());
    for record in records {
        let end = records_file::end(&record);
        api.world.insert(record, now.min(end));
    }
    Ok(json!({"added": added}))
}
