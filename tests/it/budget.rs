//! Promise 4: in any 60 seconds no more requests than allowed, over all processes on one database.

use std::time::{Duration, Instant};

use voicenter_simulator::{Fault, RateClock, RequestOutcome, SimulatorOptions};

use crate::kill::scene::{KillScene, slow_server};
use crate::support::polling::until;
use crate::support::program::Running;

/// Two daemons with an account each, and one credential between them.
fn two_daemons(scene: &KillScene, per_minute: u32) -> [Running; 2] {
    ["north", "south"].map(|account| {
        let mut command = scene.command("run");
        command
            .env("CDR_SYNC__ACCOUNTS__0__NAME", account)
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", per_minute.to_string())
            .env("CDR_SYNC__API__BURST", "2");
        Running::start(command)
    })
}

#[tokio::test]
async fn two_processes_with_one_credential_share_one_budget() {
    const PER_MINUTE: u32 = 600;
    let scene = KillScene::new(slow_server()).await;
    let daemons = two_daemons(&scene, PER_MINUTE);
    until("requests of both", async || scene.simulator.requests().len() >= 60).await;
    drop(daemons);
    let instants: Vec<Instant> =
        scene.simulator.requests().all().iter().map(|request| request.real).collect();
    for (first, from) in instants.iter().enumerate() {
        for (last, to) in instants.iter().enumerate().skip(first) {
            // A busy machine may hold a request up for a second; two budgets would be twice as many requests.
            let took = to.duration_since(*from) + Duration::from_secs(1);
            let allowed = 2.0 + took.as_secs_f64() * f64::from(PER_MINUTE) / 60.0;
            let count = last - first + 1;
            assert!(count as f64 <= allowed, "{count} requests within {took:?}");
        }
    }
    let accounts = "select count(distinct account) from cdr_sync.window_read";
    assert_eq!(scene.database.count(accounts).await, 2, "both were at work");
}

#[tokio::test]
async fn after_error_1_both_processes_ask_at_half_the_rate() {
    const PER_MINUTE: u32 = 600;
    let scene = KillScene::new(slow_server()).await;
    let daemons = two_daemons(&scene, PER_MINUTE);
    until("requests of both", async || scene.simulator.requests().len() >= 20).await;
    scene.simulator.faults().next(Fault::RateLimited);
    let refused = || {
        let requests = scene.simulator.requests().all();
        requests.iter().position(|request| request.outcome == RequestOutcome::Spoilt(Fault::RateLimited))
    };
    until("error 1", async || refused().is_some()).await;
    let refused = refused().unwrap();
    until("requests after it", async || scene.simulator.requests().len() >= refused + 50).await;
    drop(daemons);
    let requests = scene.simulator.requests().all();
    // One of the other process may have been under way.
    let after: Vec<Instant> = requests.iter().skip(refused + 2).map(|request| request.real).collect();
    for (first, from) in after.iter().enumerate() {
        for (last, to) in after.iter().enumerate().skip(first) {
            let took = to.duration_since(*from) + Duration::from_secs(1);
            // It rises by one a minute, and this takes less than two.
            let allowed = 2.0 + took.as_secs_f64() * f64::from(PER_MINUTE / 2 + 2) / 60.0;
            let count = last - first + 1;
            assert!(count as f64 <= allowed, "{count} requests within {took:?} after error 1");
        }
    }
}

/// The promise of docs/contract.md#promises, by the server's own clock. To run it:
/// `scripts/test --run-ignored only --no-capture -E 'test(/^budget::/)'`.
#[tokio::test]
#[ignore = "takes two and a half minutes"]
async fn two_processes_at_thirty_a_minute_for_two_and_a_half_minutes() {
    let server = SimulatorOptions { requests_per_minute: 30, rate_clock: RateClock::Real, ..slow_server() };
    let scene = KillScene::new(server).await;
    let daemons = two_daemons(&scene, 30);
    // Real time is the subject: the server counts the requests of each minute of it.
    tokio::time::sleep(Duration::from_secs(150)).await;
    drop(daemons);
    let requests = scene.simulator.requests();
    let refused = requests.all().iter().filter(|entry| entry.outcome == RequestOutcome::RateLimited).count();
    let (all, busiest) = (requests.len(), requests.busiest_real_minute());
    println!("{all} requests of two processes in 150 s; busiest minute: {busiest} of 30; refused: {refused}");
    assert!(busiest <= 30 && refused == 0);
    assert!(busiest >= 28, "the budget is used, not only kept");
}
