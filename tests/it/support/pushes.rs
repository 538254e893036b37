//! The ledger of an account to which CDR notifications came.

/// Statements that write it: of 100 calls two days before `now` two had no notification, of 60 faxes none had, and the
/// last body came ten minutes before `now`, as XML-RPC. `now` is an expression in SQL.
pub fn pushes(account: &str, now: &str) -> String {
    PUSHES.replace("ACCOUNT", &account.replace('\'', "''")).replace("PRESENT", now)
}

const PUSHES: &str = "
insert into cdr_sync.push_uptime (account, from_at, until_at)
values ('ACCOUNT', PRESENT - interval '3 days', PRESENT);
insert into voicenter.cdr (account, call_id, type, started_at, duration_seconds, first_seen_at, updated_at)
select 'ACCOUNT', of || n, of, PRESENT - interval '2 days', 60, PRESENT - interval '2 days' + interval '10 minutes', now()
from (values ('Queue', 100), ('FAX', 60)) types (of, many) cross join lateral generate_series(1, many) n;
insert into voicenter.cdr_push
    (account, call_id, type, started_at, time_raw, time_base, shared, extra, first_received_at, last_received_at, versions, older,
     state, confirmed_at)
select account, call_id, type, started_at, extract(epoch from started_at) + 10800, 'local', '{}', '{}', came, came, 1, '{}',
       'confirmed', came
from voicenter.cdr cross join lateral (select started_at + interval '3 minutes') c (came)
where account = 'ACCOUNT' and type = 'Queue' and call_id not in ('Queue1', 'Queue2');
insert into voicenter.cdr_push
    (account, call_id, type, started_at, time_raw, time_base, shared, extra, first_received_at, last_received_at, versions, older, state)
select 'ACCOUNT', state, 'Queue', PRESENT - interval '3 hours', 0, 'local', '{}', '{}', PRESENT - interval '2 hours 30 minutes 20 seconds',
       PRESENT - interval '2 hours 30 minutes 20 seconds', 1, '{}', state
from unnest(array['provisional', 'unmatched']) state;
insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, raw, state)
values ('ACCOUNT', sha256('x'), PRESENT - interval '10 minutes', PRESENT - interval '10 minutes', 'x', 'unsupported');
";
