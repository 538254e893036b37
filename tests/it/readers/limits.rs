//! What no record, rule or reader may do to `voicenter.calls`: keep others from being stored, or take without end.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;
use crate::support::dates::instant;

#[tokio::test]
async fn numbers_and_queues_of_any_length_make_a_call() {
    let mut scene = ReaderScene::new().await;
    // What cannot be compressed, and is too long for an index.
    scene
        .run(
            "with long as (select string_agg(md5(n::text), '') as text from generate_series(1, 300) n)
             insert into voicenter.cdr (account, call_id, type, started_at, caller_number, target_number, queue_name, did,
                 custom_data, first_seen_at, updated_at)
             select 'a', 'c', 'Queue', now(), text, text, text, text, jsonb_build_object('OriginalIvrUniqueID', text), now(), now()
             from long",
        )
        .await;
    let call = scene
        .row(
            "select length(caller_number) as caller, length(target_number) as target, length(queue_name) as queue,
                 (select length(queue_name) from voicenter.queue_visits) as visited,
                 (select length(queue_name) from voicenter.queue_daily) as counted from voicenter.calls",
        )
        .await;
    assert_eq!(call, json!({"caller": 200, "target": 200, "queue": 9600, "visited": 9600, "counted": 200}));
}

/// Calls that name `original`, a minute apart after ten o'clock.
fn naming(original: &str, calls: std::ops::Range<i64>) -> Value {
    let begun = instant("2024-06-10T10:00:00Z");
    let names = calls.map(|n| {
        json!({"call_id": format!("n{n:03}"), "type": "XferCDR", "started_at": begun + TimeDelta::minutes(n + 1),
               "custom_data": {"OriginalIvrUniqueID": original}})
    });
    names.collect()
}

#[tokio::test]
async fn an_id_that_more_than_fifty_calls_name_joins_none() {
    let mut scene = ReaderScene::of(json!([{"call_id": "first"}])).await;
    let calls = "select count(*), max(legs) as legs from voicenter.calls";
    scene.add(naming("first", 0..50)).await;
    assert_eq!(scene.row(calls).await, json!({"count": 1, "legs": 51}));
    scene.add(naming("first", 50..52)).await;
    assert_eq!(scene.row(calls).await, json!({"count": 53, "legs": 1}));
    let last = |set: &str| {
        format!("update voicenter.cdr set removed_at = {set}, updated_at = now() where call_id >= 'n050'")
    };
    for (set, expected) in
        [("now()", json!({"count": 1, "legs": 51})), ("null", json!({"count": 53, "legs": 1}))]
    {
        scene.set(&last(set)).await;
        // Only what changed is folded.
        scene.set("select cdr_sync.fold_changes('a', 100)").await;
        assert_eq!(scene.row(calls).await, expected, "{set}");
    }
}

#[tokio::test]
async fn a_chain_ends_after_twenty_links_and_no_link_is_longer_than_a_day() {
    let chain = (0..100).map(|n| {
        json!({"call_id": format!("{n:04}"), "type": "XferCDR", "started_at": instant("2024-06-10T10:00:00Z") + TimeDelta::minutes(n),
               "custom_data": {"OriginalIvrUniqueID": format!("{:04}", n - 1)}})
    });
    let mut scene = ReaderScene::of(chain.collect()).await;
    let calls = "select count(*), max(legs) as legs, sum(legs) as all from voicenter.calls";
    assert_eq!(scene.row(calls).await, json!({"count": 80, "legs": 21, "all": 100}));
    // The middle moves away: what came after it begins anew.
    scene.set("update voicenter.cdr set started_at = started_at - interval '25 hours', updated_at = now() where call_id = '0010'").await;
    scene.set("select cdr_sync.fold_changes('a', 100)").await;
    let largest = "select string_agg(call_id || ' ' || legs, ', ' order by call_id) as calls from voicenter.calls where legs > 1";
    assert_eq!(scene.row(largest).await, json!({"calls": "0000 10, 0011 21"}));
}

#[tokio::test]
async fn of_two_that_began_at_one_instant_the_one_that_continues_nothing_is_the_first() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "z"}, {"call_id": "a", "type": "XferCDR", "custom_data": {"OriginalIvrUniqueID": "z"}}
    ]))
    .await;
    assert_eq!(
        scene.rows("select call_id, legs from voicenter.calls").await,
        json!([{"call_id": "z", "legs": 2}])
    );
}

#[tokio::test]
async fn outcomes_are_a_closed_list_and_a_queue_may_be_deleted() {
    let mut scene = ReaderScene::of(json!([
        {"type": "Queue", "queue_name": "Q", "dial_status": "ABANDONE", "duration_seconds": 25}
    ]))
    .await;
    for change in [
        "insert into voicenter.outcomes values ('x', 'x', 'x', true)",
        "delete from voicenter.outcomes where outcome = 'failed'",
        "update voicenter.outcomes set outcome = 'x' where outcome = 'dialer_abandoned'",
    ] {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut scene.sql).await.unwrap_err();
        assert!(refused.to_string().contains("closed list"), "{refused}");
    }
    scene.run("update voicenter.queues set short_abandon_seconds = 60").await;
    let outcome = "select outcome from voicenter.calls";
    assert_eq!(scene.row(outcome).await, json!({"outcome": "short_abandoned"}));
    scene.set("delete from voicenter.queues; select cdr_sync.fold_changes('a', 100)").await;
    assert_eq!(scene.row(outcome).await, json!({"outcome": "abandoned"}));
}

#[tokio::test]
async fn what_hangs_below_an_id_that_too_many_name_now_hangs_together() {
    let link = |call: &str, original: &str, minute: i64| {
        json!({"call_id": call, "type": "XferCDR", "started_at": instant("2024-06-10T10:00:00Z") + TimeDelta::minutes(minute),
               "custom_data": {"OriginalIvrUniqueID": original}})
    };
    let chain = (1..=20).map(|n| link(&format!("c{n}"), &format!("c{}", n - 1), n));
    let naming = (1..=50).map(|n| link(&format!("x{n}"), "c20", 20 + n));
    let rows: Vec<Value> =
        [json!({"call_id": "c0"}), link("y", "x1", 90)].into_iter().chain(chain).chain(naming).collect();
    let mut scene = ReaderScene::of(rows.into()).await;
    let larger = "select string_agg(call_id || ' ' || legs, ', ' order by call_id) as calls from voicenter.calls where legs > 1";
    assert_eq!(scene.row(larger).await, json!({"calls": "c0 21"}));
    let one_more = "insert into voicenter.cdr (account, call_id, type, started_at, custom_data, first_seen_at, updated_at)
        values ('a', 'x51', 'XferCDR', '2024-06-10T11:30:00Z', '{\"OriginalIvrUniqueID\": \"c20\"}', now(), now())";
    scene.set(one_more).await;
    // Only what changed is folded.
    scene.set("select cdr_sync.fold_changes('a', 100)").await;
    assert_eq!(scene.row(larger).await, json!({"calls": "c0 21, x1 2"}));
}

/// Calls in quarters of an hour of their own, each tenth of them a transfer of the one before.
const MANY: &str = "
    insert into voicenter.cdr (account, call_id, type, started_at, duration_seconds, queue_name, dial_status, representative_code,
        custom_data, first_seen_at, updated_at)
    select 'ACCOUNT', to_char(n, 'FM000000'), case n % 3 when 0 then 'Queue' else 'Incoming Call' end,
        timestamptz '2020-01-01 00:00+00' + n * interval '15 minutes', 60, case n % 3 when 0 then 'Queue ' || n % 7 end, 'ANSWER',
        (n % 9)::text, case n % 10 when 0 then jsonb_build_object('OriginalIvrUniqueID', to_char(n - 1, 'FM000000')) end, now(),
        'STAMP'
    from generate_series(FROM, TO) n";

#[tokio::test]
async fn what_a_commit_reads_does_not_grow_with_the_account() {
    let mut scene = ReaderScene::new().await;
    let rows = |account: &str, from: i32, to: i32, stamp: &str| {
        MANY.replace("ACCOUNT", account)
            .replace("STAMP", stamp)
            .replace("FROM", &from.to_string())
            .replace("TO", &to.to_string())
    };
    let accounts = [("small", 1_000), ("large", 12_000)];
    for (account, calls) in accounts {
        scene.set(&rows(account, 1, calls, "2024-06-11T00:00:00Z")).await;
    }
    // Among many accounts, the planner takes each for one of average size.
    for n in 0..60 {
        scene.set(&rows(&format!("other {n}"), 1, 20, "2024-06-11T00:00:00Z")).await;
    }
    scene.run("select").await;
    scene.set("vacuum analyze").await;
    let mut read = Vec::new();
    for (account, calls) in accounts {
        scene.set(&rows(account, calls + 1, calls + 20, "2024-06-12T00:00:00Z")).await;
        // As the daemon does: planned for these calls.
        scene.set("set plan_cache_mode = force_custom_plan; set cdr_sync.numbers_spelt = 'on'").await;
        let before = rows_read(&mut scene).await;
        scene.set(&format!("select cdr_sync.fold_commit('{account}', '2024-06-12T00:00:00Z')")).await;
        read.push(rows_read(&mut scene).await - before);
    }
    let [small, large] = read[..] else { unreachable!() };
    assert!(
        small > 0 && large < small * 5 / 4,
        "{large} rows for 20 calls among 12,000, {small} among 1,000"
    );
}

const MORE: &str = "ten thousand calls";

#[tokio::test]
async fn plans_that_last_read_no_more_when_their_tables_have_grown() {
    let mut scene = ReaderScene::new().await;
    let rows = |account: &str, from: i32, to: i32, stamp: &str| {
        MANY.replace("ACCOUNT", account)
            .replace("STAMP", stamp)
            .replace("FROM", &from.to_string())
            .replace("TO", &to.to_string())
    };
    scene
        .set(
            "do $$ declare t text; begin
                 for t in select format('%I.%I', schemaname, relname) from pg_stat_user_tables where schemaname in ('voicenter', 'cdr_sync') loop
                     execute 'alter table ' || t || ' set (autovacuum_enabled = off)';
                 end loop;
             end $$",
        )
        .await;
    // Plans last from ten thousand calls on; when the first ones are made, queues and transfers are unknown to the planner.
    for n in 0..30 {
        let plain = rows(&format!("other {n}"), 1, 400, "2024-06-11T00:00:00Z")
            .replace("n % 10 when 0", "n % 10 when 10")
            .replace("n % 3 when 0", "n % 3 when 3");
        scene.set(&plain).await;
    }
    scene.run("select").await;
    scene.set("vacuum analyze").await;
    scene.set("set cdr_sync.numbers_spelt = 'on'").await;
    let mut calls = 400;
    let (mut read, mut lasting) = (Vec::new(), Vec::new());
    for before in ["", MORE, "vacuum analyze", "", MORE] {
        let mut stamp = 2 * read.len() + 12;
        if before == MORE {
            scene
                .set(&rows("other 1", calls + 1, calls + 10_000, &format!("2024-06-{stamp}T00:00:00Z")))
                .await;
            scene.set("set plan_cache_mode = force_custom_plan").await;
            scene.set("select cdr_sync.fold_changes('other 1', 5000); select cdr_sync.fold_changes('other 1', 100000)").await;
            calls += 10_000;
        } else if !before.is_empty() {
            scene.set(before).await;
        }
        stamp += 1;
        scene.set(&rows("other 1", calls + 1, calls + 20, &format!("2024-06-{stamp}T00:00:00Z"))).await;
        calls += 20;
        lasting.push(scene.row("select cdr_sync.plans_may_last() as may").await["may"].clone());
        let before = rows_read(&mut scene).await;
        // As the daemon does.
        scene
            .set(&format!(
                "begin; set local plan_cache_mode = force_custom_plan;
                 select cdr_sync.fold_commit('other 1', '2024-06-{stamp}T00:00:00Z'); commit"
            ))
            .await;
        read.push(rows_read(&mut scene).await - before);
    }
    // What has rows now, and was empty when it was last looked at, is planned for each time.
    assert_eq!(lasting, [true, false, true, true, true]);
    let [_, _, known, again, grown] = read[..] else { unreachable!() };
    assert!(grown < known.max(again) * 5 / 4, "{read:?}");
}

#[tokio::test]
async fn no_plan_lasts_beside_a_table_that_has_outgrown_its_statistics() {
    let mut scene = ReaderScene::new().await;
    for n in 0..30 {
        let rows = MANY
            .replace("ACCOUNT", &format!("other {n}"))
            .replace("STAMP", "2024-06-11T00:00:00Z")
            .replace("FROM", "1")
            .replace("TO", "400");
        scene.set(&rows).await;
    }
    scene.run("select").await;
    let may = "select cdr_sync.plans_may_last() as may";
    assert_eq!(scene.row(may).await, json!({"may": false}));
    scene.set("vacuum analyze").await;
    assert_eq!(scene.row(may).await, json!({"may": true}));
    let removed = "insert into voicenter.removed_calls (account, call_id, started_at, updated_at)
                   select 'other 1', 'gone ' || n, now(), now() from generate_series(1, 20000) n";
    scene.set(removed).await;
    assert_eq!(scene.row(may).await, json!({"may": false}));
    scene.set("analyze voicenter.removed_calls").await;
    assert_eq!(scene.row(may).await, json!({"may": true}));
    // Whatever is set for the session stays.
    scene.set("set enable_seqscan = off; set plan_cache_mode = force_custom_plan").await;
    scene.set("update voicenter.cdr set updated_at = '2024-06-12Z' where account = 'other 1' and call_id < '000020'").await;
    scene.set("select cdr_sync.fold_commit('other 1', '2024-06-12Z')").await;
    let settings =
        "select current_setting('enable_seqscan') as scan, current_setting('plan_cache_mode') as mode";
    assert_eq!(scene.row(settings).await, json!({"scan": "off", "mode": "force_custom_plan"}));
}

/// Rows and index entries of all tables that were read until now.
async fn rows_read(scene: &mut ReaderScene) -> i64 {
    // Before PostgreSQL 15 counts are sent at most twice a second, and nothing hurries them.
    scene
        .set(
            "do $$ begin
                 if current_setting('server_version_num')::integer >= 150000 then perform pg_stat_force_next_flush();
                 else perform pg_sleep(1);
                 end if;
             end $$",
        )
        .await;
    let read = scene
        .row(
            "select (select sum(seq_tup_read) from pg_stat_user_tables) + (select sum(idx_tup_read) from pg_stat_user_indexes) as rows",
        )
        .await;
    read["rows"].as_f64().unwrap() as i64
}
