//! What legs together say of a call, whom they credit, and when it was by the clock of the account.

use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;

async fn call(legs: Value, columns: &str) -> Value {
    ReaderScene::of(legs).await.row(&format!("select {columns} from voicenter.calls")).await
}

#[tokio::test]
async fn waits_of_answered_and_abandoned_queue_calls_are_not_mixed() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1", "type": "Queue", "queue_name": "Q", "duration_seconds": 364, "ring_seconds": 4},
        {"call_id": "2", "type": "Queue", "queue_name": "Q", "dial_status": "ABANDONE", "duration_seconds": 300},
        {"call_id": "3", "type": "Queue", "queue_name": "Q", "dial_status": "ABANDONE", "duration_seconds": 2},
        {"call_id": "4", "type": "Incoming Call", "ring_seconds": 11, "duration_seconds": 60},
    ]))
    .await;
    let calls = scene
        .rows("select outcome, missed, wait_seconds, wait_source, talk_seconds, talk_source from voicenter.calls order by call_id")
        .await;
    let expected = json!([
        {"outcome": "answered", "missed": false, "wait_seconds": null, "wait_source": "unknown", "talk_seconds": null,
         "talk_source": "unknown"},
        {"outcome": "abandoned", "missed": true, "wait_seconds": 300, "wait_source": "derived", "talk_seconds": 0,
         "talk_source": "derived"},
        {"outcome": "short_abandoned", "missed": false, "wait_seconds": 2, "wait_source": "derived", "talk_seconds": 0,
         "talk_source": "derived"},
        {"outcome": "answered", "missed": false, "wait_seconds": 11, "wait_source": "vendor", "talk_seconds": 60,
         "talk_source": "vendor"}
    ]);
    assert_eq!(calls, expected);
    let day = scene
        .row("select calls, missed, short_abandoned, waits_known, wait_seconds, talks_known, talk_seconds from voicenter.calls_daily")
        .await;
    let expected = json!({"calls": 4, "missed": 1, "short_abandoned": 1, "waits_known": 3, "wait_seconds": 313,
                          "talks_known": 1, "talk_seconds": 60});
    assert_eq!(day, expected);
}

#[tokio::test]
async fn a_transfer_is_part_of_the_call_that_it_continues() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "later", "type": "XferCDR", "started_at": "2024-06-10T10:02:00Z", "dial_status": "NOANSWER",
         "target_extension": "SIP8", "custom_data": {"OriginalIvrUniqueID": "first"}},
        {"call_id": "last", "type": "XferCDR", "started_at": "2024-06-10T10:03:00Z", "duration_seconds": 50,
         "target_extension": "SIP9", "custom_data": {"OriginalIvrUniqueID": "later"}}
    ]))
    .await;
    let columns =
        "select call_id, direction, legs, transferred_to, transfer_answered, original_call_id, types
                   from voicenter.calls order by call_id";
    // Its beginning is not stored yet.
    let alone = json!([{"call_id": "later", "direction": "incoming", "legs": 2, "transferred_to": "SIP8",
                        "transfer_answered": true, "original_call_id": "first", "types": "XferCDR, XferCDR"}]);
    assert_eq!(scene.rows(columns).await, alone);
    scene.add(json!([{"call_id": "first", "duration_seconds": 30, "target_extension": "SIP7"}])).await;
    let whole = json!([{"call_id": "first", "direction": "incoming", "legs": 3, "transferred_to": "SIP8",
                        "transfer_answered": true, "original_call_id": null, "types": "Incoming Call, XferCDR, XferCDR"}]);
    assert_eq!(scene.rows(columns).await, whole);
    let kinds = "select call_id, kind from voicenter.changes order by call_id";
    let expected = json!([{"call_id": "first", "kind": "stored"}, {"call_id": "later", "kind": "removed"}]);
    assert_eq!(scene.rows(kinds).await, expected);
    assert_eq!(
        scene.row("select calls, incoming from voicenter.calls_daily").await,
        json!({"calls": 1, "incoming": 1})
    );
    let talked = "select agent, first_agent_key, last_agent_key, talk_seconds from voicenter.calls";
    let expected = json!({"agent": "SIP9", "first_agent_key": "extension:SIP7", "last_agent_key": "extension:SIP9",
                          "talk_seconds": 80});
    assert_eq!(scene.row(talked).await, expected);
}

#[tokio::test]
async fn a_transferred_call_was_talked_in_while_any_of_its_legs_was() {
    let leg = |call: &str, kind: &str, second: u32, ring: u32, duration: u32| {
        json!({"call_id": call, "type": kind, "started_at": format!("2024-06-10T10:{:02}:{:02}Z", second / 60, second % 60),
               "ring_seconds": ring, "duration_seconds": duration})
    };
    let incoming = "Incoming Call";
    let mut scene = ReaderScene::of(json!([
        // The first leg goes on until the end of the call.
        leg("includes", incoming, 0, 10, 300),
        leg("includes", "XferCDR", 120, 5, 100),
        // It ends where the next begins, and that rings in between.
        leg("follows", incoming, 0, 10, 110),
        leg("follows", "XferCDR", 120, 5, 100),
        leg("overlaps", incoming, 0, 0, 130),
        leg("overlaps", "Attended CDR leg1", 100, 0, 50),
        leg("overlaps", "Attended CDR leg2", 140, 0, 60),
        // Without a transfer, legs beside each other are one talk.
        leg("beside", incoming, 0, 0, 130),
        leg("beside", "Extension Outgoing", 200, 0, 50),
    ]))
    .await;
    let talked = "select call_id, talk_seconds from voicenter.calls order by call_id";
    let expected = json!([{"call_id": "beside", "talk_seconds": 130}, {"call_id": "follows", "talk_seconds": 210},
                          {"call_id": "includes", "talk_seconds": 300}, {"call_id": "overlaps", "talk_seconds": 200}]);
    assert_eq!(scene.rows(talked).await, expected);
}

#[tokio::test]
async fn calls_that_continue_each_other_in_a_circle_stay_calls() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "a", "custom_data": {"OriginalIvrUniqueID": "b"}},
        {"call_id": "b", "custom_data": {"OriginalIvrUniqueID": "a"}},
        {"call_id": "c", "custom_data": {"OriginalIvrUniqueID": "c"}},
        {"call_id": "d", "custom_data": {"OriginalIvrUniqueID": " "}}
    ]))
    .await;
    let calls =
        json!([{"call_id": "a", "legs": 2}, {"call_id": "c", "legs": 1}, {"call_id": "d", "legs": 1}]);
    assert_eq!(scene.rows("select call_id, legs from voicenter.calls order by call_id").await, calls);
}

#[tokio::test]
async fn whom_ones_own_side_kept_waiting_is_no_failure_of_the_other_side() {
    // Click2Call: one's own agent did not pick up.
    let legs = json!([{"type": "Click2Call leg1", "dial_status": "NOANSWER"}]);
    let expected = json!({"outcome": "not_dialled", "initiated_by": "click2call", "missed": false});
    assert_eq!(call(legs, "outcome, initiated_by, missed").await, expected);
    // A dialer: the customer picked up, and no agent did.
    let legs = json!([
        {"type": "ProductiveCall Leg1", "dial_status": "NOANSWER"},
        {"type": "ProductiveCall Leg2", "dial_status": "ANSWER", "duration_seconds": 9}
    ]);
    let expected =
        json!({"outcome": "dialer_abandoned", "answered": false, "talk_seconds": 0, "handled_by": "nobody"});
    assert_eq!(call(legs, "outcome, answered, talk_seconds, handled_by").await, expected);
    let legs = json!([
        {"type": "ProductiveCall Leg1", "duration_seconds": 40}, {"type": "ProductiveCall Leg2", "duration_seconds": 33}
    ]);
    let expected = json!({"outcome": "answered", "talk_seconds": 33, "initiated_by": "dialer"});
    assert_eq!(call(legs, "outcome, talk_seconds, initiated_by").await, expected);
}

#[tokio::test]
async fn a_menu_that_answers_is_no_person() {
    let pressed = json!([{"LayerName": "Main", "DTMF": "9"}]);
    let legs = json!([{"dtmf_data": pressed, "duration_seconds": 20}]);
    let expected =
        json!({"outcome": "in_menu", "answered": false, "handled_by": "machine", "menu_path": "Main: 9"});
    assert_eq!(call(legs, "outcome, answered, handled_by, menu_path").await, expected);
    let legs = json!([{"dtmf_data": pressed, "duration_seconds": 20, "target_extension": "SIP1"}]);
    assert_eq!(call(legs, "outcome").await, json!({"outcome": "answered"}));
}

#[tokio::test]
async fn an_autumn_day_has_25_hours_and_a_spring_day_23() {
    let mut scene = ReaderScene::new().await;
    scene
        .run(
            "insert into voicenter.cdr (account, call_id, type, started_at, dial_status, first_seen_at, updated_at)
             select 'a', n::text, 'Queue', at, 'ANSWER', now(), now()
             from generate_series(timestamptz '2026-03-25 12:00Z', '2026-03-29 12:00Z', '20 minutes') with ordinality s (at, n)
             union all
             select 'a', 'x' || n, 'Queue', at, 'ANSWER', now(), now()
             from generate_series(timestamptz '2026-10-23 12:00Z', '2026-10-27 12:00Z', '20 minutes') with ordinality s (at, n)",
        )
        .await;
    let days = "select to_char(day, 'MM-DD') as day, day_of_week as nth, count(*) as hours, sum(calls) as calls
                from voicenter.calls_hourly
                where day in ('2026-03-26', '2026-03-27', '2026-10-24', '2026-10-25') group by 1, 2 order by 1";
    let expected = json!([
        {"day": "03-26", "nth": 5, "hours": 24, "calls": 72}, {"day": "03-27", "nth": 6, "hours": 23, "calls": 69},
        {"day": "10-24", "nth": 7, "hours": 24, "calls": 72}, {"day": "10-25", "nth": 1, "hours": 25, "calls": 75}
    ]);
    assert_eq!(scene.rows(days).await, expected);
    let twice = "select count(*), count(distinct hour_local) as local from voicenter.calls_hourly where day = '2026-10-25'";
    assert_eq!(scene.row(twice).await, json!({"count": 25, "local": 24}));
}

#[tokio::test]
async fn a_corrected_rule_reaches_all_calls() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1", "dial_status": "PARKED"},
        {"call_id": "2", "type": "Queue", "queue_name": "Q", "dial_status": "ABANDONE", "duration_seconds": 25}
    ]))
    .await;
    let outcomes = "select call_id, outcome, missed from voicenter.calls order by call_id";
    let before = json!([{"call_id": "1", "outcome": "unknown", "missed": false}, {"call_id": "2", "outcome": "abandoned", "missed": true}]);
    assert_eq!(scene.rows(outcomes).await, before);
    scene
        .set(
            "insert into voicenter.dial_statuses values ('PARKED', 'Parked.', 'הועברה להמתנה', 'no_answer');
             update voicenter.queues set short_abandon_seconds = 30 where queue_name = 'Q'",
        )
        .await;
    scene.set("select cdr_sync.fold_changes('a', 100)").await;
    let after = json!([{"call_id": "1", "outcome": "no_answer", "missed": true}, {"call_id": "2", "outcome": "short_abandoned", "missed": false}]);
    assert_eq!(scene.rows(outcomes).await, after);
    scene.set("update voicenter.outcomes set missed = false where outcome = 'no_answer'").await;
    scene.set("select cdr_sync.fold_changes('a', 100)").await;
    assert_eq!(scene.row("select count(*) from voicenter.calls where missed").await, json!({"count": 0}));
}

#[tokio::test]
async fn a_call_that_no_rule_foresaw_costs_that_call_only() {
    // Its end lies beyond what a timestamp can hold.
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1"}, {"call_id": "2", "started_at": "294276-12-31T23:59:00Z", "duration_seconds": 2147483647}
    ]))
    .await;
    assert_eq!(scene.rows("select call_id from voicenter.calls").await, json!([{"call_id": "1"}]));
    scene.set("update cdr_sync.reporting set folded_until = '-infinity', folded_call = ''").await;
    let slice = scene.row("select taken, failed from cdr_sync.fold_changes('a', 100)").await;
    assert_eq!(slice, json!({"taken": 2, "failed": 1}));
}
