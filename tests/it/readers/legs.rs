//! The legs of a call and the choices in its menu.

use serde_json::json;

use crate::readers::scene::ReaderScene;

#[tokio::test]
async fn a_call_has_its_legs_in_the_order_of_time_with_those_of_its_transfers() {
    let original = json!({"OriginalIvrUniqueID": "first"});
    let mut scene = ReaderScene::of(json!([
        {"call_id": "first", "type": "Queue", "queue_name": "Q", "duration_seconds": 60, "representative_code": "1",
         "price": 12.5, "record_url": "https://x.example/1"},
        {"call_id": "second", "type": "XferCDR", "started_at": "2024-06-10T10:02:00Z", "custom_data": original,
         "dial_status": "NOANSWER", "ring_seconds": 20, "target_extension": "SIP7"},
        {"call_id": "other", "type": "Click2Call leg2", "started_at": "2024-06-10T10:01:00Z"},
        {"call_id": "other", "type": "Click2Call leg1", "cdr_type": 9, "dial_status": "BUSY"},
        {"call_id": "gone", "removed_at": "2024-06-11T00:00:00Z"},
    ]))
    .await;
    let legs = scene
        .rows(
            "select call_id, nth, leg_call_id, cdr_type, is_continuation, outcome, answered, agent_key, price_agorot, day::text as day
             from voicenter.call_legs where account = 'a' order by call_id, nth",
        )
        .await;
    let expected = json!([
        {"call_id": "first", "nth": 1, "leg_call_id": "first", "cdr_type": 8, "is_continuation": false, "outcome": "answered",
         "answered": true, "agent_key": "code:1", "price_agorot": 12.5, "day": "2024-06-10"},
        {"call_id": "first", "nth": 2, "leg_call_id": "second", "cdr_type": 13, "is_continuation": true, "outcome": "no_answer",
         "answered": false, "agent_key": "extension:SIP7", "price_agorot": null, "day": "2024-06-10"},
        {"call_id": "other", "nth": 1, "leg_call_id": "other", "cdr_type": 9, "is_continuation": false, "outcome": "busy",
         "answered": false, "agent_key": null, "price_agorot": null, "day": "2024-06-10"},
        {"call_id": "other", "nth": 2, "leg_call_id": "other", "cdr_type": 10, "is_continuation": false, "outcome": "answered",
         "answered": true, "agent_key": null, "price_agorot": null, "day": "2024-06-10"},
    ]);
    assert_eq!(legs, expected);
    let counted = "select count(*) from voicenter.calls c where legs <> (
        select count(*) from voicenter.call_legs l where l.account = c.account and l.call_id = c.call_id)";
    assert_eq!(scene.row(counted).await, json!({"count": 0}));
}

#[tokio::test]
async fn choices_in_a_menu_are_those_of_the_menu_path() {
    let choices = |keys: &[&str]| -> Vec<_> {
        let named = |(n, keys): (usize, &&str)| json!({"LayerName": if n == 0 { "Main" } else { "" }, "LayerNumber": n + 1, "DTMF": keys});
        keys.iter().enumerate().map(named).collect()
    };
    let mut scene = ReaderScene::of(json!([
        {"call_id": "two", "type": "Incoming Call", "dtmf_data": choices(&["2", "14"])},
        // The same choices in a second leg, and a later transfer with others.
        {"call_id": "two", "type": "Queue", "started_at": "2024-06-10T10:00:05Z", "dtmf_data": choices(&["2", "14"])},
        {"call_id": "passed", "type": "XferCDR", "started_at": "2024-06-10T10:05:00Z", "dtmf_data": choices(&["9"]),
         "custom_data": {"OriginalIvrUniqueID": "two"}},
        {"call_id": "none", "dtmf_data": []},
        // A leg without choices before the one that has some.
        {"call_id": "later", "type": "Incoming Call", "dtmf_data": []},
        {"call_id": "later", "type": "Queue", "started_at": "2024-06-10T10:00:05Z", "dtmf_data": choices(&["3"])},
        {"call_id": "odd", "dtmf_data": ["7", {"DTMF": "1"}]},
    ]))
    .await;
    let rows = scene
        .rows("select call_id, nth, layer_number, layer_name, keys from voicenter.menu_choices where account = 'a' order by call_id, nth")
        .await;
    let expected = json!([
        {"call_id": "later", "nth": 1, "layer_number": "1", "layer_name": "Main", "keys": "3"},
        {"call_id": "odd", "nth": 2, "layer_number": null, "layer_name": null, "keys": "1"},
        {"call_id": "two", "nth": 1, "layer_number": "1", "layer_name": "Main", "keys": "2"},
        {"call_id": "two", "nth": 2, "layer_number": "2", "layer_name": null, "keys": "14"},
    ]);
    assert_eq!(rows, expected);
    let differing = "select count(*) from voicenter.calls c where menu_path is distinct from (
        select string_agg(coalesce(m.layer_name, m.layer_number, '?') || ': ' || coalesce(m.keys, '?'), ' > ' order by m.nth)
        from voicenter.menu_choices m where m.account = c.account and m.call_id = c.call_id)";
    assert_eq!(scene.row(differing).await, json!({"count": 0}));
}

#[tokio::test]
async fn who_asks_for_a_call_or_a_day_waits_for_its_legs_alone() {
    let mut scene = ReaderScene::new().await;
    for (view, condition) in [
        ("call_legs", "call_id = 'c'"),
        ("call_legs", "day = '2024-06-10'"),
        ("menu_choices", "call_id = 'c'"),
        ("menu_choices", "day = '2024-06-10'"),
    ] {
        let explain =
            format!("explain (costs off) select * from voicenter.{view} where account = 'a' and {condition}");
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_all(&mut scene.sql).await.unwrap();
        let plan = plan.join("\n");
        let column = condition.split(' ').next().unwrap();
        let of_calls = format!("({column} = '");
        assert!(
            plan.contains(" on calls c")
                && plan.contains(&of_calls)
                && plan.contains("account = c.account")
                && plan.contains("(call_id = "),
            "{view}, {condition}:\n{plan}"
        );
    }
}

/// Without an order of its own, what began at one instant would make one call today and another when it is folded again.
#[tokio::test]
async fn legs_that_began_at_one_instant_make_the_same_call_whenever_it_is_folded() {
    let mut scene = ReaderScene::new().await;
    scene
        .run(
            "insert into voicenter.cdr (account, call_id, type, started_at, dial_status, queue_name, target_extension, custom_data,
                 dtmf_data, duration_seconds, first_seen_at, updated_at)
             select 'a', root || coalesce('-' || part, ''), case when part is null then 'Incoming Call' else 'XferCDR' end,
                 timestamptz '2024-06-10T10:00:00Z' + root * interval '1 minute', (array['ANSWER', 'ABANDONE', 'NOANSWER'])[1 + (root + part) % 3],
                 'Q' || (root + part) % 2, 'SIP' || part, jsonb_build_object('OriginalIvrUniqueID', root::text),
                 jsonb_build_array(jsonb_build_object('DTMF', part)), 10 * part, now(), now()
             from generate_series(1, 40) root, unnest(array[null, 3, 1, 2]) part",
        )
        .await;
    let made = "select to_jsonb(c) - 'updated_at' as call, (
            select jsonb_agg(to_jsonb(v) order by nth) from voicenter.queue_visits v where v.account = c.account and v.call_id = c.call_id
        ) as visits, (
            select jsonb_agg(m.keys order by nth) from voicenter.menu_choices m where m.account = c.account and m.call_id = c.call_id
        ) as keys
        from voicenter.calls c order by call_id";
    let first = scene.rows(made).await;
    assert_eq!(first.as_array().map(Vec::len), Some(40));
    // The same rows, stored in another order.
    for table in ["voicenter.cdr", "cdr_sync.transfer"] {
        scene
            .set(&format!(
                "create temporary table kept as select * from {table} order by md5(call_id);
                 delete from {table};
                 insert into {table} select * from kept;
                 drop table kept"
            ))
            .await;
    }
    scene.run("truncate voicenter.calls, voicenter.queue_visits").await;
    assert_eq!(scene.rows(made).await, first);
}
