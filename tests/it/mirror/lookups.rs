//! Asking for single calls: where the server does not mind the CallID, and where an answer holds what nobody can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use cdr_sync::plan::Mode;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::status::ProgressWatch;
use serde_json::{Value, json};
use voicenter_simulator::{ApiGeneration, Record, SimulatorOptions, WorldOptions};

use crate::mirror::keys::configured;
use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::{hours, instant, minutes};

/// What stands between the daemon and the simulator.
#[derive(Default)]
struct Odd {
    simulator: String,
    ignores_call_id: bool,
    /// A record with neither CallID nor Date stands in every answer.
    malformed: bool,
    look_ups: AtomicUsize,
    requests: AtomicUsize,
}

async fn pass_on(State(odd): State<Arc<Odd>>, body: String) -> String {
    let mut question: Value = serde_json::from_str(&body).unwrap();
    odd.requests.fetch_add(1, Ordering::SeqCst);
    if question["search"]["callID"].is_string() {
        odd.look_ups.fetch_add(1, Ordering::SeqCst);
        if odd.ignores_call_id {
            question["search"].as_object_mut().unwrap().remove("callID");
        }
    }
    let client = reqwest::Client::new();
    let request = client.post(&odd.simulator).header("content-type", "application/json");
    let answer = request.body(question.to_string()).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let Ok(mut answer) = serde_json::from_str::<Value>(&text) else { return text };
    if odd.malformed && answer["TOTAL_HITS"].is_u64() {
        answer["CDR_LIST"].as_array_mut().unwrap().push(json!({"Type": "Queue", "Duration": 7}));
        for total in ["TOTAL_HITS", "RETURN_HITS"] {
            answer[total] = json!(answer[total].as_u64().unwrap() + 1);
        }
    }
    answer.to_string()
}

/// Five calls lost of a hundred, and a day of the daemon. Returns how many are marked, and the requests: look-ups, all.
async fn after_a_day(odd: Odd) -> (i64, usize, usize) {
    let simulator = SimulatorOptions { world: WorldOptions::empty(), ..simulated(ApiGeneration::Current) };
    let setup = Setup { now: instant("2026-06-16T09:00:00Z"), history: hours(10), ..Setup::new(simulator) };
    let mut scene = MirrorScene::of(setup.with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m")).await;
    let begin = scene.now();
    for number in 0..100 {
        let date = begin - minutes(110) + minutes(number);
        scene.insert(Record::new(&format!("call{number:02}"), "Queue", date), date);
    }
    let odd = Arc::new(Odd { simulator: scene.simulator.url(), ..odd });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass_on).with_state(Arc::clone(&odd));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    // The clock stands still: a wait would have no end.
    scene.account.backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    scene.account.client = configured(&scene, url, []).await.client;
    for number in [3, 4, 50, 51, 70] {
        assert!(scene.simulator.world().remove(&format!("call{number:02}"), "Queue", begin + minutes(25)));
    }
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, begin + hours(24)).await;
    engine.close().await.unwrap();
    server.abort();
    let marked =
        scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await;
    (marked, odd.look_ups.load(Ordering::SeqCst), odd.requests.load(Ordering::SeqCst))
}

#[tokio::test]
async fn where_the_server_ignores_the_call_id_windows_decide_and_it_is_asked_once_a_day() {
    let (marked, look_ups, _) = after_a_day(Odd { ignores_call_id: true, ..Odd::default() }).await;
    assert_eq!((marked, look_ups), (5, 1));
}

#[tokio::test]
async fn a_malformed_record_in_every_answer_drives_no_endless_look_ups() {
    let (marked, look_ups, requests) = after_a_day(Odd { malformed: true, ..Odd::default() }).await;
    assert!(look_ups <= 5 * 10, "{look_ups} look-ups in a day, {requests} requests, {marked} marked");
}

#[tokio::test]
async fn lost_calls_are_asked_for_once_each() {
    let (marked, look_ups, _) = after_a_day(Odd::default()).await;
    assert_eq!((marked, look_ups), (5, 5));
}
