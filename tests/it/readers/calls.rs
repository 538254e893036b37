//! `voicenter.calls`: what a single leg says of its call.

use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;

/// One column of the only call, for each row given.
async fn each(column: &str, legs: &[Value]) -> Vec<Value> {
    let numbered = legs.iter().enumerate().map(|(n, leg)| {
        let mut leg = leg.clone();
        leg["call_id"] = format!("{n:03}").into();
        leg
    });
    let mut scene = ReaderScene::of(numbered.collect()).await;
    let rows = scene.rows(&format!("select {column} as it from voicenter.calls order by call_id")).await;
    rows.as_array().unwrap().iter().map(|row| row["it"].clone()).collect()
}

#[tokio::test]
async fn a_call_of_one_leg_says_what_the_leg_says() {
    let mut scene = ReaderScene::of(json!([{
        "cdr_type": 8, "type": "Queue", "duration_seconds": 75, "ring_seconds": 12, "caller_number": "0501111111",
        "caller_extension": null, "target_number": "0722222222", "target_extension": "SIP7",
        "target_prefix_name": "Israel", "did": "0722222222", "queue_name": "תמיכה", "department_id": "12",
        "department_name": "Support", "representative_code": "77", "representative_name": "דנה כהן", "user_id": "41",
        "user_name": "dana", "price": 12.5, "record_url": "https://x.example/1.mp3", "record_expected": true,
        "custom_data": {"OriginalIvrUniqueID": "before"},
        "dtmf_data": [{"LayerName": "Main", "DTMF": "1", "LayerNumber": 1}, {"LayerName": "Sales", "DTMF": "2"}]
    }]))
    .await;
    // Waiting and talk of a queue's call come only together. A text, for it is too long for json!.
    let expected: Value = serde_json::from_str(
        r#"{
        "account": "a", "call_id": "c", "started_at": "2024-06-10T10:00:00+00:00", "direction": "incoming",
        "started_local": "2024-06-10T13:00:00", "ended_at": "2024-06-10T10:01:15+00:00", "day": "2024-06-10",
        "hour_of_day": 13, "day_of_week": 2, "initiated_by": "person", "outcome": "answered",
        "answered": true, "missed": false, "short_abandoned": false, "handled_by": "agent",
        "wait_seconds": null, "wait_source": "unknown", "talk_seconds": null, "talk_source": "unknown",
        "duration_seconds": 75, "ring_seconds": 12, "caller_number": "0501111111",
        "caller_extension": null, "target_number": "0722222222", "target_extension": "SIP7",
        "target_prefix_name": "Israel", "did": "0722222222", "dial_status": "ANSWER", "queue_name": "תמיכה",
        "last_queue_name": "תמיכה", "queues": 1, "agent_key": "code:77", "first_agent_key": "code:77",
        "last_agent_key": "code:77", "transferred": false, "transferred_to": null, "transfer_answered": null,
        "price_agorot": 12.5, "priced": true, "destination": "Israel", "recording_url": "https://x.example/1.mp3",
        "recording_state": "available", "menu_path": "Main: 1 > Sales: 2", "first_seen_at": "2024-06-11T00:00:00+00:00",
        "custom_data": {"OriginalIvrUniqueID": "before"},
        "department_id": "12", "department_name": "Support", "agent": "דנה כהן", "agent_extension": "SIP7",
        "representative_code": "77", "representative_name": "דנה כהן", "user_id": "41", "user_name": "dana",
        "price": 12.5, "record_url": "https://x.example/1.mp3", "record_urls": ["https://x.example/1.mp3"],
        "record_expected": true, "original_call_id": "before", "legs": 1, "types": "Queue",
        "customer_number": "+972501111111"
    }"#,
    )
    .unwrap();
    scene.set("set timezone = 'UTC'").await;
    let mut call = scene.row("select * from voicenter.calls").await;
    assert!(call["updated_at"].take().is_string());
    call.as_object_mut().unwrap().remove("updated_at");
    // Of a salt that each database has of its own.
    let key = call.as_object_mut().unwrap().remove("customer_key").unwrap();
    assert_eq!(key.as_str().map(str::len), Some(16));
    assert_eq!(call, expected);
}

#[tokio::test]
async fn a_leg_without_anything_is_still_a_call() {
    let mut scene = ReaderScene::of(json!([{"type": "", "dial_status": null}])).await;
    let call = scene
        .row("select answered, missed, talk_seconds, ring_seconds, direction, agent, price, record_urls, types from voicenter.calls")
        .await;
    let expected = json!({
        "answered": false, "missed": false, "talk_seconds": 0, "ring_seconds": null, "direction": "unknown",
        "agent": null, "price": null, "record_urls": null, "types": ""
    });
    assert_eq!(call, expected);
}

/// DialStatus, the outcome of an incoming call that has one leg with it, and whether it is missed.
const STATUSES: [(&str, &str, bool); 25] = [
    ("ANSWER", "answered", false),
    ("answer", "answered", false),
    (" Answer ", "answered", false),
    ("ANSWERED", "answered", false),
    ("NOANSWER", "no_answer", true),
    ("NO_ANSWER", "no_answer", true),
    ("NO ANSWER", "no_answer", true),
    ("CANCEL", "no_answer", true),
    ("BUSY", "busy", false),
    ("ABANDONE", "abandoned", true),
    ("Abandoned", "abandoned", true),
    ("TIMEOUT", "queue_timeout", true),
    ("VOICEMAIL", "voicemail", true),
    ("FULL", "queue_full", true),
    ("EXIT", "left_by_key", false),
    ("JOINEMPTY", "queue_unstaffed", true),
    ("VOEND", "in_menu", false),
    ("TE", "recording_played", false),
    ("NOTCALLED", "not_dialled", false),
    ("NOTDIALED", "not_dialled", false),
    ("CONGESTION", "failed", false),
    ("CHANUNAVAIL", "failed", false),
    // In no source.
    ("TE_ANSWER", "unknown", false),
    ("SOMETHING NEW", "unknown", false),
    ("", "unknown", false),
];

#[tokio::test]
async fn a_status_has_an_outcome_and_only_some_are_missed() {
    let legs = STATUSES.map(|(status, _, _)| json!({"dial_status": status, "duration_seconds": 12}));
    let expected = STATUSES.map(|(_, outcome, missed)| {
        let answered = outcome == "answered";
        json!([outcome, answered, missed, if answered { 12 } else { 0 }])
    });
    assert_eq!(each("jsonb_build_array(outcome, answered, missed, talk_seconds)", &legs).await, expected);
}

#[tokio::test]
async fn outgoing_calls_have_the_same_outcomes_and_are_never_missed() {
    let kind = "Extension Outgoing";
    let legs =
        STATUSES.map(|(status, _, _)| json!({"type": kind, "dial_status": status, "duration_seconds": 12}));
    let expected = STATUSES.map(|(_, outcome, _)| json!([outcome, false]));
    assert_eq!(each("jsonb_build_array(outcome, missed)", &legs).await, expected);
}

#[tokio::test]
async fn the_direction_follows_from_the_type_by_name_or_number() {
    let types = [
        ("Incoming Call", 1, "incoming"),
        ("Extension Outgoing", 4, "outgoing"),
        ("Queue", 8, "incoming"),
        ("Click2Call leg1", 9, "outgoing"),
        ("Click2Call leg2", 10, "outgoing"),
        ("VoiceMail", 11, "incoming"),
        ("XferCDR", 13, "unknown"),
        ("ProductiveCall Leg1", 14, "outgoing"),
        ("ProductiveCall Leg2", 15, "outgoing"),
        ("Click 2 IVR", 17, "outgoing"),
        ("Click 2 IVR Incoming", 18, "outgoing"),
        ("Click 2 Queue Incoming", 19, "outgoing"),
        ("Attended CDR leg1", 21, "unknown"),
        ("Attended CDR leg2", 22, "unknown"),
        ("Auto forward", 23, "incoming"),
    ];
    let by_name = types.map(|(name, _, _)| json!({"type": name}));
    let by_other_case = types.map(|(name, _, _)| json!({"type": name.to_uppercase(), "cdr_type": 0}));
    let by_number = types.map(|(_, number, _)| json!({"type": "", "cdr_type": number}));
    let directions = types.map(|(_, _, direction)| json!(direction));
    for legs in [by_name, by_other_case, by_number] {
        assert_eq!(each("direction", &legs).await, directions);
    }
    let odd = [
        json!({"type": "FaxCdr", "cdr_type": 20}),
        json!({"type": "Extension Outgoing", "caller_extension": "SIP1", "target_extension": "SIP2"}),
    ];
    assert_eq!(each("direction", &odd).await, [json!("unknown"), json!("internal")]);
}

#[tokio::test]
async fn only_incoming_calls_are_missed() {
    let of = |kind: &str| json!({"type": kind, "dial_status": "NOANSWER"});
    let legs = ["Incoming Call", "Queue", "VoiceMail", "Extension Outgoing", "XferCDR", "New Type"].map(of);
    let expected = [true, true, true, false, false, false].map(|missed| json!(missed));
    assert_eq!(each("missed", &legs).await, expected);
}

#[tokio::test]
async fn the_agent_is_a_name_else_the_extension_else_a_code() {
    let legs = [
        json!({"representative_name": "Name", "user_name": "User", "target_extension": "SIP1", "representative_code": "7"}),
        json!({"user_name": "User", "target_extension": "SIP1", "representative_code": "7"}),
        json!({"target_extension": "SIP1", "representative_code": "7", "user_id": "41"}),
        json!({"representative_code": "7", "user_id": "41"}),
        json!({"user_id": "41"}),
        json!({}),
        // An extension that called in is not the one who answered.
        json!({"caller_extension": "SIP1", "dial_status": "NOANSWER"}),
        json!({"type": "Extension Outgoing", "caller_extension": "SIP1", "target_extension": "SIP2"}),
    ];
    let agents = ["Name", "User", "SIP1", "7", "41"].map(Value::from);
    let expected = [&agents[..], &[json!(null), json!(null), json!("SIP1")]].concat();
    assert_eq!(each("agent", &legs).await, expected);
}
