//! What an account's own records say about questions that the API's documents leave open.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, sql_as};

/// How many of the records that a question is about say so.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Sign {
    /// The records that are meant.
    pub among: String,
    /// What is said of them. It holds no number or name of a person.
    pub said: String,
    /// How many it is true of …
    pub count: i64,
    /// … of how many.
    pub of: i64,
}

impl Store {
    /// Reads the signs from the records of `account` that started at or after `from`.
    pub async fn semantics(&self, account: &str, from: DateTime<Utc>) -> Result<Vec<Sign>, StoreError> {
        self.at_length(async |mut tx| {
            let signs = sql_as(SIGNS).bind(account).bind(from).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(signs)
        })
        .await
    }
}

/// One pass over the span; then each sign from what was counted.
const SIGNS: &str = "
with record as materialized (
    select c.call_id, c.type, c.dial_status, c.queue_name, c.custom_data, d.outcome,
        coalesce(c.cdr_type = 8, c.type = 'Queue') as is_queue,
        c.cdr_type in (13, 21, 22) or c.type in ('XferCDR', 'Attended CDR leg1', 'Attended CDR leg2') as is_transfer,
        coalesce(c.caller_extension, c.target_extension) is null as is_nobodys,
        coalesce(c.duration_seconds, 0) as duration,
        coalesce(c.ring_seconds, 0) as ring,
        case when c.caller_extension is null then c.caller_number end as customer
    from voicenter.cdr c
    left join voicenter.dial_statuses d on d.status = upper(btrim(c.dial_status))
    where c.account = $1 and c.started_at >= $2 and c.removed_at is null
), counted as (
    select count(*) as records,
        count(*) filter (where is_queue and outcome = 'abandoned') as given_up,
        count(*) filter (where is_queue and outcome = 'abandoned' and duration > 0) as given_up_lasting,
        count(*) filter (where is_queue and outcome = 'abandoned' and ring > 0 and abs(ring - duration) <= 1) as given_up_ringing,
        count(*) filter (where is_queue and outcome = 'abandoned' and ring = 0) as given_up_silent,
        count(*) filter (where is_queue and outcome = 'answered') as taken,
        count(*) filter (where is_queue and outcome = 'answered' and duration < ring) as taken_shorter,
        count(*) filter (where is_queue and outcome = 'answered' and ring > 60) as taken_long_ringing,
        count(*) filter (where outcome = 'answered') as answered,
        count(*) filter (where outcome = 'answered' and is_nobodys) as answered_by_nobody,
        count(*) filter (where is_transfer) as transfers,
        count(*) filter (where is_transfer and custom_data ->> 'OriginalIvrUniqueID' > '') as transfers_linked,
        count(*) filter (where not is_transfer) as others,
        count(*) filter (where not is_transfer and custom_data ->> 'OriginalIvrUniqueID' > '') as others_linked,
        count(customer) as callers,
        count(*) filter (where customer like '0%') as callers_national,
        count(*) filter (where customer like '972%') as callers_with_code,
        count(*) filter (where customer like '+%') as callers_with_plus,
        count(*) filter (where customer !~ '^[+]?[0-9]+$') as callers_in_words
    from record
), queued as (
    select count(*) as calls, count(*) filter (where queues > 1) as passed_on
    from (select count(distinct queue_name) as queues from record where is_queue group by call_id) q
), status as (
    select left(coalesce(dial_status, '(none)'), 40) as status, outcome, count(*) as records
    from record
    group by dial_status, outcome
    order by count(*) desc, dial_status
    limit 40
)
select s.among, s.said, s.count, s.of
from counted c, queued q, lateral (values
    (1, 'queue legs given up', 'Duration is more than zero: it holds the wait', c.given_up_lasting, c.given_up),
    (2, 'queue legs given up', 'RingTime is Duration: it is the wait', c.given_up_ringing, c.given_up),
    (3, 'queue legs given up', 'RingTime is zero: it is no wait', c.given_up_silent, c.given_up),
    (4, 'queue legs answered', 'Duration is less than RingTime: it does not hold the wait', c.taken_shorter, c.taken),
    (5, 'queue legs answered', 'RingTime is more than a minute: no phone rings so long', c.taken_long_ringing, c.taken),
    (6, 'answered records', 'no extension on either side', c.answered_by_nobody, c.answered),
    (7, 'CallIDs with queue legs', 'more than one queue', q.passed_on, q.calls),
    (8, 'transfers', 'OriginalIvrUniqueID is there', c.transfers_linked, c.transfers),
    (9, 'other records', 'OriginalIvrUniqueID is there', c.others_linked, c.others),
    (10, 'numbers of callers', 'begin with 0', c.callers_national, c.callers),
    (11, 'numbers of callers', 'begin with 972', c.callers_with_code, c.callers),
    (12, 'numbers of callers', 'begin with +', c.callers_with_plus, c.callers),
    (13, 'numbers of callers', 'are no numbers', c.callers_in_words, c.callers)
) s (nth, among, said, count, of)
union all
select 'records',
    'DialStatus ' || s.status || case when s.outcome is null then ': not in voicenter.dial_statuses' else ': ' || s.outcome end,
    s.records, c.records
from status s, counted c";
