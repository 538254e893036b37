//! The GET request of the vendor's document, word for word.

use chrono::{TimeZone, Utc};
use reqwest::Client;
use serde_json::{Value, json};
use voicenter_simulator::{ApiGeneration, Record, RefusalOptions, Simulator, SimulatorOptions, WorldOptions};

use crate::clock::ManualClock;

/// Everything after the code, as in docs/voicenter-api.md#get.
const EXAMPLE: &str = "format=JSON&fromdate=2014-11-11T16:31&todate=2014-11-18T16:31&phones=972547588535\
                       &phones=0500000000&extension=SipSip&fields=Date&Fields=Type";

async fn get(simulator: &Simulator, query: &str) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}?{query}", simulator.url())).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_documents_own_request_is_answered_with_the_fields_of_both_spellings() {
    for generation in [ApiGeneration::V01, ApiGeneration::Current] {
        let now = Utc.with_ymd_and_hms(2014, 11, 20, 0, 0, 0).unwrap();
        let options =
            SimulatorOptions { generation, world: WorldOptions::empty(), ..SimulatorOptions::default() };
        let simulator = Simulator::start(options, ManualClock::new(now)).await.unwrap();
        let started = Utc.with_ymd_and_hms(2014, 11, 12, 10, 0, 0).unwrap();
        let record = Record {
            caller_number: "972547588535".to_owned(),
            target_extension: "SipSip".to_owned(),
            ..Record::new("a", "Incoming Call", started)
        };
        simulator.world().insert(Record { call_id: "b".into(), ..record.clone() }, started);
        simulator.world().insert(Record { caller_number: "0501111111".into(), ..record }, started);
        let answer = get(&simulator, &format!("code=simulated-code&{EXAMPLE}")).await;
        let date = match generation {
            ApiGeneration::V01 => "2014-11-12T12:00:00",
            ApiGeneration::Current => "2014-11-12T10:00:00Z",
        };
        assert_eq!(answer["CDR_LIST"], json!([{"Date": date, "Type": "Incoming Call"}]), "{answer}");
        assert_eq!(simulator.requests().last().unwrap().fields.unwrap(), ["Date", "Type"]);
    }
}

#[tokio::test]
async fn a_field_is_refused_in_either_spelling_of_the_key() {
    let refusals = RefusalOptions { names: vec!["Type".to_owned()], ..RefusalOptions::default() };
    let options = SimulatorOptions { refusals, world: WorldOptions::empty(), ..SimulatorOptions::default() };
    let simulator = Simulator::start(options, ManualClock::new(Utc::now())).await.unwrap();
    let answer = get(&simulator, &format!("code=simulated-code&{EXAMPLE}")).await;
    assert_eq!(answer["ERROR_DESCRIPTION"], "bad request: unknown field: Type");
}
