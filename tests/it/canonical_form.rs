//! The simulator and the program mean the same text by canonical JSON (docs/contract.md#duplicates).

use cdr_sync::cdr::{Cdr, CdrKey};
use cdr_sync::clock::{Clock, ManualClock};
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use voicenter_simulator::{Record, Simulator, SimulatorOptions, TruthRow, WorldOptions};

#[tokio::test]
async fn the_simulators_tie_break_is_the_programs() {
    let start = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    let clock = Clock::Manual(ManualClock::new(start + TimeDelta::days(5)));
    let options = SimulatorOptions { world: WorldOptions::empty(), ..SimulatorOptions::default() };
    let simulator = Simulator::start(options, clock.clone()).await.unwrap();
    let record = Record {
        duration: Some(12),
        caller_number: "0501234567".into(),
        price: Some("12.50".into()),
        record_expect: Some(true),
        dtmf_data: json!([{"DTMF": 1}]),
        unknown: json!({"New": 1}).as_object().unwrap().clone(),
        ..Record::new("a", "Queue", start)
    };
    simulator.world().insert(record, start);
    let truth = simulator.truth(clock.now(), start, start + TimeDelta::hours(1));
    let [row] = <[TruthRow; 1]>::try_from(truth).unwrap();
    let cdr = Cdr {
        key: CdrKey { call_id: "a".into(), call_type: "Queue".into() },
        started_at: start,
        duration_seconds: Some(12),
        caller_number: Some("0501234567".into()),
        price: Some("12.50".into()),
        record_expected: Some(true),
        dtmf_data: Some(json!([{"DTMF": 1}])),
        extra: [("New".to_owned(), json!(1))].into(),
        ..Cdr::default()
    };
    assert_eq!(row.canonical_json(), cdr.canonical_json());
}

/// `cdr_sync.rejected.content_hash` is made of this text: another one would store every open line a second time.
#[test]
fn the_canonical_text_is_byte_for_byte_the_one_that_databases_hold_hashes_of() {
    let text = |text: &str| Some(text.to_owned());
    let full = Cdr {
        key: CdrKey { call_id: "id \"1\"\\".into(), call_type: "Queue".into() },
        cdr_type: Some(-4),
        started_at: "2024-06-10T09:04:58.5Z".parse().unwrap(),
        duration_seconds: Some(0),
        ring_seconds: Some(i32::MAX),
        caller_number: text("0501234567"),
        caller_extension: text("SIP1"),
        target_number: text("031234567"),
        target_extension: text("SIP2"),
        target_prefix_name: text("Israel"),
        did: text("0722776772"),
        dial_status: text("ANSWER"),
        dial_status2: text("a\tb\n\u{1}"),
        queue_name: text("תור"),
        department_id: text("7"),
        department_name: text("Sales / </x>"),
        representative_code: text("8765"),
        representative_name: text("דנה"),
        user_id: text("12"),
        user_name: text("\u{1f600}"),
        price: text("12.50"),
        record_url: text("https://x/y.mp3?a=1&b=2"),
        record_expected: Some(false),
        dtmf_data: Some(serde_json::from_str(r#"[{"b":1.50,"a":1e400},null,true]"#).unwrap()),
        custom_data: Some(json!({"k": [1, "two"]})),
        extra: [("b".to_owned(), json!(1)), ("A#2".into(), Value::Null), ("A".into(), json!({"z": {}}))]
            .into(),
    };
    let expected = concat!(
        r#"{"call_id":"id \"1\"\\","caller_extension":"SIP1","caller_number":"0501234567","cdr_type":-4,"#,
        r#""custom_data":{"k":[1,"two"]},"department_id":"7","department_name":"Sales / </x>","#,
        r#""dial_status":"ANSWER","dial_status2":"a\tb\n\u0001","did":"0722776772","#,
        r#""dtmf_data":[{"a":1e+400,"b":1.50},null,true],"duration_seconds":0,"#,
        r#""extra":{"A":{"z":{}},"A#2":null,"b":1},"price":"12.50","queue_name":"תור","record_expected":false,"#,
        r#""record_url":"https://x/y.mp3?a=1&b=2","representative_code":"8765","representative_name":"דנה","#,
        r#""ring_seconds":2147483647,"started_at":"2024-06-10T09:04:58.500+00:00","target_extension":"SIP2","#,
        r#""target_number":"031234567","target_prefix_name":"Israel","type":"Queue","user_id":"12","#,
        r#""user_name":"😀"}"#,
    );
    assert_eq!(full.canonical_json(), expected);
    let bare = Cdr { key: CdrKey { call_id: "a".into(), call_type: String::new() }, ..Cdr::default() };
    let expected = r#"{"call_id":"a","extra":{},"started_at":"1970-01-01T00:00:00+00:00","type":""}"#;
    assert_eq!(bare.canonical_json(), expected);
    let null = Cdr { dtmf_data: Some(Value::Null), ..bare };
    assert_eq!(null.canonical_json(), expected.replace("\"extra\"", "\"dtmf_data\":null,\"extra\""));
}
