//! `voicenter.calls`: legs folded together.

use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;

fn click2call(first: &str, second: &str) -> Value {
    json!([
        {"type": "Click2Call leg1", "cdr_type": 9, "started_at": "2024-06-10T10:00:00Z", "dial_status": first,
         "duration_seconds": 100, "ring_seconds": 3, "caller_number": "0501111111", "target_number": "SIP7",
         "target_extension": "SIP7", "representative_name": "Dana", "representative_code": "77", "price": 5},
        {"type": "Click2Call leg2", "cdr_type": 10, "started_at": "2024-06-10T10:00:05Z", "dial_status": second,
         "duration_seconds": if second == "ANSWER" { 90 } else { 0 }, "ring_seconds": 8, "caller_number": "0722222222",
         "caller_extension": "SIP7", "target_number": "0501111111", "price": 12.5,
         "record_url": "https://x.example/2.mp3", "record_expected": true}
    ])
}

#[tokio::test]
async fn two_legs_are_one_call_and_their_talk_is_not_added() {
    let mut scene = ReaderScene::of(click2call("ANSWER", "ANSWER")).await;
    let call = scene
        .row(
            "select started_at = '2024-06-10T10:00:00Z' as earliest, direction, answered, talk_seconds, ring_seconds,
                 caller_number, caller_extension, target_number, target_extension, agent, agent_extension, price,
                 record_urls, record_expected, legs, types from voicenter.calls",
        )
        .await;
    let expected = json!({
        "earliest": true, "direction": "outgoing", "answered": true, "talk_seconds": 90, "ring_seconds": 8,
        "caller_number": "0722222222", "caller_extension": "SIP7", "target_number": "0501111111",
        "target_extension": null, "agent": "Dana", "agent_extension": "SIP7", "price": 17.5,
        "record_urls": ["https://x.example/2.mp3"], "record_expected": true, "legs": 2,
        "types": "Click2Call leg1, Click2Call leg2"
    });
    assert_eq!(call, expected);
}

#[tokio::test]
async fn reaching_only_ones_own_agent_is_no_answer() {
    let columns = "select answered, missed, talk_seconds, ring_seconds, dial_status, target_number from voicenter.calls";
    let mut scene = ReaderScene::of(click2call("ANSWER", "NOANSWER")).await;
    let expected = json!({"answered": false, "missed": false, "talk_seconds": 0, "ring_seconds": 8,
                          "dial_status": "NOANSWER", "target_number": "0501111111"});
    assert_eq!(scene.row(columns).await, expected);
    scene.run("update voicenter.cdr set removed_at = now() where cdr_type = 10").await;
    let expected = json!({"answered": false, "missed": false, "talk_seconds": 0, "ring_seconds": 3,
                          "dial_status": "ANSWER", "target_number": "SIP7"});
    assert_eq!(scene.row(columns).await, expected);
}

#[tokio::test]
async fn the_answered_leg_with_the_longest_talk_speaks_for_three() {
    let mut scene = ReaderScene::of(json!([
        {"type": "Incoming Call", "dial_status": "NOANSWER", "ring_seconds": 20, "caller_number": "1",
         "did": "0722222222", "price": 0, "record_url": "https://x.example/b.mp3"},
        {"type": "Queue", "started_at": "2024-06-10T10:00:20Z", "queue_name": "Sales", "duration_seconds": 60,
         "ring_seconds": 7, "caller_number": "2", "representative_code": "77", "price": 3,
         "record_url": "https://x.example/a.mp3"},
        {"type": "Auto forward", "started_at": "2024-06-10T10:00:10Z", "duration_seconds": 40, "ring_seconds": 9,
         "caller_number": "3", "representative_name": "Somebody else", "user_id": "5", "department_name": "Backup",
         "record_url": "https://x.example/a.mp3"}
    ]))
    .await;
    let call = scene
        .row(
            "select direction, answered, talk_seconds, ring_seconds, caller_number, did, queue_name, agent,
                 representative_code, representative_name, user_id, department_name, price, record_url, record_urls,
                 record_expected, legs, types from voicenter.calls",
        )
        .await;
    let expected = json!({
        "direction": "incoming", "answered": true, "talk_seconds": null, "ring_seconds": 7, "caller_number": "2",
        "did": "0722222222", "queue_name": "Sales",
        // One leg names the agent: the name of another leg's agent is not put beside that code.
        "agent": "77", "representative_code": "77", "representative_name": null, "user_id": null,
        "department_name": "Backup", "price": 3, "record_url": "https://x.example/a.mp3",
        "record_urls": ["https://x.example/a.mp3", "https://x.example/b.mp3"], "record_expected": null, "legs": 3,
        "types": "Incoming Call, Auto forward, Queue"
    });
    assert_eq!(call, expected);
}

#[tokio::test]
async fn voicemail_picks_up_but_does_not_answer() {
    let mut scene = ReaderScene::of(json!([
        {"type": "VoiceMail", "dial_status": "ANSWER", "duration_seconds": 30, "ring_seconds": 0},
        {"type": "Incoming Call", "dial_status": "NOANSWER", "started_at": "2024-06-10T10:00:01Z", "ring_seconds": 20}
    ]))
    .await;
    let call = scene
        .row("select direction, answered, missed, talk_seconds, ring_seconds, dial_status from voicenter.calls")
        .await;
    let expected = json!({"direction": "incoming", "answered": false, "missed": true, "talk_seconds": 0,
                          "ring_seconds": 20, "dial_status": "NOANSWER"});
    assert_eq!(call, expected);
}

#[tokio::test]
async fn a_call_takes_its_direction_from_its_beginning() {
    let mut scene = ReaderScene::of(json!([
        {"type": "XferCDR", "started_at": "2024-06-10T10:01:00Z", "duration_seconds": 500},
        {"type": "Incoming Call", "duration_seconds": 60},
        {"type": "Something new", "started_at": "2024-06-10T09:59:00Z", "dial_status": null, "call_id": "d"},
        {"type": "Extension Outgoing", "call_id": "d", "caller_extension": "SIP1"}
    ]))
    .await;
    let calls = scene.rows("select direction, talk_seconds from voicenter.calls order by call_id").await;
    let expected =
        json!([{"direction": "incoming", "talk_seconds": 560}, {"direction": "outgoing", "talk_seconds": 0}]);
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn removed_legs_do_not_exist() {
    let gone = "2024-06-12T00:00:00Z";
    let mut scene = ReaderScene::of(json!([
        {"call_id": "first gone", "type": "Incoming Call", "removed_at": gone, "price": 9, "duration_seconds": 999},
        {"call_id": "first gone", "type": "Queue", "started_at": "2024-06-10T10:00:07Z", "price": 1, "duration_seconds": 4},
        {"call_id": "all gone", "type": "Incoming Call", "removed_at": gone},
        {"call_id": "all gone", "type": "Queue", "removed_at": gone},
    ]))
    .await;
    let call = scene
        .row("select call_id, started_at = '2024-06-10T10:00:07Z' as later, price, talk_seconds, legs, types from voicenter.calls")
        .await;
    let expected = json!({"call_id": "first gone", "later": true, "price": 1, "talk_seconds": null, "legs": 1, "types": "Queue"});
    assert_eq!(call, expected);
    assert_eq!(
        scene.row("select calls, price from voicenter.calls_daily").await,
        json!({"calls": 1, "price": 1})
    );
}

#[tokio::test]
async fn accounts_share_nothing() {
    let mut scene = ReaderScene::of(json!([
        {"account": "a", "duration_seconds": 10}, {"account": "b", "duration_seconds": 20, "type": "Auto forward"}
    ]))
    .await;
    let calls = scene.rows("select account, talk_seconds, legs from voicenter.calls order by account").await;
    let expected = json!([{"account": "a", "talk_seconds": 10, "legs": 1}, {"account": "b", "talk_seconds": 20, "legs": 1}]);
    assert_eq!(calls, expected);
    let days =
        scene.rows("select account, calls, talk_seconds from voicenter.calls_daily order by account").await;
    let expected = json!([{"account": "a", "calls": 1, "talk_seconds": 10}, {"account": "b", "calls": 1, "talk_seconds": 20}]);
    assert_eq!(days, expected);
}

/// The page compares what was followed with the rows that there are.
#[tokio::test]
async fn what_was_followed_is_counted_in_rows_by_commits_and_by_slices() {
    let mut scene = ReaderScene::of(json!([{"type": "Click2Call leg1"}, {"type": "Click2Call leg2"}])).await;
    let followed = "select folded_rows from cdr_sync.reporting where account = 'a'";
    assert_eq!(scene.row(followed).await, json!({"folded_rows": 2}));
    scene.set("update voicenter.cdr set duration_seconds = 7, updated_at = '2024-06-12T00:00:00Z'").await;
    scene.set("select cdr_sync.fold_commit('a', '2024-06-12T00:00:00Z')").await;
    assert_eq!(scene.row(followed).await, json!({"folded_rows": 4}));
}
