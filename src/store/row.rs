//! Rows read back, for `verify` and for the density forecast.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{Store, StoreError, merge, sql_as};
use crate::cdr::{Cdr, CdrKey, Column, ColumnSlot};
use crate::clock::monotonic;
use crate::window::Window;

/// Number of rows fetched at a time.
const PAGE: i64 = 5_000;

/// The rows of a span, page after page, in the order of date and key. No transaction stays open between pages, so
/// a row that changes meanwhile may be returned in its old or its new form.
#[derive(Debug)]
pub struct Rows<'a> {
    store: &'a Store,
    account: &'a str,
    window: Window,
    page: VecDeque<Row>,
    /// The last row fetched; the next page begins after it.
    last: Option<(DateTime<Utc>, CdrKey)>,
    ended: bool,
}

/// A row of `voicenter.cdr`, and when the API stopped returning it.
type Row = (Cdr, Option<DateTime<Utc>>);

impl Rows<'_> {
    /// The next row and its `removed_at`; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.page.is_empty() && !self.ended {
            self.page = self.fetch().await?.into();
            self.ended = (self.page.len() as i64) < PAGE;
            self.last =
                self.page.back().map(|(cdr, _)| (cdr.started_at, cdr.key.clone())).or(self.last.take());
        }
        Ok(self.page.pop_front())
    }

    async fn fetch(&self) -> Result<Vec<Row>, StoreError> {
        self.store
            .soon(async {
                let after = self.last.as_ref();
                let mut tx = self.store.begin().await?;
                let statement = format!(
                    "select {}, removed_at
             from voicenter.cdr
             where account = $1 and started_at >= $2 and started_at < $3
               and ($4::timestamptz is null or (started_at, call_id, type) > ($4, $5, $6))
             order by started_at, call_id, type
             limit $7",
                    merge::readable_row()
                );
                let rows = sqlx::query(AssertSqlSafe(statement))
                    .persistent(false)
                    .bind(self.account)
                    .bind(after.map_or(self.window.from(), |(started_at, _)| *started_at))
                    .bind(self.window.to())
                    .bind(after.map(|(started_at, _)| *started_at))
                    .bind(after.map(|(_, key)| key.call_id.as_str()))
                    .bind(after.map(|(_, key)| key.call_type.as_str()))
                    .bind(PAGE)
                    .fetch_all(&mut *tx)
                    .await?;
                tx.commit().await?;
                rows.iter().map(|row| Ok((cdr_from_row(row)?, row.try_get("removed_at")?))).collect()
            })
            .await
    }
}

/// Time limit for counting the calls of the last weeks.
const COUNTING: Duration = Duration::from_secs(20);

impl Store {
    /// The rows that started in `window`.
    pub fn read_span<'a>(&'a self, account: &'a str, window: Window) -> Rows<'a> {
        let (page, last) = (VecDeque::new(), None);
        Rows { store: self, account, window, page, last, ended: false }
    }

    /// How many calls started in each full hour of `[from, to)` that had any: for the density forecast.
    ///
    /// Counted by the day, the newest first, until a day takes too long: with a large table on a slow disk the forecast
    /// starts with less data, but the account still starts.
    pub async fn hourly_counts(
        &self,
        account: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, i64)>, StoreError> {
        self.in_time(async {
            let (mut counts, mut end) = (Vec::new(), to);
            let began = monotonic();
            let mut tx = self.begin().await?;
            sqlx::raw_sql(AssertSqlSafe(self.brief.clone())).execute(&mut *tx).await?;
            while end > from && began.elapsed() < COUNTING {
                // At midnight UTC, so that no hour is counted in two parts.
                let midnight = end.duration_trunc(TimeDelta::days(1)).unwrap_or(from);
                let start = if midnight < end { midnight } else { end - TimeDelta::days(1) }.max(from);
                match counts_of_a_day(&mut tx, account, start, end).await {
                    Ok(day) => counts.extend(day),
                    Err(error) if error.is_too_slow() => break,
                    Err(error) => return Err(error),
                }
                end = start;
            }
            counts.sort_unstable();
            tx.commit().await?;
            Ok(counts)
        })
        .await
    }
}

async fn counts_of_a_day(
    conn: &mut PgConnection,
    account: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, i64)>, StoreError> {
    // Removed rows count too: then the index alone is enough, and it makes no difference to a forecast.
    Ok(sql_as(
        "select date_trunc('hour', started_at), count(*) from voicenter.cdr
         where account = $1 and started_at >= $2 and started_at < $3
         group by 1",
    )
    .bind(account)
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// The record of a row that was selected by [`super::merge::readable_row`].
pub(super) fn cdr_from_row(row: &PgRow) -> Result<Cdr, StoreError> {
    let extra: Option<Value> = row.try_get("extra")?;
    let mut record = Cdr {
        key: CdrKey { call_id: row.try_get("call_id")?, call_type: row.try_get("type")? },
        started_at: row.try_get("started_at")?,
        extra: match extra {
            // Kept by earlier versions.
            Some(Value::Object(fields)) => {
                fields.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("dateepoch")).collect()
            }
            _ => Default::default(),
        },
        ..Cdr::default()
    };
    for column in Column::ALL {
        match record.slot(column) {
            ColumnSlot::Text(slot) => *slot = row.try_get(column.name())?,
            ColumnSlot::Number(slot) => *slot = row.try_get(column.name())?,
            ColumnSlot::Flag(slot) => *slot = row.try_get(column.name())?,
            ColumnSlot::Json(slot) => *slot = row.try_get(column.name())?,
        }
    }
    Ok(record)
}
