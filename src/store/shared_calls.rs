//! Accounts that see the same calls: one credential configured twice, or a department and the hierarchy above it. Every
//! chart over both would count those calls twice.

use sqlx::FromRow;

use super::{Store, StoreError, sql_as};

/// At most this many of each account's newest rows are looked up under the others, within [`LOOKUPS`] …
const MOST: i64 = 500;
/// … and at least this many.
const LEAST: i64 = 20;
/// Total number of lookups: each row is looked up under every other account, so without a limit two hundred accounts
/// would make twenty million.
const LOOKUPS: i64 = 200_000;

/// Two accounts that share CallIDs.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SharedCalls {
    /// The account whose name sorts first.
    pub account: String,
    /// The account whose name sorts second.
    pub other: String,
    /// How many of the rows looked up are in both accounts.
    pub shared: i64,
    /// How many rows were looked up.
    pub sampled: i64,
}

impl Store {
    /// Finds pairs of accounts that share newest calls, by sampling: some hundred of each account's newest rows (fewer
    /// if there are very many accounts) are looked up under every other account. Only indexes are used, so it is as
    /// fast on a large table.
    pub async fn shared_calls(&self) -> Result<Vec<SharedCalls>, StoreError> {
        self.in_time(async {
        let mut tx = self.begin().await?;
        let pairs = sql_as(
            "with newest as materialized (
                 select a.name, c.call_id
                 from cdr_sync.account a
                 cross join lateral (
                     select call_id from voicenter.cdr
                     where account = a.name and removed_at is null
                     order by started_at desc
                     limit (select greatest($2, least($1, $3 / greatest(count(*) * (count(*) - 1), 1)))
                            from cdr_sync.account)
                 ) c
             )
             select least(a.name, b.name) as account, greatest(a.name, b.name) as other,
                    count(*) filter (where shared.found) as shared, count(*) as sampled
             from newest a
             join cdr_sync.account b on a.name <> b.name
             cross join lateral (
                 select exists (
                     select from voicenter.cdr o where o.account = b.name and o.call_id = a.call_id and o.removed_at is null
                 ) as found
                 offset 0 -- looked up once, though it is asked for twice
             ) shared
             group by 1, 2
             having count(*) filter (where shared.found) > 0
             order by 1, 2",
        )
        .bind(MOST)
        .bind(LEAST)
        .bind(LOOKUPS)
        .fetch_all(&mut *tx)
        .await?;
tx.commit().await?;
        Ok(pairs)
        })
        .await
    }
}
