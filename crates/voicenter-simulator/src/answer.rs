//! The text of an answer: JSON as docs/voicenter-api.md#answer shows it, or the HTML table of `format: HTML`.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::dialect::Dialect;
use super::faults::Fault;
use super::options::{ApiGeneration, SimulatorOptions, TotalCounts};
use super::search::Found;
use super::wire::{Field, Pen, json_text};

/// An error of the API: its number, its text and the HTTP status that it is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireError {
    pub(crate) number: u32,
    pub(crate) text: String,
}

impl WireError {
    pub(crate) fn new(number: u32, text: impl Into<String>) -> Self {
        Self { number, text: text.into() }
    }

    pub(crate) fn rate_limited() -> Self {
        Self::new(1, "Request limit exceeded. Please try again later.")
    }

    pub(crate) fn over_limit() -> Self {
        Self::new(3, "CDR limit exceeded.")
    }

    pub(crate) fn untrusted(address: impl std::fmt::Display) -> Self {
        Self::new(4, format!("IP address {address} is not trusted."))
    }

    /// The HTTP status; v0.1 always sends 200.
    pub(crate) fn status(&self, generation: ApiGeneration) -> u16 {
        match (generation, self.number) {
            (ApiGeneration::V01, _) => 200,
            (ApiGeneration::Current, 1 | 2 | 4) => 403,
            (ApiGeneration::Current, 5) => 404,
            (ApiGeneration::Current, 90) => 400,
            (ApiGeneration::Current, _) => 200,
        }
    }

    pub(crate) fn body(&self, generation: ApiGeneration) -> Vec<u8> {
        let status = match generation {
            ApiGeneration::V01 => String::new(),
            ApiGeneration::Current => format!("\"STATUS_CODE\":{},", self.status(generation)),
        };
        let text = json_text(&self.text);
        format!("{{\"ERROR_NUMBER\":{},\"ERROR_DESCRIPTION\":{text},{status}\"CDR_LIST\":[]}}", self.number)
            .into_bytes()
    }
}

/// The records that were found, as JSON, damaged if a fault requires it.
pub(crate) fn json(
    found: &Found,
    asked: Option<&[Field]>,
    options: &SimulatorOptions,
    fault: Option<Fault>,
    at: DateTime<Utc>,
) -> Vec<u8> {
    let dialect = Dialect::of(options);
    let unasked = Field::sent_unasked(&dialect);
    let pen = Pen::new(dialect, asked.unwrap_or(&unasked), fault);
    let mut out = Vec::with_capacity(512 + found.page.len() * 800);
    if fault == Some(Fault::Bom) {
        out.extend_from_slice(b"\xef\xbb\xbf");
    }
    let zero = if fault == Some(Fault::ErrorNumberText) { "\"0\"" } else { "0" };
    let _ = write!(out, "{{\"ERROR_NUMBER\":{zero},\"ERROR_DESCRIPTION\":\"OK\"");
    totals(&mut out, found, options, fault);
    match fault {
        Some(Fault::ListNull) => out.extend_from_slice(b",\"CDR_LIST\":null"),
        Some(Fault::ListAbsent) => {}
        Some(Fault::EmptyOk) => out.extend_from_slice(b",\"CDR_LIST\":[]"),
        _ => {
            out.extend_from_slice(b",\"CDR_LIST\":[");
            for (index, shown) in found.page.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                pen.record(&mut out, &shown.record(at), index);
            }
            out.push(b']');
        }
    }
    out.push(b'}');
    out
}

fn totals(out: &mut Vec<u8>, found: &Found, options: &SimulatorOptions, fault: Option<Fault>) {
    if options.generation == ApiGeneration::Current {
        out.extend_from_slice(b",\"STATUS_CODE\":200");
    }
    let (mut total, mut returned) = (found.total, found.page.len());
    if options.total_counts == TotalCounts::Returned {
        total = returned;
    }
    match fault {
        Some(Fault::EmptyOk) => (total, returned) = (0, 0),
        Some(Fault::WrongReturnHits) => returned += 1,
        Some(Fault::TotalHitsTooLarge) => total += 7,
        _ if options.generation == ApiGeneration::V01 || !options.totals => return,
        _ => {}
    }
    if options.generation == ApiGeneration::V01 && fault == Some(Fault::EmptyOk) {
        return;
    }
    let _ = write!(out, ",\"TOTAL_HITS\":{total},\"RETURN_HITS\":{returned}");
}

/// The records that were found, as a page with a table.
pub(crate) fn html(
    found: &Found,
    asked: Option<&[Field]>,
    options: &SimulatorOptions,
    at: DateTime<Utc>,
) -> Vec<u8> {
    let dialect = Dialect::of(options);
    let unasked = Field::sent_unasked(&dialect);
    let fields = asked.unwrap_or(&unasked);
    let pen = Pen::new(Dialect { lower_case_names: false, ..dialect }, fields, None);
    let mut out =
        b"<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>CDR</title></head><body><table>\n<tr>"
            .to_vec();
    for field in fields {
        let _ = write!(out, "<th>{}</th>", field.name());
    }
    for shown in &found.page {
        let mut json = Vec::new();
        pen.record(&mut json, &shown.record(at), 0);
        let record: Value = serde_json::from_slice(&json).unwrap_or_default();
        out.extend_from_slice(b"</tr>\n<tr>");
        for field in fields {
            let _ = write!(out, "<td>{}</td>", cell(record.get(field.name())));
        }
    }
    out.extend_from_slice(b"</tr>\n</table></body></html>\n");
    out
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
