//! `voicenter.sync_state`.

use serde_json::json;

use crate::readers::scene::ReaderScene;

const TWO_ACCOUNTS: &str = "
    insert into cdr_sync.account (name, scope, scope_since, history_start, last_success_at, last_error, last_error_at)
    values ('a', '{}', now(), '2024-01-01Z', '2024-06-10 10:00Z', 'refused', '2024-06-10 09:00Z'),
           ('new', '{}', now(), '2024-01-01Z', null, 'not trusted', '2024-06-10 09:00Z');
    insert into cdr_sync.cursor (account, history_from, synced_until)
    values ('a', '2024-05-01Z', clock_timestamp() - interval '90 seconds'), ('new', null, null);
    insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, closed_at)
    select 'a', tstzrange(d, d + interval '1 hour'), 'x', d, d, d, case when n > 2 then d end
    from generate_series(1, 3) n, lateral (select timestamptz '2024-05-05Z' + n * interval '1 day' as d) x;
    insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at, closed_at)
    values ('a', '1', '', 'no_date', now(), now(), null), ('a', '2', '', 'no_date', now(), now(), now()),
           ('other', '3', '', 'no_date', now(), now(), null);
    insert into cdr_sync.missing (account, call_id, type, started_at, first_missed_at, last_missed_at, due_at, suspicious)
    values ('a', '1', '', now(), now(), now(), now(), true), ('a', '2', '', now(), now(), now(), now(), false)";

#[tokio::test]
async fn an_account_says_how_far_it_is_and_what_is_missing() {
    let mut scene = ReaderScene::new().await;
    scene.run(TWO_ACCOUNTS).await;
    let state = scene
        .row(
            "select history_from = '2024-05-01Z' as history, history_start = '2024-01-01Z' as start,
                 lag_seconds between 90 and 600 as lag, open_gaps, rejected_records, suspicious_rows, last_error,
                 last_error_at from voicenter.sync_state where account = 'a'",
        )
        .await;
    let expected = json!({"history": true, "start": true, "lag": true, "open_gaps": 2, "rejected_records": 1,
                          "suspicious_rows": 1, "last_error": null, "last_error_at": null});
    assert_eq!(state, expected);
}

#[tokio::test]
async fn an_error_stands_until_a_later_success() {
    let mut scene = ReaderScene::new().await;
    scene.run(TWO_ACCOUNTS).await;
    let columns = "select account, synced_until is null as unread, lag_seconds is null as no_lag, last_error
                   from voicenter.sync_state order by account";
    let expected = json!([{"account": "a", "unread": false, "no_lag": false, "last_error": null},
                          {"account": "new", "unread": true, "no_lag": true, "last_error": "not trusted"}]);
    assert_eq!(scene.rows(columns).await, expected);
    scene.run("update cdr_sync.account set last_error_at = '2024-06-10 11:00Z' where name = 'a'").await;
    assert_eq!(scene.rows(columns).await[0]["last_error"], "refused");
}
