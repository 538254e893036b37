//! What a mirror of the API must hold, written out independently of the daemon's decoder.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::options::ApiGeneration;
use super::record::Record;
use super::world::World;

/// A row of `voicenter.cdr` as it should be: NULL is `None`, and empty values are NULL.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the column of its name")]
pub struct TruthRow {
    pub call_id: String,
    pub r#type: String,
    pub cdr_type: Option<i32>,
    pub started_at: DateTime<Utc>,
    pub duration_seconds: Option<i32>,
    pub ring_seconds: Option<i32>,
    pub caller_number: Option<String>,
    pub caller_extension: Option<String>,
    pub target_number: Option<String>,
    pub target_extension: Option<String>,
    pub target_prefix_name: Option<String>,
    pub did: Option<String>,
    pub dial_status: Option<String>,
    pub dial_status2: Option<String>,
    pub queue_name: Option<String>,
    pub department_id: Option<String>,
    pub department_name: Option<String>,
    pub representative_code: Option<String>,
    pub representative_name: Option<String>,
    pub user_id: Option<String>,
    pub user_name: Option<String>,
    pub price: Option<String>,
    pub record_url: Option<String>,
    pub record_expected: Option<bool>,
    pub dtmf_data: Option<Value>,
    pub custom_data: Option<Value>,
    pub extra: Option<Value>,
}

/// The rows that an exact mirror holds at `at` with `started_at` in `[from, to)`, ordered by key.
pub(crate) fn rows(
    world: &World,
    dialect: &Dialect,
    at: DateTime<Utc>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<TruthRow> {
    // Wider than requested: of two records with one key, the one to keep may lie outside the window.
    let margin = TimeDelta::hours(3);
    let mut winners: HashMap<(String, String), TruthRow> = HashMap::new();
    for shown in world.shown(at, from - margin, to + margin) {
        let row = TruthRow::of(&shown.record(at), dialect);
        let key = (row.call_id.clone(), row.r#type.clone());
        match winners.get(&key) {
            Some(other) if !row.outranks(other) => {}
            _ => {
                winners.insert(key, row);
            }
        }
    }
    let mut rows: Vec<TruthRow> = winners.into_values().collect();
    rows.retain(|row| from <= row.started_at && row.started_at < to);
    rows.sort_by(|a, b| (&a.call_id, &a.r#type).cmp(&(&b.call_id, &b.r#type)));
    rows
}

impl TruthRow {
    fn of(record: &Record, dialect: &Dialect) -> Self {
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let current = dialect.generation == ApiGeneration::Current;
        Self {
            call_id: record.call_id.clone(),
            r#type: record.call_type.clone(),
            cdr_type: record.cdr_type.filter(|_| current),
            started_at: dialect.known_instant(record.started_at),
            duration_seconds: record.duration,
            ring_seconds: record.ring_time,
            caller_number: text(&record.caller_number),
            caller_extension: text(&record.caller_extension),
            target_number: text(&record.target_number),
            target_extension: text(&record.target_extension),
            target_prefix_name: text(&record.target_prefix_name),
            did: text(&record.did),
            dial_status: text(&record.dial_status),
            dial_status2: text(&record.dial_status2),
            queue_name: text(&record.queue_name),
            department_id: text(&record.department_id),
            department_name: text(&record.department_name),
            representative_code: text(&record.representative_code),
            representative_name: text(&record.representative_name),
            user_id: text(&record.user_id).filter(|_| current),
            user_name: text(&record.user_name).filter(|_| current),
            price: record.price.clone(),
            record_url: text(&record.record_url),
            record_expected: record.record_expect,
            dtmf_data: filled(&record.dtmf_data),
            custom_data: filled(&record.custom_data),
            extra: extra(record, dialect),
        }
    }

    /// Empties a field that the server refuses: a mirror cannot know it.
    pub(crate) fn forget(&mut self, field: &str) {
        match field.to_lowercase().as_str() {
            "cdrtype" => self.cdr_type = None,
            "userid" => self.user_id = None,
            "username" => self.user_name = None,
            "dialstatus2" => self.dial_status2 = None,
            name => {
                let extra = self.extra.as_mut().and_then(Value::as_object_mut);
                extra.into_iter().for_each(|extra| extra.retain(|known, _| known.to_lowercase() != name));
                self.extra.take_if(|extra| extra.as_object().is_some_and(Map::is_empty));
            }
        }
    }

    /// Returns `true` if this one of two records with the same key is to be kept: the later Date counts, then the
    /// larger text.
    fn outranks(&self, other: &Self) -> bool {
        (self.started_at, self.canonical_json()) > (other.started_at, other.canonical_json())
    }

    /// The row as JSON with sorted keys and without NULLs: the text that breaks a tie
    /// (docs/contract.md#duplicates).
    pub fn canonical_json(&self) -> String {
        let mut all = json!({
            "call_id": self.call_id, "type": self.r#type, "cdr_type": self.cdr_type,
            "started_at": self.started_at.to_rfc3339(), "duration_seconds": self.duration_seconds,
            "ring_seconds": self.ring_seconds, "caller_number": self.caller_number,
            "caller_extension": self.caller_extension, "target_number": self.target_number,
            "target_extension": self.target_extension, "target_prefix_name": self.target_prefix_name,
            "did": self.did, "dial_status": self.dial_status, "dial_status2": self.dial_status2,
            "queue_name": self.queue_name, "department_id": self.department_id,
            "department_name": self.department_name, "representative_code": self.representative_code,
            "representative_name": self.representative_name, "user_id": self.user_id,
            "user_name": self.user_name, "price": self.price, "record_url": self.record_url,
            "record_expected": self.record_expected, "dtmf_data": self.dtmf_data,
            "custom_data": self.custom_data,
        });
        if let Value::Object(fields) = &mut all {
            fields.retain(|_, value| !value.is_null());
            fields.insert("extra".to_owned(), self.extra.clone().unwrap_or_else(|| json!({})));
        }
        all.to_string()
    }
}

fn filled(value: &Value) -> Option<Value> {
    let empty = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    (!empty).then(|| value.clone())
}

fn extra(record: &Record, dialect: &Dialect) -> Option<Value> {
    let unknown = record.unknown.iter().map(|(name, value)| (dialect.name(name), value.clone()));
    let extra: Map<String, Value> = unknown.collect();
    (!extra.is_empty()).then_some(Value::Object(extra))
}

/// The fewest requests that could fetch the records with these Dates (ascending), if all of them were known before.
///
/// One answer holds at most `limit` records and spans at most `max_window`; records of one second cannot be
/// divided, and a second with more than `limit` counts as one answer.
pub fn fewest_possible(dates: &[DateTime<Utc>], limit: usize, max_window: TimeDelta) -> usize {
    let mut requests = 0;
    let mut left = dates;
    while let Some(first) = left.first() {
        let in_reach = left.partition_point(|date| *date < *first + max_window);
        let mut take = in_reach.min(limit.max(1));
        if let (Some(last), Some(next)) = (left.get(take - 1), left.get(take))
            && last.timestamp() == next.timestamp()
        {
            let second = last.timestamp();
            let before = left.partition_point(|date| date.timestamp() < second);
            take = if before > 0 { before } else { left.partition_point(|date| date.timestamp() <= second) };
        }
        left = left.get(take.max(1)..).unwrap_or_default();
        requests += 1;
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::super::record::instant;
    use super::*;

    fn fewest(seconds: &[i64], limit: usize) -> usize {
        let dates: Vec<_> = seconds.iter().map(|second| instant(*second)).collect();
        fewest_possible(&dates, limit, TimeDelta::seconds(1_000))
    }

    #[test]
    fn the_fewest_requests_pack_records_without_dividing_a_second() {
        assert_eq!(fewest(&[], 3), 0);
        assert_eq!(fewest(&[1, 2, 3, 4, 5, 6], 3), 2);
        assert_eq!(fewest(&[1, 2, 3, 3, 4, 5], 3), 3, "second 3 goes as a whole into the second answer");
        assert_eq!(fewest(&[7, 7, 7, 7, 8], 3), 2, "one second too full for any answer is one request");
        assert_eq!(fewest(&[1, 5_000], 3), 2, "no answer spans more than the longest window");
    }
}
