//! `check` and `query` with a server that takes nothing but what the first document has.

use cdr_sync::clock::Clock;
use chrono_tz::Tz;
use voicenter_simulator::{ApiGeneration, Simulator, SimulatorOptions};

use crate::commands::scene::{printed, program, simulator};

fn older(options: &mut SimulatorOptions) {
    options.generation = ApiGeneration::V01;
    options.dialect.zone = Some(Tz::UTC);
}

/// What a command prints of this API.
async fn of(simulator: &Simulator, arguments: &[&str]) -> String {
    let url = simulator.url();
    let environment = [
        ("VOICENTER_URL", url.as_str()),
        ("VOICENTER_CODE", "simulated-code"),
        ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "1000"),
        ("CDR_SYNC__API__BURST", "100"),
    ];
    printed(program(arguments, &environment)).await
}

#[tokio::test]
async fn check_says_what_the_server_does_not_accept() {
    let simulator = simulator(Clock::System.now(), older).await;
    let text = of(&simulator, &["check"]).await;
    assert!(text.contains("✓ account default: the API answers"), "{text}");
    let dropped = "does not accept DateEpoch, CdrType, UserName, UserId, version, sort by date, sort by Date: requests leave it out";
    assert!(text.contains(dropped), "{text}");
    // Eight to find that out; a quiet hour is looked at further back, where error 3 makes it shorter.
    assert!(simulator.requests().len() <= 14, "{}", simulator.requests().len());
}

#[tokio::test]
async fn query_shows_what_the_server_has() {
    let simulator = simulator("2026-11-18T12:00:00Z".parse().unwrap(), older).await;
    let asked = async |more: &[&str]| {
        let span = ["query", "--from", "2026-11-18T08:00:00Z", "--to", "2026-11-18T08:30:00Z"];
        of(&simulator, &[&span, more].concat()).await
    };
    for more in [&["--format", "csv"][..], &["--format", "html"], &["--format", "csv", "--method", "get"]] {
        let text = asked(more).await;
        assert!(text.contains("--- exit status 0") && text.contains("Queue"), "{more:?}: {text}");
    }
    // Exactly the fields asked for: a server that refuses one of them is not asked for less.
    let text = asked(&["--field", "CallID", "--field", "Date", "--field", "UserId"]).await;
    assert!(text.contains("unknown field: UserId") && text.contains("--- exit status 1"), "{text}");
}
