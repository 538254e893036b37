//! `check --recording`: each thing that a link can be answered with, and where it is not followed.

use cdr_sync::clock::Clock;
use chrono::TimeDelta;
use serde_json::{Value, json};
use voicenter_simulator::{Record, RecordingAnswer, Recordings, Simulator, WorldOptions};

use crate::commands::scene::{Ledger, printed, program, simulator, steady};

const NAME: &str = "/CallsHistory/PlayRecord/20261130-0501234567.mp3";

/// An API with one recorded call, and the link to its recording.
async fn recorded() -> (Simulator, String) {
    let now = Clock::System.now();
    let simulator = simulator(now, |options| {
        options.world = WorldOptions::empty();
        options.recordings = Some(RecordingAnswer::Audio);
    })
    .await;
    let link = simulator.url().replace("/hub/cdr/", NAME);
    insert(&simulator, &link);
    (simulator, link)
}

fn insert(simulator: &Simulator, link: &str) {
    let started = Clock::System.now() - TimeDelta::minutes(20);
    let record = Record {
        duration: Some(60),
        dial_status: "ANSWER".to_owned(),
        record_url: link.to_owned(),
        ..Record::new("1", "Incoming Call", started)
    };
    simulator.world().insert(record, started + TimeDelta::minutes(2));
}

/// What `check --recording` prints with these hosts allowed, logging all there is.
async fn checked(simulator: &Simulator, json: bool, hosts: &str) -> String {
    let url = simulator.url();
    let environment = [
        ("VOICENTER_URL", url.as_str()),
        ("VOICENTER_CODE", "simulated-code"),
        ("CDR_SYNC__RECORDING__HOSTS", hosts),
    ];
    let arguments = ["check", "--recording", "--json"];
    let mut command = program(&arguments[..if json { 3 } else { 2 }], &environment);
    command.env("CDR_SYNC__LOG__LEVEL", "trace");
    let printed = printed(command).await;
    for part in ["0501234567", "PlayRecord"] {
        assert!(!printed.contains(part), "the link is shown: {printed}");
    }
    printed
}

/// The finding about the recording.
async fn finding(simulator: &Simulator, hosts: &str) -> Value {
    let printed = checked(simulator, true, hosts).await;
    let json =
        printed.lines().find(|line| line.starts_with("{\"findings\"") || line.contains("\"findings\":"));
    let json: Value = serde_json::from_str(json.unwrap()).unwrap();
    let findings = json["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding.get("recording").is_some()).unwrap().clone()
}

#[tokio::test]
async fn each_answer_is_told_from_the_others() {
    let (simulator, link) = recorded().await;
    let bytes = Recordings::bytes(&link).len();
    let port = simulator.addr().port();
    let host = simulator.recordings().unwrap();
    let mut texts = Vec::new();
    for (answer, expected) in [
        (
            RecordingAnswer::Audio,
            json!({"answer": "audio", "status": 200, "format": "MP3", "content_type": "audio/mpeg", "bytes": bytes}),
        ),
        (RecordingAnswer::LoginPage, json!({"answer": "login_page", "status": 200})),
        (RecordingAnswer::Cloudflare, json!({"answer": "cloudflare_challenge", "status": 403})),
        (RecordingAnswer::Unauthorized, json!({"answer": "unauthorized", "status": 401})),
        (RecordingAnswer::NotFound, json!({"answer": "not_found", "status": 404})),
        (
            RecordingAnswer::RateLimited,
            json!({"answer": "too_many_requests", "status": 429, "retry_after": "120 s"}),
        ),
        (
            RecordingAnswer::Truncated,
            json!({"answer": "broke_off", "status": 200, "received": 1_000, "bytes": bytes}),
        ),
        (RecordingAnswer::Later, json!({"answer": "not_found", "status": 404})),
    ] {
        host.answer(answer);
        let before = host.requests();
        let finding = finding(&simulator, "127.0.0.1").await;
        assert_eq!(host.requests(), before + 1, "once");
        let mut expected = expected;
        expected["host"] = json!(format!("127.0.0.1:{port}"));
        expected["redirects"] = json!(0);
        assert_eq!(finding["recording"], expected, "{answer:?}");
        let is_audio = answer == RecordingAnswer::Audio;
        assert_eq!(finding["level"], if is_audio { "good" } else { "warn" });
        assert_eq!(finding["advice"].is_null(), is_audio);
        let text = finding["text"].as_str().unwrap().replace(&bytes.to_string(), "N");
        texts.push(format!("{text}\n    → {}", finding["advice"].as_str().unwrap_or("-")));
    }
    insta::assert_snapshot!(steady(&texts.join("\n")));
}

#[tokio::test]
async fn redirects_are_followed_to_allowed_hosts_only() {
    let (simulator, _) = recorded().await;
    let host = simulator.recordings().unwrap();
    host.answer(RecordingAnswer::Redirect);
    let followed = finding(&simulator, "127.0.0.1").await;
    assert_eq!(
        (&followed["recording"]["answer"], &followed["recording"]["redirects"]),
        (&json!("audio"), &json!(1))
    );
    host.answer(RecordingAnswer::RedirectPrivate);
    let refused = finding(&simulator, "127.0.0.1").await;
    let expected = json!({
        "answer": "host_not_allowed",
        "host": format!("localhost:{}", simulator.addr().port()),
        "redirects": 1,
    });
    assert_eq!(refused["recording"], expected);
    assert_eq!(host.private_requests(), 0);
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_not_asked() {
    let (simulator, _) = recorded().await;
    let refused = finding(&simulator, "files.example.com, *.example.org").await;
    assert_eq!(refused["recording"]["answer"], "host_not_allowed");
    assert!(refused["advice"].as_str().unwrap().contains("recording.hosts"), "{refused}");
    assert_eq!(simulator.recordings().unwrap().requests(), 0);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_says_so() {
    let (simulator, _) = recorded().await;
    simulator.world().remove("1", "Incoming Call", Clock::System.now() - TimeDelta::minutes(10));
    insert(&simulator, &format!("http://127.0.0.1:1{NAME}"));
    let finding = finding(&simulator, "127.0.0.1").await;
    assert_eq!(finding["recording"]["answer"], "unreachable", "{finding}");
}

#[tokio::test]
async fn without_a_recording_it_is_said_that_there_is_none() {
    let (simulator, _) = recorded().await;
    simulator.world().remove("1", "Incoming Call", Clock::System.now() - TimeDelta::minutes(10));
    insert(&simulator, "");
    let finding = finding(&simulator, "127.0.0.1").await;
    assert_eq!((&finding["level"], &finding["recording"]["answer"]), (&json!("note"), &json!("none")));
    assert_eq!(simulator.recordings().unwrap().requests(), 0);
}

/// It is an answer to a question, not a fault of the set-up.
#[tokio::test]
async fn a_login_page_is_no_failure() {
    let ledger = Ledger::new("").await;
    let (simulator, _) = recorded().await;
    simulator.recordings().unwrap().answer(RecordingAnswer::LoginPage);
    let url = simulator.url();
    let environment = [
        ("DATABASE_URL", ledger.0.url()),
        ("VOICENTER_URL", &url),
        ("VOICENTER_CODE", "simulated-code"),
        ("CDR_SYNC__RECORDING__HOSTS", "127.0.0.1"),
    ];
    let printed = printed(program(&["check", "--recording"], &environment)).await;
    assert!(printed.contains("! account") && printed.contains("a login page (HTTP 200)"), "{printed}");
    assert!(printed.ends_with("--- exit status 0\n"), "{printed}");
}
