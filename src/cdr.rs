//! The domain: one call detail record (CDR) and what identifies it.

pub(crate) mod decimal;
pub(crate) mod escapes;
mod fields;
pub(crate) mod plain_json;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use fields::{Cdr, Column, ColumnSlot, FieldValue, Kind};

/// What identifies a CDR within an account.
///
/// The two legs of a call share a CallID; `Type` distinguishes them (docs/voicenter-api.md#callid).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CdrKey {
    /// The API's `CallID` as it was sent.
    pub call_id: String,
    /// The API's `Type`, unchanged; empty if absent.
    pub call_type: String,
}

/// A record that cannot be stored as a row, kept whole with the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The record's text as received, made storable (no NUL, valid UTF-8).
    pub raw: String,
    /// Why it cannot be stored as a row.
    pub reason: RejectReason,
    /// The record's key, if it has one.
    pub key: Option<CdrKey>,
    /// The record's date, if it has one.
    pub started_at: Option<DateTime<Utc>>,
}

/// Why a record was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// No CallID, or an empty one.
    NoCallId,
    /// No Date, or one in no known form.
    NoDate,
    /// The record is not a JSON object.
    NotAnObject,
    /// Another record with the same key is stored in its place.
    DuplicateKey,
    /// PostgreSQL refused the row for its data.
    Unstorable,
}

impl RejectReason {
    /// The word kept in `cdr_sync.rejected.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RejectReason::NoCallId => "no_call_id",
            RejectReason::NoDate => "no_date",
            RejectReason::NotAnObject => "not_an_object",
            RejectReason::DuplicateKey => "duplicate_key",
            RejectReason::Unstorable => "unstorable",
        }
    }
}

impl Cdr {
    /// The record as JSON with its keys in order, absent values left out: equal records give equal text.
    ///
    /// Databases hold hashes of it, so it must never change for a record that is already stored.
    pub fn canonical_json(&self) -> String {
        let names = Self::COLUMNS.into_iter().map(|(name, _)| name);
        let present: BTreeMap<_, _> =
            names.zip(self.values()).filter(|(_, value)| *value != FieldValue::Null).collect();
        serde_json::to_string(&present).unwrap_or_default()
    }

    /// The record in one spelling, as the store compares it: numbers as PostgreSQL's numeric and jsonb make them equal,
    /// members of `extra` regardless of the case of names and of quotes around numbers and booleans.
    pub fn normalised(&self) -> Cdr {
        let normal = |value: &Option<Value>| value.clone().map(normalised);
        let loose = |value: Value| match normalised(value) {
            scalar @ (Value::Number(_) | Value::Bool(_)) => Value::String(scalar.to_string()),
            other => other,
        };
        Cdr {
            price: self.price.as_deref().map(decimal::plain),
            dtmf_data: normal(&self.dtmf_data),
            custom_data: normal(&self.custom_data),
            extra: self
                .extra
                .iter()
                .map(|(name, value)| (name.to_lowercase(), loose(value.clone())))
                .collect(),
            ..self.clone()
        }
    }

    /// Which of two different records with one key is stored: the later Date, and on a tie the larger
    /// canonical JSON (docs/contract.md#duplicates).
    pub fn outranks(&self, other: &Cdr) -> Ordering {
        self.started_at
            .cmp(&other.started_at)
            .then_with(|| self.canonical_json().cmp(&other.canonical_json()))
    }
}

fn normalised(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let plain = decimal::plain(&number.to_string());
            plain.parse().map_or(Value::Number(number), Value::Number)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normalised).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, normalised(value))).collect())
        }
        other => other,
    }
}
