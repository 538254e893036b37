//! Whatever comes: no panic, nothing lost, no neighbour harmed, and everything decoded can be stored.

use cdr_sync::cdr::Cdr;
use cdr_sync::voicenter::decode;
use chrono_tz::Asia::Jerusalem;
use proptest::prelude::*;
use serde_json::{Map, Value};

const KNOWN: [&str; 26] = [
    "CallID",
    "Type",
    "Date",
    "CdrType",
    "Duration",
    "RingTime",
    "CallerNumber",
    "CallerExtension",
    "TargetNumber",
    "TargetExtension",
    "TargetPrefixName",
    "DID",
    "DialStatus",
    "DialStatus2",
    "QueueName",
    "DepartmentId",
    "DepartmentName",
    "RepresentativeCode",
    "RepresentativeName",
    "UserId",
    "UserName",
    "Price",
    "RecordURL",
    "RecordExpect",
    "DTMFData",
    "CustomData",
];

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "true",
            "12",
            "2024-06-10T09:04:58Z",
            "2024-06-10 09:04",
            "[1]",
            "{}"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// A name of a field, known or not, in any case.
fn name() -> impl Strategy<Value = String> {
    let known = (prop::sample::select(KNOWN.to_vec()), 0..3_u8).prop_map(|(name, case)| match case {
        0 => name.to_owned(),
        1 => name.to_lowercase(),
        _ => name.to_uppercase(),
    });
    prop_oneof![4 => known, 1 => "[A-Za-z]{1,8}"]
}

/// A record as text, so that names may occur twice; with a key and a date.
fn record() -> impl Strategy<Value = (Vec<(String, Value)>, String)> {
    prop::collection::vec((name(), json()), 0..12).prop_map(|mut members| {
        members.insert(0, ("Date".into(), "2024-06-10T09:04:58Z".into()));
        members.insert(0, ("CallID".into(), "id-of-this".into()));
        let written: Vec<String> =
            members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
        let text = format!("{{{}}}", written.join(","));
        (members, text)
    })
}

fn body(items: &[&str]) -> Vec<u8> {
    format!(r#"{{"ERROR_NUMBER":0,"CDR_LIST":[{}]}}"#, items.join(",")).into_bytes()
}

/// Every text and number that a decoded record holds.
fn held(record: &Cdr) -> String {
    record.normalised().canonical_json()
}

/// Whether the record still holds this value somewhere, in a column or in `extra`.
fn is_kept(record: &Cdr, value: &Value) -> bool {
    let plain = |value: &Value| Value::Object(Map::from_iter([("v".to_owned(), value.clone())]));
    let mut probe = record.clone();
    probe.extra = [("v".to_owned(), value.clone())].into();
    let wanted = probe.normalised().extra["v"].clone();
    let all: Value = serde_json::from_str(&held(record)).unwrap();
    let columns =
        all.as_object().unwrap().iter().filter(|(name, _)| *name != "extra").map(|(_, value)| value.clone());
    let extra = record.normalised().extra.into_values();
    let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut kept = columns.chain(extra);
    let as_boolean = |value: &Value| match text_of(value).trim().to_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    };
    kept.any(|there| {
        plain(&there) == plain(&wanted)
            || text_of(&there) == text_of(&wanted)
            || there.as_bool().is_some_and(|there| as_boolean(&wanted) == Some(there))
            || serde_json::from_str::<Value>(&text_of(&wanted)).is_ok_and(|inner| inner == there)
            || numbers_agree(&text_of(&there), &text_of(value))
    })
}

fn numbers_agree(a: &str, b: &str) -> bool {
    matches!((a.trim().parse::<f64>(), b.trim().parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || matches!(text.as_str(), "[]" | "{}"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes, Jerusalem);
    }

    #[test]
    fn a_spoiled_answer_never_panics((_, text) in record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = body(&[&text, &text]);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(envelope) = decode(&bytes, Jerusalem) {
            prop_assert!(!cut && envelope.listed == envelope.records.len() + envelope.rejected.len());
        }
    }

    #[test]
    fn every_value_of_a_record_is_kept_in_a_column_or_in_extra((members, text) in record()) {
        let envelope = decode(&body(&[&text]), Jerusalem).unwrap();
        prop_assert_eq!(envelope.rejected.len(), 0, "{}", text);
        let record = &envelope.records[0];
        for (name, value) in members.iter().filter(|(name, value)| !is_empty(value) && !name.eq_ignore_ascii_case("date")) {
            prop_assert!(is_kept(record, value), "{name} = {value} is lost from {text}: {record:?}");
        }
    }

    #[test]
    fn a_bad_item_never_changes_its_neighbours((_, good) in record(), bad in json(), nasty in prop::sample::select(vec![
        r#"{"CallID":"x","Date":"soon"}"#, r#"{"a":"\ud800"}"#, r#"{"CallID":"x","Date":"2024-06-10T09:04","n":1e999999}"#, "[[[[]]]]",
    ])) {
        let alone = decode(&body(&[&good]), Jerusalem).unwrap().records;
        let bad = bad.to_string();
        let among = decode(&body(&[&bad, &good, nasty, &good]), Jerusalem).unwrap();
        prop_assert_eq!(among.listed, 4);
        let found: Vec<&Cdr> = among.records.iter().filter(|record| record.key.call_id == "id-of-this").collect();
        prop_assert_eq!(found, vec![&alone[0], &alone[0]]);
    }

    #[test]
    fn a_record_that_is_no_json_never_changes_its_neighbours((_, good) in record(), other in json(), broken in prop::sample::select(vec![
        r#"{"CallID":"x","UserName":"O"Brien","Type":"Queue"}"#, r#"{"CallID":"x","DTMFData":[{"a":1},{"b" 2}],"Type":"Queue"}"#,
        r#"{"CallID":"x","Price":1.2.3"4}"#, r#"{"CallID":"x" "Date":"2024-06-10T09:04","CustomData":{"a":{}}}"#,
    ]), odd in prop::sample::select(vec!["NaN", "-Infinity", "None", ".5", "0x1F"]), cut in any::<prop::sample::Index>()) {
        let alone = decode(&body(&[&good]), Jerusalem).unwrap().records;
        let odd = format!(r#"{{"CallID":"odd","Date":"2024-06-10T09:04:58Z","Price":{odd}}}"#);
        let other = other.to_string();
        let all = body(&[&other, &good, broken, &good, &odd, &good]);
        let among = decode(&all, Jerusalem).unwrap();
        prop_assert_eq!(among.listed, 6);
        let found: Vec<&Cdr> = among.records.iter().filter(|record| record.key.call_id == "id-of-this").collect();
        prop_assert_eq!(found, vec![&alone[0]; 3]);
        prop_assert!(among.records.iter().any(|record| record.key.call_id == "odd"));
        prop_assert!(among.rejected.iter().any(|rejected| rejected.raw == broken));
        prop_assert!(decode(&all[..cut.index(all.len())], Jerusalem).is_err(), "a cut answer is none");
    }

    #[test]
    fn what_is_decoded_can_be_stored((_, text) in record(), unit in any::<u16>()) {
        let spoiled = text.replace("id-of-this", &format!("id-of-this\\u{unit:04x}"));
        if let Ok(envelope) = decode(&body(&[&spoiled]), Jerusalem) {
            for record in &envelope.records {
                let text = held(record);
                prop_assert!(!text.contains('\0') && !text.contains("\\u0000"), "{text}");
            }
        }
    }
}
