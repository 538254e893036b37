//! Leadership: one process at a time syncs an account.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, Tx, delta, interval, sql, sql_as, sql_value};

/// How long a taker waits for the old leader's running commit before it ends that connection. A leader at work would
/// have renewed its lease: this one hangs, or its process is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process that may lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// A random id, new at every start of the process.
    pub id: String,
    /// A name for people: host and process id.
    pub name: String,
}

/// This host's name, as leases, actions and notices have it.
pub(crate) fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "an unknown host".to_owned())
}

/// The answer to a request for the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// This process leads until `ttl` after the request was *sent*, by its own monotonic clock.
    Ours {
        /// The number that every commit must carry.
        fence: i64,
    },
    /// Another process holds the lease.
    HeldBy {
        /// Host and process id of the leader.
        name: String,
        /// How long the lease still holds unless renewed.
        expires_in: Duration,
    },
}

impl Store {
    /// Takes the lease of an account if nobody holds it, if it has expired by the database's clock, or if `dead` says
    /// that its holder is gone. Each takeover raises the fence, which makes the old leader's commits fail; one that is
    /// running is waited for, and after 2 seconds its connection is ended.
    pub async fn take_lease(
        &self,
        account: &str,
        holder: &Holder,
        ttl: Duration,
        dead: impl Fn(&str) -> bool + Send,
    ) -> Result<Taken, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            // A process that hangs from here on keeps others waiting only briefly.
            sqlx::raw_sql("set local idle_in_transaction_session_timeout = '5s'").execute(&mut *tx).await?;
            let present: Option<(String, bool)> = sql_as(
                "select holder, holder <> $2 and expires_at between clock_timestamp() and clock_timestamp() + $3 + interval '10 seconds'
                 from cdr_sync.lease where account = $1",
            )
            .bind(account)
            .bind(&holder.id)
            .bind(interval(delta(ttl)))
            .fetch_optional(&mut *tx)
            .await?;
            let mut buried = None;
            if let Some((id, is_held)) = present {
                buried = Some(id).filter(|id| dead(id));
                if is_held && buried.is_none() {
                    // Not tried: a row that is only read is not locked, so its holder can renew it.
                    return held_by(tx, account).await;
                }
            }
            let taken =
                sql("insert into cdr_sync.lease as l (account, holder, holder_name, taken_at, expires_at)
             values ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4)
             on conflict (account) do update
             set holder = excluded.holder, holder_name = excluded.holder_name,
                 taken_at = clock_timestamp(), expires_at = clock_timestamp() + $4
             where l.holder = excluded.holder or l.holder = $5 or l.expires_at <= clock_timestamp()
                -- No lease lasts longer: the database's clock was set back.
                or l.expires_at > clock_timestamp() + $4 + interval '10 seconds'")
                .bind(account)
                .bind(&holder.id)
                .bind(&holder.name)
                .bind(interval(delta(ttl)))
                .bind(buried)
                .execute(&mut *tx)
                .await?;
            if taken.rows_affected() == 0 {
                return held_by(tx, account).await;
            }
            let fence = self.raise_fence(&mut tx, account).await?;
            tx.commit().await?;
            Ok(Taken::Ours { fence })
        })
        .await
    }

    /// Raises the account's fence; ends a connection that blocks this for too long.
    async fn raise_fence(&self, tx: &mut Tx, account: &str) -> Result<i64, StoreError> {
        let own_pid = tx.backend;
        let raise = sql_value(
            "insert into cdr_sync.cursor as c (account, fence) values ($1, 1)
             on conflict (account) do update set fence = c.fence + 1
             returning fence",
        )
        .bind(account)
        .fetch_one(&mut **tx);
        tokio::pin!(raise);
        let fence = tokio::select! {
            raised = &mut raise => raised?,
            () = tokio::time::sleep(PATIENCE) => {
                self.end_blockers(own_pid).await?;
                raise.await?
            }
        };
        Ok(fence)
    }

    /// Ends the connections that `pid` waits for: a leader stopped in the middle of a commit.
    async fn end_blockers(&self, pid: i32) -> Result<(), StoreError> {
        let mut tx = self.aside().begin().await?;
        sql("select pg_terminate_backend(blocker) from unnest(pg_blocking_pids($1)) as blocker")
            .bind(pid)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Extends the leases of `accounts` to `ttl` from now, over a separate connection from those of commits. Returns
    /// which leases the holder still has, and for each whether it was extended: one that another process is examining
    /// at that moment is not.
    pub async fn renew_leases(
        &self,
        accounts: &[String],
        holder: &Holder,
        ttl: Duration,
    ) -> Result<BTreeMap<String, bool>, StoreError> {
        let aside = self.aside();
        aside
            .soon(async {
                let mut tx = aside.begin().await?;
                // Skip locked rows: an account that is being taken over must not hold up all others.
                let held: Vec<(String, bool)> = sql_as(
                    "with held as materialized (
                         select account from cdr_sync.lease where account = any($1) and holder = $2
                     ), free as materialized (
                         select account from cdr_sync.lease where account = any($1) and holder = $2
                         for update skip locked
                     ), renewed as (
                         update cdr_sync.lease l set expires_at = clock_timestamp() + $3
                         from free where l.account = free.account
                         returning l.account
                     )
                     select held.account, renewed.account is not null
                     from held left join renewed on renewed.account = held.account",
                )
                .bind(accounts)
                .bind(&holder.id)
                .bind(interval(delta(ttl)))
                .fetch_all(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok(held.into_iter().collect())
            })
            .await
    }

    /// Gives up the lease, so that the next leader need not wait.
    pub async fn release_lease(&self, account: &str, holder: &Holder) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("delete from cdr_sync.lease where account = $1 and holder = $2")
                .bind(account)
                .bind(&holder.id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }
}

#[derive(Default, FromRow)]
struct LeaseRow {
    holder_name: String,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

async fn held_by(mut tx: Tx, account: &str) -> Result<Taken, StoreError> {
    let row: Option<LeaseRow> = sql_as(
        "select holder_name, expires_at, clock_timestamp() as now from cdr_sync.lease where account = $1",
    )
    .bind(account)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    // Released between the two statements: the caller asks again at once.
    let LeaseRow { holder_name: name, expires_at, now } = row.unwrap_or_default();
    Ok(Taken::HeldBy { name, expires_in: (expires_at - now).to_std().unwrap_or_default() })
}
