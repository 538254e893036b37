//! The body of a push: JSON or a form, one record or several.

use std::borrow::Cow;

use encoding_rs::Encoding;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::pushed_call::PushedCall;
use crate::cdr::plain_json;

/// The most records of a body: one is what is known to come.
const MOST_RECORDS: usize = 100;

/// Why a body is no push. Says nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing in it.
    #[error("the body is empty")]
    Empty,
    /// The third of Voicenter's formats, which is not read.
    #[error("XML-RPC is not read: choose POST-JSON in cPanel")]
    XmlRpc,
    /// Its bytes are no text in its charset.
    #[error("the body is not valid {charset}")]
    Charset {
        /// The charset that its Content-Type names; UTF-8 unless it does.
        charset: &'static str,
    },
    /// It begins like JSON.
    #[error("the body is not valid JSON: {what} at line {line}, column {column}")]
    Json {
        /// What is wrong there.
        what: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It is neither JSON nor XML, and has no fields.
    #[error("the body is neither JSON nor a form")]
    Format,
    /// An array without records.
    #[error("the body is an empty array")]
    NoRecords,
    /// No notification has so many: each would become a row.
    #[error("the body has {count} records, and at most {MOST_RECORDS} are read")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// An item of an array is no object.
    #[error("record {number} of {count} is not an object")]
    NotAnObject {
        /// Its place, from 1.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// A record that names no call.
    #[error("record {number} of {count} has no usable ivruniqueid")]
    NoCallId {
        /// Its place, from 1.
        number: usize,
        /// How many there are.
        count: usize,
    },
}

/// The records in a body. The Content-Type only names the charset: senders get the format wrong, and the first byte shows it.
///
/// # Errors
/// If any part of it is no record: nothing of a body is used unless all of it is understood.
pub fn decode(content_type: Option<&str>, body: &[u8]) -> Result<Vec<PushedCall>, DecodeError> {
    let records = records(content_type, body)?;
    let count = records.len();
    if count > MOST_RECORDS {
        return Err(DecodeError::TooMany { count });
    }
    let calls = records.into_iter().zip(1..).map(|(record, number)| match record {
        Value::Object(object) => PushedCall::read(object).ok_or(DecodeError::NoCallId { number, count }),
        _ => Err(DecodeError::NotAnObject { number, count }),
    });
    calls.collect()
}

/// A body that is understood without the records at these places, from 0, as JSON in UTF-8; `None` if nothing is left of it.
pub(crate) fn without_records(content_type: Option<&str>, body: &[u8], gone: &[usize]) -> Option<Vec<u8>> {
    let records = records(content_type, body).ok()?.into_iter().enumerate();
    let left: Vec<Value> =
        records.filter(|(place, _)| !gone.contains(place)).map(|(_, record)| record).collect();
    (!left.is_empty()).then(|| Value::Array(left).to_string().into_bytes())
}

/// What can be read of a body, whatever it is; what is written as in a form is read as that, too.
pub(super) fn lossy_text(content_type: Option<&str>, body: &[u8]) -> String {
    let text = text(content_type, body).unwrap_or_else(|_| String::from_utf8_lossy(body));
    // In UTF-16, every other byte of what matters here is zero.
    let mut text = text.replace('\0', "");
    if text.contains('%') {
        let unescaped: Vec<String> = form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| format!("\n{name}\n{value}"))
            .collect();
        text.push_str(&unescaped.concat());
    }
    text
}

/// The records as they are written.
fn records(content_type: Option<&str>, body: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let text = text(content_type, body)?;
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{feff}');
    match text.as_bytes().first() {
        None => Err(DecodeError::Empty),
        Some(b'<') => Err(DecodeError::XmlRpc),
        Some(b'{' | b'[') => json(text),
        Some(_) => Ok(vec![Value::Object(form(text)?)]),
    }
}

fn text<'b>(content_type: Option<&str>, body: &'b [u8]) -> Result<Cow<'b, str>, DecodeError> {
    let charset = content_type.and_then(charset).unwrap_or(encoding_rs::UTF_8);
    charset
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or(DecodeError::Charset { charset: charset.name() })
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, label) = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

fn json(text: &str) -> Result<Vec<Value>, DecodeError> {
    // The parser's own message may quote what it found.
    let body = plain_json::parse(text).map_err(|error| DecodeError::Json {
        what: if error.is_eof() { "it ends" } else { "an error" },
        line: error.line(),
        column: error.column(),
    })?;
    match body {
        Value::Array(records) if records.is_empty() => Err(DecodeError::NoRecords),
        Value::Array(records) => Ok(records),
        record => Ok(vec![record]),
    }
}

fn form(text: &str) -> Result<Map<String, Value>, DecodeError> {
    if !text.contains('=') {
        return Err(DecodeError::Format);
    }
    let fields = form_urlencoded::parse(text.as_bytes());
    Ok(fields.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
}
