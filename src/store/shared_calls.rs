//! Accounts that see the same calls: one credential configured twice, or a department and the hierarchy above it. Every
//! chart over both would count those calls twice.

use sqlx::FromRow;

use super::{Store, StoreError, sql_as, sql_value};

/// At most this many of each account's newest rows are looked at …
const MOST: i64 = 500;
/// … and at least this many.
const LEAST: i64 = 20;
/// About how many lookups, or rows compared, all accounts may cost together.
const ALTOGETHER: i64 = 200_000;

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
    /// Finds pairs of accounts that share newest calls, by sampling. Only indexes are used, so it is as fast on a large
    /// table.
    ///
    /// Each row is looked up under every other account. Of more than a hundred accounts that would be millions of lookups:
    /// their newest rows are compared with one another instead, which finds what they have in common lately. There, a call
    /// of three accounts is reported for the first of them by name and each of the others.
    pub async fn shared_calls(&self) -> Result<Vec<SharedCalls>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let accounts: i64 =
                sql_value("select count(*) from cdr_sync.account").fetch_one(&mut *tx).await?;
            let lookups = accounts * (accounts - 1).max(1);
            let (statement, each) = if lookups * LEAST <= ALTOGETHER {
                (LOOK_UP, ALTOGETHER / lookups.max(1))
            } else {
                (COMPARE, ALTOGETHER / accounts)
            };
            let pairs = sql_as(statement).bind(each.clamp(LEAST, MOST)).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(pairs)
        })
        .await
    }
}

const LOOK_UP: &str = "
with newest as materialized (
    select a.name, c.call_id
    from cdr_sync.account a
    cross join lateral (
        select call_id from voicenter.cdr
        where account = a.name and removed_at is null
        order by started_at desc limit $1
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
order by 1, 2";

/// By way of the first account of each call: pairs of all that share one would be too many if all accounts were one.
const COMPARE: &str = "
with newest as materialized (
    select a.name, c.call_id, count(*) as legs
    from cdr_sync.account a
    cross join lateral (
        select call_id from voicenter.cdr
        where account = a.name and removed_at is null
        order by started_at desc limit $1
    ) c
    group by a.name, c.call_id
), sampled as (
    select name, sum(legs) as legs from newest group by name
), first as (
    select call_id, min(name) as name from newest group by call_id having count(*) > 1
)
select f.name as account, o.name as other, sum(n.legs + o.legs)::bigint as shared, (s.legs + t.legs)::bigint as sampled
from first f
join newest n on n.call_id = f.call_id and n.name = f.name
join newest o on o.call_id = f.call_id and o.name <> f.name
join sampled s on s.name = f.name
join sampled t on t.name = o.name
group by f.name, o.name, s.legs, t.legs
order by 1, 2";
