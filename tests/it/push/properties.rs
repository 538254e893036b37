//! Whatever comes: no panic, nothing of it in an error, and one record in two encodings is one record.

use cdr_sync::push::{Arrival, JoinRules, PushedRecord, TimeBase, decode, join};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Jerusalem;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::push::decoding::as_form;

pub fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

const TEXTS: [&str; 8] = [
    "type",
    "status",
    "caller",
    "target",
    "queuename",
    "representative_name",
    "StatusName",
    "anUnknownField",
];
const NUMBERS: [&str; 6] =
    ["time", "duration", "dialtime", "queueid", "seconds_waiting_in_queue", "RetryNum"];

fn record() -> impl Strategy<Value = Value> {
    let texts = prop::collection::btree_map(prop::sample::select(&TEXTS[..]), "\\PC{0,12}", 0..6);
    let numbers = prop::collection::btree_map(prop::sample::select(&NUMBERS[..]), any::<i64>(), 0..6);
    let answered = prop::option::of(any::<bool>());
    let menus = prop::collection::vec((any::<u16>(), "\\PC{0,8}"), 0..3);
    ("[0-9a-f]{1,30}", texts, numbers, answered, any::<i32>(), menus).prop_map(
        |(call_id, texts, numbers, answered, price, menus)| {
            let mut record = Map::from_iter([("ivruniqueid".to_owned(), json!(call_id))]);
            record.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), json!(text))));
            record.extend(numbers.into_iter().map(|(name, number)| (name.to_owned(), json!(number))));
            record.extend(answered.map(|answered| ("isAnswer".to_owned(), json!(answered))));
            record.insert("price".to_owned(), json!(f64::from(price) / 100.0));
            let menus = menus.iter().map(|(id, name)| json!({ "layer_id": id, "layer_name": name }));
            record.insert("IVR".to_owned(), menus.collect());
            record.insert("aiData".to_owned(), json!({ "insights": { "summary": call_id } }));
            Value::Object(record)
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_are_decoded_or_refused(
        content_type in prop::option::of("[a-z/]{0,20}(; ?charset=[a-z0-9-]{0,12})?"),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(content_type.as_deref(), &body);
    }

    #[test]
    fn any_text_that_begins_like_a_push_is_decoded_or_refused(
        begin in prop::sample::select(vec!["{\"ivruniqueid\":", "[{\"ivruniqueid\":\"1\",", "ivruniqueid=", "<", "[[[[", "{\"$serde_json::private::Number\":"]),
        rest in "\\PC{0,60}",
    ) {
        let _ = decode(None, format!("{begin}{rest}").as_bytes());
    }

    #[test]
    fn a_record_is_the_same_as_json_and_as_a_form(record in record()) {
        let json = decode(Some("application/json"), record.to_string().as_bytes());
        let form = decode(Some("application/x-www-form-urlencoded"), as_form(&record).as_bytes());
        prop_assert_eq!(json.unwrap(), form.unwrap());
    }
}

#[test]
fn deep_nesting_ends_before_the_stack_does() {
    for open in ["[", "{\"a\":"] {
        assert!(decode(None, open.repeat(1 << 20).as_bytes()).is_err());
        let inside = json!({ "ivruniqueid": "1", "IVR": open.repeat(1 << 20) });
        assert!(decode(None, inside.to_string().as_bytes()).is_ok());
    }
}

const RULES: JoinRules = JoinRules {
    zone: Jerusalem,
    fixed_base: None,
    usual_base: TimeBase::Unknown,
    now: DateTime::<Utc>::UNIX_EPOCH,
};

/// What is known once these records of one call have come, each with when it was received, one after the other.
fn known(records: &[(Value, i64)]) -> Vec<PushedRecord> {
    records.iter().fold(Vec::new(), |known, (record, minute)| {
        let mut record = record.clone();
        record["ivruniqueid"] = json!("20260601130000ab");
        record["type"] = json!("Queue");
        let received_at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(*minute);
        let call = decode(None, record.to_string().as_bytes()).unwrap().remove(0);
        let before = known.clone();
        let joined = join(known, vec![Arrival { call, received_at }], &[], &RULES);
        if joined.rows.is_empty() { before } else { joined.rows }
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_whatever_order_pushes_come_the_same_is_known(
        records in prop::collection::vec((record(), 0..5_i64), 1..5).prop_shuffle(),
    ) {
        let mut sorted = records.clone();
        sorted.sort_by_key(|(_, minute)| *minute);
        prop_assert_eq!(known(&records), known(&sorted));
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_no_time_is_too_far(record in record()) {
        let known = known(&[(record, 7)]);
        let [only] = known.as_slice() else { panic!("{known:?}") };
        let row = Value::Object(only.facts.clone().into_row(only.last_received_at)).to_string();
        let read = cdr_sync::push::Facts::of_text(&row, only.last_received_at);
        prop_assert_eq!(read.as_ref(), Some(&only.facts));
        if let Some((from, to)) = only.span(Jerusalem) {
            let week = TimeDelta::days(7);
            prop_assert!(from - week < to + week);
        }
    }
}
