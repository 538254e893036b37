//! A year of a call centre's records, written by PostgreSQL itself.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

/// Records to a call: two legs of Click2Call, and transfers.
const LEGS: f64 = 1.11;
const SLICE: u64 = 200_000;
pub(crate) const DAYS: i64 = 365;

pub(crate) struct CallCentre {
    calls: u64,
    agents: u64,
    customers: u64,
}

impl CallCentre {
    pub(crate) fn new(rows: u64) -> Self {
        Self {
            calls: (rows as f64 / LEGS) as u64,
            // Each talks some hours a day.
            agents: (rows / 90_000).max(8),
            customers: (rows / 20).max(100),
        }
    }

    /// The day after the last one with calls.
    pub(crate) fn end() -> NaiveDate {
        Utc::now().date_naive()
    }

    /// The first instant that no call of the year reaches.
    pub(crate) fn ended_at() -> DateTime<Utc> {
        Self::end().and_hms_opt(0, 0, 0).unwrap().and_utc() + TimeDelta::hours(1)
    }

    /// The rows as a first sync leaves them: answers of 10,000 records, each with its own stamp, no call folded.
    pub(crate) async fn fill(&self, sql: &mut PgConnection, account: &str) {
        let opened = format!(
            "insert into cdr_sync.account (name, scope, scope_since, history_start)
             values ('{account}', '{{}}', now(), date '{}' - {DAYS});
             insert into cdr_sync.cursor (account) values ('{account}')",
            Self::end()
        );
        sqlx::raw_sql(AssertSqlSafe(opened)).execute(&mut *sql).await.unwrap();
        let mut from = 1;
        while from <= self.calls {
            let to = (from + SLICE - 1).min(self.calls);
            let settings = [
                ("ACCOUNT", account.to_owned()),
                ("FROM", from.to_string()),
                ("UNTIL", to.to_string()),
                ("CALLS", self.calls.to_string()),
                ("AGENTS", self.agents.to_string()),
                ("CUSTOMERS", self.customers.to_string()),
                ("END", Self::end().to_string()),
                ("DAYS", DAYS.to_string()),
            ];
            let text = settings
                .iter()
                .fold(ROWS.to_owned(), |text, (name, value)| text.replace(&format!(":{name}"), value));
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *sql).await.unwrap();
            from = to + 1;
        }
    }
}

/// As autovacuum leaves it.
pub(crate) async fn settle(sql: &mut PgConnection) {
    sqlx::raw_sql("vacuum (analyze)").execute(&mut *sql).await.unwrap();
    sqlx::raw_sql("checkpoint").execute(sql).await.unwrap();
}

/// Calls follow each other in time, more of them in the hours of work. No name or number is anybody's.
const ROWS: &str = "
set synchronous_commit = off;
set jit = off;
insert into voicenter.cdr (account, call_id, type, cdr_type, started_at, duration_seconds, ring_seconds, caller_number,
    caller_extension, target_number, target_extension, target_prefix_name, did, dial_status, queue_name, department_id,
    department_name, representative_code, representative_name, price, record_url, dtmf_data, custom_data, extra,
    first_seen_at, updated_at)
with drawn as materialized (
    select n, (n * :DAYS::bigint / (:CALLS + 1))::integer as day,
        (n * :DAYS::bigint % (:CALLS + 1)) / (:CALLS + 1)::double precision as part,
        random() as by_kind, random() as by_status, random() as by_queue, random() as by_agent, random() as by_customer,
        (-ln(1 - random() * 0.999) * 150)::integer as talk, (5 + random() * 25)::integer as ring,
        (-ln(1 - random() * 0.999) * 60)::integer as wait
    from generate_series(:FROM::bigint, :UNTIL::bigint) n
), timed as materialized (
    select d.*,
        (date ':END' - :DAYS + d.day + h.from_hour * interval '1 hour'
            + (d.part - h.before) / h.share * h.hours * interval '1 hour') at time zone 'Asia/Jerusalem' as started_at,
        case when by_kind < 0.48 then 'queue' when by_kind < 0.58 then 'direct' when by_kind < 0.86 then 'outgoing'
             when by_kind < 0.94 then 'click' when by_kind < 0.97 then 'voicemail' else 'transfer' end as kind,
        '05000' || lpad(floor(by_customer * by_customer * :CUSTOMERS)::text, 7, '0') as customer,
        'SIP' || (100 + floor(by_agent * :AGENTS)) as extension,
        (100 + floor(by_agent * :AGENTS))::text as agent,
        'Queue ' || (1 + floor(by_queue * by_queue * 12)) as queue
    from drawn d
    join (values (0, 7, 0.0, 0.03), (7, 2, 0.03, 0.12), (9, 3, 0.15, 0.33), (12, 2, 0.48, 0.17), (14, 3, 0.65, 0.25),
                 (17, 3, 0.90, 0.08), (20, 4, 0.98, 0.02)) h (from_hour, hours, before, share)
        on d.part >= h.before and d.part < h.before + h.share
), leg as (
    select t.*, l.nth, l.type, l.number, to_char(t.started_at, 'YYYYMMDDHH24MISS') || lpad(t.n::text, 9, '0') as call,
        case
            when l.type = 'VoiceMail' then 'VOICEMAIL'
            when l.type = 'Queue' and t.kind = 'transfer' then 'ANSWER'
            when l.type = 'Queue' then case when by_status < 0.76 then 'ANSWER' when by_status < 0.90 then 'ABANDONE'
                when by_status < 0.94 then 'TIMEOUT' when by_status < 0.97 then 'EXIT' else 'JOINEMPTY' end
            else case when by_status < 0.68 then 'ANSWER' when by_status < 0.88 then 'NOANSWER'
                when by_status < 0.95 then 'BUSY' else 'CANCEL' end
        end as status
    from timed t
    join (values ('queue', 1, 'Queue', 8), ('direct', 1, 'Incoming Call', 1), ('outgoing', 1, 'Extension Outgoing', 4),
                 ('click', 1, 'Click2Call leg1', 9), ('click', 2, 'Click2Call leg2', 10), ('voicemail', 1, 'VoiceMail', 11),
                 ('transfer', 1, 'Queue', 8), ('transfer', 2, 'XferCDR', 13)) l (kind, nth, type, number)
        on l.kind = t.kind
)
select ':ACCOUNT', case when type = 'XferCDR' then call || 'x' else call end, type, number,
    started_at + case when nth = 2 then interval '20 seconds' else interval '0' end,
    case when status = 'ANSWER' then talk + case when type = 'Queue' then wait else 0 end when type = 'Queue' then wait else 0 end,
    case when type = 'Queue' and status <> 'ANSWER' then wait else ring end,
    case when number in (4, 9, 10) then null else customer end,
    case when number in (4, 10) then extension end,
    case when number in (4, 10) then customer end,
    case when number in (1, 8, 9, 13) and (status = 'ANSWER' or number = 1) then extension end,
    case when number in (4, 10) then 'Israel-Mobile' end,
    case when number in (1, 8, 11) then '07000000' || (n % 20) end,
    status,
    case when type = 'Queue' then queue end, '7', 'Service',
    case when status = 'ANSWER' or number in (4, 9, 10) then agent end,
    case when status = 'ANSWER' or number in (4, 9, 10) then 'Agent ' || agent end,
    case when number in (4, 10) and status = 'ANSWER' then round((talk / 60.0 * 11)::numeric, 2) end,
    case when status = 'ANSWER' then 'https://recordings.example/' || call end,
    case when type = 'Queue' then '[{\"LayerName\": \"Main\", \"LayerNumber\": 1, \"DTMF\": \"2\"}]'::jsonb end,
    case when type = 'XferCDR' then jsonb_build_object('OriginalIvrUniqueID', call) end,
    jsonb_build_object('DateEpoch', extract(epoch from started_at)::bigint),
    now(), timestamptz ':END' - interval '1 day' + n / 9000 * interval '1 second'
from leg
order by n, nth;";
