//! The simulator and the program mean the same text when the contract says "canonical JSON".

use cdr_sync::cdr::{Cdr, CdrKey};
use cdr_sync::clock::{Clock, ManualClock};
use chrono::{DateTime, TimeDelta};
use serde_json::json;
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
