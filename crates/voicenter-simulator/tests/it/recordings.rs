//! The recording host: where the links of records lead, and each way in which that goes wrong.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use voicenter_simulator::{RecordingAnswer, Recordings, Simulator, SimulatorOptions, WorldOptions};

use crate::clock::ManualClock;
use crate::log::Log;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 8, 12, 0, 0).unwrap()
}

async fn start(clock: &ManualClock) -> Simulator {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let from = now() - TimeDelta::days(1);
    let world = WorldOptions { calls_per_day: 500.0, from, ..WorldOptions::default() };
    let recordings = Some(RecordingAnswer::Audio);
    let options = SimulatorOptions { recordings, world, admin: true, ..SimulatorOptions::default() };
    Simulator::start(options, clock.clone()).await.unwrap()
}

fn links(simulator: &Simulator) -> Vec<String> {
    let rows = simulator.truth(now(), now() - TimeDelta::hours(8), now());
    rows.into_iter().filter_map(|row| row.record_url).collect()
}

async fn get(link: &str) -> Response {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    client.get(link).send().await.unwrap()
}

#[tokio::test]
async fn the_links_of_records_lead_to_recordings_that_stay_the_same() {
    let simulator = start(&ManualClock::new(now())).await;
    let links = links(&simulator);
    assert!(links.len() > 10);
    let base = simulator.url().replace("/hub/cdr/", "/CallsHistory/PlayRecord/");
    let mut beginnings = std::collections::BTreeSet::new();
    for link in &links[..10] {
        assert!(link.starts_with(&base) && link.ends_with(".mp3"), "{link}");
        let answer = get(link).await;
        assert_eq!(answer.headers()["content-type"], "audio/mpeg");
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes, Recordings::bytes(link));
        assert!(bytes.len() > 10_000);
        beginnings.insert(bytes[..3].to_vec());
    }
    assert_eq!(beginnings.len(), 2, "a tag or a frame: {beginnings:?}");
    assert!(beginnings.contains(&b"ID3"[..]) && beginnings.contains(&[0xFF, 0xFB, 0x50][..]));
    let of_the_api =
        format!("{}?code=simulated-code&fromdate=2026-06-08T04:00&todate=2026-06-08T12:00", simulator.url());
    let records = get(&of_the_api).await.text().await.unwrap();
    assert!(links.iter().all(|link| records.contains(link)), "the API has the same links");
    assert_eq!(simulator.recordings().unwrap().requests(), 10);
}

#[tokio::test]
async fn each_answer_is_as_bad_as_it_is_said_to_be() {
    let (log, _guard) = Log::begin();
    let clock = ManualClock::new(now());
    let simulator = start(&clock).await;
    let host = simulator.recordings().unwrap();
    let link = links(&simulator).remove(0);
    let text = async |status: u16| {
        let answer = get(&link).await;
        assert_eq!(answer.status().as_u16(), status, "{:?}", host.current());
        answer.text().await.unwrap()
    };
    host.answer(RecordingAnswer::LoginPage);
    assert!(text(200).await.contains("type=\"password\""));
    host.answer(RecordingAnswer::Cloudflare);
    assert!(text(403).await.contains("Just a moment"));
    host.answer(RecordingAnswer::Unauthorized);
    text(401).await;
    host.answer(RecordingAnswer::NotFound);
    text(404).await;
    host.answer(RecordingAnswer::RateLimited);
    assert_eq!(get(&link).await.headers()["retry-after"], "120");
    host.answer(RecordingAnswer::Truncated);
    let mut cut = get(&link).await;
    assert!(cut.content_length().unwrap() > 10_000);
    let mut received = 0;
    let broken = loop {
        match cut.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            other => break other,
        }
    };
    assert!(broken.is_err() && received == 1_000, "{received}");
    host.answer(RecordingAnswer::Redirect);
    let moved = get(&link).await.headers()["location"].to_str().unwrap().to_owned();
    let moved = reqwest::Url::parse(&link).unwrap().join(&moved).unwrap();
    assert_eq!(get(moved.as_str()).await.bytes().await.unwrap(), Recordings::bytes(&link));
    host.answer(RecordingAnswer::RedirectPrivate);
    let private = get(&link).await.headers()["location"].to_str().unwrap().to_owned();
    assert!(private.starts_with("http://localhost:"), "{private}");
    assert_eq!(host.private_requests(), 0);
    get(&private).await;
    assert_eq!(host.private_requests(), 1);

    host.answer(RecordingAnswer::Later);
    let later = links(&simulator).remove(1);
    assert_eq!(get(&later).await.status().as_u16(), 404);
    clock.advance(TimeDelta::minutes(4));
    assert_eq!(get(&later).await.status().as_u16(), 404);
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(get(&later).await.status().as_u16(), 200);
    let text = log.text();
    assert!(
        text.contains("recording request") && !text.contains("PlayRecord") && !text.contains(".mp3"),
        "{text}"
    );
}

#[tokio::test]
async fn the_answer_is_switched_at_run_time() {
    let simulator = start(&ManualClock::new(now())).await;
    let admin = simulator.url().replace("/hub/cdr/", "/simulator/recordings");
    let client = Client::builder().no_proxy().build().unwrap();
    let post = async |body: &'static str| client.post(&admin).body(body).send().await.unwrap();
    assert_eq!(post(r#"{"answer":"login-page"}"#).await.status().as_u16(), 200);
    assert_eq!(simulator.recordings().unwrap().current(), RecordingAnswer::LoginPage);
    let wrong = post(r#"{"answer":"video"}"#).await.text().await.unwrap();
    assert!(wrong.contains("unknown answer video; known are: audio, login-page, cloudflare"), "{wrong}");
    let reset = client.delete(simulator.url().replace("/hub/cdr/", "/simulator/")).send().await.unwrap();
    assert_eq!(reset.status().as_u16(), 200);
    assert_eq!(simulator.recordings().unwrap().current(), RecordingAnswer::Audio);
}
