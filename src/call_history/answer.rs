//! What stands in an answer: its form differs between the vendor's documents and what integrators saw.

use std::fmt;

use serde_json::{Map, Value};

use crate::cdr::plain_json;
use crate::push::Analysis;

/// Words of an answer that says that the week's ration is used up (docs/voicenter-api.md#analysis-of-one-call).
const USED_UP: [&str; 4] = ["usage limit", "weekly limit", "limit reached", "quota"];
/// The same of HTTP 429, which may also mean that requests follow each other too quickly.
const USED_UP_AND_NOT_TOO_QUICK: [&str; 2] = ["usage limit", "week"];

/// What is known of a call. It holds what was said: `Debug` shows none of it.
#[derive(Clone, Default, PartialEq)]
pub struct CallHistory {
    /// Which call it says that it is about; `None` if it does not say.
    pub call_id: Option<String>,
    /// Its analysis; `None` if there is none.
    pub analysis: Option<Analysis>,
}

impl fmt::Debug for CallHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHistory").field("has_analysis", &self.analysis.is_some()).finish_non_exhaustive()
    }
}

/// Why a body says nothing of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHistory {
    /// The body has no bytes.
    #[error("an empty body")]
    Empty,
    /// The body is an HTML page.
    #[error("an HTML page")]
    Html,
    /// The JSON ends in the middle.
    #[error("JSON that ends in the middle")]
    Cut,
    /// The body is not JSON.
    #[error("a body that is not JSON")]
    NotJson,
    /// The body is JSON, but of another form.
    #[error("JSON without a call")]
    NoCall,
}

/// Why no answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The week's ration is used up.
    UsedUp,
    /// The token is not valid, or not for this.
    Token,
}

/// Why an answer refuses to say anything, if it does. A refusal for the ration and one of the token have the same status; only
/// the text tells them apart.
pub fn refusal(status: u16, text: &str) -> Option<Refusal> {
    // A page in front of the API may say anything.
    if text.trim_start().starts_with('<') || !matches!(status, 200 | 400..=499) {
        return None;
    }
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    let is_used_up = says(&USED_UP);
    match status {
        429 => says(&USED_UP_AND_NOT_TOO_QUICK).then_some(Refusal::UsedUp),
        401 | 403 if is_used_up => Some(Refusal::UsedUp),
        401 | 403 => Some(Refusal::Token),
        // What was said in a call may contain these words.
        200 if is_used_up && decode(text).is_err() => Some(Refusal::UsedUp),
        400..=499 if is_used_up => Some(Refusal::UsedUp),
        _ => None,
    }
}

/// Reads the text of a body.
///
/// # Errors
/// If it is no answer about a call.
pub fn decode(text: &str) -> Result<CallHistory, BadHistory> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadHistory::Empty);
    }
    if text.starts_with('<') {
        return Err(BadHistory::Html);
    }
    let body: Value = plain_json::parse(text)
        .map_err(|error| if error.is_eof() { BadHistory::Cut } else { BadHistory::NotJson })?;
    let Some(mut body) = object(body) else { return Err(BadHistory::NoCall) };
    match take_any(&mut body, "data") {
        None => {}
        // Nothing is known of the call.
        Some(Value::Null) => return Ok(CallHistory::default()),
        Some(Value::Array(items)) if items.is_empty() => return Ok(CallHistory::default()),
        Some(Value::Object(object)) if object.is_empty() => return Ok(CallHistory::default()),
        Some(wrapped) => body = object(wrapped).ok_or(BadHistory::NoCall)?,
    }
    let mut cdr = take(&mut body, "cdrdata").and_then(object);
    let is_wrapped = cdr.is_some();
    let call_id = [cdr.as_mut(), Some(&mut body)].into_iter().flatten().find_map(named_call);
    let ai = match take(&mut body, "aidata") {
        Some(ai) => object(ai),
        // The flat form has the parts beside the call.
        None => Some(flat(&mut body)).filter(|flat| !flat.is_empty()),
    };
    if call_id.is_none() && ai.is_none() && !is_wrapped {
        return Err(BadHistory::NoCall);
    }
    let analysis = ai.map(|mut ai| {
        // A fact of the call, and a phone number.
        take(&mut ai, "clientphone");
        Analysis::read(ai)
    });
    // What is only said about it, such as that it is being made, is not it.
    let is_one = |analysis: &Analysis| {
        Analysis { extra: Map::new(), ..analysis.clone() } != Analysis::default()
            || analysis.extra.contains_key("personality")
    };
    Ok(CallHistory { call_id, analysis: analysis.filter(is_one) })
}

/// The parts of an analysis that stand beside a call.
fn flat(body: &mut Map<String, Value>) -> Map<String, Value> {
    let parts = ["insights", "emotions", "summary", "transcript", "personality"];
    parts.into_iter().filter_map(|part| Some((part.to_owned(), take(body, part)?))).collect()
}

fn named_call(from: &mut Map<String, Value>) -> Option<String> {
    let named = ["ivruniqueid", "callid"].into_iter().find_map(|name| take(from, name))?;
    let text = match named {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// An object, as it is, alone in a list, or written as a text.
fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::Array(mut items) if items.len() == 1 => object(items.remove(0)),
        Value::String(text) => plain_json::parse(text.trim()).ok().and_then(|value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        }),
        _ => None,
    }
}

/// Takes out the value of a name, whatever its case and underscores; null is none.
fn take(from: &mut Map<String, Value>, name: &str) -> Option<Value> {
    take_any(from, name).filter(|value| !value.is_null())
}

fn take_any(from: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let plain = |key: &str| key.chars().filter(|char| *char != '_').collect::<String>().to_lowercase();
    let key = from.keys().find(|key| plain(key) == name)?.clone();
    from.remove(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = r#"{"Data":{"cdr_data":{"iVR_unique_id":"20260510a","sec_total":61,"client_phone":"0501234567"},
        "ai_data":{"insights":{"summary":"A bill."},"client_phone":"0501234567"}}}"#;

    #[test]
    fn both_forms_are_read_whatever_their_case() {
        for text in [
            SEEN.to_owned(),
            SEEN.replace("Data", "data"),
            SEEN.replace("{\"Data\":{", "{").replace("}}}", "}}"),
            r#"{"IvrUniqueID":"20260510a","insights":{"summary":"A bill."},"duration":61}"#.to_owned(),
            r#"[{"CallID":"20260510a","summary":"A bill."}]"#.to_owned(),
            r#"{"data":{"ivruniqueid":"20260510a","aiData":"{\"insights\":{\"summary\":\"A bill.\"}}"}}"#
                .to_owned(),
        ] {
            let read = decode(&text).unwrap_or_else(|bad| panic!("{bad}: {text}"));
            assert_eq!(read.call_id.as_deref(), Some("20260510a"), "{text}");
            let analysis = read.analysis.unwrap();
            assert_eq!(analysis.summary.as_deref(), Some("A bill."), "{text}");
            assert!(analysis.extra.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_call_without_an_analysis_is_an_answer_and_anything_else_is_none() {
        for text in [
            r#"{"Data":{"cdr_data":{"iVR_unique_id":"a"},"ai_data":null}}"#,
            r#"{"Data":{"cdr_data":{"iVR_unique_id":"a"},"ai_data":{}}}"#,
            r#"{"Data":{"cdr_data":{}}}"#,
            r#"{"callId":"a","insights":null,"emotions":{}}"#,
            r#"{"Data":null}"#,
            r#"{"data":[]}"#,
            r#"{"Data":{}}"#,
            r#"{"Data":{"cdr_data":{},"ai_data":{"client_phone":"0501234567","status":"processing"}}}"#,
        ] {
            assert_eq!(decode(text).map(|read| read.analysis), Ok(None), "{text}");
        }
        for (text, bad) in [
            ("", BadHistory::Empty),
            ("<html>", BadHistory::Html),
            ("{\"Data\":", BadHistory::Cut),
            ("not today", BadHistory::NotJson),
            ("{}", BadHistory::NoCall),
            ("[]", BadHistory::NoCall),
            (r#"{"Data":7}"#, BadHistory::NoCall),
            (r#"{"error":"no such call"}"#, BadHistory::NoCall),
        ] {
            assert_eq!(decode(text), Err(bad), "{text}");
        }
    }

    #[test]
    fn only_the_text_tells_a_used_up_ration_from_a_refused_token() {
        let used_up = r#"{"message":"Weekly usage limit exceeded"}"#;
        assert_eq!(refusal(401, used_up), Some(Refusal::UsedUp));
        assert_eq!(refusal(200, used_up), Some(Refusal::UsedUp));
        assert_eq!(refusal(429, used_up), Some(Refusal::UsedUp));
        assert_eq!(refusal(429, r#"{"message":"Rate limit reached"}"#), None, "too quick");
        assert_eq!(refusal(400, "QUOTA exceeded"), Some(Refusal::UsedUp));
        assert_eq!(refusal(401, "{}"), Some(Refusal::Token));
        assert_eq!(refusal(403, ""), Some(Refusal::Token));
        // A firewall's page, a server in trouble, and a call in which the words were said.
        assert_eq!(refusal(403, "<html>Just a moment... usage limit"), None);
        assert_eq!(refusal(500, used_up), None);
        assert_eq!(refusal(200, &SEEN.replace("A bill.", "He asked for his quota.")), None);
        assert_eq!(refusal(404, "{}"), None);
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let shown = format!("{:?}", decode(SEEN).unwrap());
        assert!(!shown.contains("bill") && !shown.contains("050"), "{shown}");
    }
}
