//! Answers made into records: lenient in what it takes, and nothing is lost.
//!
//! The envelope is cut into raw items without interpreting them, and each item is decoded by itself, so a bad record
//! harms no neighbour. What serde_json refuses but servers send (lone surrogates, control characters, invalid UTF-8)
//! is mended in the text first, and only then.

mod member;
mod record;
mod text;

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono_tz::Tz;
use serde_json::value::RawValue;

use super::dates::Precision;
use crate::cdr::{Cdr, Column, Rejected};
use member::{Member, members};
use record::{Decoded, decode_record};

/// An answer's envelope, decoded. Pure data: what it means is the client's to judge.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// `ERROR_NUMBER`; `None` when absent, beside a `CDR_LIST`.
    pub error_number: Option<i64>,
    /// `ERROR_DESCRIPTION`.
    pub error_description: String,
    /// `TOTAL_HITS`.
    pub total_hits: Option<u64>,
    /// `RETURN_HITS`.
    pub return_hits: Option<u64>,
    /// The records that can be rows, in the order in which they came.
    pub records: Vec<Cdr>,
    /// Those that cannot.
    pub rejected: Vec<Rejected>,
    /// The columns that at least one record had a field for.
    pub columns: BTreeSet<Column>,
    /// Items in `CDR_LIST`.
    pub listed: usize,
    /// The coarsest form of date.
    pub precision: Option<Precision>,
    /// Whether a date came without a zone.
    pub zoneless: bool,
}

/// Why a body is none of the API's answers. Never a partial answer: the same window is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Nothing came.
    #[error("an empty body")]
    Empty,
    /// HTML.
    #[error("an HTML page")]
    Html,
    /// Cut in the middle, or no JSON at all.
    #[error("a body that is not JSON, or cut")]
    NotJson,
    /// JSON, but neither `ERROR_NUMBER` nor `CDR_LIST` in it.
    #[error("JSON without ERROR_NUMBER and CDR_LIST")]
    NoEnvelope,
    /// `CDR_LIST` or `ERROR_NUMBER` is not what it should be.
    #[error("an answer whose {0} cannot be read")]
    BadMember(&'static str),
}

/// Decodes a body. Zoneless dates are taken to be in `zone`.
pub fn decode(body: &[u8], zone: Tz) -> Result<Envelope, BadBody> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(BadBody::Empty);
    }
    if trimmed.starts_with('<') {
        return Err(BadBody::Html);
    }
    let text = text::readable(trimmed).ok_or(BadBody::NotJson)?;
    let members = members(&text).ok_or(BadBody::NoEnvelope)?;
    let mut envelope = Envelope::default();
    let mut list = None;
    for Member { name, raw } in &members {
        match name.to_ascii_lowercase().as_str() {
            "error_number" => {
                envelope.error_number = Some(member::integer(raw).ok_or(BadBody::BadMember("ERROR_NUMBER"))?);
            }
            "error_description" => envelope.error_description = member::plain_text(raw).into_owned(),
            "total_hits" => envelope.total_hits = count(raw),
            "return_hits" => envelope.return_hits = count(raw),
            "cdr_list" => list = Some(*raw),
            _ => {}
        }
    }
    if envelope.error_number.is_none() && list.is_none() {
        return Err(BadBody::NoEnvelope);
    }
    for item in items(list)? {
        envelope.take(item, zone);
    }
    Ok(envelope)
}

fn count(raw: &str) -> Option<u64> {
    member::integer(raw).and_then(|number| u64::try_from(number).ok())
}

/// The items of `CDR_LIST`: none when it is absent, null or empty text.
fn items(list: Option<&str>) -> Result<Vec<&str>, BadBody> {
    match list {
        None | Some("null" | "\"\"") => Ok(Vec::new()),
        Some(list) => {
            let items: Vec<&RawValue> =
                serde_json::from_str(list).map_err(|_| BadBody::BadMember("CDR_LIST"))?;
            Ok(items.into_iter().map(RawValue::get).collect())
        }
    }
}

impl Envelope {
    fn take(&mut self, item: &str, zone: Tz) {
        self.listed += 1;
        match decode_record(item, zone) {
            Decoded::Record { cdr, columns, precision, zoneless } => {
                self.records.push(*cdr);
                self.columns.extend(columns);
                self.precision = self.precision.max(Some(precision));
                self.zoneless |= zoneless;
            }
            Decoded::Rejected(rejected) => self.rejected.push(rejected),
        }
    }
}

/// Text as it is, or mended where PostgreSQL could not hold it.
type Text<'a> = Cow<'a, str>;
