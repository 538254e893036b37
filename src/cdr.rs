//! The domain: one call detail record (CDR) and what identifies it.

pub(crate) mod decimal;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// What identifies a CDR within an account.
///
/// The two legs of a call share a CallID; `Type` tells them apart (API document, "Answer").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CdrKey {
    /// `CallID` as sent.
    pub call_id: String,
    /// `Type` as sent; empty when absent.
    pub call_type: String,
}

/// One call detail record, a row of `voicenter.cdr`. An absent, null or empty value is `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Cdr {
    /// CallID and Type.
    pub key: CdrKey,
    /// `CdrType`, the number behind `Type`.
    pub cdr_type: Option<i32>,
    /// `Date`: when the call started.
    pub started_at: DateTime<Utc>,
    /// `Duration` in seconds.
    pub duration_seconds: Option<i32>,
    /// `RingTime` in seconds.
    pub ring_seconds: Option<i32>,
    /// `CallerNumber`.
    pub caller_number: Option<String>,
    /// `CallerExtension`.
    pub caller_extension: Option<String>,
    /// `TargetNumber`.
    pub target_number: Option<String>,
    /// `TargetExtension`.
    pub target_extension: Option<String>,
    /// `TargetPrefixName`.
    pub target_prefix_name: Option<String>,
    /// `DID`.
    pub did: Option<String>,
    /// `DialStatus`: text, not a closed list.
    pub dial_status: Option<String>,
    /// `DialStatus2`.
    pub dial_status2: Option<String>,
    /// `QueueName`.
    pub queue_name: Option<String>,
    /// `DepartmentId`.
    pub department_id: Option<String>,
    /// `DepartmentName`.
    pub department_name: Option<String>,
    /// `RepresentativeCode`.
    pub representative_code: Option<String>,
    /// `RepresentativeName`.
    pub representative_name: Option<String>,
    /// `UserId`.
    pub user_id: Option<String>,
    /// `UserName`.
    pub user_name: Option<String>,
    /// `Price` in agorot, in PostgreSQL's numeric syntax, digit for digit as sent.
    pub price: Option<String>,
    /// `RecordURL`.
    pub record_url: Option<String>,
    /// `RecordExpect`: a recording will come.
    pub record_expected: Option<bool>,
    /// `DTMFData`; `None` also for an empty array.
    pub dtmf_data: Option<Value>,
    /// `CustomData`; `None` also for an empty object.
    pub custom_data: Option<Value>,
    /// Every field without a column, and every value its column cannot hold, under its own name.
    pub extra: BTreeMap<String, Value>,
}

/// The columns of `voicenter.cdr` that an answer may lack altogether.
///
/// A field absent from every record of a non-empty answer leaves its column as it is (contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the column of its name")]
pub enum Column {
    CdrType,
    DurationSeconds,
    RingSeconds,
    CallerNumber,
    CallerExtension,
    TargetNumber,
    TargetExtension,
    TargetPrefixName,
    Did,
    DialStatus,
    DialStatus2,
    QueueName,
    DepartmentId,
    DepartmentName,
    RepresentativeCode,
    RepresentativeName,
    UserId,
    UserName,
    Price,
    RecordUrl,
    RecordExpected,
    DtmfData,
    CustomData,
}

impl Column {
    /// All of them, in the table's order.
    pub const ALL: [Column; 23] = [
        Column::CdrType,
        Column::DurationSeconds,
        Column::RingSeconds,
        Column::CallerNumber,
        Column::CallerExtension,
        Column::TargetNumber,
        Column::TargetExtension,
        Column::TargetPrefixName,
        Column::Did,
        Column::DialStatus,
        Column::DialStatus2,
        Column::QueueName,
        Column::DepartmentId,
        Column::DepartmentName,
        Column::RepresentativeCode,
        Column::RepresentativeName,
        Column::UserId,
        Column::UserName,
        Column::Price,
        Column::RecordUrl,
        Column::RecordExpected,
        Column::DtmfData,
        Column::CustomData,
    ];

    /// The column's name in `voicenter.cdr`.
    pub const fn name(self) -> &'static str {
        match self {
            Column::CdrType => "cdr_type",
            Column::DurationSeconds => "duration_seconds",
            Column::RingSeconds => "ring_seconds",
            Column::CallerNumber => "caller_number",
            Column::CallerExtension => "caller_extension",
            Column::TargetNumber => "target_number",
            Column::TargetExtension => "target_extension",
            Column::TargetPrefixName => "target_prefix_name",
            Column::Did => "did",
            Column::DialStatus => "dial_status",
            Column::DialStatus2 => "dial_status2",
            Column::QueueName => "queue_name",
            Column::DepartmentId => "department_id",
            Column::DepartmentName => "department_name",
            Column::RepresentativeCode => "representative_code",
            Column::RepresentativeName => "representative_name",
            Column::UserId => "user_id",
            Column::UserName => "user_name",
            Column::Price => "price",
            Column::RecordUrl => "record_url",
            Column::RecordExpected => "record_expected",
            Column::DtmfData => "dtmf_data",
            Column::CustomData => "custom_data",
        }
    }

    /// The API's field, in the spelling of its documents.
    pub const fn field(self) -> &'static str {
        match self {
            Column::CdrType => "CdrType",
            Column::DurationSeconds => "Duration",
            Column::RingSeconds => "RingTime",
            Column::CallerNumber => "CallerNumber",
            Column::CallerExtension => "CallerExtension",
            Column::TargetNumber => "TargetNumber",
            Column::TargetExtension => "TargetExtension",
            Column::TargetPrefixName => "TargetPrefixName",
            Column::Did => "DID",
            Column::DialStatus => "DialStatus",
            Column::DialStatus2 => "DialStatus2",
            Column::QueueName => "QueueName",
            Column::DepartmentId => "DepartmentId",
            Column::DepartmentName => "DepartmentName",
            Column::RepresentativeCode => "RepresentativeCode",
            Column::RepresentativeName => "RepresentativeName",
            Column::UserId => "UserId",
            Column::UserName => "UserName",
            Column::Price => "Price",
            Column::RecordUrl => "RecordURL",
            Column::RecordExpected => "RecordExpect",
            Column::DtmfData => "DTMFData",
            Column::CustomData => "CustomData",
        }
    }
}

/// A record that cannot be stored as a row, kept whole with the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The record's text as it came, made storable (no NUL, valid UTF-8).
    pub raw: String,
    /// Why.
    pub reason: RejectReason,
    /// Its key, where it has one.
    pub key: Option<CdrKey>,
    /// Its date, where it has one.
    pub started_at: Option<DateTime<Utc>>,
}

/// Why a record was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// No CallID, or an empty one.
    NoCallId,
    /// No Date, or one in no known form.
    NoDate,
    /// Not a JSON object.
    NotAnObject,
    /// Another record with the same key is stored in its place.
    DuplicateKey,
    /// PostgreSQL refused the row.
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
    /// The record as JSON with its keys in order: equal records give equal text.
    pub fn canonical_json(&self) -> String {
        fn put<T: Into<Value>>(object: &mut BTreeMap<&str, Value>, name: &'static str, value: Option<T>) {
            if let Some(value) = value {
                object.insert(name, value.into());
            }
        }
        let mut o = BTreeMap::new();
        put(&mut o, "call_id", Some(self.key.call_id.as_str()));
        put(&mut o, "type", Some(self.key.call_type.as_str()));
        put(&mut o, "started_at", Some(self.started_at.to_rfc3339()));
        put(&mut o, "cdr_type", self.cdr_type);
        put(&mut o, "duration_seconds", self.duration_seconds);
        put(&mut o, "ring_seconds", self.ring_seconds);
        put(&mut o, "caller_number", self.caller_number.as_deref());
        put(&mut o, "caller_extension", self.caller_extension.as_deref());
        put(&mut o, "target_number", self.target_number.as_deref());
        put(&mut o, "target_extension", self.target_extension.as_deref());
        put(&mut o, "target_prefix_name", self.target_prefix_name.as_deref());
        put(&mut o, "did", self.did.as_deref());
        put(&mut o, "dial_status", self.dial_status.as_deref());
        put(&mut o, "dial_status2", self.dial_status2.as_deref());
        put(&mut o, "queue_name", self.queue_name.as_deref());
        put(&mut o, "department_id", self.department_id.as_deref());
        put(&mut o, "department_name", self.department_name.as_deref());
        put(&mut o, "representative_code", self.representative_code.as_deref());
        put(&mut o, "representative_name", self.representative_name.as_deref());
        put(&mut o, "user_id", self.user_id.as_deref());
        put(&mut o, "user_name", self.user_name.as_deref());
        put(&mut o, "price", self.price.as_deref());
        put(&mut o, "record_url", self.record_url.as_deref());
        put(&mut o, "record_expected", self.record_expected);
        put(&mut o, "dtmf_data", self.dtmf_data.clone());
        put(&mut o, "custom_data", self.custom_data.clone());
        put(&mut o, "extra", Some(Value::from_iter(self.extra.clone())));
        serde_json::to_string(&o).unwrap_or_default()
    }

    /// The record in one spelling, as the store compares it: numbers as PostgreSQL's numeric and jsonb make them equal,
    /// members of `extra` whatever the case of their names and whether a number or a boolean came as a string.
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
    /// canonical JSON (contract, `cdr_sync.rejected`).
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
