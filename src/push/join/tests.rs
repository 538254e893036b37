use chrono_tz::Asia::Jerusalem;
use serde_json::json;

use super::*;

const RULES: JoinRules = JoinRules {
    zone: Jerusalem,
    fixed_base: None,
    usual_base: TimeBase::Unknown,
    now: DateTime::<Utc>::UNIX_EPOCH,
};

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-06-01T{text}Z").parse().unwrap()
}

fn arrival(call_type: &str, received_at: &str, talk: Option<i64>) -> Arrival {
    let call = PushedCall {
        call_id: "20260601130000aa".to_owned(),
        call_type: Some(call_type.to_owned()).filter(|text| !text.is_empty()),
        // The wall clock of Jerusalem, three hours ahead, written as if it were UTC.
        time: Some(at("13:00:10").timestamp()),
        duration_seconds: Some(120),
        talk_seconds: talk,
        price: Some("12.50".to_owned()),
        ..PushedCall::default()
    };
    Arrival { call, received_at: at(received_at) }
}

fn leg(call_type: &str, cdr_type: i32) -> Leg {
    let columns =
        json!({ "type": call_type, "duration_seconds": 100, "ring_seconds": 5, "price": 12.5, "did": null });
    Leg {
        key: ("20260601130000aa".to_owned(), call_type.to_owned()),
        cdr_type: Some(cdr_type),
        started_at: at("10:00:05"),
        first_seen_at: at("10:04:00"),
        columns: columns.as_object().unwrap().clone(),
    }
}

#[test]
fn what_only_the_push_has_waits_under_its_own_time() {
    let joined = join(Vec::new(), vec![arrival("Queue", "10:05:00", Some(60))], &[], &RULES);
    let [record] = joined.rows.as_slice() else { panic!("{joined:?}") };
    assert_eq!((record.state, record.time_base), (RecordState::Provisional, TimeBase::Local));
    assert_eq!(record.started_at, Some(at("10:00:10")));
    assert!(joined.confirmations.is_empty() && joined.moved.is_empty() && !record.to_fold);
}

#[test]
fn what_the_pull_has_is_confirmed_with_what_differs() {
    let joined = join(Vec::new(), vec![arrival("Queue", "10:05:00", Some(60))], &[leg("Queue", 8)], &RULES);
    let [record] = joined.rows.as_slice() else { panic!("{joined:?}") };
    assert_eq!((record.state, record.started_at), (RecordState::Confirmed, Some(at("10:00:05"))));
    assert!(record.to_fold);
    assert_eq!(record.time_offset(), Some(3 * 3_600 + 5));
    // 105 seconds after 10:00:05 it ended.
    let lead = TimeDelta::seconds(-60);
    let confirmation =
        Confirmation { latency: TimeDelta::seconds(190), lead, disagreements: vec!["duration_seconds"] };
    assert_eq!(joined.confirmations, [confirmation]);
    // Once more, nothing is to be done.
    let again = join(joined.rows, Vec::new(), &[leg("Queue", 8)], &RULES);
    assert_eq!(again, Joined::default());
}

#[test]
fn a_push_without_a_type_is_of_the_only_leg_there_is_and_so_are_later_ones() {
    let first = join(Vec::new(), vec![arrival("", "10:05:00", Some(60))], &[], &RULES);
    assert_eq!(first.rows[0].key.1, "");
    let confirmed = join(first.rows, Vec::new(), &[leg("Queue", 8)], &RULES);
    assert_eq!(confirmed.rows[0].key.1, "Queue");
    assert_eq!(confirmed.moved, [(("20260601130000aa".to_owned(), String::new()), "Queue".to_owned())]);
    let second = join(confirmed.rows, vec![arrival("", "10:09:00", Some(61))], &[leg("Queue", 8)], &RULES);
    assert_eq!((second.rows.len(), second.rows[0].versions), (1, 2));
    assert!(second.confirmations.is_empty());
    // Of two legs it could be either.
    let legs = [leg("Click2Call leg1", 9), leg("Click2Call leg2", 10)];
    let either = join(Vec::new(), vec![arrival("", "10:05:00", None)], &legs, &RULES);
    assert_eq!(either.rows[0].state, RecordState::Provisional);
}

#[test]
fn types_are_known_by_their_number_and_in_any_case() {
    for named in ["8", " queue ", "QUEUE"] {
        let joined = join(
            Vec::new(),
            vec![arrival(named, "10:05:00", None)],
            &[leg("Queue", 8), leg("Incoming Call", 1)],
            &RULES,
        );
        assert_eq!(joined.rows[0].key.1, "Queue", "{named}");
    }
    let other = join(Vec::new(), vec![arrival("VoiceMail", "10:05:00", None)], &[leg("Queue", 8)], &RULES);
    assert_eq!((other.rows[0].key.1.as_str(), other.rows[0].state), ("VoiceMail", RecordState::Provisional));
}

#[test]
fn an_untyped_pull_takes_the_pushes_of_one_type_only() {
    let untyped = [leg("", 0)];
    let one = join(Vec::new(), vec![arrival("Queue", "10:05:00", Some(60))], &untyped, &RULES);
    assert_eq!((one.rows[0].key.1.as_str(), one.rows[0].state), ("", RecordState::Confirmed));
    let later = join(one.rows, vec![arrival("VoiceMail", "10:06:00", Some(5))], &untyped, &RULES);
    assert_eq!(later.rows.len(), 1, "{later:?}");
    assert_eq!((later.rows[0].key.1.as_str(), later.rows[0].state), ("VoiceMail", RecordState::Provisional));
}

#[test]
fn the_pull_shows_the_base_of_the_time() {
    let utc = |seconds: i64| {
        let mut arrival = arrival("Queue", "10:05:00", None);
        arrival.call.time = Some(at("10:00:05").timestamp() + seconds);
        // No wall clock to go by.
        arrival.call.call_id = "x".to_owned();
        let leg = Leg { key: ("x".to_owned(), "Queue".to_owned()), ..leg("Queue", 8) };
        join(Vec::new(), vec![arrival], &[leg], &RULES).rows[0].time_base
    };
    assert_eq!(utc(0), TimeBase::Utc);
    assert_eq!(utc(600), TimeBase::Utc);
    assert_eq!(utc(601), TimeBase::Unknown);
    assert_eq!(utc(3 * 3_600 - 600), TimeBase::Local);
    assert_eq!(utc(2 * 3_600), TimeBase::Unknown);
}

#[test]
fn the_base_may_be_fixed_until_the_pull_shows_it() {
    let rules = JoinRules { fixed_base: Some(TimeBase::Utc), ..RULES };
    let joined = join(Vec::new(), vec![arrival("Queue", "10:05:00", None)], &[], &rules);
    assert_eq!(joined.rows[0].started_at, Some(at("13:00:10")));
}

#[test]
fn calls_follow_only_what_changes_their_waits_or_talk() {
    let legs = [leg("Queue", 8)];
    let first = join(Vec::new(), vec![arrival("Queue", "10:05:00", Some(60))], &legs, &RULES).rows;
    let folded: Vec<PushedRecord> =
        first.into_iter().map(|record| PushedRecord { to_fold: false, ..record }).collect();
    let same = join(folded.clone(), vec![arrival("Queue", "10:06:00", Some(60))], &legs, &RULES);
    assert!(!same.rows[0].to_fold);
    let longer = join(folded, vec![arrival("Queue", "10:06:00", Some(61))], &legs, &RULES);
    assert!(longer.rows[0].to_fold);
}

#[test]
fn in_the_doubled_hour_the_span_holds_both_instants() {
    let mut arrival = arrival("Queue", "10:05:00", None);
    // 2024-10-27 01:30 came twice in Jerusalem.
    arrival.call.time = Some("2024-10-27T01:30:00Z".parse::<DateTime<Utc>>().unwrap().timestamp());
    arrival.call.call_id = "20241027013000".to_owned();
    let joined = join(Vec::new(), vec![arrival], &[], &RULES);
    let record = &joined.rows[0];
    assert_eq!((record.started_at, record.time_base), (None, TimeBase::Local));
    let (from, to) = record.span(Jerusalem).unwrap();
    assert_eq!(from, "2024-10-26T22:30:00Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(to, "2024-10-26T23:32:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[test]
fn a_row_holds_all_facts_and_since_when_they_are() {
    let mut newer = arrival("Queue", "10:09:00", None);
    newer.call.extra.insert("of\u{0}".to_owned(), json!(["the\u{0}", 7]));
    newer.call.talk_seconds = Some(-1);
    let both = Facts::of(arrival("Queue", "10:05:00", Some(60)).call, at("10:05:00"))
        .and(Facts::of(newer.call, at("10:09:00")));
    let row = both.clone().into_row(at("10:09:00"));
    assert_eq!(row["talk_seconds"], 60);
    assert_eq!(row["older"], json!({ "talk_seconds": at("10:05:00").timestamp_micros() }));
    assert_eq!(row["extra"], json!({ "of\u{fffd}": ["the\u{fffd}", 7], "actualCallDuration": -1 }));
    assert_eq!(Facts::of_row(row, at("10:09:00")), both);
}

#[test]
fn without_a_base_the_span_holds_what_each_would_mean() {
    let mut arrival = arrival("Queue", "10:05:00", None);
    arrival.call.call_id = "x".to_owned();
    let joined = join(Vec::new(), vec![arrival], &[], &RULES);
    let record = &joined.rows[0];
    assert_eq!((record.started_at, record.time_base), (None, TimeBase::Unknown));
    assert_eq!(record.span(Jerusalem), Some((at("10:00:10"), at("13:02:10"))));
    let none = PushedRecord { facts: Facts::default(), ..record.clone() };
    assert_eq!(none.span(Jerusalem), None);
}
