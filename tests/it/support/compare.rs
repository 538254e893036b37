//! The table against the truth, column by column: what the simulator's world says, and what PostgreSQL holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use voicenter_simulator::TruthRow;

/// CallID and Type.
pub type Key = (String, String);
/// A row's columns that hold something, by name.
pub type Columns = BTreeMap<String, Value>;

/// At most this many differences are shown.
const SHOWN: usize = 5;

/// Panics with the first differences unless the table holds exactly these rows in `[from, to)`.
pub async fn assert_mirrors(
    url: &str,
    account: &str,
    truth: &[TruthRow],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) {
    let expected: BTreeMap<Key, Columns> = truth.iter().map(of_truth).collect();
    let found = table(url, account, from, to).await;
    if let Some(report) = differences(&expected, &found) {
        panic!("{account} from {from} to {to}: {report}");
    }
}

/// What is missing, extra or different, in words; `None` when nothing is.
pub fn differences(expected: &BTreeMap<Key, Columns>, found: &BTreeMap<Key, Columns>) -> Option<String> {
    let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    let (mut missing, mut extra, mut different, mut lines) = (0, 0, 0, Vec::new());
    for key in keys {
        let line = match (expected.get(key), found.get(key)) {
            (Some(row), None) => {
                missing += 1;
                format!("missing {key:?} of {}", row["started_at"])
            }
            (None, Some(row)) => {
                extra += 1;
                format!("extra {key:?} of {}", row["started_at"])
            }
            (Some(expected), Some(found)) if expected != found => {
                different += 1;
                format!("different {key:?}:{}", columns_that_differ(expected, found))
            }
            _ => continue,
        };
        lines.push(line);
    }
    if lines.is_empty() {
        return None;
    }
    let (all, held) = (expected.len(), found.len());
    lines.truncate(SHOWN);
    Some(format!(
        "{all} records are true, the table holds {held}: {missing} missing, {extra} extra, {different} different\n  {}",
        lines.join("\n  ")
    ))
}

fn columns_that_differ(expected: &Columns, found: &Columns) -> String {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut text = String::new();
    for name in names.into_iter().filter(|name| expected.get(*name) != found.get(*name)) {
        let shown = |columns: &Columns| columns.get(name).map_or("null".to_owned(), Value::to_string);
        write!(text, "\n    {name} should be {} and is {}", shown(expected), shown(found)).unwrap();
    }
    text
}

/// The rows of the table that are not marked removed.
pub async fn table(
    url: &str,
    account: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> BTreeMap<Key, Columns> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    // All columns, also those that a later schema adds: the truth must then speak of them.
    let rows: Vec<(Json<Map<String, Value>>, DateTime<Utc>)> = sqlx::query_as(
        "select to_jsonb(c) - array['account', 'started_at', 'first_seen_at', 'updated_at', 'removed_at'], started_at
         from voicenter.cdr c
         where account = $1 and removed_at is null and started_at >= $2 and started_at < $3",
    )
    .bind(account)
    .bind(from)
    .bind(to)
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    rows.into_iter().map(|(Json(row), started_at)| keyed(row, started_at)).collect()
}

pub fn of_truth(row: &TruthRow) -> (Key, Columns) {
    let number = |text: &String| serde_json::from_str::<Value>(text).unwrap();
    let columns = json!({
        "call_id": row.call_id,
        "type": row.r#type,
        "cdr_type": row.cdr_type,
        "duration_seconds": row.duration_seconds,
        "ring_seconds": row.ring_seconds,
        "caller_number": row.caller_number,
        "caller_extension": row.caller_extension,
        "target_number": row.target_number,
        "target_extension": row.target_extension,
        "target_prefix_name": row.target_prefix_name,
        "did": row.did,
        "dial_status": row.dial_status,
        "dial_status2": row.dial_status2,
        "queue_name": row.queue_name,
        "department_id": row.department_id,
        "department_name": row.department_name,
        "representative_code": row.representative_code,
        "representative_name": row.representative_name,
        "user_id": row.user_id,
        "user_name": row.user_name,
        "price": row.price.as_ref().map(number),
        "record_url": row.record_url,
        "record_expected": row.record_expected,
        "dtmf_data": row.dtmf_data,
        "custom_data": row.custom_data,
        "extra": row.extra,
    });
    let Value::Object(columns) = columns else { unreachable!("it was written as an object") };
    keyed(columns, row.started_at)
}

fn keyed(columns: Map<String, Value>, started_at: DateTime<Utc>) -> (Key, Columns) {
    let text = |name: &str| columns[name].as_str().unwrap().to_owned();
    let key = (text("call_id"), text("type"));
    let mut columns: Columns = columns.into_iter().filter(|(_, value)| !value.is_null()).collect();
    columns.insert("started_at".into(), json!(started_at));
    (key, columns)
}
