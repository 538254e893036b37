//! The daemons on one database, and how many accounts each leads.

use std::time::Duration;

use sqlx::FromRow;

use super::lease::Holder;
use super::{Store, StoreError, delta, interval, sql, sql_as, sql_value};

/// A daemon that is running on this database.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Replica {
    /// The id under which it holds leases.
    pub holder: String,
    /// Names of the accounts that it is configured for and able to read.
    pub accounts: Vec<String>,
    /// How many accounts it leads.
    #[sqlx(try_from = "i64")]
    pub leads: usize,
}

impl Store {
    /// Announces this daemon for `ttl` from now; returns all that are present.
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
            let replicas = sql_as(
                "select r.holder, r.accounts,
                        (select count(*) from cdr_sync.lease l
                         where l.holder = r.holder and l.expires_at > clock_timestamp()) as leads
                 from cdr_sync.replica r",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(replicas)
        })
        .await
    }

    /// The daemons that are running on this database.
    pub async fn daemons(&self) -> Result<Vec<String>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let statement =
                "select name from cdr_sync.replica where expires_at > clock_timestamp() order by name";
            let daemons = sql_value(statement).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(daemons)
        })
        .await
    }

    /// Removes this daemon's announcement when it ends.
    pub async fn leave(&self, holder: &Holder) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("delete from cdr_sync.replica where holder = $1").bind(&holder.id).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }
}
