//! Writes answers, byte by byte into one buffer: the wire format as the simulator knows it.

use std::io::Write;

use super::dialect::Dialect;
use super::faults::Fault;
use super::options::ApiGeneration;
use super::record::{Empties, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    CallerNumber,
    TargetNumber,
    Date,
    Duration,
    CallId,
    CustomData,
    Type,
    CdrType,
    DialStatus,
    DialStatus2,
    TargetExtension,
    CallerExtension,
    Did,
    TargetPrefixName,
    RingTime,
    RecordUrl,
    RecordExpect,
    Price,
    RepresentativeName,
    RepresentativeCode,
    DtmfData,
    QueueName,
    DepartmentName,
    DepartmentId,
    UserName,
    UserId,
    DateEpoch,
}

impl Field {
    /// Every field, in the order in which they are sent.
    pub(crate) const ALL: [Field; 27] = [
        Field::CallerNumber,
        Field::TargetNumber,
        Field::Date,
        Field::Duration,
        Field::CallId,
        Field::CustomData,
        Field::Type,
        Field::CdrType,
        Field::DialStatus,
        Field::DialStatus2,
        Field::TargetExtension,
        Field::CallerExtension,
        Field::Did,
        Field::TargetPrefixName,
        Field::RingTime,
        Field::RecordUrl,
        Field::RecordExpect,
        Field::Price,
        Field::RepresentativeName,
        Field::RepresentativeCode,
        Field::DtmfData,
        Field::QueueName,
        Field::DepartmentName,
        Field::DepartmentId,
        Field::UserName,
        Field::UserId,
        Field::DateEpoch,
    ];

    /// The field's name in docs/voicenter-api.md#fields.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Field::CallerNumber => "CallerNumber",
            Field::TargetNumber => "TargetNumber",
            Field::Date => "Date",
            Field::Duration => "Duration",
            Field::CallId => "CallID",
            Field::CustomData => "CustomData",
            Field::Type => "Type",
            Field::CdrType => "CdrType",
            Field::DialStatus => "DialStatus",
            Field::DialStatus2 => "DialStatus2",
            Field::TargetExtension => "TargetExtension",
            Field::CallerExtension => "CallerExtension",
            Field::Did => "DID",
            Field::TargetPrefixName => "TargetPrefixName",
            Field::RingTime => "RingTime",
            Field::RecordUrl => "RecordURL",
            Field::RecordExpect => "RecordExpect",
            Field::Price => "Price",
            Field::RepresentativeName => "RepresentativeName",
            Field::RepresentativeCode => "RepresentativeCode",
            Field::DtmfData => "DTMFData",
            Field::QueueName => "QueueName",
            Field::DepartmentName => "DepartmentName",
            Field::DepartmentId => "DepartmentId",
            Field::UserName => "UserName",
            Field::UserId => "UserId",
            Field::DateEpoch => "DateEpoch",
        }
    }

    /// The field with this name; letter case does not matter.
    pub(crate) fn spelled(name: &str) -> Option<Self> {
        Field::ALL.into_iter().find(|field| field.name().eq_ignore_ascii_case(name))
    }

    /// The field that a client names; letter case does not matter (docs/voicenter-api.md#order writes `date`).
    pub(crate) fn named(name: &str, generation: ApiGeneration) -> Option<Self> {
        Field::spelled(name).filter(|field| generation == ApiGeneration::Current || !field.is_newer())
    }

    /// The fields that are sent if a request names none.
    pub(crate) fn sent_unasked(dialect: &Dialect) -> Vec<Self> {
        let sent = |field: &Field| match field {
            Field::DateEpoch => dialect.date_epoch,
            field => dialect.generation == ApiGeneration::Current || !field.is_newer(),
        };
        Field::ALL.into_iter().filter(sent).collect()
    }

    /// Returns `true` if `sort` may name the field.
    pub(crate) const fn can_sort(self) -> bool {
        matches!(self, Field::Date | Field::DateEpoch | Field::Duration | Field::RingTime | Field::CallId)
    }

    const fn is_newer(self) -> bool {
        matches!(self, Field::CdrType | Field::UserName | Field::UserId | Field::DateEpoch)
    }
}

pub(crate) struct Pen<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) fields: &'a [Field],
    pub(crate) fault: Option<Fault>,
    names: Vec<String>,
}

impl<'a> Pen<'a> {
    pub(crate) fn new(mut dialect: Dialect, fields: &'a [Field], fault: Option<Fault>) -> Self {
        dialect.lower_case_names |= fault == Some(Fault::LowerCaseNames);
        dialect.text_numbers |= fault == Some(Fault::NumbersAsText);
        let names = fields.iter().map(|field| format!("\"{}\":", dialect.name(field.name()))).collect();
        Self { dialect, fields, fault, names }
    }

    /// Writes one record; `index` is its position in the answer.
    pub(crate) fn record(&self, out: &mut Vec<u8>, record: &Record, index: usize) {
        out.push(b'{');
        for (field, name) in self.fields.iter().zip(&self.names) {
            let before = out.len();
            if (self.fault, *field, index) == (Some(Fault::DuplicateKeys), Field::RingTime, 0) {
                let _ = write!(out, "{name}999999,");
            }
            out.extend_from_slice(name.as_bytes());
            let written = self.fault_value(out, *field, index) || self.value(out, record, *field);
            if written && !self.is_left_out(*field, index) {
                out.push(b',');
            } else {
                out.truncate(before);
            }
        }
        for (name, value) in &record.unknown {
            let _ = write!(out, "{}:{value},", json_text(&self.dialect.name(name)));
        }
        if self.fault == Some(Fault::UnknownField) {
            let _ = write!(out, "\"{}\":\"new\",", self.dialect.name("NewField"));
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
    }

    fn is_left_out(&self, field: Field, index: usize) -> bool {
        match self.fault {
            Some(Fault::NoCallId) => field == Field::CallId && index.is_multiple_of(10),
            Some(Fault::AbsentField) => field == Field::RepresentativeName,
            _ => false,
        }
    }

    /// Writes what a fault puts in place of a value. Returns `false` if the real value is to be written.
    fn fault_value(&self, out: &mut Vec<u8>, field: Field, index: usize) -> bool {
        match (self.fault, field) {
            (Some(Fault::BadDate), Field::Date) if index.is_multiple_of(10) => {
                out.extend_from_slice(b"\"31/13/2026 25:61\"");
            }
            (Some(Fault::Nul), Field::RepresentativeName) if index == 0 => {
                out.extend_from_slice(b"\"nul\\u0000inside\"");
            }
            (Some(Fault::LoneSurrogate), Field::RepresentativeName) if index == 0 => {
                out.extend_from_slice(b"\"half \\ud83d only\"");
            }
            (Some(Fault::InvalidUtf8), Field::RepresentativeName) if index == 0 => {
                out.extend_from_slice(b"\"not \xff\xfe utf-8\"");
            }
            (Some(Fault::HugeString), Field::RepresentativeName) if index == 0 => {
                out.push(b'"');
                out.resize(out.len() + (1 << 20), b'x');
                out.push(b'"');
            }
            (Some(Fault::DeepNesting), Field::CustomData) if index == 0 => {
                out.resize(out.len() + 300, b'[');
                out.resize(out.len() + 300, b']');
            }
            (Some(Fault::HugeNumber), Field::Price) if index == 0 => out.extend_from_slice(b"1e400"),
            _ => return false,
        }
        true
    }

    /// Writes a field's value. Returns `false` if the field is left out.
    fn value(&self, out: &mut Vec<u8>, record: &Record, field: Field) -> bool {
        let empties = record.empty_as.get(field.name()).copied().unwrap_or(record.empties);
        let text = match field {
            Field::CallId => return put_text(out, &record.call_id),
            Field::Date => return put_text(out, &self.dialect.date(record.started_at)),
            Field::DateEpoch => return self.number(out, Some(record.started_at.timestamp()), empties),
            Field::Type if record.call_type.is_empty() && !record.empty_as.contains_key("Type") => {
                return false;
            }
            Field::Duration => return self.number(out, record.duration, empties),
            Field::RingTime => return self.number(out, record.ring_time, empties),
            Field::CdrType => return self.number(out, record.cdr_type, empties),
            Field::Price => return self.number(out, record.price.as_ref(), empties),
            Field::RecordExpect => return self.number(out, record.record_expect, empties),
            Field::DepartmentId => return self.numeric_id(out, &record.department_id, empties),
            Field::UserId => return self.numeric_id(out, &record.user_id, empties),
            Field::DtmfData => return put_json(out, &record.dtmf_data, empties),
            Field::CustomData => return put_json(out, &record.custom_data, empties),
            Field::CallerNumber => &record.caller_number,
            Field::TargetNumber => &record.target_number,
            Field::Type => &record.call_type,
            Field::DialStatus => &record.dial_status,
            Field::DialStatus2 => &record.dial_status2,
            Field::TargetExtension => &record.target_extension,
            Field::CallerExtension => &record.caller_extension,
            Field::Did => &record.did,
            Field::TargetPrefixName => &record.target_prefix_name,
            Field::RecordUrl => &record.record_url,
            Field::RepresentativeName => &record.representative_name,
            Field::RepresentativeCode => &record.representative_code,
            Field::QueueName => &record.queue_name,
            Field::DepartmentName => &record.department_name,
            Field::UserName => &record.user_name,
        };
        if text.is_empty() { put_empty(out, "\"\"", empties) } else { put_text(out, text) }
    }

    fn number(&self, out: &mut Vec<u8>, value: Option<impl std::fmt::Display>, empties: Empties) -> bool {
        let Some(value) = value else { return put_empty(out, "null", empties) };
        let _ = if self.dialect.text_numbers { write!(out, "\"{value}\"") } else { write!(out, "{value}") };
        true
    }

    /// Writes an id, as a number if it consists of digits.
    fn numeric_id(&self, out: &mut Vec<u8>, id: &str, empties: Empties) -> bool {
        match id.parse::<u64>() {
            Ok(number) if number.to_string() == id => self.number(out, Some(number), empties),
            _ if id.is_empty() => put_empty(out, "\"\"", empties),
            _ => put_text(out, id),
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) -> bool {
    serde_json::to_writer(out, text).is_ok()
}

fn put_json(out: &mut Vec<u8>, value: &serde_json::Value, empties: Empties) -> bool {
    let empty = match value {
        serde_json::Value::Array(items) if items.is_empty() => "[]",
        serde_json::Value::Object(fields) if fields.is_empty() => "{}",
        value => return serde_json::to_writer(out, value).is_ok(),
    };
    put_empty(out, empty, empties)
}

fn put_empty(out: &mut Vec<u8>, empty: &str, empties: Empties) -> bool {
    match empties {
        Empties::Empty => out.extend_from_slice(empty.as_bytes()),
        Empties::Null => out.extend_from_slice(b"null"),
        Empties::Absent => return false,
    }
    true
}

/// A JSON string literal.
pub(crate) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
