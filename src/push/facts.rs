//! What is known of a record from its pushes: of each fact the newest value that says something.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::pushed_call::{Dialer, DoNotCall, PushedCall};
use crate::cdr::plain_json;

/// Where a fact has its place in a row of `voicenter.cdr_push`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A column of its own.
    Column(&'static str),
    /// A member of `shared`, named as the column of `voicenter.cdr`.
    Shared(&'static str),
    /// A member of `extra`, named as in the push.
    Extra(String),
}

/// Columns of facts, in which nothing else may stand.
const COLUMNS: [&str; 24] = [
    "time_raw",
    "direction",
    "answered",
    "talk_seconds",
    "queue_wait_seconds",
    "ring_seconds",
    "queue_id",
    "ivr",
    "caller_country",
    "target_country",
    "caller_extension_name",
    "target_extension_name",
    "extension_user",
    "client_phone",
    "top_department_id",
    "top_department_name",
    "leg1_dial_status",
    "campaign_id",
    "campaign_code",
    "campaign_name",
    "dialer",
    "do_not_call",
    "custom_data",
    "original_call_id",
];

/// The columns that push and pull both have, by their names in `voicenter.cdr`.
pub(super) const SHARED_COLUMNS: [&str; 16] = [
    "type",
    "duration_seconds",
    "ring_seconds",
    "caller_number",
    "caller_extension",
    "target_number",
    "target_extension",
    "did",
    "dial_status",
    "queue_name",
    "department_id",
    "department_name",
    "representative_code",
    "representative_name",
    "price",
    "record_url",
];

/// From the year 2000 to 9999: what else stands in `time` is no time, and nothing is to be computed with it.
const TIMES: RangeInclusive<i64> = 946_684_800..=253_402_300_799;
/// Larger values are left to the body.
const LARGEST: usize = 64 << 10;
/// Deeper ones are kept as text: a row must be read again within every limit of depth.
const DEEPEST: usize = 60;
/// So many fields without a column are kept of a record; further ones are left to the body.
const MOST_EXTRA: usize = 200;

/// What is known of one record, and since when each fact is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(BTreeMap<Place, (DateTime<Utc>, Value)>);

impl Facts {
    /// What one push says.
    pub fn of(call: PushedCall, received_at: DateTime<Utc>) -> Self {
        let mut facts = Gathered { facts: BTreeMap::new(), received_at };
        facts.extra(call.extra);
        match call.time {
            Some(time) if TIMES.contains(&time) => facts.column("time_raw", time),
            Some(other) => facts.put(Place::Extra("time".to_owned()), json!(other)),
            None => {}
        }
        facts.shared("type", call.call_type);
        facts.seconds(Place::Shared("duration_seconds"), "duration", call.duration_seconds);
        facts.seconds(Place::Shared("ring_seconds"), "dialtime", call.ring_seconds);
        facts.seconds(Place::Column("talk_seconds"), "actualCallDuration", call.talk_seconds);
        facts.seconds(Place::Column("ring_seconds"), "actualCallDialtime", call.actual_ring_seconds);
        facts.seconds(
            Place::Column("queue_wait_seconds"),
            "seconds_waiting_in_queue",
            call.queue_wait_seconds,
        );
        facts.column("direction", call.direction);
        facts.column("answered", call.is_answered);
        facts.column("queue_id", call.queue_id);
        facts.column("ivr", call.ivr);
        facts.column("caller_country", call.caller_country);
        facts.column("target_country", call.target_country);
        facts.column("caller_extension_name", call.caller_extension_name);
        facts.column("target_extension_name", call.target_extension_name);
        facts.column("extension_user", call.extension_user);
        facts.column("client_phone", call.client_phone);
        facts.column("top_department_id", call.top_department_id);
        facts.column("top_department_name", call.top_department_name);
        facts.column("leg1_dial_status", call.leg1_dial_status);
        facts.column("custom_data", call.custom_data);
        facts.column("original_call_id", call.original_call_id);
        facts.shared("queue_name", call.queue_name);
        facts.shared("dial_status", call.dial_status);
        facts.shared("caller_number", call.caller);
        facts.shared("target_number", call.target);
        facts.shared("caller_extension", call.caller_extension);
        facts.shared("target_extension", call.target_extension);
        facts.shared("did", call.did);
        facts.shared("record_url", call.record_url);
        facts.shared("price", call.price);
        facts.shared("representative_name", call.representative_name);
        facts.shared("representative_code", call.representative_code);
        facts.shared("department_id", call.department_id);
        facts.shared("department_name", call.department_name);
        facts.dialer(call.dialer);
        facts.column("do_not_call", do_not_call(call.do_not_call));
        Self(facts.facts)
    }

    /// Both together: of each fact the newer value. The order in which pushes are taken in does not matter.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let mut extra = self.0.keys().filter(|place| matches!(place, Place::Extra(_))).count();
        for (place, (since, value)) in other.0 {
            if matches!(place, Place::Extra(_)) && !self.0.contains_key(&place) {
                if extra >= MOST_EXTRA {
                    continue;
                }
                extra += 1;
            }
            let is_newer = self.0.get(&place).is_none_or(|(known_since, known)| {
                // Two values of one instant: any of them, but always the same.
                (*known_since, known.to_string()) < (since, value.to_string())
            });
            if is_newer {
                self.0.insert(place, (since, value));
            }
        }
        self
    }

    /// Reads them from the columns of a row, `older` among them, whose newest push was received at `last_received_at`.
    pub fn of_row(mut row: Map<String, Value>, last_received_at: DateTime<Utc>) -> Self {
        let older = object(row.remove("older"));
        let (shared, extra) = (object(row.remove("shared")), object(row.remove("extra")));
        let since = |place: &Place| {
            let at = older.get(&name(place)).and_then(Value::as_i64);
            at.and_then(DateTime::from_timestamp_micros).unwrap_or(last_received_at)
        };
        let mut facts = BTreeMap::new();
        let mut put = |place: Place, value: Value| {
            if !value.is_null() {
                facts.insert(place.clone(), (since(&place), value));
            }
        };
        COLUMNS.iter().for_each(|column| {
            put(Place::Column(column), row.remove(*column).unwrap_or_default());
        });
        for (member, value) in shared {
            if let Some(shared) = SHARED_COLUMNS.iter().find(|shared| **shared == member) {
                put(Place::Shared(shared), value);
            }
        }
        extra.into_iter().for_each(|(member, value)| put(Place::Extra(member), value));
        Self(facts)
    }

    /// Reads them from the text of a row as PostgreSQL writes it; `None` if that cannot be read.
    pub fn of_text(row: &str, last_received_at: DateTime<Utc>) -> Option<Self> {
        match plain_json::parse(row) {
            Ok(Value::Object(row)) => Some(Self::of_row(row, last_received_at)),
            _ => None,
        }
    }

    /// The columns of a row whose newest push was received at `last_received_at`.
    pub fn into_row(self, last_received_at: DateTime<Utc>) -> Map<String, Value> {
        let mut row: Map<String, Value> =
            COLUMNS.iter().map(|column| ((*column).to_owned(), Value::Null)).collect();
        let (mut shared, mut extra, mut older) = (Map::new(), Map::new(), Map::new());
        for (place, (since, value)) in self.0 {
            if since != last_received_at {
                older.insert(name(&place), json!(since.timestamp_micros()));
            }
            match place {
                Place::Column(column) => drop(row.insert(column.to_owned(), value)),
                Place::Shared(member) => drop(shared.insert(member.to_owned(), value)),
                Place::Extra(member) => drop(extra.insert(member, value)),
            }
        }
        row.extend([
            ("shared".to_owned(), Value::Object(shared)),
            ("extra".to_owned(), Value::Object(extra)),
            ("older".to_owned(), Value::Object(older)),
        ]);
        row
    }

    /// `time` as sent.
    pub(super) fn time(&self) -> Option<i64> {
        self.column("time_raw")?.as_i64()
    }

    /// The whole of the call in seconds, as far as the push says.
    pub(super) fn length_seconds(&self) -> i64 {
        let seconds = |name| self.shared(name).and_then(Value::as_i64).unwrap_or(0);
        seconds("duration_seconds") + seconds("ring_seconds")
    }

    /// The type that the push named.
    pub(super) fn named_type(&self) -> Option<&str> {
        self.shared("type")?.as_str()
    }

    /// A value that `voicenter.cdr` has as well.
    pub(super) fn shared(&self, name: &'static str) -> Option<&Value> {
        self.0.get(&Place::Shared(name)).map(|(_, value)| value)
    }

    /// Whether waits or talk differ, by which calls are made.
    pub(super) fn counts_as(&self, other: &Self) -> bool {
        ["talk_seconds", "queue_wait_seconds"].iter().all(|name| self.column(name) == other.column(name))
    }

    fn column(&self, name: &'static str) -> Option<&Value> {
        self.0.get(&Place::Column(name)).map(|(_, value)| value)
    }
}

struct Gathered {
    facts: BTreeMap<Place, (DateTime<Utc>, Value)>,
    received_at: DateTime<Utc>,
}

impl Gathered {
    fn put(&mut self, place: Place, value: Value) {
        let value = match storable(value) {
            deep if depth(&deep) > DEEPEST => Value::String(deep.to_string()),
            shallow => shallow,
        };
        if !value.is_null() && value.to_string().len() <= LARGEST {
            self.facts.insert(place, (self.received_at, value));
        }
    }

    fn column(&mut self, name: &'static str, value: impl serde::Serialize) {
        self.put(Place::Column(name), json!(value));
    }

    fn shared(&mut self, name: &'static str, value: Option<String>) {
        self.put(Place::Shared(name), json!(value));
    }

    /// A length of time, unless no column could hold it.
    fn seconds(&mut self, place: Place, sent_as: &str, value: Option<i64>) {
        match value.map(|seconds| (seconds, i32::try_from(seconds))) {
            Some((_, Ok(seconds))) if seconds >= 0 => self.put(place, json!(seconds)),
            Some((seconds, _)) => self.put(Place::Extra(sent_as.to_owned()), json!(seconds)),
            None => {}
        }
    }

    fn extra(&mut self, extra: Map<String, Value>) {
        for (name, value) in extra.into_iter().take(MOST_EXTRA) {
            self.put(Place::Extra(harmless(name)), value);
        }
    }

    fn dialer(&mut self, dialer: Dialer) {
        self.column("campaign_id", dialer.campaign_id);
        self.column("campaign_code", dialer.campaign_code);
        self.column("campaign_name", dialer.campaign_name);
        let mut rest = dialer.extra;
        let named = [
            ("campaign_type_id", json!(dialer.campaign_type_id)),
            ("campaign_type_name", json!(dialer.campaign_type_name)),
            ("status_name", json!(dialer.status_name)),
            ("phone", json!(dialer.phone)),
            ("call_inserted", json!(dialer.call_inserted)),
            ("retry_number", json!(dialer.retry_number)),
            ("retry_amount", json!(dialer.retry_amount)),
        ];
        let known = named.into_iter().filter(|(_, value)| !value.is_null());
        rest.extend(known.map(|(name, value)| (name.to_owned(), value)));
        if !rest.is_empty() {
            self.column("dialer", rest);
        }
    }
}

fn do_not_call(wish: DoNotCall) -> Option<Map<String, Value>> {
    let named = [
        ("is_wished", json!(wish.is_wished)),
        ("status", json!(wish.status)),
        ("status_code", json!(wish.status_code)),
        ("transaction_id", json!(wish.transaction_id)),
    ];
    let known: Map<String, Value> = named
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    (!known.is_empty()).then_some(known)
}

/// PostgreSQL holds no NUL.
fn storable(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(storable).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (harmless(name), storable(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// Of a form, no parser has looked at the names.
fn harmless(name: String) -> String {
    plain_json::harmless(without_nul(name))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The name of a fact in `older`.
fn name(place: &Place) -> String {
    match place {
        Place::Column(name) => (*name).to_owned(),
        Place::Shared(name) => format!("shared.{name}"),
        Place::Extra(name) => format!("extra.{name}"),
    }
}
