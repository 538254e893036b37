//! Analyses that are asked for call by call: which call is next, what was asked, and what came.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::analysis::{AnalysisSource, ReceivedAnalysis, store_analyses};
use super::forgotten::{self, begin_keeping};
use super::{Store, StoreError, interval, sql, sql_as};
use crate::call_history::{HistoryRules, WeekOfRequests, begin_of_week, lost};
use crate::push::{Analysis, Named};

/// A call is asked for so often in all …
const TRIES: i32 = 3;
/// … and at most once in this time.
const AGAIN: TimeDelta = TimeDelta::days(1);
/// So many calls are looked at for one that may be asked for.
const CANDIDATES: i64 = 50;

/// A call whose analysis is asked for.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CallToAsk {
    /// Its CallID.
    pub call_id: String,
    /// The leg that the analysis is of: the one with the recording.
    #[sqlx(rename = "type")]
    pub call_type: String,
    /// Numbers that it names.
    numbers: Vec<String>,
}

impl CallToAsk {
    fn named(&self) -> Named {
        Named { call_id: self.call_id.clone(), numbers: self.numbers.clone() }
    }
}

#[derive(FromRow)]
struct WeekRow {
    begins_at: Option<DateTime<Utc>>,
    requests: i32,
    rests_until: Option<DateTime<Utc>>,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum CallAsked {
    /// The analysis, and the SHA-256 of the answer that it came in.
    Analysis(Box<Analysis>, Vec<u8>),
    /// There is none.
    None,
    /// No usable answer.
    Failed,
}

impl Store {
    /// What was asked for with a token in its newest week; `None` while nothing may be asked for the account.
    pub async fn week_of_history(
        &self,
        account: &str,
        credential: &str,
    ) -> Result<Option<WeekOfRequests>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let row: Option<WeekRow> = sql_as(
                "select w.begins_at, coalesce(w.requests, 0) as requests, w.rests_until
                 from cdr_sync.account a
                 left join cdr_sync.call_history_week w on w.credential = $2
                 where a.name = $1 and a.pause_since is null",
            )
            .bind(account)
            .bind(credential)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(row.map(|row| WeekOfRequests {
                begins_at: row.begins_at,
                requests: u32::try_from(row.requests).unwrap_or(0),
                rests_until: row.rests_until,
            }))
        })
        .await
    }

    /// The newest call that is to be asked for, if there is one.
    pub async fn next_call_to_ask(
        &self,
        account: &str,
        rules: HistoryRules,
        now: DateTime<Utc>,
    ) -> Result<Option<CallToAsk>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let found: Vec<CallToAsk> = sql_as(NEXT)
                .bind(account)
                .bind(now)
                .bind(interval(rules.after))
                .bind(interval(rules.back))
                .bind(rules.min_seconds)
                .bind(TRIES)
                .bind(interval(AGAIN))
                .bind(CANDIDATES)
                .fetch_all(&mut *tx)
                .await?;
            // Whoever names a forgotten number is forgotten by its CallID from here on, and not found again.
            let names: Vec<Named> = found.iter().map(CallToAsk::named).collect();
            let gone = match names.is_empty() {
                true => Vec::new(),
                false => {
                    let keeping = begin_keeping(&mut tx, account).await?;
                    forgotten::which(&mut tx, account, &names, keeping.country()).await?
                }
            };
            tx.commit().await?;
            Ok(found.into_iter().zip(gone).find(|(_, is_gone)| !is_gone).map(|(call, _)| call))
        })
        .await
    }

    /// Takes one request of a token's week, of `most`, for a call. Returns `false` if there is none left, or the account is gone or
    /// paused.
    pub async fn take_history_request(
        &self,
        account: &str,
        credential: &str,
        call_id: &str,
        most: u32,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let taken = sql(
                "insert into cdr_sync.call_history_week as w (credential, begins_at, requests)
                 select $4, $2, $5 + 1
                 from (select from cdr_sync.account where name = $1 and pause_since is null and $3 > 0 for share) a
                 on conflict (credential) do update
                 set begins_at = greatest(w.begins_at, excluded.begins_at),
                     requests = case when excluded.begins_at > w.begins_at then excluded.requests
                                     else greatest(w.requests + 1, excluded.requests) end
                 where excluded.begins_at > w.begins_at or w.requests < $3",
            )
            .bind(account)
            .bind(begin_of_week(now))
            .bind(i32::try_from(most).unwrap_or(i32::MAX))
            .bind(credential)
            .bind(i32::try_from(lost(most, now)).unwrap_or(i32::MAX))
            .execute(&mut *tx)
            .await?;
            let taken = taken.rows_affected() == 1;
            if taken {
                // Counted before it is asked for: whatever happens then, it is asked for three times at most.
                sql("insert into cdr_sync.call_history as h (account, call_id, asked_at, times, outcome)
                     values ($1, $2, $3, 1, 'asked')
                     on conflict (account, call_id) do update
                     set asked_at = excluded.asked_at, times = h.times + 1, outcome = excluded.outcome")
                .bind(account)
                .bind(call_id)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
            Ok(taken)
        })
        .await
    }

    /// Notes what came of asking for a call. Nothing is stored if the call or the account was forgotten meanwhile.
    pub async fn note_call_asked(
        &self,
        account: &str,
        call: &CallToAsk,
        asked: &CallAsked,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // Whoever renames or forgets the account waits, or is over.
            let is_there = sql("select from cdr_sync.account where name = $1 for share")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            if is_there.rows_affected() == 0 {
                return tx.commit().await;
            }
            let outcome = match asked {
                CallAsked::Analysis(analysis, body_sha256) => {
                    let keeping = begin_keeping(&mut tx, account).await?;
                    let gone = forgotten::which(&mut tx, account, &[call.named()], keeping.country()).await?;
                    if gone.contains(&true) {
                        sql("delete from cdr_sync.call_history where account = $1 and call_id = $2")
                            .bind(account)
                            .bind(&call.call_id)
                            .execute(&mut *tx)
                            .await?;
                        return tx.commit().await;
                    }
                    let received = ReceivedAnalysis {
                        call_id: call.call_id.clone(),
                        call_type: call.call_type.clone(),
                        source: AnalysisSource::History,
                        received_at: now,
                        body_sha256: body_sha256.clone(),
                        is_incoming: false,
                        analysis: Analysis::clone(analysis),
                    };
                    store_analyses(&mut tx, account, &[received]).await?;
                    "analysis"
                }
                CallAsked::None => "none",
                CallAsked::Failed => "failed",
            };
            sql("update cdr_sync.call_history set outcome = $3 where account = $1 and call_id = $2")
                .bind(account)
                .bind(&call.call_id)
                .bind(outcome)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }

    /// Lets nobody ask with a token until then: the vendor's ration is used up. The request that found it out counts for no call.
    pub async fn rest_call_history(
        &self,
        account: &str,
        credential: &str,
        call_id: &str,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("update cdr_sync.call_history_week set rests_until = $2 where credential = $1")
                .bind(credential)
                .bind(until)
                .execute(&mut *tx)
                .await?;
            sql("delete from cdr_sync.call_history where account = $1 and call_id = $2 and times <= 1")
                .bind(account)
                .bind(call_id)
                .execute(&mut *tx)
                .await?;
            sql("update cdr_sync.call_history set times = times - 1 where account = $1 and call_id = $2")
                .bind(account)
                .bind(call_id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }
}

/// The newest calls that are to be asked for, each with the leg that has the recording, and all their numbers.
const NEXT: &str = "
select n.call_id, l.type, l.numbers
from (
    select c.call_id, max(c.started_at) as started_at
    from (
        select c.call_id, c.started_at
        from voicenter.cdr c
        cross join lateral (select nullif(lower(coalesce(c.custom_data ->> 'AiExists', c.extra ->> 'AiExists')), '') as says) ai
        where c.account = $1 and c.started_at <= $2 - $3::interval and c.started_at > $2 - $4::interval
            and c.removed_at is null
            and case when ai.says is null then c.dial_status = 'ANSWER' and c.duration_seconds >= $5
                     else ai.says in ('true', '1') end
            and not exists (select from voicenter_ai.call_ai a where a.account = $1 and a.call_id = c.call_id)
            and not exists (
                select from cdr_sync.call_history h
                where h.account = $1 and h.call_id = c.call_id
                    and (h.times >= $6 or h.asked_at > $2 - $7::interval or h.outcome = 'analysis')
            )
            and not exists (
                select from cdr_sync.forgotten f
                where f.account = $1 and f.hash = cdr_sync.forgotten_hash('call', c.call_id)
            )
        order by c.started_at desc
        limit $8
    ) c
    group by c.call_id
) n
cross join lateral (
    select (array_agg(c.type order by coalesce(lower(coalesce(c.custom_data ->> 'AiExists', c.extra ->> 'AiExists')) in ('true', '1'), false) desc,
                c.record_url is not null desc, c.duration_seconds desc nulls last, c.type desc))[1] as type,
        array_remove(array_agg(c.caller_number) || array_agg(c.target_number), null) as numbers
    from voicenter.cdr c
    where c.account = $1 and c.call_id = n.call_id and c.removed_at is null
) l
order by n.started_at desc, n.call_id";
