//! `/simulator/requests`: what the API was asked, and how it answered.

use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};

use super::{AdminError, written};
use crate::api::Api;
use crate::faults::Fault;
use crate::request::{Search, SortKey};
use crate::request_log::{RequestEntry, RequestOutcome};

/// The requests that are kept, the oldest first; with `last=N` in the query, only the newest N.
pub(super) fn list(api: &Api, query: &str) -> Result<Value, AdminError> {
    let mut last = usize::MAX;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.parse()) {
            ("last", Ok(number)) => last = number,
            ("last", Err(_)) => return Err(AdminError::bad(format!("last must be a number, not {value}"))),
            _ => return Err(AdminError::bad(format!("unknown key: {key}; known is last, as in ?last=10"))),
        }
    }
    let entries = api.log.all();
    let shown = entries.iter().skip(entries.len().saturating_sub(last));
    Ok(json!({
        "received": entries.len(),
        "busiest_minute": api.log.busiest_real_minute(),
        "requests": shown.map(entry).collect::<Vec<_>>(),
    }))
}

/// Each test can begin with a full budget of requests.
pub(super) fn forget(api: &Api) -> Value {
    api.forget_requests();
    json!({"received": 0, "busiest_minute": 0, "requests": []})
}

fn entry(entry: &RequestEntry) -> Value {
    let (outcome, fault, reason) = outcome(&entry.outcome);
    let mut shown = json!({
        "at": written(entry.at),
        "method": entry.method,
        "search": entry.search.as_ref().map(search),
        "fields": entry.fields,
        "sort": entry.sort.iter().map(sort).collect::<Vec<_>>(),
        "outcome": outcome,
        "returned": entry.returned,
        "total": entry.total,
    });
    if let Value::Object(shown) = &mut shown {
        shown.extend(fault.map(|fault| ("fault".to_owned(), Value::from(fault.name()))));
        shown.extend(reason.map(|reason| ("reason".to_owned(), Value::from(reason))));
    }
    shown
}

fn outcome(outcome: &RequestOutcome) -> (&'static str, Option<Fault>, Option<&str>) {
    match outcome {
        RequestOutcome::Answered => ("answered", None, None),
        RequestOutcome::Cut => ("cut", None, None),
        RequestOutcome::OverLimit => ("over-limit", None, None),
        RequestOutcome::RateLimited => ("rate-limited", None, None),
        RequestOutcome::Unauthorized => ("unauthorized", None, None),
        RequestOutcome::Untrusted => ("untrusted", None, None),
        RequestOutcome::Refused(reason) => ("refused", None, Some(reason)),
        RequestOutcome::Spoilt(fault) => ("fault", Some(*fault), None),
    }
}

/// The criteria that were given, under their names in a JSON request.
fn search(search: &Search) -> Value {
    let date = |date: NaiveDateTime| date.format("%Y-%m-%dT%H:%M:%S").to_string().into();
    let list = |items: &[i64]| (!items.is_empty()).then(|| Value::from(items.to_vec()));
    let texts = |items: &[String]| (!items.is_empty()).then(|| Value::from(items.to_vec()));
    let criteria: [(&str, Option<Value>); 9] = [
        ("fromdate", search.from.map(date)),
        ("todate", search.to.map(date)),
        ("phones", texts(&search.phones)),
        ("extensions", texts(&search.extensions)),
        ("IdentityCriteria", search.identity.clone().map(Value::from)),
        ("callID", search.call_id.clone().map(Value::from)),
        ("cdrTypes", list(&search.cdr_types)),
        ("campaignID", list(&search.campaigns)),
        ("queueID", list(&search.queues)),
    ];
    let given = criteria.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn sort(key: &SortKey) -> Value {
    json!({"field": key.field_name(), "order": if key.descending { "desc" } else { "asc" }})
}
