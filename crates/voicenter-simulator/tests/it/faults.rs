//! Each fault of the simulator does what its description says.
use std::time::Duration;

use crate::clock::ManualClock;
use chrono::{TimeZone, Utc};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voicenter_simulator::{ApiGeneration, Fault, RequestOutcome, Simulator, SimulatorOptions, WorldOptions};

async fn start(generation: ApiGeneration) -> Simulator {
    let now = Utc.with_ymd_and_hms(2026, 6, 8, 12, 0, 0).unwrap();
    let world = WorldOptions { calls_per_day: 2_000.0, ..WorldOptions::default() };
    let options =
        SimulatorOptions { generation, world, requests_per_minute: 0, ..SimulatorOptions::default() };
    Simulator::start(options, ManualClock::new(now)).await.unwrap()
}

#[tokio::test]
async fn a_fault_in_a_field_needs_that_field_to_be_requested() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = start(ApiGeneration::Current).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let range = "code=simulated-code&fromdate=2026-06-08T09:00&todate=2026-06-08T10:00";
    let ask = async |field: &str| {
        let url = format!("{}?{range}&fields={field}", simulator.url());
        client.get(url).send().await.unwrap().text().await.unwrap()
    };
    for (fault, field) in [
        (Fault::NoCallId, "CallID"),
        (Fault::BadDate, "Date"),
        (Fault::Nul, "RepresentativeName"),
        (Fault::DuplicateKeys, "RingTime"),
        (Fault::DeepNesting, "CustomData"),
        (Fault::HugeNumber, "Price"),
        (Fault::AbsentField, "RepresentativeName"),
    ] {
        let (plain, without) = (ask(field).await, ask("Duration").await);
        simulator.faults().next_times(fault, 2);
        assert_ne!(ask(field).await, plain, "{fault:?}");
        assert_eq!(ask("Duration").await, without, "{fault:?}");
    }
}

fn question() -> String {
    let search = json!({"fromdate": "2026-06-08T09:00:00", "todate": "2026-06-08T10:00:00"});
    json!({"code": "simulated-code", "search": search}).to_string()
}

async fn spoilt(simulator: &Simulator, fault: Fault) -> reqwest::Result<reqwest::Response> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    simulator.faults().next(fault);
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.post(simulator.url()).header("content-type", "application/json").body(question());
    request.timeout(Duration::from_secs(20)).send().await
}

async fn body(simulator: &Simulator, fault: Fault) -> Vec<u8> {
    spoilt(simulator, fault).await.unwrap().bytes().await.unwrap().to_vec()
}

async fn answer(simulator: &Simulator, fault: Fault) -> Value {
    serde_json::from_slice(&body(simulator, fault).await).unwrap()
}

/// The bytes received over a bare connection, and the error it ends with, if any.
async fn bare(simulator: &Simulator, fault: Fault, patience: Duration) -> (Vec<u8>, Option<std::io::Error>) {
    simulator.faults().next(fault);
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let body = question();
    let head =
        "POST /hub/cdr/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut bytes)).await;
    (bytes, read.ok().and_then(Result::err))
}

#[tokio::test]
async fn errors_of_the_api_come_with_their_number_and_status() {
    let current = start(ApiGeneration::Current).await;
    let old = start(ApiGeneration::V01).await;
    for (fault, number, status) in [
        (Fault::RateLimited, 1, 403),
        (Fault::RateLimitedRetryAfter, 1, 429),
        (Fault::AuthorizationFailed, 2, 403),
        (Fault::LimitExceeded, 3, 200),
        (Fault::Untrusted, 4, 403),
        (Fault::UnknownError, 77, 200),
    ] {
        let response = spoilt(&current, fault).await.unwrap();
        assert_eq!(response.status(), status, "{fault:?}");
        let waits = response.headers().get("retry-after").cloned();
        assert_eq!(waits.is_some(), fault == Fault::RateLimitedRetryAfter);
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body["ERROR_NUMBER"], number, "{fault:?}");
        assert_eq!(current.requests().last().unwrap().outcome, RequestOutcome::Spoilt(fault));
        if fault != Fault::RateLimitedRetryAfter {
            assert_eq!(spoilt(&old, fault).await.unwrap().status(), 200, "v0.1 always says 200");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_html_or_nothing() {
    let simulator = start(ApiGeneration::Current).await;
    for (fault, status) in [(Fault::Http500, 500), (Fault::Http502, 502), (Fault::HtmlWith200, 200)] {
        let response = spoilt(&simulator, fault).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.text().await.unwrap().starts_with("<html>"));
    }
    assert!(body(&simulator, Fault::EmptyBody).await.is_empty());
}

#[tokio::test]
async fn connections_break_as_they_are_told() {
    let simulator = start(ApiGeneration::Current).await;
    let patience = Duration::from_secs(20);
    let (bytes, error) = bare(&simulator, Fault::Reset, patience).await;
    assert!(bytes.is_empty());
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::ConnectionReset);

    let before = simulator.requests().len();
    let (bytes, error) = bare(&simulator, Fault::AnswerLost, patience).await;
    assert!(bytes.is_empty() && error.is_none(), "closed in order, without a byte");
    assert_eq!(simulator.requests().len(), before + 1, "the request counts");

    let (bytes, _) = bare(&simulator, Fault::CutBody, patience).await;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let announced =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let announced: usize = announced.unwrap().parse().unwrap();
    assert!(body.starts_with("{\"ERROR_NUMBER\":0") && body.len() < announced);
    assert!(spoilt(&simulator, Fault::CutBody).await.unwrap().bytes().await.is_err());

    let (bytes, error) = bare(&simulator, Fault::Hang, Duration::from_millis(300)).await;
    assert!(bytes.is_empty() && error.is_none());
    let (bytes, _) = bare(&simulator, Fault::SlowDrip, Duration::from_millis(700)).await;
    let text = String::from_utf8_lossy(&bytes);
    let body = text.split_once("\r\n\r\n").unwrap().1;
    assert!(!body.is_empty() && body.len() < 200, "{body}");
}

#[tokio::test]
async fn stopping_ends_a_hanging_request() {
    let simulator = start(ApiGeneration::Current).await;
    let address = simulator.addr();
    simulator.faults().always(Fault::Hang);
    let log = simulator.requests().clone();
    let hanging = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = question();
        let head = "POST /hub/cdr/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    });
    while log.is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(20), simulator.stop()).await.unwrap();
    assert!(hanging.await.unwrap().is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_truncated_gzip_stream_cannot_be_read_to_its_end() {
    let simulator = start(ApiGeneration::Current).await;
    let response = spoilt(&simulator, Fault::TruncatedGzip).await.unwrap();
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn the_envelope_can_be_wrong() {
    let simulator = start(ApiGeneration::Current).await;
    assert!(body(&simulator, Fault::Bom).await.starts_with(b"\xef\xbb\xbf{"));
    assert_eq!(answer(&simulator, Fault::ListNull).await["CDR_LIST"], json!(null));
    assert_eq!(answer(&simulator, Fault::ListAbsent).await.get("CDR_LIST"), None);
    assert_eq!(answer(&simulator, Fault::ErrorNumberText).await["ERROR_NUMBER"], "0");
    let empty = answer(&simulator, Fault::EmptyOk).await;
    assert_eq!((&empty["CDR_LIST"], &empty["TOTAL_HITS"]), (&json!([]), &json!(0)));
    for (fault, total, returned) in [(Fault::WrongReturnHits, 0, 1), (Fault::TotalHitsTooLarge, 7, 0)] {
        let answer = answer(&simulator, fault).await;
        let came = answer["CDR_LIST"].as_array().unwrap().len();
        assert_eq!(
            (&answer["TOTAL_HITS"], &answer["RETURN_HITS"]),
            (&json!(came + total), &json!(came + returned))
        );
    }
}

#[tokio::test]
async fn records_can_be_wrong() {
    let simulator = start(ApiGeneration::Current).await;
    let first = |answer: &Value| answer["CDR_LIST"][0].clone();
    assert!(first(&answer(&simulator, Fault::LowerCaseNames).await).get("callid").is_some());
    assert!(first(&answer(&simulator, Fault::NumbersAsText).await)["Duration"].is_string());
    let list = answer(&simulator, Fault::NoCallId).await["CDR_LIST"].clone();
    assert!(list[0].get("CallID").is_none() && list[1].get("CallID").is_some());
    let list = answer(&simulator, Fault::BadDate).await["CDR_LIST"].clone();
    assert_eq!(list[0]["Date"], "31/13/2026 25:61");
    assert!(
        first(&answer(&simulator, Fault::Nul).await)["RepresentativeName"].as_str().unwrap().contains('\0')
    );
    let text = body(&simulator, Fault::LoneSurrogate).await;
    assert!(String::from_utf8(text).unwrap().contains("\\ud83d only"));
    assert!(String::from_utf8(body(&simulator, Fault::InvalidUtf8).await).is_err());
    assert!(body(&simulator, Fault::HugeString).await.len() > 1 << 20);
    let text = String::from_utf8(body(&simulator, Fault::DuplicateKeys).await).unwrap();
    assert_eq!(text.matches("\"RingTime\"").count(), text.matches("\"CallID\"").count() + 1);
    assert!(text.contains("\"RingTime\":999999,\"RingTime\":"));
    let text = String::from_utf8(body(&simulator, Fault::DeepNesting).await).unwrap();
    assert!(text.contains(&"[".repeat(300)));
    assert!(String::from_utf8(body(&simulator, Fault::HugeNumber).await).unwrap().contains(":1e400"));
    let list = answer(&simulator, Fault::UnknownField).await["CDR_LIST"].clone();
    assert!(list.as_array().unwrap().iter().all(|cdr| cdr["NewField"] == "new"));
    let list = answer(&simulator, Fault::AbsentField).await["CDR_LIST"].clone();
    assert!(list.as_array().unwrap().iter().all(|cdr| cdr.get("RepresentativeName").is_none()));
}
