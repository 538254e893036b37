//! Rows read back, for `verify` and for the density forecast.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Store, StoreError, sql, sql_as};
use crate::cdr::{Cdr, CdrKey};
use crate::window::Window;

/// A row of `voicenter.cdr`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCdr {
    /// Its content.
    pub cdr: Cdr,
    /// When the API stopped returning it.
    pub removed_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The rows that started in `window`, in the order of date and key: at most `limit`, from after `after`. A page
    /// shorter than `limit` is the last.
    pub async fn read_span(
        &self,
        account: &str,
        window: Window,
        after: Option<&Cdr>,
        limit: i64,
    ) -> Result<Vec<StoredCdr>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sql("select call_id, type, cdr_type, started_at, duration_seconds, ring_seconds, caller_number,
                    caller_extension, target_number, target_extension, target_prefix_name, did, dial_status,
                    dial_status2, queue_name, department_id, department_name, representative_code,
                    representative_name, user_id, user_name, price::text, record_url, record_expected, dtmf_data,
                    custom_data, extra, removed_at
             from voicenter.cdr
             where account = $1 and started_at >= $2 and started_at < $3
               and ($4::timestamptz is null or (started_at, call_id, type) > ($4, $5, $6))
             order by started_at, call_id, type
             limit $7")
        .bind(account)
        .bind(after.map_or(window.from(), |last| last.started_at))
        .bind(window.to())
        .bind(after.map(|last| last.started_at))
        .bind(after.map(|last| last.key.call_id.as_str()))
        .bind(after.map(|last| last.key.call_type.as_str()))
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        rows.iter().map(stored_from_row).collect()
    }

    /// How many calls started in each full hour of `[from, to)` that had any: for the density forecast.
    pub async fn hourly_counts(
        &self,
        account: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, i64)>, StoreError> {
        let mut tx = self.begin().await?;
        // Removed rows count too: the index alone answers then, and a forecast does not mind.
        Ok(sql_as(
            "select date_trunc('hour', started_at), count(*) from voicenter.cdr
             where account = $1 and started_at >= $2 and started_at < $3
             group by 1 order by 1",
        )
        .bind(account)
        .bind(from)
        .bind(to)
        .fetch_all(&mut *tx)
        .await?)
    }
}

fn stored_from_row(row: &PgRow) -> Result<StoredCdr, StoreError> {
    Ok(StoredCdr { cdr: cdr_from_row(row)?, removed_at: row.try_get("removed_at")? })
}

fn cdr_from_row(row: &PgRow) -> Result<Cdr, StoreError> {
    let extra: Option<Value> = row.try_get("extra")?;
    Ok(Cdr {
        key: CdrKey { call_id: row.try_get("call_id")?, call_type: row.try_get("type")? },
        cdr_type: row.try_get("cdr_type")?,
        started_at: row.try_get("started_at")?,
        duration_seconds: row.try_get("duration_seconds")?,
        ring_seconds: row.try_get("ring_seconds")?,
        caller_number: row.try_get("caller_number")?,
        caller_extension: row.try_get("caller_extension")?,
        target_number: row.try_get("target_number")?,
        target_extension: row.try_get("target_extension")?,
        target_prefix_name: row.try_get("target_prefix_name")?,
        did: row.try_get("did")?,
        dial_status: row.try_get("dial_status")?,
        dial_status2: row.try_get("dial_status2")?,
        queue_name: row.try_get("queue_name")?,
        department_id: row.try_get("department_id")?,
        department_name: row.try_get("department_name")?,
        representative_code: row.try_get("representative_code")?,
        representative_name: row.try_get("representative_name")?,
        user_id: row.try_get("user_id")?,
        user_name: row.try_get("user_name")?,
        price: row.try_get("price")?,
        record_url: row.try_get("record_url")?,
        record_expected: row.try_get("record_expected")?,
        dtmf_data: row.try_get("dtmf_data")?,
        custom_data: row.try_get("custom_data")?,
        extra: match extra {
            Some(Value::Object(fields)) => fields.into_iter().collect(),
            _ => Default::default(),
        },
    })
}
