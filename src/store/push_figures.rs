//! How notifications fare: what is to be done for them, what came and when, what was missed.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::{Store, StoreError, interval, sql, sql_as};
use crate::push::TimeBase;

/// What an account's newest records show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PushSigns {
    /// What the time of most confirmed ones is counted from.
    pub(crate) usual_base: TimeBase,
    /// How far it is ahead of the pull's, in seconds: half of them more, half less.
    pub(crate) offset: Option<i64>,
    /// Of the pauses between notifications in the last week, 95 % were shorter than this, in seconds.
    pub(crate) usual_gap: Option<f64>,
}

/// How an account's notifications fare. No secret, no personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct PushOverview {
    /// The account.
    pub account: String,
    /// When the first notification of the newest record was received.
    pub last_received_at: Option<DateTime<Utc>>,
    /// Those that are still to be taken in.
    pub new: i64,
    /// When one was last received that nobody understands; `None` if none is kept.
    pub rejected_at: Option<DateTime<Utc>>,
    /// When one was last received as XML-RPC; `None` if none is kept.
    pub unsupported_at: Option<DateTime<Utc>>,
    /// Records that the pull has yet to bring.
    pub provisional: i64,
    /// Records of the last 7 days that it was asked for in vain.
    pub unmatched: i64,
}

/// How soon the newest notifications came, in seconds. Half of them take longer, half less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct PushTimes {
    /// From the end of a call to its first notification.
    pub latency: Option<i64>,
    /// The longest of 95 % of them.
    pub latency_of_most: Option<i64>,
    /// From the first notification to when the pull brought the record; negative where that was before.
    pub lead: Option<i64>,
    /// How far their time is ahead of the pull's.
    pub offset: Option<i64>,
}

/// What an account's notifications are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushFigures {
    /// How soon they came.
    pub times: PushTimes,
    /// How many of the records of the last 7 days had one, by type.
    pub shares: Vec<PushedShare>,
}

/// Of the newest records so many are looked at.
const NEWEST: i64 = 1_000;
/// It is counted of these days which records had a notification.
const SHARES_OF: TimeDelta = TimeDelta::days(7);

/// How many records of a type had a notification.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PushedShare {
    /// Type of the records.
    pub call_type: String,
    /// Records that started while the receiver was running, a day ago or earlier.
    pub records: i64,
    /// Those of which a notification was received.
    pub pushed: i64,
}

/// What is to be done for an account's notifications.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct PushWork {
    pub(crate) account: String,
    /// Some are to be taken in.
    pub(crate) has_new: bool,
    /// Some records wait for the pull.
    pub(crate) has_provisional: bool,
    /// Calls are to follow some.
    pub(crate) has_to_fold: bool,
}

impl Store {
    /// What is to be done for these accounts; those without anything are left out.
    pub(crate) async fn push_work(&self, accounts: &[String]) -> Result<Vec<PushWork>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let work = sql_as(
                "select * from (
                     select a.account,
                         exists (select from cdr_sync.push p
                                 where p.account = a.account and p.state = 'new' and p.raw is not null) as has_new,
                         exists (select from voicenter.cdr_push p
                                 where p.account = a.account and p.state = 'provisional') as has_provisional,
                         exists (select from voicenter.cdr_push p
                                 where p.account = a.account and p.to_fold) as has_to_fold
                     from unnest($1::text[]) a (account)
                     offset 0
                 ) w
                 where has_new or has_provisional or has_to_fold",
            )
            .bind(accounts)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(work)
        })
        .await
    }

    /// What the newest records show of the time in pushes, and of when they come.
    pub(crate) async fn push_signs(&self, account: &str) -> Result<PushSigns, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let (usual_base, offset, usual_gap): (Option<String>, Option<f64>, Option<f64>) = sql_as(
                "select t.base, t.ahead, g.usual
                 from (
                     select mode() within group (order by n.time_base) filter (where n.time_base <> 'unknown') as base,
                         percentile_disc(0.5) within group (order by n.ahead) as ahead
                     from (
                         select p.time_base, p.time_raw - extract(epoch from p.started_at)::float8 as ahead
                         from voicenter.cdr_push p
                         where p.account = $1 and p.state = 'confirmed' and p.time_raw is not null
                         order by p.first_received_at desc
                         limit 101
                     ) n
                 ) t
                 cross join (
                     select percentile_disc(0.95) within group (order by b.gap) as usual
                     from (
                         select extract(epoch from p.first_received_at - lag(p.first_received_at) over (order by p.first_received_at))::float8 as gap
                         from (
                             select first_received_at from voicenter.cdr_push
                             where account = $1 and first_received_at > clock_timestamp() - interval '7 days'
                             order by first_received_at desc
                             limit 20000
                         ) p
                     ) b
                 ) g",
            )
            .bind(account)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            let usual_base = usual_base.and_then(|name| TimeBase::named(&name)).unwrap_or(TimeBase::Unknown);
            Ok(PushSigns { usual_base, offset: offset.map(|seconds| seconds.round() as i64), usual_gap })
        })
        .await
    }

    /// Notes that a receiver of these accounts runs at `now`; one that ran less than `gap` ago runs on.
    pub(crate) async fn note_push_uptime(
        &self,
        accounts: &[String],
        now: DateTime<Utc>,
        gap: TimeDelta,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("with latest as (
                     select a.account, l.from_at
                     from unnest($1::text[]) a (account)
                     -- Where none ever came, none is expected: it may be another account's receiver.
                     join lateral (select from cdr_sync.push p where p.account = a.account limit 1) p on true
                     left join lateral (
                         select u.from_at from cdr_sync.push_uptime u
                         where u.account = a.account and u.until_at >= $2 - $3::interval and u.from_at <= $2
                         order by u.from_at desc
                         limit 1
                     ) l on true
                 )
                 insert into cdr_sync.push_uptime as u (account, from_at, until_at)
                 select account, coalesce(from_at, $2), $2 from latest
                 on conflict (account, from_at) do update set until_at = greatest(u.until_at, excluded.until_at)")
            .bind(accounts)
            .bind(now)
            .bind(interval(gap))
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// How the notifications of these accounts fare; those to which none ever came are left out.
    pub async fn push_overview(&self, accounts: &[String]) -> Result<Vec<PushOverview>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let found = overview(&mut tx, accounts).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    /// What the notifications of an account are like.
    pub async fn push_figures(&self, account: &str, now: DateTime<Utc>) -> Result<PushFigures, StoreError> {
        let times = self.push_times(account).await?;
        Ok(PushFigures { times, shares: self.pushed_shares(account, now).await? })
    }

    async fn push_times(&self, account: &str) -> Result<PushTimes, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let times = sql_as(
                "select percentile_disc(0.5) within group (order by n.latency) as latency,
                     percentile_disc(0.95) within group (order by n.latency) as latency_of_most,
                     percentile_disc(0.5) within group (order by n.lead) as lead,
                     percentile_disc(0.5) within group (order by n.ahead) as \"offset\"
                 from (
                     select round(extract(epoch from p.first_received_at - c.started_at)
                                  - coalesce(c.ring_seconds, 0) - coalesce(c.duration_seconds, 0))::bigint as latency,
                         round(extract(epoch from c.first_seen_at - p.first_received_at))::bigint as lead,
                         round(p.time_raw - extract(epoch from c.started_at))::bigint as ahead
                     from (
                         select call_id, type, time_raw, first_received_at from voicenter.cdr_push
                         where account = $1 and state = 'confirmed'
                         order by first_received_at desc
                         limit $2
                     ) p
                     join voicenter.cdr c on c.account = $1 and c.call_id = p.call_id and c.type = p.type
                 ) n",
            )
            .bind(account)
            .bind(NEWEST)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(times)
        })
        .await
    }

    /// How many of the records of the last 7 days had a notification, by type.
    pub async fn pushed_shares(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<PushedShare>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let shares = sql_as(
                "select type as call_type, sum(records)::bigint as records, sum(pushed)::bigint as pushed
                 from voicenter.push_daily
                 where account = $1 and day >= $2::date
                 group by type
                 order by type",
            )
            .bind(account)
            .bind(now - SHARES_OF)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(shares)
        })
        .await
    }
}

/// How the notifications of `accounts` fare; those to which none ever came are left out.
pub(super) async fn overview(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<Vec<PushOverview>, StoreError> {
    let found = sql_as(
        "select a.account,
             (select max(p.first_received_at) from voicenter.cdr_push p where p.account = a.account) as last_received_at,
             (select count(*) from cdr_sync.push p
              where p.account = a.account and p.state = 'new' and p.raw is not null) as new,
             (select max(p.received_at) from cdr_sync.push p
              where p.account = a.account and p.state = 'rejected' and p.raw is not null) as rejected_at,
             (select max(p.received_at) from cdr_sync.push p
              where p.account = a.account and p.state = 'unsupported' and p.raw is not null) as unsupported_at,
             (select count(*) from voicenter.cdr_push p
              where p.account = a.account and p.state = 'provisional') as provisional,
             (select count(*) from voicenter.cdr_push p
              where p.account = a.account and p.state = 'unmatched'
                and p.first_received_at > clock_timestamp() - interval '7 days') as unmatched
         from unnest($1::text[]) a (account)
         join lateral (select from cdr_sync.push p where p.account = a.account limit 1) p on true
         order by a.account",
    )
    .bind(accounts)
    .fetch_all(conn)
    .await?;
    Ok(found)
}
