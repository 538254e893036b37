//! Servers in trouble: what a mirror must not believe, must not lose, and must say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::plan::Mode;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::engine::TickOutcome;
use cdr_sync::sync::leadership::Leases;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::sync::supervisor::{self, Common};
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use voicenter_simulator::{ApiGeneration, Fault, RequestOutcome, SimulatorOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated, time_passes};
use crate::support::compare;
use crate::support::database::Database;
use crate::support::dates::{days, hours, instant, minutes};
use crate::support::polling::until;

/// A Tuesday noon: the middle of a working day.
const TUESDAY: &str = "2026-06-16T09:00:00Z";

fn quiet(generation: ApiGeneration, calls_per_day: f64) -> SimulatorOptions {
    let mut simulator = simulated(generation);
    simulator.world.calls_per_day = calls_per_day;
    simulator.world = simulator.world.unchanging();
    simulator
}

async fn at_work(generation: ApiGeneration) -> MirrorScene {
    at_work_with(generation, 800.0).await
}

async fn at_work_with(generation: ApiGeneration, calls_per_day: f64) -> MirrorScene {
    let simulator = quiet(generation, calls_per_day);
    let setup = Setup { now: instant(TUESDAY), history: days(1), ..Setup::new(simulator) };
    let mut scene = MirrorScene::of(setup.with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m")).await;
    // The clock stands still while a request is under way, so waiting after a failure takes no time.
    scene.account.backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    scene
}

async fn removed(scene: &MirrorScene) -> i64 {
    scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await
}

#[tokio::test]
async fn a_sick_server_that_answers_with_nothing_removes_nothing() {
    // With few calls no single answer lacks enough records to be suspicious by itself.
    for (generation, calls_per_day) in [(ApiGeneration::Current, 150.0), (ApiGeneration::V01, 800.0)] {
        let scene = at_work_with(generation, calls_per_day).await;
        let begin = scene.now();
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, begin + hours(1)).await;
        scene.simulator.faults().always(Fault::EmptyOk);
        for quarter in 1..=12 {
            scene.live(&mut engine, begin + hours(1) + minutes(15 * quarter)).await;
            assert_eq!(removed(&scene).await, 0, "{generation:?}: after {quarter} quarters of an hour");
        }
        scene.simulator.faults().clear();
        scene.live(&mut engine, begin + hours(30)).await;
        engine.close().await.unwrap();
        assert_eq!(removed(&scene).await, 0);
        let until = begin + hours(4);
        let truth = scene.simulator.truth(scene.now(), scene.start, until);
        compare::assert_mirrors(scene.database.url(), "main", &truth, scene.start, until).await;
    }
}

#[tokio::test]
async fn a_window_that_always_fails_becomes_a_narrow_gap_that_closes_by_itself() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        let scene = at_work(generation).await;
        let begin = scene.now();
        let bad = begin - hours(3);
        scene.simulator.faults().within(Fault::Http500, bad, bad + minutes(5));
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, begin + hours(2)).await;
        let gaps = scene.store.gaps(Some("main")).await.unwrap();
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.reason == "unreadable"), "{gaps:?}");
        let all = gaps.iter().map(|gap| gap.window).reduce(|all, gap| all.hull(&gap)).unwrap();
        assert!(all.from() <= bad + minutes(5) && all.to() >= bad, "{all}");
        assert!(all.len() <= minutes(45), "{all} is not narrow");
        assert!(gaps[0].tries > 1, "it is tried again: {gaps:?}");
        // All else is there, and kept fresh.
        let url = scene.database.url();
        for (from, to) in [(scene.start, all.from()), (all.to(), scene.now() - hours(1))] {
            let truth = scene.simulator.truth(scene.now(), from, to);
            compare::assert_mirrors(url, "main", &truth, from, to).await;
        }
        scene.simulator.faults().clear();
        let due = gaps.iter().map(|gap| gap.next_try_at).max().unwrap();
        scene.live(&mut engine, due.max(scene.now()) + minutes(10)).await;
        engine.close().await.unwrap();
        assert_eq!(scene.status().await.gaps, 0);
        let truth = scene.simulator.truth(scene.now(), scene.start, begin);
        compare::assert_mirrors(url, "main", &truth, scene.start, begin).await;
    }
}

/// Everything that can go wrong with an answer and that a server may recover from, one answer in three.
#[tokio::test]
async fn a_third_of_all_answers_spoilt_in_every_way_loses_nothing() {
    let mut scene = at_work(ApiGeneration::Current).await;
    // What a fault garbles is stored as it came; the age of two days reads all of it once more when all is well again.
    scene.account.settings.reconcile = vec![days(1), days(2)];
    let begin = scene.now();
    // Those that would take real time, that never answer, or that ask the operator to act have tests of their own.
    let apart = [
        Fault::Hang,
        Fault::SlowDrip,
        Fault::AuthorizationFailed,
        Fault::Untrusted,
        Fault::RateLimited,
        Fault::RateLimitedRetryAfter,
        // What a whole answer had stays where no later answer has the field at all.
        Fault::UnknownField,
    ];
    let faults: Vec<Fault> = Fault::all().iter().copied().filter(|fault| !apart.contains(fault)).collect();
    for fault in &faults {
        scene.simulator.faults().share(*fault, 0.34 / faults.len() as f64);
    }
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, begin + hours(24)).await;
    let requests = scene.simulator.requests().all();
    let met: BTreeMap<String, usize> = requests.iter().fold(BTreeMap::new(), |mut met, request| {
        if let RequestOutcome::Spoilt(fault) = request.outcome {
            *met.entry(fault.name()).or_default() += 1;
        }
        met
    });
    assert!(met.len() * 10 > faults.len() * 8, "{met:?}");
    scene.simulator.faults().clear();
    scene.live(&mut engine, begin + hours(80)).await;
    engine.close().await.unwrap();
    let settled = scene.now() - hours(30);
    let truth = scene.simulator.truth(scene.now(), scene.start, settled);
    compare::assert_mirrors(scene.database.url(), "main", &truth, scene.start, settled).await;
    assert_eq!(scene.status().await.gaps, 0);
    assert_eq!(removed(&scene).await, 0);
}

#[tokio::test]
async fn one_refused_account_waits_while_the_other_goes_on() {
    let database = Arc::new(Database::new().await);
    let clock = ManualClock::new(instant(TUESDAY));
    let setup = |account, code: &str| {
        let simulator =
            SimulatorOptions { code: SecretString::from(code), ..quiet(ApiGeneration::Current, 800.0) };
        Setup { account, now: instant(TUESDAY), history: days(1), ..Setup::new(simulator) }
    };
    let good = MirrorScene::on(Arc::clone(&database), clock.clone(), setup("good", "a")).await;
    let refused = MirrorScene::on(Arc::clone(&database), clock.clone(), setup("refused", "b")).await;
    refused.simulator.faults().always(Fault::AuthorizationFailed);
    let watches: BTreeMap<String, ProgressWatch> =
        ["good", "refused"].map(|name| (name.to_owned(), ProgressWatch::default())).into();
    let stop = CancellationToken::new();
    let common = Common {
        store: good.store.clone(),
        clock: Clock::Manual(clock.clone()),
        leases: Leases::new(&good.store),
    };
    let accounts = vec![good.account.clone(), refused.account.clone()];
    let daemon = tokio::spawn(supervisor::run(accounts, common, watches.clone(), stop.clone()));
    until("the good account", async || watches["good"].read().caught_up).await;
    until("the refusal", async || refused.waits_until(clock.now() + TimeDelta::seconds(5)).await).await;
    good.assert_mirrors().await;
    let asked = (good.simulator.requests().len(), refused.simulator.requests().len());
    assert_eq!(asked.1, 1, "a refused credential is not tried again at once");
    // Tried again after 5, 10, 20, 40, 80, 160 s and then every 5 minutes.
    let mut waits = vec![5, 10, 20, 40, 80, 160, 300, 300];
    for (already, seconds) in (1..).zip(waits.drain(..6)) {
        until("the pause to be noted", async || {
            refused.waits_until(clock.now() + TimeDelta::seconds(seconds)).await
        })
        .await;
        clock.advance(TimeDelta::seconds(seconds) - TimeDelta::milliseconds(1));
        assert_eq!(refused.simulator.requests().len(), already, "before {seconds} s");
        clock.advance(TimeDelta::milliseconds(1));
        until("the next try", async || refused.simulator.requests().len() > already).await;
    }
    until("the next polls", async || good.simulator.requests().len() > asked.0).await;
    for seconds in waits {
        until("the longest pause", async || {
            refused.waits_until(clock.now() + TimeDelta::seconds(seconds)).await
        })
        .await;
        clock.advance(TimeDelta::seconds(seconds));
    }
    // The operator has put it right.
    until("the longest pause", async || refused.waits_until(clock.now() + TimeDelta::seconds(300)).await)
        .await;
    refused.simulator.faults().clear();
    clock.advance(minutes(5));
    until("the account that works again", async || watches["refused"].read().caught_up).await;
    // A success between them: the next refusal is tried again after 5 s.
    refused.simulator.faults().always(Fault::AuthorizationFailed);
    clock.advance(minutes(1));
    until("a short pause", async || refused.waits_until(clock.now() + TimeDelta::seconds(5)).await).await;
    refused.simulator.faults().clear();
    clock.advance(TimeDelta::seconds(5));
    let polled = refused.simulator.requests().len();
    until("the account that works again", async || refused.simulator.requests().len() > polled).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), daemon).await.unwrap().unwrap();
    refused.assert_mirrors().await;
}

#[tokio::test]
async fn being_asked_to_wait_is_no_failure_and_makes_every_lane_wait() {
    // The pause is kept by the database's clock: what it takes to come back from there is not waited for again.
    let margin = TimeDelta::seconds(2);
    for (fault, min, max, least) in [(Fault::RateLimited, 5, 6, 5), (Fault::RateLimitedRetryAfter, 1, 8, 7)] {
        let mut scene = at_work(ApiGeneration::Current).await;
        scene.account.backoff = Backoff { min: Duration::from_secs(min), max: Duration::from_secs(max) };
        // Eight failures would end a pass; as many refusals in a row must not.
        scene.simulator.faults().next_times(fault, 10);
        let clock = scene.clock.clone();
        let watch = ProgressWatch::default();
        let mut engine = scene.engine(Mode::Pass, watch.clone()).await;
        tokio::select! {
            () = time_passes(&clock, TimeDelta::seconds(1)) => {}
            ended = async { while engine.tick().await.unwrap() != TickOutcome::Done {} } => ended,
        }
        engine.close().await.unwrap();
        let requests = scene.simulator.requests().all();
        let spoilt =
            requests.iter().filter(|request| request.outcome == RequestOutcome::Spoilt(fault)).count();
        assert_eq!(spoilt, 10);
        for pair in requests.windows(2).filter(|pair| pair[0].outcome == RequestOutcome::Spoilt(fault)) {
            let waited = pair[1].at - pair[0].at;
            assert!(waited >= TimeDelta::seconds(least) - margin, "{fault:?}: asked again after {waited}");
        }
        assert_eq!(scene.status().await.gaps, 0);
    }
}
