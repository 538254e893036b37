//! `status`.

use crate::commands::scene::Ledger;

const LEDGER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start, last_success_at, last_error, last_error_at, paused_until)
values ('sales', '{}', now(), now() - interval '10 days', now(), 'over since', now() - interval '1 day', null),
       ('service', '{}', now(), now() - interval '10 days', now() - interval '2 hours 30 seconds',
        'the API does not trust the address 192.0.2.7 (error 4: IP address 192.0.2.7 is not trusted.). Ask Voicenter to whitelist this address, or use a bearer token.',
        now(), now() + interval '4 minutes'),
       ('left over', '{}', now(), now() - interval '10 days', null, null, null, null);
insert into cdr_sync.cursor (account, history_from, synced_until)
values ('sales', now() - interval '10 days', now() + interval '1 hour'),
       ('service', now() - interval '4 days', now() - interval '2 hours 30 seconds');
insert into cdr_sync.coverage (account, span, tier)
values ('sales', tstzrange(now() - interval '10 days', now() + interval '1 hour'), '0'),
       ('service', tstzrange(now() - interval '4 days', now() - interval '2 hours 30 seconds'), '0');
insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
values ('sales', 'x', 'host-1, process 7', now(), now() + interval '1 hour');
insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, last_error)
values ('service', '[2026-11-10T23:45Z,2026-11-11T00:00Z)', 'unreadable', now(), now(), now(), 'HTTP 500, but not an answer from the API: HTML');
insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at)
values ('sales', 'x', '{}', 'duplicate_key', now(), now()), ('service', 'y', '{}', 'no_call_id', now(), now());
insert into cdr_sync.missing (account, call_id, type, started_at, first_missed_at, last_missed_at, due_at, suspicious)
select 'service', n::text, '', now(), now(), now(), now(), true from generate_series(1, 1234) as n;
insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
select account, 'call' || n, '', now() - n * interval '1 minute', now(), now()
from unnest(array['sales', 'service']) as account, generate_series(1, 2000) as n
where account = 'sales' or n > 400;
";

#[tokio::test]
async fn at_a_glance() {
    let ledger = Ledger::new(LEDGER).await;
    insta::assert_snapshot!(ledger.printed(&["status"]).await);
}

#[tokio::test]
async fn before_the_first_sync() {
    let ledger = Ledger::new("").await;
    insta::assert_snapshot!(ledger.printed(&["status"]).await);
}

#[tokio::test]
async fn as_json_it_names_every_account() {
    let ledger = Ledger::new(LEDGER).await;
    let printed = ledger.printed(&["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    let keys: Vec<&String> = json["accounts"][1].as_object().unwrap().keys().collect();
    insta::assert_snapshot!(format!("{} accounts\n{keys:#?}", json["accounts"].as_array().unwrap().len()));
}
