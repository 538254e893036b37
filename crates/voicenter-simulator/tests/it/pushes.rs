//! Notifications: what arrives, when, how often, and that the simulator's truth says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use voicenter_simulator::{
    Deliveries, Push, PushForm, PushOptions, PushTime, Record, Simulator, SimulatorOptions, WorldOptions,
};

use crate::clock::ManualClock;
use crate::log::Log;

/// A Sunday in summer, 07:00 in Israel.
fn morning() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 7, 4, 0, 0).unwrap()
}

async fn start(clock: &ManualClock, calls_per_day: f64, push: PushOptions) -> Simulator {
    let world = WorldOptions { calls_per_day, from: morning(), ..WorldOptions::default() }.unchanging();
    let options = SimulatorOptions { world, push: Some(push), ..SimulatorOptions::default() };
    Simulator::start(options, clock.clone()).await.unwrap()
}

/// One request as it was received.
#[derive(Clone, Debug)]
struct Received {
    method: String,
    content_type: String,
    content: Vec<u8>,
}

type Inbox = Arc<Mutex<Vec<Received>>>;

/// Receives on loopback, and answers the request with this number (from 0) as `answer` says.
async fn receiver(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> (String, Inbox) {
    let inbox = Inbox::default();
    let kept = Arc::clone(&inbox);
    let receive = move |request: Request| {
        let (kept, answer) = (Arc::clone(&kept), answer.clone());
        async move {
            let (parts, content) = request.into_parts();
            assert_eq!(parts.uri.path(), "/push/sales/secret-key");
            let content_type = parts.headers.get("content-type");
            let content_type =
                content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let mut content = body::to_bytes(content, 1 << 22).await.unwrap().to_vec();
            if parts.method == "GET" {
                content = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
            }
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(Received { method: parts.method.to_string(), content_type, content });
                kept.len() - 1
            };
            let answer = answer(number);
            if answer.status() == StatusCode::REQUEST_TIMEOUT {
                std::future::pending::<()>().await;
            }
            answer
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(receive)).await });
    (format!("http://{address}/push/sales/secret-key"), inbox)
}

fn good(_: usize) -> Response {
    (StatusCode::OK, r#"{"Err":0,"Errdesc":"OK"}"#).into_response()
}

/// The fields of a push, its strings that hold lists and objects read, and everything else as text.
fn fields(form: PushForm, content: &[u8]) -> Map<String, Value> {
    match form {
        PushForm::Json => serde_json::from_slice(content).unwrap(),
        PushForm::JsonArray => {
            let mut all: Vec<Map<String, Value>> = serde_json::from_slice(content).unwrap();
            assert_eq!(all.len(), 1);
            all.remove(0)
        }
        PushForm::Form | PushForm::Query => {
            let pairs = url::form_urlencoded::parse(content).into_owned();
            pairs.map(|(name, value)| (name, Value::String(value))).collect()
        }
    }
}

fn of(push: &Push) -> Map<String, Value> {
    fields(push.form, &push.content)
}

fn text(fields: &Map<String, Value>, name: &str) -> String {
    match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[tokio::test]
async fn what_is_received_is_what_the_truth_says() {
    let (url, inbox) = receiver(good).await;
    let clock = ManualClock::new(morning());
    let simulator =
        start(&clock, 1_000.0, PushOptions { time: PushTime::Mixed, ..PushOptions::to(url) }).await;
    let mut all = Deliveries::default();
    for _ in 0..48 {
        clock.advance(TimeDelta::minutes(15));
        let done = simulator.deliver_due().await;
        assert_eq!(done.sent, done.accepted);
        all.sent += done.sent;
    }
    let truth = simulator.push_truth(morning(), clock.now());
    let inbox = inbox.lock().unwrap().clone();
    assert_eq!((inbox.len() as u64, all.sent), (all.sent, simulator.deliveries().accepted));
    // Which forms came: by method, content type and first byte, as a receiver has to find out.
    let (mut forms, mut calls) = (BTreeSet::new(), BTreeMap::<String, Vec<Map<String, Value>>>::new());
    for received in &inbox {
        let form = match (received.method.as_str(), received.content_type.as_str()) {
            ("GET", "") => PushForm::Query,
            ("POST", "application/x-www-form-urlencoded") => PushForm::Form,
            ("POST", json) if json.starts_with("application/json") => match received.content[0] {
                b'[' => PushForm::JsonArray,
                _ => PushForm::Json,
            },
            other => panic!("{other:?}"),
        };
        forms.insert(format!("{form:?}"));
        let fields = fields(form, &received.content);
        calls.entry(text(&fields, "ivruniqueid")).or_default().push(fields);
    }
    assert_eq!(forms.len(), 4, "{forms:?}");
    let mut by_call = BTreeMap::<&str, Vec<_>>::new();
    truth.iter().for_each(|row| by_call.entry(&row.call_id).or_default().push(row));
    for (call_id, rows) in &by_call {
        let pushes = calls.remove(*call_id).unwrap_or_default();
        let received = rows.iter().filter(|row| row.received_at.is_some()).count();
        let instants: BTreeSet<i64> = rows
            .iter()
            .flat_map(|row| [row.started_at.timestamp(), row.started_at.timestamp() + 10_800])
            .collect();
        assert!(pushes.len() >= received, "{call_id}: {received} of {}", pushes.len());
        assert_eq!(pushes.is_empty(), received == 0);
        for push in &pushes {
            assert!(instants.contains(&text(push, "time").parse().unwrap()), "{push:?}");
            let talk: i32 = text(push, "actualCallDuration").parse().unwrap();
            let wait: i32 = text(push, "seconds_waiting_in_queue").parse().unwrap();
            let is_one = rows
                .iter()
                .any(|row| row.talk_seconds == talk && row.queue_wait_seconds.unwrap_or(0) == wait);
            assert!(is_one, "{push:?}");
        }
        let has_ai = pushes.iter().any(|push| text(push, "aiData").contains("insights"));
        assert_eq!(has_ai, rows.iter().any(|row| row.ai_received_at.is_some()), "{call_id}");
    }
    assert!(calls.is_empty(), "no push without a call");
    let share = |is_meant: &dyn Fn(&&voicenter_simulator::PushTruth) -> bool| {
        truth.iter().filter(is_meant).count() as f64 / truth.len() as f64
    };
    assert!(truth.len() > 300, "{}", truth.len());
    assert!((0.002..0.06).contains(&share(&|row| row.first_at.is_none())), "2 % are never sent");
    assert!(share(&|row| row.first_at.is_none() && row.received_at.is_some()) == 0.0);
    assert!((0.3..0.7).contains(&share(&|row| row.is_local_time)));
    assert!((0.9..1.0).contains(&share(&|row| row.was_type_received)));
    assert!(share(&|row| row.received_at < row.first_at) < 0.1, "those whose first is still due");
    // The same again sends nothing new.
    assert_eq!(simulator.deliver_due().await, Deliveries::default());
}

#[tokio::test]
async fn a_push_is_repeated_until_the_answer_is_good() {
    // 503, a body that is not the one asked for, no answer, and an error that Err names.
    let bad = |number: usize| match number {
        0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        1 => (StatusCode::OK, r#"{"ok":true}"#).into_response(),
        2 => StatusCode::REQUEST_TIMEOUT.into_response(),
        3 => (StatusCode::OK, r#"{"Err":2,"Errdesc":"later"}"#).into_response(),
        _ => (StatusCode::OK, r#"{"err":0,"errdesc":"OK"}"#).into_response(),
    };
    let (url, inbox) = receiver(bad).await;
    let clock = ManualClock::new(morning());
    let push = PushOptions {
        answer_within: Duration::from_millis(300),
        never_share: 0.0,
        duplicate_share: 0.0,
        longest_delay: TimeDelta::minutes(10),
        ..PushOptions::to(url)
    };
    let simulator = start(&clock, 0.0, push).await;
    let record = Record { duration: Some(30), ..Record::new("2026060707000001", "Incoming Call", morning()) };
    simulator.world().insert(record, morning() + TimeDelta::minutes(1));
    clock.advance(TimeDelta::minutes(11));
    assert!(simulator.deliver_due().await.refused > 0);
    clock.advance(TimeDelta::minutes(60));
    simulator.deliver_due().await;
    let expected = Deliveries { sent: 5, accepted: 1, refused: 4, given_up: 0 };
    assert_eq!(simulator.deliveries(), expected);
    let inbox = inbox.lock().unwrap();
    assert!(inbox.iter().all(|received| received.content == inbox[0].content), "the same words each time");
    let truth = simulator.push_truth(morning(), clock.now());
    // 2, 4, 8 and 16 minutes after the first.
    let first = truth[0].first_at.unwrap();
    assert_eq!(truth[0].received_at, Some(first + TimeDelta::minutes(30)));
}

#[tokio::test]
async fn nothing_is_repeated_for_ever() {
    let (url, inbox) = receiver(|_| (StatusCode::OK, "OK").into_response()).await;
    let clock = ManualClock::new(morning());
    let push = PushOptions { never_share: 0.0, duplicate_share: 0.0, tries: 3, ..PushOptions::to(url) };
    let simulator = start(&clock, 0.0, push).await;
    simulator.world().insert(Record::new("1", "Queue", morning()), morning());
    clock.advance(TimeDelta::days(2));
    let done = simulator.deliver_due().await;
    assert_eq!(done, Deliveries { sent: 3, accepted: 0, refused: 3, given_up: 1 });
    assert_eq!(inbox.lock().unwrap().len(), 3);
    assert_eq!(simulator.push_truth(morning(), clock.now())[0].received_at, None);
}

#[tokio::test]
async fn the_order_depends_neither_on_the_steps_nor_on_the_run() {
    let clock = ManualClock::new(morning());
    let push = || PushOptions::to("http://127.0.0.1:1/");
    let (fine, coarse) = (start(&clock, 2_000.0, push()).await, start(&clock, 2_000.0, push()).await);
    let end = morning() + TimeDelta::days(1);
    let minutes = (1..=24 * 60).flat_map(|minute| fine.due_pushes(morning() + TimeDelta::minutes(minute)));
    let fine: Vec<Push> = minutes.collect();
    let coarse = coarse.due_pushes(end);
    assert!(fine == coarse && fine.len() > 2_000, "{} and {}", fine.len(), coarse.len());
    let ids: Vec<String> = fine.iter().take(1_000).map(|push| text(&of(push), "ivruniqueid")).collect();
    assert!(!ids.is_sorted(), "not in the order of the calls");
    let in_words: BTreeSet<&[u8]> = fine.iter().map(|push| push.content.as_slice()).collect();
    assert!(in_words.len() < fine.len() * 995 / 1_000, "some come twice in the same words");
    let share = |is_meant: &dyn Fn(&Map<String, Value>) -> bool| {
        fine.iter().filter(|push| is_meant(&of(push))).count() as f64 / fine.len() as f64
    };
    assert!((0.01..0.03).contains(&share(&|push| !push.contains_key("type"))));
    for name in ["dialerData", "campaignID", "IsDoNotCallMe", "IVR", "TopDepartmentName"] {
        assert!(share(&|push| push.contains_key(name)) > 0.001, "{name}");
    }
    let json: Vec<Map<String, Value>> =
        fine.iter().filter(|push| push.form == PushForm::Json).map(of).collect();
    let has =
        |name: &str, is_kind: fn(&Value) -> bool| json.iter().any(|push| push.get(name).is_some_and(is_kind));
    for (name, kinds) in [
        ("IVR", [Value::is_array as fn(&Value) -> bool, Value::is_string]),
        ("aiData", [Value::is_object, Value::is_string]),
        ("duration", [Value::is_number, Value::is_string]),
    ] {
        assert!(kinds.iter().all(|kind| has(name, *kind)), "{name} in both forms");
    }
}

#[tokio::test]
async fn in_the_background_pushes_follow_the_clock_and_end_with_the_simulator() {
    let (url, inbox) = receiver(good).await;
    let clock = ManualClock::new(morning());
    let push = PushOptions { in_background: true, ..PushOptions::to(url) };
    let simulator = start(&clock, 1_000.0, push).await;
    clock.advance(TimeDelta::hours(2));
    let began = Instant::now();
    while simulator.deliveries().accepted < 20 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    simulator.stop().await;
    let received = inbox.lock().unwrap().len();
    clock.advance(TimeDelta::hours(2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(inbox.lock().unwrap().len(), received);
}

#[tokio::test]
async fn log_lines_have_no_key_and_no_number() {
    let (log, _guard) = Log::begin();
    let (url, inbox) = receiver(good).await;
    let clock = ManualClock::new(morning());
    let simulator = start(&clock, 1_000.0, PushOptions::to(url)).await;
    clock.advance(TimeDelta::hours(2));
    simulator.deliver_due().await;
    let (text, received) = (log.text(), inbox.lock().unwrap().clone());
    assert_eq!(text.matches("message=push ").count(), received.len(), "{text}");
    assert!(!received.is_empty() && !text.contains("secret-key") && text.contains("127.0.0.1:"));
    for truth in simulator.push_truth(morning(), clock.now()) {
        assert!(!text.contains(&truth.call_id));
    }
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    assert!(digits <= Some(5), "no number is longer than a port's: {text}");
}

#[tokio::test]
async fn an_address_that_is_none_is_explained_without_it() {
    let world = WorldOptions::empty();
    let push = Some(PushOptions::to("example.com/push/sales/secret-key"));
    let options = SimulatorOptions { world, push, ..SimulatorOptions::default() };
    assert!(!format!("{options:?}").contains("secret-key"));
    let error = Simulator::start(options, ManualClock::new(morning())).await.unwrap_err().to_string();
    assert!(error.contains("--push-to") && !error.contains("secret-key"), "{error}");
}
