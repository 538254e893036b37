//! What was read completely, and without which fields: two tables, one map in memory.
//!
//! There are two because earlier versions know only the first: what they leave there is read as it is. A row of
//! `lacking` over a stretch that such a version has read since costs at most one more read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::{PgInterval, PgRange};
use sqlx::{FromRow, PgConnection};

use super::{Interval, StoreError, interval, span, sql, sql_as};
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::lacking::Lacking;

/// The stored rows of one account, which another version may have written.
#[derive(Default)]
pub(super) struct Stored {
    /// `cdr_sync.coverage`: nothing is lacking in these.
    reread_ages: Vec<Stretch>,
    /// `cdr_sync.lacking`, with a re-read age of zero.
    lacking: Vec<Stretch>,
}

#[derive(FromRow)]
struct CoverageRow {
    account: String,
    #[sqlx(try_from = "PgRange<DateTime<Utc>>")]
    span: Window,
    #[sqlx(try_from = "PgInterval")]
    tier: Interval,
}

#[derive(FromRow)]
struct LackingRow {
    account: String,
    #[sqlx(try_from = "PgRange<DateTime<Utc>>")]
    span: Window,
    fields: Vec<String>,
}

pub(super) async fn read(conn: &mut PgConnection, account: &str) -> Result<Stored, StoreError> {
    Ok(select(conn, Some(account)).await?.remove(account).unwrap_or_default())
}

/// The stored rows of every account that has any.
pub(super) async fn read_all(conn: &mut PgConnection) -> Result<BTreeMap<String, Stored>, StoreError> {
    select(conn, None).await
}

async fn select(
    conn: &mut PgConnection,
    account: Option<&str>,
) -> Result<BTreeMap<String, Stored>, StoreError> {
    let mut stored = BTreeMap::<String, Stored>::new();
    let reread_ages: Vec<CoverageRow> = sql_as(
        "select account, span, tier from cdr_sync.coverage
         where $1::text is null or account = $1 order by account, span",
    )
    .bind(account)
    .fetch_all(&mut *conn)
    .await?;
    for row in reread_ages {
        let stretch = Stretch { window: row.span, reread_age: row.tier.0, lacking: Lacking::NONE };
        stored.entry(row.account).or_default().reread_ages.push(stretch);
    }
    let lacking: Vec<LackingRow> = sql_as(
        "select account, span, fields from cdr_sync.lacking
         where $1::text is null or account = $1 order by account, span",
    )
    .bind(account)
    .fetch_all(conn)
    .await?;
    for row in lacking {
        let lacking = Lacking::of(row.fields.iter().map(String::as_str));
        let stretch = Stretch { window: row.span, reread_age: TimeDelta::zero(), lacking };
        stored.entry(row.account).or_default().lacking.push(stretch);
    }
    Ok(stored)
}

impl Stored {
    /// The rows of `coverage`, each cut where those of `lacking` begin and end.
    pub(super) fn combined(&self) -> Coverage {
        let reread_ages = Coverage::from_stretches(self.reread_ages.iter().copied());
        let within = |stretch: &Stretch, lacking: &Stretch| {
            let window = stretch.window.intersect(&lacking.window)?;
            Some(Stretch { window, reread_age: stretch.reread_age, lacking: lacking.lacking })
        };
        let mut combined = reread_ages.clone();
        for part in self
            .lacking
            .iter()
            .flat_map(|row| reread_ages.stretches().iter().filter_map(move |s| within(s, row)))
        {
            combined.claim_lacking(part.window, part.reread_age, part.lacking);
        }
        combined
    }

    /// The rows that represent `coverage`.
    fn of(coverage: &Coverage) -> Self {
        let all = coverage.stretches().iter().copied();
        let reread_ages = all.clone().map(|stretch| Stretch { lacking: Lacking::NONE, ..stretch });
        let lacking = all.filter(|stretch| !stretch.lacking.is_none());
        let lacking = lacking.map(|stretch| Stretch { reread_age: TimeDelta::zero(), ..stretch });
        let joined = |stretches| Coverage::from_stretches(stretches).stretches().to_vec();
        Self { reread_ages: joined(reread_ages.collect::<Vec<_>>()), lacking: joined(lacking.collect()) }
    }

    /// Changes the stored rows to those of `after`. They are compared as found, not as this version would have written
    /// them, so what another one left unjoined or overlapping is cleaned up by the first write.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        account: &str,
        after: &Coverage,
    ) -> Result<(), StoreError> {
        let after = Self::of(after);
        write_tiers(conn, account, &self.reread_ages, &after.reread_ages).await?;
        write_lacking(conn, account, &self.lacking, &after.lacking).await
    }
}

/// Those of `rows` that are not in `others`.
fn beyond<'r>(rows: &'r [Stretch], others: &[Stretch]) -> Vec<&'r Stretch> {
    let others: BTreeSet<&Stretch> = others.iter().collect();
    rows.iter().filter(|row| !others.contains(row)).collect()
}

fn spans(rows: &[&Stretch]) -> Vec<PgRange<DateTime<Utc>>> {
    rows.iter().map(|row| span(row.window)).collect()
}

async fn write_tiers(
    conn: &mut PgConnection,
    account: &str,
    before: &[Stretch],
    after: &[Stretch],
) -> Result<(), StoreError> {
    let (gone, come) = (beyond(before, after), beyond(after, before));
    if !gone.is_empty() {
        sql("delete from cdr_sync.coverage where account = $1 and span = any($2)")
            .bind(account)
            .bind(spans(&gone))
            .execute(&mut *conn)
            .await?;
    }
    if !come.is_empty() {
        sql("insert into cdr_sync.coverage (account, span, tier)
             select $1, span, tier from unnest($2::tstzrange[], $3::interval[]) as come (span, tier)")
        .bind(account)
        .bind(spans(&come))
        .bind(come.iter().map(|row| interval(row.reread_age)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    }
    Ok(())
}

async fn write_lacking(
    conn: &mut PgConnection,
    account: &str,
    before: &[Stretch],
    after: &[Stretch],
) -> Result<(), StoreError> {
    let (gone, come) = (beyond(before, after), beyond(after, before));
    if !gone.is_empty() {
        sql("delete from cdr_sync.lacking where account = $1 and span = any($2)")
            .bind(account)
            .bind(spans(&gone))
            .execute(&mut *conn)
            .await?;
    }
    if !come.is_empty() {
        let names = |row: &&Stretch| row.lacking.names().collect::<Vec<_>>().join(",");
        // Arrays of arrays must be rectangular in PostgreSQL, so each list is passed as one text.
        sql("insert into cdr_sync.lacking (account, span, fields)
             select $1, span, string_to_array(fields, ',')
             from unnest($2::tstzrange[], $3::text[]) as come (span, fields)")
        .bind(account)
        .bind(spans(&come))
        .bind(come.iter().map(names).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::Window;

    fn window(from: i64, to: i64) -> Window {
        let at = |minute: i64| DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap();
        Window::new(at(from), at(to)).unwrap()
    }

    fn stretch(from: i64, to: i64, reread_age: i64, lacking: Lacking) -> Stretch {
        Stretch { window: window(from, to), reread_age: TimeDelta::hours(reread_age), lacking }
    }

    fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
        let fields = prop::sample::select(vec![Lacking::NONE, Lacking::of(["UserId"]), Lacking::ALL]);
        let stretch =
            (0..60_i64, 1..20_i64, 0..3_i64, fields).prop_map(|(from, length, reread_age, lacking)| {
                stretch(from, from + length, reread_age, lacking)
            });
        prop::collection::vec(stretch, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_neighbours_of_one_tier_are_one_row(stretches in stretches()) {
            let coverage = Coverage::from_stretches(stretches);
            let rows = Stored::of(&coverage);
            prop_assert_eq!(rows.combined(), coverage);
            for pair in rows.reread_ages.windows(2) {
                prop_assert!(pair[0].window.to() < pair[1].window.from() || pair[0].reread_age != pair[1].reread_age);
            }
        }

        #[test]
        fn fields_that_are_lacking_make_nothing_read(reread_ages in stretches(), lacking in stretches()) {
            let plain = |rows: &[Stretch]| rows.iter().map(|row| Stretch { lacking: Lacking::NONE, ..*row }).collect();
            let reread_ages: Vec<Stretch> = plain(&reread_ages);
            let combined = Stored { reread_ages: reread_ages.clone(), lacking }.combined();
            let combined: Vec<Stretch> = plain(combined.stretches());
            prop_assert_eq!(Coverage::from_stretches(combined), Coverage::from_stretches(reread_ages));
        }
    }
}
