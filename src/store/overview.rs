//! What every account's ledger says at one moment, for metrics, `status` and the page.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::account::{self, AccountStatus};
use super::gap::{self, OpenGap};
use super::push_figures::{self, PushOverview};
use super::reference::{self, ListState};
use super::{Store, StoreError, coverage, sql_as};
use crate::window::coverage::Coverage;

/// What was read of an account and what could not be. No secret, no personal data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Spans that were read completely.
    pub coverage: Coverage,
    /// Spans that could not be read in full.
    pub gaps: Vec<OpenGap>,
    /// Number of open rejected records by reason, without those acknowledged.
    pub rejected: Vec<(String, i64)>,
    /// What is known of its lists of reference data, where they are or were read.
    pub lists: Vec<ListState>,
    /// How its CDR notifications fare, where one ever came.
    pub pushes: Option<PushOverview>,
}

impl Store {
    /// Every account that the ledger knows with its overview, by name, all from one snapshot.
    pub async fn overview(&self) -> Result<Vec<(AccountStatus, Overview)>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin_of_one_moment().await?;
            // One statement each for all accounts: a thousand accounts cost no more round trips than one.
            let accounts = account::statuses(&mut tx).await?;
            let mut coverage = coverage::read_all(&mut tx).await?;
            let mut gaps = BTreeMap::<String, Vec<OpenGap>>::new();
            for gap in gap::all_open(&mut tx).await? {
                gaps.entry(gap.account.clone()).or_default().push(gap);
            }
            let mut rejected = rejected(&mut tx).await?;
            let mut lists = BTreeMap::<String, Vec<ListState>>::new();
            for (account, list) in reference::all_states(&mut tx).await? {
                lists.entry(account).or_default().push(list);
            }
            let names: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
            let pushes = push_figures::overview(&mut tx, &names).await?;
            let mut pushes: BTreeMap<String, PushOverview> =
                pushes.into_iter().map(|pushes| (pushes.account.clone(), pushes)).collect();
            tx.commit().await?;
            let with_overview = |status: AccountStatus| {
                let overview = Overview {
                    coverage: coverage
                        .remove(&status.name)
                        .map(|stored| stored.combined())
                        .unwrap_or_default(),
                    gaps: gaps.remove(&status.name).unwrap_or_default(),
                    rejected: rejected.remove(&status.name).unwrap_or_default(),
                    lists: lists.remove(&status.name).unwrap_or_default(),
                    pushes: pushes.remove(&status.name),
                };
                (status, overview)
            };
            Ok(accounts.into_iter().map(with_overview).collect())
        })
        .await
    }

    /// Sizes on disk of the tables that grow, in bytes with their indexes, by name.
    pub async fn table_sizes(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let found = sql_as(
                "select format('%s.%s', n.nspname, c.relname), pg_total_relation_size(c.oid)
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where (n.nspname, c.relname) in (('voicenter', 'cdr'), ('voicenter', 'cdr_history'),
                                              ('cdr_sync', 'rejected'), ('cdr_sync', 'window_read'))
             order by 1",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    /// The last complete read of each account and lane.
    pub async fn last_successes(&self) -> Result<Vec<(String, String, DateTime<Utc>)>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let found = sql_as(
                "select account, lane, max(started_at) from cdr_sync.window_read
             where outcome in ('whole', 'continued') group by 1, 2",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }
}

async fn rejected(conn: &mut PgConnection) -> Result<BTreeMap<String, Vec<(String, i64)>>, StoreError> {
    let rows: Vec<(String, String, i64)> = sql_as(
        "select account, reason, count(*) from cdr_sync.rejected
         where closed_at is null and acknowledged_at is null group by 1, 2 order by 1, 3 desc",
    )
    .fetch_all(conn)
    .await?;
    let mut rejected = BTreeMap::<String, Vec<(String, i64)>>::new();
    for (account, reason, count) in rows {
        rejected.entry(account).or_default().push((reason, count));
    }
    Ok(rejected)
}
