//! Which windows are to be read again, because rows in them are missing or share a key.

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgRange;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::missing::{HORIZON_AGE, LIVE};
use super::{StoreError, interval};
use crate::plan::ledger::Recheck;
use crate::window::Window;

#[derive(FromRow)]
struct RecheckRow {
    /// Whole minutes around the missing rows of one hour.
    #[sqlx(try_from = "PgRange<DateTime<Utc>>")]
    span: Window,
    due_at: DateTime<Utc>,
}

impl From<RecheckRow> for Recheck {
    fn from(row: RecheckRow) -> Self {
        Self { window: row.span, due_at: row.due_at }
    }
}

/// The missing rows and the dates of records that share a key, gathered into one window per hour (per day where very
/// many are missing), each with the earliest instant for a read.
///
/// For old rows, the row before them is included: if the API returns it, they are not beyond the vendor's horizon.
pub(super) async fn rechecks(conn: &mut PgConnection, account: &str) -> Result<Vec<Recheck>, StoreError> {
    let statement = format!(
        "with wanted as (
             select min(started_at) as oldest, max(started_at) as newest, min(due_at) as due_at,
                    not bool_and(older_shown) as unsure
             from (select started_at, due_at, suspicious, older_shown from cdr_sync.missing where account = $1
                   union all
                   select started_at, due_at, null, true from cdr_sync.twin where account = $1) as wanted
             group by date_trunc(case when suspicious then 'day' else 'hour' end, started_at), suspicious
         ), before as (
             select wanted.oldest, wanted.newest, wanted.due_at, older.started_at as before
             from wanted
             left join lateral (
                 -- A few rows back and no further: what lies behind many missing ones is looked for with the oldest.
                 -- Rows of an earlier scope are passed over, but no more than take some milliseconds.
                 select near.started_at
                 from (select c.call_id, c.type, c.started_at
                       from (select * from voicenter.cdr
                             where account = $1 and started_at < wanted.oldest and removed_at is null
                               and started_at >= coalesce((select greatest(horizon, retained_from) from cdr_sync.account where name = $1), '-infinity')
                             order by started_at desc limit 10000) as c
                       where {LIVE}
                       order by c.started_at desc limit 50) as near
                 where not exists (select from cdr_sync.missing m
                                   where m.account = $1 and m.call_id = near.call_id and m.type = near.type)
                 order by near.started_at desc limit 1
             ) as older on wanted.unsure and wanted.oldest < wanted.due_at - $2
         )
         select tstzrange(date_trunc('minute', case when near then before else oldest end),
                          date_trunc('minute', newest) + interval '1 minute') as span, due_at
         from before, lateral (select coalesce(before >= oldest - $2, false) as near) as distance
         union all
         select tstzrange(date_trunc('minute', before), date_trunc('minute', before) + interval '1 minute'), due_at
         from before where before < oldest - $2
         order by 1"
    );
    let rows = sqlx::query_as(AssertSqlSafe(statement)).persistent(false);
    let rows: Vec<RecheckRow> = rows.bind(account).bind(interval(HORIZON_AGE)).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Recheck::from).collect())
}
