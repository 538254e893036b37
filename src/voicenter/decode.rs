//! Turns answers into records: lenient in what is accepted, and nothing is lost.
//!
//! The envelope is cut into raw items without interpreting them, and each item is decoded by itself, so a bad
//! record does not affect its neighbours. What serde_json refuses but servers send (lone surrogates, control
//! characters, NaN, other charsets) is repaired in the text, but only if decoding fails without that; a record that
//! stays unreadable is rejected alone.

mod broken;
mod charset;
mod member;
mod record;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::Timelike;
use chrono_tz::Tz;
use serde_json::value::RawValue;

use super::dates::Precision;
use super::zones::ZoneCounter;
use crate::cdr::{Cdr, Column, Rejected};
use member::{Member, members};
use record::{Decoded, decode_record};

/// A decoded body, whether it reports success or an error. It is pure data; the client decides what it means, and makes
/// an [`Answer`](super::Answer) of one that can be used.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// `ERROR_NUMBER`; `None` if it is absent beside a `CDR_LIST`.
    pub error_number: Option<i64>,
    /// `ERROR_DESCRIPTION`: the API's explanation, unfiltered.
    pub error_description: String,
    /// `TOTAL_HITS`: how many records the API says there are.
    pub total_hits: Option<u64>,
    /// `RETURN_HITS`: how many records the API says it returned.
    pub return_hits: Option<u64>,
    /// `STATUS_CODE`: the API's own status, like that of HTTP.
    pub status_code: Option<i64>,
    /// The records that can be rows, in the order of the answer.
    pub records: Vec<Cdr>,
    /// The items that cannot be rows, and why.
    pub rejected: Vec<Rejected>,
    /// The columns that at least one record had a field for.
    pub columns: BTreeSet<Column>,
    /// The fields without a column that at least one record had, in lower case.
    pub other_fields: BTreeSet<String>,
    /// Number of items in `CDR_LIST`, including rejected ones.
    pub listed: usize,
    /// The least precise form of date in the answer.
    pub precision: Option<Precision>,
    /// `true` if a date came without a zone.
    pub zoneless: bool,
    /// `true` if a date came with a second other than 0, or a fraction of one.
    pub second_dates: bool,
    /// What the dates show of their zone.
    pub(super) zones: ZoneCounter,
    /// Number of bytes invalid in the body's charset; U+FFFD replaces them.
    pub invalid_bytes: u64,
    /// The unchanged items of `CDR_LIST`, if they are to be kept.
    pub items: Vec<String>,
    /// By field name as written: how many values did not fit into the column and are kept in `extra`.
    pub unfit: BTreeMap<String, u64>,
}

/// Why a body is not one of the API's answers. There is never a partial answer: the same window is requested again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// The body has no bytes.
    #[error("an empty body")]
    Empty,
    /// The body is an HTML page.
    #[error("an HTML page")]
    Html,
    /// The JSON ends in the middle.
    #[error("JSON that ends in the middle")]
    Cut,
    /// The body is not JSON at all.
    #[error("a body that is not JSON")]
    NotJson,
    /// The body is JSON, but has neither `ERROR_NUMBER` nor `CDR_LIST`.
    #[error("JSON without ERROR_NUMBER and CDR_LIST")]
    NoEnvelope,
    /// `CDR_LIST` or `ERROR_NUMBER` has an unexpected form.
    #[error("an answer whose {0} cannot be read")]
    BadMember(&'static str),
}

/// The text of a body that is not JSON.
pub(super) fn page(body: &[u8], charset: Option<&str>) -> String {
    charset::text(body, charset).text.into_owned()
}

/// Decodes a body in UTF-8. Zoneless dates are assumed to be in `zone`.
pub fn decode(body: &[u8], zone: Tz) -> Result<Envelope, BadBody> {
    decode_as(body, None, zone)
}

/// Decodes a body whose Content-Type names `charset`. Zoneless dates are assumed to be in `zone`.
pub fn decode_as(body: &[u8], charset: Option<&str>, zone: Tz) -> Result<Envelope, BadBody> {
    decode_keeping(body, charset, zone, Keep::Records)
}

/// What is kept of each item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Its record, but not its text.
    Records,
    /// Its record and its text.
    Items,
}

pub(super) fn decode_keeping(
    body: &[u8],
    charset: Option<&str>,
    zone: Tz,
    keep: Keep,
) -> Result<Envelope, BadBody> {
    let charset::DecodedText { text, invalid_bytes } = charset::text(body, charset);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(BadBody::Empty);
    }
    if trimmed.starts_with('<') {
        return Err(BadBody::Html);
    }
    let mut envelope = match text::readable(trimmed) {
        Ok(text) => whole(&text, zone, keep)?,
        Err(error) if error.is_eof() => return Err(BadBody::Cut),
        Err(_) => {
            with_broken_records(&trimmed.replace('\0', "\u{fffd}"), zone, keep).ok_or(BadBody::NotJson)?
        }
    };
    envelope.invalid_bytes = invalid_bytes;
    Ok(envelope)
}

fn whole(text: &str, zone: Tz, keep: Keep) -> Result<Envelope, BadBody> {
    let members = members(text).ok_or(BadBody::NoEnvelope)?;
    let (mut envelope, list) = head(&members)?;
    for item in items(list)? {
        envelope.take(&item, zone, keep);
    }
    Ok(envelope)
}

fn with_broken_records(text: &str, zone: Tz, keep: Keep) -> Option<Envelope> {
    let found = broken::recovered(text)?;
    let (mut envelope, _) = head(&members(&found.envelope)?).ok()?;
    // Only the server's own count proves that nothing was cut off and that two records were not taken for one.
    let is_whole = match envelope.return_hits {
        Some(returned) => returned == found.items.len() as u64,
        None => found.ends_well,
    };
    if !is_whole {
        return None;
    }
    for item in found.items {
        envelope.take(&item, zone, keep);
    }
    Some(envelope)
}

/// The envelope without its records, and the list that holds them.
fn head<'a>(members: &[Member<'a>]) -> Result<(Envelope, Option<&'a str>), BadBody> {
    let mut envelope = Envelope::default();
    let mut list = None;
    for Member { name, raw } in members {
        match name.to_ascii_lowercase().as_str() {
            "error_number" => {
                let number = member::integer(raw).ok_or(BadBody::BadMember("ERROR_NUMBER"))?;
                if envelope.error_number.replace(number).is_some_and(|other| other != number) {
                    return Err(BadBody::BadMember("ERROR_NUMBER"));
                }
            }
            "error_description" => envelope.error_description = member::plain_text(raw).into_owned(),
            "total_hits" => envelope.total_hits = count(raw),
            "return_hits" => envelope.return_hits = count(raw),
            "status_code" => envelope.status_code = status(raw)?,
            "cdr_list" if list.replace(*raw).is_some_and(|other| other != *raw) => {
                return Err(BadBody::BadMember("CDR_LIST"));
            }
            _ => {}
        }
    }
    if envelope.error_number.is_none() && list.is_none() {
        return Err(BadBody::NoEnvelope);
    }
    Ok((envelope, list))
}

fn count(raw: &str) -> Option<u64> {
    member::integer(raw).and_then(|number| u64::try_from(number).ok())
}

/// `STATUS_CODE`: a number, also as `"500"` or `"500 Internal Server Error"`; `"OK"` is 200.
fn status(raw: &str) -> Result<Option<i64>, BadBody> {
    if member::is_empty(raw) {
        return Ok(None);
    }
    let text = member::scalar(raw).ok_or(BadBody::BadMember("STATUS_CODE"))?;
    match text.split_whitespace().next() {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("ok") => Ok(Some(200)),
        // An unknown word may stand for a failure.
        Some(word) => member::integer(word).map(Some).ok_or(BadBody::BadMember("STATUS_CODE")),
    }
}

/// The items of `CDR_LIST`: none if it is absent, null or empty text.
///
/// Serialisers that do not distinguish lists from objects write a list of one as its item, and a list with holes as
/// an object with numbers for names; others write the list as a text. Anything with only one possible reading is
/// accepted.
fn items(list: Option<&str>) -> Result<Vec<Cow<'_, str>>, BadBody> {
    const BAD: BadBody = BadBody::BadMember("CDR_LIST");
    match list {
        None | Some("null" | "\"\"") => Ok(Vec::new()),
        Some(list) if list.starts_with('[') => {
            Ok(array(list).ok_or(BAD)?.into_iter().map(|item| Cow::Borrowed(item.get())).collect())
        }
        Some(list) if list.starts_with('{') => object_items(list).ok_or(BAD),
        Some(list) if list.starts_with('"') => {
            let inner = text::unquoted(list);
            Ok(array(&inner).ok_or(BAD)?.into_iter().map(|item| Cow::Owned(item.get().to_owned())).collect())
        }
        Some(_) => Err(BAD),
    }
}

fn array(list: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(list).ok()
}

/// The items of a list that came as an object; `None` if it may mean something else.
fn object_items(object: &str) -> Option<Vec<Cow<'_, str>>> {
    let members = members(object)?;
    let numbered = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if members.iter().all(|member| numbered(&member.name) && member.raw.starts_with('{')) {
        return Some(members.into_iter().map(|member| Cow::Borrowed(member.raw)).collect());
    }
    let is_record = members.iter().any(|member| member.name.eq_ignore_ascii_case("callid"));
    is_record.then(|| vec![Cow::Borrowed(object)])
}

impl Envelope {
    fn take(&mut self, item: &str, zone: Tz, keep: Keep) {
        self.listed += 1;
        if keep == Keep::Items {
            self.items.push(text::storable(item).into_owned());
        }
        match decode_record(item, zone) {
            Decoded::Record { cdr, columns, others, unfit, written, epoch } => {
                self.precision = self.precision.max(Some(written.precision));
                self.zoneless |= written.offset.is_none();
                self.second_dates |= written.local.second() != 0 || written.local.nanosecond() != 0;
                self.zones.take(&written, cdr.started_at, epoch, &cdr.key.call_id);
                self.records.push(*cdr);
                self.columns.extend(columns);
                self.other_fields.extend(others);
                for field in unfit {
                    *self.unfit.entry(field).or_default() += 1;
                }
            }
            Decoded::Rejected(rejected) => self.rejected.push(rejected),
        }
    }
}

/// Text as it is, or repaired where PostgreSQL could not store it.
type Text<'a> = Cow<'a, str>;
