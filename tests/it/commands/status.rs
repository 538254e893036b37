//! `status`.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::commands::scene::{Ledger, printed, program};
use crate::support::polling::PATIENCE;
use crate::support::pushes::pushes;

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

#[tokio::test]
async fn it_is_no_trouble_that_this_shell_has_no_account_configured() {
    let led = "insert into cdr_sync.account (name, scope, scope_since, history_start) values ('sales', '{}', now(), now());
         insert into cdr_sync.cursor (account, history_from, synced_until) values ('sales', now() - interval '1 day', now());
         insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
         values ('sales', 'x', 'host-1, process 7', now(), now() + interval '1 hour')";
    let ledger = Ledger::new(led).await;
    let here = printed(program(&["status"], &[("DATABASE_URL", ledger.0.url())])).await;
    assert!(!here.contains("forget") && here.ends_with("exit status 0\n"), "{here}");
    // Another account's configuration is at hand, but a daemon somewhere leads this one.
    let elsewhere = [("DATABASE_URL", ledger.0.url()), ("VOICENTER_CODE", "x")];
    let elsewhere = printed(program(&["status"], &elsewhere)).await;
    assert!(!elsewhere.contains("forget") && elsewhere.ends_with("exit status 0\n"), "{elsewhere}");
}

#[tokio::test]
async fn how_cdr_notifications_fare_stands_below() {
    let ledger = Ledger::new(LEDGER).await;
    ledger.0.execute(&pushes("sales", "now()")).await;
    let text = ledger.printed(&["status"]).await;
    let about = text.lines().skip_while(|line| !line.contains("XML-RPC"));
    insta::assert_snapshot!(about.collect::<Vec<_>>().join("\n"));
    let json = ledger.printed(&["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let of = |account: &str| {
        let all = json["accounts"].as_array().unwrap();
        all.iter().find(|known| known["account"] == account).unwrap()["pushes"].clone()
    };
    assert!(of("service").is_null());
    assert_eq!([&of("sales")["provisional"], &of("sales")["unmatched"], &of("sales")["waiting"]], [1, 1, 0]);
}

#[tokio::test]
async fn watched_it_is_shown_again_until_ctrl_c() {
    let ledger = Ledger::new(LEDGER).await;
    let mut command = program(&["status", "--watch", "1"], &[("DATABASE_URL", ledger.0.url())]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut shown = 0;
    while shown < 2 {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it goes on").unwrap().unwrap();
        shown += usize::from(line.ends_with("UTC, every 1 s"));
    }
    let id = Pid::from_raw(i32::try_from(watching.id().unwrap()).unwrap());
    kill(id, Signal::SIGINT).unwrap();
    let ended = tokio::time::timeout(PATIENCE, watching.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(4), "one of its accounts is in trouble");
}
