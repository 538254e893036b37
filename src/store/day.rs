//! The number of rows of each day: as stored, and as found.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::commit_count::CommitCount;
use super::{Store, StoreError, coverage, ledger, sql, sql_as};
use crate::window::Window;

/// The result of comparing stored with found numbers of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The oldest day that was counted; `None` when none is left below it.
    pub down_to: Option<NaiveDate>,
    /// Days that have fewer rows than were stored. They no longer count as read.
    pub lost_days: usize,
    /// How many rows are missing from them.
    pub lost_rows: i64,
}

/// A day, the number of rows that were stored and the number that was found.
#[derive(FromRow)]
struct Differing {
    day: NaiveDate,
    stored: i64,
    found: i64,
}

impl Store {
    /// Counts the rows of days before `below`, the newest first, until about `rows` were counted. The numbers found
    /// replace those stored.
    ///
    /// More rows than were stored prove nothing: another version of the program may have stored them.
    pub async fn compare_days(
        &self,
        account: &str,
        fence: i64,
        count: &Arc<CommitCount>,
        below: Option<NaiveDate>,
        rows: i64,
    ) -> Result<Compared, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let locked = ledger::lock(&mut tx, account, fence, count).await?;
            if below.is_none() {
                note_other_days(&mut tx, account).await?;
            }
            let (differing, down_to) = count_days(&mut tx, account, below, rows).await?;
            let is_fewer = |day: &Differing| day.found < day.stored;
            if differing.is_empty() {
                tx.commit().await?;
                return Ok(Compared { down_to, lost_days: 0, lost_rows: 0 });
            }
            let (days, found): (Vec<NaiveDate>, Vec<i64>) =
                differing.iter().map(|day| (day.day, day.found)).unzip();
            sql("update cdr_sync.day d set rows = f.rows
                 from unnest($2::date[], $3::bigint[]) as f(day, rows)
                 where d.account = $1 and d.day = f.day")
            .bind(account)
            .bind(days)
            .bind(found)
            .execute(&mut *tx)
            .await?;
            let lost: Vec<&Differing> = differing.iter().filter(|day| is_fewer(day)).collect();
            let stored = coverage::read(&mut tx, account).await?;
            let mut after = stored.combined();
            for window in lost.iter().filter_map(|day| whole(day.day)) {
                after.uncover(window);
            }
            stored.write(&mut tx, account, &after).await?;
            ledger::write_cursor(&mut tx, account, &after, &locked, None).await?;
            count.ending();
            tx.commit().await?;
            count.ended(locked.commits + 1);
            let lost_rows = lost.iter().map(|day| day.stored - day.found).sum();
            Ok(Compared { down_to, lost_days: lost.len(), lost_rows })
        })
        .await
    }
}

/// Notes days that have rows but no number, as stored by an earlier version. Steps through the index from day to day,
/// since there may be many rows and few days.
async fn note_other_days(conn: &mut PgConnection, account: &str) -> Result<(), StoreError> {
    sql("with recursive present(day) as (
             (select (started_at at time zone 'UTC')::date from voicenter.cdr
              where account = $1 order by started_at limit 1)
             union all
             select (select (started_at at time zone 'UTC')::date from voicenter.cdr
                     where account = $1 and started_at >= (day + 1)::timestamp at time zone 'UTC'
                     order by started_at limit 1)
             from present where day is not null
         )
         insert into cdr_sync.day (account, day, rows)
         select $1, day, 0 from present where day is not null
         on conflict do nothing")
    .bind(account)
    .execute(conn)
    .await?;
    Ok(())
}

/// The days that differ, and the oldest that was counted.
async fn count_days(
    conn: &mut PgConnection,
    account: &str,
    below: Option<NaiveDate>,
    rows: i64,
) -> Result<(Vec<Differing>, Option<NaiveDate>), StoreError> {
    let counted: Vec<Differing> = sql_as(
        "select due.day, due.rows as stored, found.rows as found
         from (
             -- Nobody knows how many rows are where none were noted.
             select day, rows, sum(weight) over (order by day desc) - weight as before
             from cdr_sync.day cross join lateral (values (case when rows = 0 then 20000 else rows end)) as w(weight)
             where account = $1 and ($2::date is null or day < $2)
         ) as due
         -- By day: else the planner may prefer to read the whole table.
         cross join lateral (
             select count(*) as rows from voicenter.cdr c
             where c.account = $1 and c.started_at >= due.day::timestamp at time zone 'UTC'
               and c.started_at < (due.day + 1)::timestamp at time zone 'UTC'
         ) as found
         where due.before < $3
         order by due.day desc",
    )
    .bind(account)
    .bind(below)
    .bind(rows)
    .fetch_all(conn)
    .await?;
    let down_to = counted.last().map(|counted| counted.day);
    Ok((counted.into_iter().filter(|counted| counted.stored != counted.found).collect(), down_to))
}

fn whole(day: NaiveDate) -> Option<Window> {
    let from: DateTime<Utc> = day.and_hms_opt(0, 0, 0)?.and_utc();
    Window::new(from, from + TimeDelta::days(1))
}
