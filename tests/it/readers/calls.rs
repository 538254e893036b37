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
        "user_name": "dana", "price": 12.50, "record_url": "https://x.example/1.mp3", "record_expected": true,
        "custom_data": {"OriginalIvrUniqueID": "before"}
    }]))
    .await;
    let expected = json!({
        "account": "a", "call_id": "c", "started_at": "2024-06-10T10:00:00+00:00", "direction": "incoming",
        "answered": true, "missed": false, "talk_seconds": 75, "ring_seconds": 12, "caller_number": "0501111111",
        "caller_extension": null, "target_number": "0722222222", "target_extension": "SIP7",
        "target_prefix_name": "Israel", "did": "0722222222", "dial_status": "ANSWER", "queue_name": "תמיכה",
        "department_id": "12", "department_name": "Support", "agent": "דנה כהן", "agent_extension": "SIP7",
        "representative_code": "77", "representative_name": "דנה כהן", "user_id": "41", "user_name": "dana",
        "price": 12.50, "record_url": "https://x.example/1.mp3", "record_urls": ["https://x.example/1.mp3"],
        "record_expected": true, "original_call_id": "before", "legs": 1, "types": ["Queue"]
    });
    scene.run("set timezone = 'UTC'").await;
    assert_eq!(scene.row("select * from voicenter.calls").await, expected);
}

#[tokio::test]
async fn a_leg_without_anything_is_still_a_call() {
    let mut scene = ReaderScene::of(json!([{"type": "", "dial_status": null}])).await;
    let call = scene
        .row("select answered, missed, talk_seconds, ring_seconds, direction, agent, price, record_urls, types from voicenter.calls")
        .await;
    let expected = json!({
        "answered": false, "missed": false, "talk_seconds": 0, "ring_seconds": null, "direction": null,
        "agent": null, "price": null, "record_urls": null, "types": [""]
    });
    assert_eq!(call, expected);
}

#[tokio::test]
async fn only_some_statuses_mean_answered() {
    let yes = ["ANSWER", "answer", " Answer ", "ANSWERED", "TE_ANSWER"];
    let no = [
        "NOANSWER",
        "NO_ANSWER",
        "NO ANSWER",
        "BUSY",
        "CANCEL",
        "ABANDONE",
        "TIMEOUT",
        "VOICEMAIL",
        "FULL",
        "EXIT",
        "JOINEMPTY",
        "VOEND",
        "TE",
        "NOTCALLED",
        "NOTDIALED",
        "CONGESTION",
        "CHANUNAVAIL",
        "SOMETHING NEW",
        "",
    ];
    let leg = |status: &&str| json!({"dial_status": status, "duration_seconds": 9});
    let legs: Vec<_> = yes.iter().chain(&no).map(leg).collect();
    let expected: Vec<_> = yes
        .iter()
        .map(|_| json!([true, false, 9]))
        .chain(no.iter().map(|_| json!([false, true, 0])))
        .collect();
    assert_eq!(each("jsonb_build_array(answered, missed, talk_seconds)", &legs).await, expected);
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
        ("XferCDR", 13, "transfer"),
        ("ProductiveCall Leg1", 14, "outgoing"),
        ("ProductiveCall Leg2", 15, "outgoing"),
        ("Click 2 IVR", 17, "outgoing"),
        ("Click 2 IVR Incoming", 18, "outgoing"),
        ("Click 2 Queue Incoming", 19, "outgoing"),
        ("Attended CDR leg1", 21, "transfer"),
        ("Attended CDR leg2", 22, "transfer"),
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
    assert_eq!(each("direction", &odd).await, [json!(null), json!("internal")]);
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
