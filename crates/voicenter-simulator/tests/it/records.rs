//! Records from a file: served, filtered and spelled like generated ones.

use chrono::{DateTime, TimeZone, Utc};
use clap::Parser;
use reqwest::Client;
use serde_json::{Value, json};
use voicenter_simulator::{SimulateArgs, Simulator, WorldClock};

use crate::folder::Folder;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    simulate: SimulateArgs,
}

/// A simulator as the command starts it, on a free port.
async fn start(arguments: &[&str]) -> Result<Simulator, String> {
    let fixed = ["simulate", "--listen=0", "--now=2026-06-08T12:00:00Z"];
    let args = Command::try_parse_from(fixed.iter().chain(arguments)).map_err(|error| error.to_string())?;
    args.simulate.start(WorldClock::new(Utc::now)).await.map_err(|error| error.to_string())
}

async fn serve(folder: &Folder, text: &str, arguments: &[&str]) -> Result<Simulator, String> {
    let file = folder.write("calls.json", text);
    start(&[&["--records", &file], arguments].concat()).await
}

async fn get(simulator: &Simulator, query: &str) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("{}?code=simulated-code&{query}", simulator.url());
    serde_json::from_str(&client.get(url).send().await.unwrap().text().await.unwrap()).unwrap()
}

const DAY: &str = "fromdate=2026-06-08T00:00&todate=2026-06-08T23:59";

fn call_ids(answer: &Value) -> Vec<&str> {
    let list = answer["CDR_LIST"].as_array().unwrap();
    list.iter().map(|record| record["CallID"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn records_are_filtered_by_time_phone_extension_type_and_queue() {
    let folder = Folder::new();
    let text = r#"[
        {"CallID": "a", "Type": "Queue", "CdrType": 8, "Date": "2026-06-08T08:00:00Z", "CallerNumber": "0501234567", "QueueId": 7},
        {"callid": "b", "type": "Extension Outgoing", "cdrtype": "4", "date": "2026-06-08 09:00:00", "CallerExtension": "SIP1"},
        {"CALLID": "c", "TYPE": "Queue", "CDRTYPE": 8, "DATE": "2026-06-08T10:00", "QUEUEID": "8"},
        {"CallID": "d", "Date": "2026-06-07T10:00:00Z"},
        {"CallID": "e", "Date": "2026-06-08T11:59:00Z", "Duration": 61}]"#;
    let simulator = serve(&folder, text, &["--requests-per-minute=0"]).await.unwrap();
    for (query, expected) in [
        ("", &["a", "b", "c"][..]),
        ("&phones=972501234567", &["a"]),
        ("&extension=sip1", &["b"]),
        ("&cdrTypes=8", &["a", "c"]),
        ("&queueID=8", &["c"]),
        ("&callID=c", &["c"]),
    ] {
        assert_eq!(call_ids(&get(&simulator, &format!("{DAY}{query}")).await), expected, "{query}");
    }
    let early = get(&simulator, "fromdate=2026-06-07T00:00&todate=2026-06-08T08:30").await;
    assert_eq!(call_ids(&early), ["d", "a"], "in the order in which they appeared");
}

#[tokio::test]
async fn a_record_is_sent_as_it_was_written_in_the_spelling_of_the_options() {
    let folder = Folder::new();
    let text = r#"{"CallID":"a","Date":"2026-06-08T08:00:00","Duration":"5","DID":"","QueueName":null,"DTMFData":[],
        "CustomData":{"k":[1]},"Price":1.50,"Type":"חדש","Mood":"good","DialStatus":""}"#;
    let simulator = serve(&folder, text, &["--generation=v0.1"]).await.unwrap();
    let record = get(&simulator, DAY).await["CDR_LIST"][0].clone();
    let expected = json!({"CallID": "a", "Date": "2026-06-08T08:00:00", "Duration": 5, "DID": "", "QueueName": null,
        "DTMFData": [], "CustomData": {"k": [1]}, "Type": "חדש", "Mood": "good", "DialStatus": ""});
    assert_eq!(record["Price"].to_string(), "1.50", "digit for digit");
    let mut rest = record.clone();
    rest.as_object_mut().unwrap().remove("Price");
    assert_eq!(rest, expected);

    let untyped = r#"[{"CallID":"a","Date":"2026-06-08T08:00:00","Type":""},
        {"CallID":"b","Date":"2026-06-08T08:00:00","Type":null},{"CallID":"c","Date":"2026-06-08T08:00:00"}]"#;
    let simulator = serve(&folder, untyped, &[]).await.unwrap();
    let types = get(&simulator, &format!("{DAY}&fields=Type")).await["CDR_LIST"].clone();
    assert_eq!(types, json!([{"Type": ""}, {"Type": null}, {}]));

    let spelled = ["--lower-case-names", "--text-numbers", "--date-form=space", "--zone=Asia/Jerusalem"];
    let simulator = serve(&folder, text, &spelled).await.unwrap();
    let record = get(&simulator, &format!("{DAY}&fields=Date&fields=Duration")).await["CDR_LIST"][0].clone();
    assert_eq!(record, json!({"date": "2026-06-08 08:00:00", "duration": "5", "mood": "good"}));
}

#[tokio::test]
async fn an_answer_that_was_saved_is_served_again_as_it_was() {
    let saved = start(&["--calls-per-day=500", "--seed=4", "--from=2026-06-08"]).await.unwrap();
    let answer = get(&saved, DAY).await;
    assert!(call_ids(&answer).len() > 50);
    let folder = Folder::new();
    let simulator = serve(&folder, &answer.to_string(), &["--sort=oldest-first"]).await.unwrap();
    let by_key = |answer: &Value| {
        let mut list = answer["CDR_LIST"].as_array().unwrap().clone();
        list.sort_by_key(|record| (record["Date"].to_string(), record.to_string()));
        list
    };
    let again = get(&simulator, DAY).await;
    for (again, before) in by_key(&again).iter().zip(by_key(&answer)) {
        assert_eq!(*again, before);
    }
    assert_eq!(call_ids(&again).len(), call_ids(&answer).len());
}

#[tokio::test]
async fn a_fixed_present_gives_the_same_answers_on_each_run() {
    let mut answers = Vec::new();
    for _ in 0..2 {
        let simulator = start(&["--world=call-centre", "--calls-per-day=300"]).await.unwrap();
        answers.push(get(&simulator, DAY).await);
    }
    assert!(call_ids(&answers[0]).len() > 50);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn an_unfit_file_or_argument_is_explained() {
    let folder = Folder::new();
    let error = |result: Result<Simulator, String>| result.map(|_| ()).unwrap_err();
    let text = "{\"CallID\":\"a\",\"Date\":\"2026-06-08T08:00\"}\n{\"CallID\":\"b\",\"Date\":\"8/6/2026\"}\n";
    let shown = error(serve(&folder, text, &[]).await);
    assert!(
        shown.starts_with("cannot serve the records of ")
            && shown.contains("calls.json: line 2: Date must be like")
    );
    assert!(error(start(&["--records=missing.json"]).await).contains("missing.json: No such file"));
    let shown = error(serve(&folder, "[]", &["--calls-per-day=5"]).await);
    assert!(shown.contains("cannot be used with '--calls-per-day"), "{shown}");
    let shown = error(start(&["--fault=http500=0.7", "--fault=bom=0.4"]).await);
    assert_eq!(shown, "--fault: the shares of all faults together must be at most 1");
    start(&["--fault=http500=0.7", "--fault=bom=0.3", "--calls-per-day=0"]).await.unwrap();
    for (argument, expected) in
        [("--tls-key=key.pem", "--tls-certificate <FILE>"), ("--fault=http500", "write it as KIND=SHARE")]
    {
        let shown = error(start(&[argument]).await);
        assert!(shown.contains(expected), "{shown}");
    }
    for (argument, expected) in [
        ("--now=2300-01-01", "must be in the years 1970 to 2199"),
        ("--listen=x", "write it like 8081 (this host only), :8081 (every interface)"),
    ] {
        let shown = Command::try_parse_from(["simulate", argument]).map(|_| ()).unwrap_err().to_string();
        assert!(shown.contains(expected), "{shown}");
    }
}

#[tokio::test]
async fn without_a_file_and_a_fixed_present_the_given_clock_counts() {
    let args = Command::try_parse_from(["simulate", "--listen=0"]).unwrap();
    let now: DateTime<Utc> = Utc.with_ymd_and_hms(2025, 1, 2, 3, 4, 5).unwrap();
    let simulator = args.simulate.start(WorldClock::new(move || now)).await.unwrap();
    let answer = get(&simulator, "fromdate=2025-01-01T00:00&todate=2025-01-03T00:00").await;
    assert!(call_ids(&answer).len() > 1_000);
}
