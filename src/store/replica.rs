//! The daemons on one database, and how many accounts each leads.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lease::Holder;
use super::{Store, StoreError, delta, interval, sql, sql_as};

/// A daemon that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The id of its leases.
    pub holder: String,
    /// What it is configured for.
    pub accounts: BTreeSet<String>,
    /// How many accounts it leads.
    pub leads: usize,
}

impl Store {
    /// Says that this daemon is there, for `ttl` from now; returns all that are.
    pub async fn show_up(
        &self,
        holder: &Holder,
        accounts: &[&str],
        ttl: Duration,
    ) -> Result<Vec<Replica>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("insert into cdr_sync.replica (holder, name, accounts, expires_at)
                 values ($1, $2, $3, clock_timestamp() + $4)
                 on conflict (holder) do update
                 set accounts = excluded.accounts, expires_at = excluded.expires_at")
            .bind(&holder.id)
            .bind(&holder.name)
            .bind(accounts)
            .bind(interval(delta(ttl)))
            .execute(&mut *tx)
            .await?;
            sql("delete from cdr_sync.replica where expires_at <= clock_timestamp()")
                .execute(&mut *tx)
                .await?;
            let rows: Vec<(String, Vec<String>, i64)> = sql_as(
                "select r.holder, r.accounts,
                        (select count(*) from cdr_sync.lease l
                         where l.holder = r.holder and l.expires_at > clock_timestamp())
                 from cdr_sync.replica r",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            let replica = |(holder, accounts, leads): (String, Vec<String>, i64)| Replica {
                holder,
                accounts: accounts.into_iter().collect(),
                leads: usize::try_from(leads).unwrap_or_default(),
            };
            Ok(rows.into_iter().map(replica).collect())
        })
        .await
    }

    /// This daemon ends.
    pub async fn leave(&self, holder: &Holder) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("delete from cdr_sync.replica where holder = $1").bind(&holder.id).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }
}
