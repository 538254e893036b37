//! Trouble that people are told of, once among all daemons: rows of `cdr_sync.notice`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::{Store, StoreError, interval, sql, sql_as};

/// How long one daemon has for telling; then another try is due, by whoever comes first.
const CLAIMED: TimeDelta = TimeDelta::minutes(1);

/// Trouble of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) account: String,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) advice: String,
}

/// Trouble that people are to be told of now.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct DueNotice {
    pub(crate) account: String,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) advice: String,
    pub(crate) since: DateTime<Utc>,
    /// When people were told before.
    pub(crate) told_at: Option<DateTime<Utc>>,
    /// Since when it is over.
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Notes the present trouble of `accounts`: what is new, what lasts, and what is over. What was over for `after` before anybody
    /// began to tell is forgotten, and so is such trouble of `paused` accounts.
    pub(crate) async fn follow_trouble(
        &self,
        accounts: &[String],
        paused: &[String],
        present: &[Trouble],
        after: TimeDelta,
    ) -> Result<(), StoreError> {
        let column =
            |part: fn(&Trouble) -> &String| -> Vec<String> { present.iter().map(part).cloned().collect() };
        self.soon(async {
            let mut tx = self.begin().await?;
            lock(&mut tx, accounts).await?;
            sql("delete from cdr_sync.notice n
                 where n.told_at is null and n.claimed_until is null
                   and (n.account = any ($2) or n.account = any ($1) and n.ended_at <= clock_timestamp() - $3)")
                .bind(accounts)
                .bind(paused)
                .bind(interval(after))
                .execute(&mut *tx)
                .await?;
            sql("update cdr_sync.notice n set ended_at = clock_timestamp()
                 where n.account = any ($1) and n.ended_at is null
                   and (n.account, n.kind) not in (select * from unnest($2::text[], $3::text[]))")
                .bind(accounts)
                .bind(column(|trouble| &trouble.account))
                .bind(column(|trouble| &trouble.kind))
                .execute(&mut *tx)
                .await?;
            sql("insert into cdr_sync.notice as n (account, kind, text, advice)
                 select p.* from unnest($1::text[], $2::text[], $3::text[], $4::text[]) p (account, kind, text, advice)
                 where exists (select from cdr_sync.account a where a.name = p.account)
                 order by p.account, p.kind
                 on conflict (account, kind) do update set text = excluded.text, advice = excluded.advice, ended_at = null
                 where n.ended_at is not null or (n.text, n.advice) is distinct from (excluded.text, excluded.advice)")
                .bind(column(|trouble| &trouble.account))
                .bind(column(|trouble| &trouble.kind))
                .bind(column(|trouble| &trouble.text))
                .bind(column(|trouble| &trouble.advice))
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }

    /// Takes on what people are to be told of: trouble that lasts for `after` or, if they were told, `repeat` since; and trouble
    /// that they were told of, or may have been, and that is over for `after`.
    pub(crate) async fn claim_notices(
        &self,
        accounts: &[String],
        after: TimeDelta,
        repeat: Option<TimeDelta>,
        most: usize,
    ) -> Result<Vec<DueNotice>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let mut due: Vec<DueNotice> = sql_as(
                "update cdr_sync.notice n set claimed_until = clock_timestamp() + $4
                 from (
                     select d.account, d.kind from cdr_sync.notice d
                     where d.account = any ($1) and coalesce(d.claimed_until < clock_timestamp(), true)
                       and case when d.ended_at is not null
                                then coalesce(d.told_at, d.claimed_until) is not null and d.ended_at <= clock_timestamp() - $2
                                when d.told_at is null then d.since <= clock_timestamp() - $2
                                else d.told_at <= clock_timestamp() - $3 end
                     order by d.account, d.kind
                     limit $5
                     for update skip locked
                 ) d
                 where n.account = d.account and n.kind = d.kind
                 returning n.account, n.kind, n.text, n.advice, n.since, n.told_at, n.ended_at",
            )
            .bind(accounts)
            .bind(interval(after))
            .bind(repeat.map(interval))
            .bind(interval(CLAIMED))
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            due.sort_by(|a, b| (&a.account, &a.kind).cmp(&(&b.account, &b.kind)));
            Ok(due)
        })
        .await
    }

    /// People were told: what is over is done with.
    pub(crate) async fn note_told(&self, told: &[DueNotice]) -> Result<(), StoreError> {
        let (ended, lasting): (Vec<&DueNotice>, Vec<&DueNotice>) =
            told.iter().partition(|notice| notice.ended_at.is_some());
        let keys = |notices: &[&DueNotice]| -> (Vec<String>, Vec<String>) {
            notices.iter().map(|notice| (notice.account.clone(), notice.kind.clone())).unzip()
        };
        let accounts: Vec<String> = told.iter().map(|notice| notice.account.clone()).collect();
        let ((ended, ended_kinds), (lasting, lasting_kinds)) = (keys(&ended), keys(&lasting));
        self.soon(async {
            let mut tx = self.begin().await?;
            lock(&mut tx, &accounts).await?;
            sql("update cdr_sync.notice n set told_at = clock_timestamp(), claimed_until = null
                 where n.account = any ($1) and (n.account, n.kind) in (select * from unnest($1::text[], $2::text[]))")
                .bind(lasting)
                .bind(lasting_kinds)
                .execute(&mut *tx)
                .await?;
            // What has begun again while its end was told is new trouble.
            sql("update cdr_sync.notice n set told_at = null, since = clock_timestamp(), claimed_until = null
                 where n.account = any ($1) and n.ended_at is null
                   and (n.account, n.kind) in (select * from unnest($1::text[], $2::text[]))")
                .bind(&ended)
                .bind(&ended_kinds)
                .execute(&mut *tx)
                .await?;
            sql("delete from cdr_sync.notice n
                 where n.account = any ($1) and n.ended_at is not null
                   and (n.account, n.kind) in (select * from unnest($1::text[], $2::text[]))")
                .bind(ended)
                .bind(ended_kinds)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }
}

/// Two daemons that change several rows take them in one order.
async fn lock(conn: &mut PgConnection, accounts: &[String]) -> Result<(), StoreError> {
    sql("select from cdr_sync.notice where account = any ($1) order by account, kind for update")
        .bind(accounts)
        .execute(conn)
        .await?;
    Ok(())
}
