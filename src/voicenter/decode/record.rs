//! Decodes one item of `CDR_LIST` into a record, or rejects it with the reason.

use std::borrow::Cow;

use chrono_tz::Tz;
use serde_json::Value;

use super::member::{self, Member};
use super::text::storable;
use crate::cdr::{Cdr, CdrKey, Column, ColumnSlot, FieldValue, Kind, RejectReason, Rejected, decimal};
use crate::voicenter::dates::{self, Written};

/// The result of decoding an item.
pub(super) enum Decoded {
    /// The item can be stored as a row.
    Record {
        cdr: Box<Cdr>,
        columns: Vec<Column>,
        /// The fields without a column, in lower case.
        others: Vec<String>,
        /// The fields with a value that their column cannot hold.
        unfit: Vec<String>,
        written: Written,
        epoch: Option<i64>,
    },
    /// The item cannot be stored as a row.
    Rejected(Rejected),
}

/// What a field of a record is, by its name in any case.
enum Field {
    CallId,
    Type,
    Date,
    DateEpoch,
    Column(Column),
    Other,
}

impl Field {
    fn named(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match Column::of_field(name) {
            Some(column) => Self::Column(column),
            None if is("CallID") => Self::CallId,
            None if is("Type") => Self::Type,
            None if is("Date") => Self::Date,
            None if is("DateEpoch") => Self::DateEpoch,
            None => Self::Other,
        }
    }
}

/// Decodes one item. Zoneless dates are in `zone`.
pub(super) fn decode_record(item: &str, zone: Tz) -> Decoded {
    let reject = |reason, key, started_at| {
        Decoded::Rejected(Rejected { raw: storable(item).into_owned(), reason, key, started_at })
    };
    let Some(members) = member::members(item) else { return reject(RejectReason::NotAnObject, None, None) };
    let mut draft = Draft::default();
    for member in &members {
        draft.take(member);
    }
    let date = draft.date.and_then(|written| dates::instant(written, zone, draft.epoch));
    let key = draft
        .call_id
        .take()
        .map(|call_id| CdrKey { call_id, call_type: draft.call_type.take().unwrap_or_default() });
    match (key, date, draft.date) {
        (Some(key), Some(started_at), Some(written)) => Decoded::Record {
            cdr: Box::new(Cdr { key, started_at, ..std::mem::take(&mut draft.record) }),
            columns: std::mem::take(&mut draft.columns),
            others: std::mem::take(&mut draft.others),
            unfit: std::mem::take(&mut draft.unfit),
            written,
            epoch: draft.epoch,
        },
        (None, date, _) => reject(RejectReason::NoCallId, None, date),
        (key, ..) => reject(RejectReason::NoDate, key, None),
    }
}

#[derive(Default)]
struct Draft {
    call_id: Option<String>,
    call_type: Option<String>,
    date: Option<Written>,
    epoch: Option<i64>,
    columns: Vec<Column>,
    /// Fields without a column, with or without a value, in lower case.
    others: Vec<String>,
    unfit: Vec<String>,
    /// Without its key and date.
    record: Cdr,
}

impl Draft {
    /// Puts the first value that a column can hold there, and keeps everything else in `extra`.
    fn take(&mut self, member: &Member<'_>) {
        let field = Field::named(&member.name);
        match field {
            Field::Column(column) if !self.columns.contains(&column) => self.columns.push(column),
            Field::Other => self.others.push(storable_name(&member.name).to_lowercase()),
            _ => {}
        }
        if member::is_empty(member.raw) {
            return;
        }
        let taken = match field {
            Field::CallId => take_text(&mut self.call_id, member.raw),
            Field::Type => take_text(&mut self.call_type, member.raw),
            Field::Date => self.take_date(member.raw),
            Field::DateEpoch => self.take_epoch(member.raw),
            Field::Column(column) => self.take_column(column, member.raw),
            Field::Other => false,
        };
        if !taken {
            if let Field::Column(column) = field
                && self.record.value(column) == FieldValue::Null
            {
                self.unfit.push(member.name.clone().into_owned());
            }
            let name = match field {
                Field::CallId => "CallID".into(),
                Field::Type => "Type".into(),
                Field::Date => "Date".into(),
                Field::Column(column) => column.field().into(),
                Field::DateEpoch | Field::Other => storable_name(&member.name),
            };
            self.keep(&name, member.raw);
        }
    }

    /// Returns `true` if `raw` is the record's date now, in whatever form.
    fn take_date(&mut self, raw: &str) -> bool {
        let Some(written) = member::scalar(raw).and_then(|text| dates::parse(&text)) else { return false };
        let first = *self.date.get_or_insert(written);
        (first.local, first.offset) == (written.local, written.offset)
    }

    /// `DateEpoch`, the same instant as `Date`: it helps to read that, and is never kept (docs/contract.md#extra).
    fn take_epoch(&mut self, raw: &str) -> bool {
        // Milliseconds, if seconds would be beyond the year 5000.
        let epoch = member::integer(raw);
        self.epoch = epoch.map(|epoch| if epoch > 100_000_000_000 { epoch / 1000 } else { epoch });
        true
    }

    fn take_column(&mut self, column: Column, raw: &str) -> bool {
        let kind = column.kind();
        match self.record.slot(column) {
            ColumnSlot::Number(slot) => {
                let clock = || member::clock_seconds(raw).filter(|_| kind == Kind::Seconds);
                let number = member::integer(raw).or_else(clock);
                put(slot, number.and_then(|number| i32::try_from(number).ok()))
            }
            ColumnSlot::Text(slot) if kind == Kind::Numeric => put_number(slot, member::number(raw)),
            ColumnSlot::Text(slot) => take_text(slot, raw),
            ColumnSlot::Flag(slot) => put(slot, member::boolean(raw)),
            ColumnSlot::Json(slot) => put_json(slot, raw),
        }
    }

    /// Keeps a value under its field's name, made unique if the name is taken in any spelling.
    fn keep(&mut self, name: &str, raw: &str) {
        let value = member::value(raw);
        // Empty, as null and "" are.
        if matches!(&value, Value::Array(items) if items.is_empty())
            || matches!(&value, Value::Object(members) if members.is_empty())
        {
            return;
        }
        let same = |there: &str, wanted: &str| there.to_lowercase() == wanted.to_lowercase();
        if self.record.extra.iter().any(|(there, held)| same(there, name) && *held == value) {
            return;
        }
        let mut unique = name.to_owned();
        let mut number = 2;
        while self.record.extra.keys().any(|there| same(there, &unique)) {
            unique = format!("{name}#{number}");
            number += 1;
        }
        self.record.extra.insert(unique, value);
    }
}

/// PostgreSQL's text cannot hold NUL.
fn storable_name(name: &str) -> Cow<'_, str> {
    if name.contains('\0') { name.replace('\0', "\u{fffd}").into() } else { name.into() }
}

fn take_text(slot: &mut Option<String>, raw: &str) -> bool {
    put(slot, member::scalar(raw).map(|text| text.into_owned()))
}

/// Returns `true` if `slot` holds `value`.
fn put<T: PartialEq>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let Some(value) = value else { return false };
    match slot {
        Some(there) => *there == value,
        None => {
            *slot = Some(value);
            true
        }
    }
}

/// Kept digit for digit; another spelling of the same number is not another value.
fn put_number(slot: &mut Option<String>, number: Option<String>) -> bool {
    match slot.as_deref().map(decimal::plain) {
        Some(there) => number.as_deref().map(decimal::plain) == Some(there),
        None => put(slot, number),
    }
}

/// An array or object, or a string that holds one; empty ones count as absent.
fn put_json(slot: &mut Option<Value>, raw: &str) -> bool {
    let value = match member::value(raw) {
        Value::String(text) => {
            let inner = text.trim();
            if !inner.starts_with(['[', '{'])
                || serde_json::from_str::<&serde_json::value::RawValue>(inner).is_err()
            {
                return false;
            }
            member::value(inner)
        }
        value => value,
    };
    match &value {
        Value::Array(items) if items.is_empty() => true,
        Value::Object(members) if members.is_empty() => true,
        Value::Array(_) | Value::Object(_) => put(slot, Some(value)),
        _ => false,
    }
}
