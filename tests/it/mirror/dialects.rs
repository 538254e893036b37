//! First syncs of servers that do not keep to the documents, or keep to them in the nastiest way.

use std::sync::Arc;

use cdr_sync::clock::ManualClock;
use chrono::DateTime;
use chrono_tz::Tz;
use secrecy::SecretString;
use voicenter_simulator::{
    ApiGeneration, DateForm, DialectOptions, Empties, OverLimit, Record, SimulatorOptions, SortBehaviour,
    WorldOptions,
};

use crate::mirror::scene::{MirrorScene, NOW, Setup, simulated};
use crate::support::compare;
use crate::support::database::Database;
use crate::support::dates::{days, hours, instant, minutes};
use crate::support::simulator::dialect;

/// Two days of a small company, in answers of 300.
fn small(generation: ApiGeneration) -> SimulatorOptions {
    let simulator = simulated(generation);
    let world = WorldOptions { calls_per_day: 1_500.0, ..simulator.world };
    SimulatorOptions { record_limit: 300, world, ..simulator }
}

/// One pass mirrors everything, and reading it again writes nothing.
async fn is_exact(setup: Setup) -> MirrorScene {
    let scene = MirrorScene::of(Setup { history: setup.history.min(days(2)), ..setup }).await;
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
    if scene.simulator.options().dialect.date_form == Some(DateForm::Minutes) {
        // The first answer taught that minutes are the unit: from now on a minute before history is asked for, too.
        scene.read_again(scene.history()).await;
    }
    let tuples = scene.tuples().await;
    let again = scene.read_again(scene.history()).await;
    assert_eq!((again.inserted, again.updated, again.removed), (0, 0, 0), "{again:?}");
    assert_eq!(scene.tuples().await, tuples);
    scene
}

#[tokio::test]
async fn a_server_that_sorts_only_what_it_has_cut_loses_nothing() {
    let sort = SortBehaviour::AfterCut;
    is_exact(Setup::new(SimulatorOptions { sort, ..small(ApiGeneration::Current) })).await;
}

#[tokio::test]
async fn a_server_that_ignores_sort_loses_nothing() {
    let sort = SortBehaviour::Ignored;
    is_exact(Setup::new(SimulatorOptions { sort, ..small(ApiGeneration::Current) })).await;
}

#[tokio::test]
async fn a_silent_cut_at_a_limit_that_nobody_announced_loses_nothing() {
    let simulator = SimulatorOptions { totals: false, record_limit: 500, ..small(ApiGeneration::Current) };
    is_exact(Setup::new(simulator)).await;
}

#[tokio::test]
async fn an_older_server_that_cuts_in_silence_loses_nothing() {
    let simulator =
        SimulatorOptions { over_limit: OverLimit::Cut, record_limit: 500, ..small(ApiGeneration::V01) };
    is_exact(Setup::new(simulator)).await;
}

#[tokio::test]
async fn a_current_server_that_refuses_instead_of_cutting_loses_nothing() {
    is_exact(Setup::new(SimulatorOptions { over_limit: OverLimit::Error, ..small(ApiGeneration::Current) }))
        .await;
}

#[tokio::test]
async fn exclusive_bounds_lose_nothing() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        let simulator = SimulatorOptions { from_inclusive: false, to_inclusive: false, ..small(generation) };
        is_exact(Setup::new(simulator)).await;
    }
}

#[tokio::test]
async fn dates_with_minutes_only_lose_nothing() {
    for (generation, granularity) in [(ApiGeneration::Current, "1s"), (ApiGeneration::V01, "1m")] {
        let mut simulator = small(generation);
        // A minute is the smallest window here, and it must fit into an answer.
        simulator.record_limit = 500;
        simulator.dialect.date_form = Some(DateForm::Minutes);
        is_exact(Setup::new(simulator).with("CDR_SYNC__API__GRANULARITY", granularity)).await;
    }
}

#[tokio::test]
async fn a_day_with_a_clock_change_loses_nothing() {
    // Israel's clocks go back on 2026-10-25 at 02:00 and go forward on 2026-03-27 at 02:00.
    let (autumn, spring) = ("2026-10-25T20:00:00Z", "2026-03-27T20:00:00Z");
    for (now, form) in [(autumn, DateForm::Plain), (autumn, DateForm::Minutes), (spring, DateForm::Plain)] {
        let mut simulator = small(ApiGeneration::V01);
        simulator.record_limit = 200;
        simulator.dialect.date_form = Some(form);
        let scene = is_exact(Setup { now: instant(now), ..Setup::new(simulator) }).await;
        // At night there are few calls; these stand on the edges of the hour that is doubled or left out.
        for (number, minute) in (0..).zip(-150..150) {
            let date = instant(now) - hours(21) + minutes(minute) + chrono::TimeDelta::seconds(59);
            scene.insert(Record::new(&format!("night{number}"), "Queue", date), date + minutes(2));
        }
        scene.read_again(scene.history()).await;
        scene.assert_mirrors().await;
    }
}

#[tokio::test]
async fn a_question_by_get_mirrors_the_same() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        let scene = is_exact(Setup::new(small(generation)).with("CDR_SYNC__API__METHOD", "get")).await;
        assert!(scene.simulator.requests().all().iter().all(|request| request.method == "GET"));
    }
}

#[tokio::test]
async fn a_bearer_token_mirrors_the_same() {
    let simulator = SimulatorOptions {
        token: Some(SecretString::from("simulated-token")),
        refuse_address: true,
        gzip: true,
        ..small(ApiGeneration::Current)
    };
    is_exact(Setup::new(simulator)).await;
}

#[tokio::test]
async fn lower_case_names_and_numbers_as_text_make_the_same_rows() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        let mut simulator = small(generation);
        simulator.dialect =
            DialectOptions { lower_case_names: true, text_numbers: true, ..dialect(generation) };
        is_exact(Setup::new(simulator)).await;
    }
}

/// A second with this many records of four Types, in the middle of history.
fn crowd(scene: &MirrorScene, records: usize) {
    let second = scene.now() - hours(30);
    for number in 0..records {
        let (call_type, cdr_type) =
            [("Queue", 8), ("VoiceMail", 11), ("XferCDR", 13), ("Auto forward", 23)][number % 4];
        let mut record = Record::new(&format!("crowd{number}"), call_type, second);
        record.cdr_type = Some(cdr_type);
        record.empties = Empties::Absent;
        scene.insert(record, second + minutes(5));
    }
}

#[tokio::test]
async fn a_second_with_more_calls_than_an_answer_holds_is_read_by_slices() {
    let simulator = SimulatorOptions { record_limit: 100, ..small(ApiGeneration::Current) };
    let scene = MirrorScene::of(Setup { history: days(2), ..Setup::new(simulator) }).await;
    crowd(&scene, 250);
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
    let sliced = |request: &voicenter_simulator::RequestEntry| {
        request.search.as_ref().is_some_and(|search| !search.cdr_types.is_empty())
    };
    assert!(scene.simulator.requests().all().iter().any(sliced));
}

#[tokio::test]
async fn a_second_that_the_older_api_never_gives_out_is_a_gap_and_all_else_is_there() {
    let simulator = SimulatorOptions { record_limit: 100, ..small(ApiGeneration::V01) };
    let scene = MirrorScene::of(Setup { history: days(2), ..Setup::new(simulator) }).await;
    crowd(&scene, 250);
    let second = scene.now() - hours(30);
    scene.pass().await;
    let gaps = scene.store.gaps(Some("main")).await.unwrap();
    assert!(gaps.iter().all(|gap| gap.reason == "overloaded"), "{gaps:?}");
    // Nothing says whether bounds are inclusive, so the seconds beside it cannot be asked for without it.
    let gap = gaps.iter().map(|gap| gap.window).reduce(|all, one| all.hull(&one)).unwrap();
    assert!(gap.contains(second) && gap.len() <= chrono::TimeDelta::seconds(5), "{gaps:?}");
    let url = scene.database.url();
    let truth = |from, to| scene.simulator.truth(scene.now(), from, to);
    for (from, to) in [(scene.start, gap.from()), (gap.to(), scene.now())] {
        compare::assert_mirrors(url, "main", &truth(from, to), from, to).await;
    }
    let cursor = scene.status().await.cursor.unwrap();
    assert!(cursor.from() <= scene.start, "a gap does not end what is known: {cursor}");
}

#[tokio::test]
async fn two_accounts_on_one_database_do_not_mix() {
    let database = Arc::new(Database::new().await);
    let clock = ManualClock::new(instant(NOW));
    let setup = |account, code: &str, seed, generation| {
        let mut simulator = small(generation);
        simulator.code = SecretString::from(code);
        simulator.world.seed = seed;
        Setup { account, history: days(2), ..Setup::new(simulator) }
    };
    let north = setup("north", "north's", 1, ApiGeneration::Current);
    let north = MirrorScene::on(Arc::clone(&database), clock.clone(), north).await;
    // The same calls under other names: keys collide unless the account is part of them.
    let south = setup("south", "south's", 1, ApiGeneration::V01);
    let south = MirrorScene::on(Arc::clone(&database), clock.clone(), south).await;
    let (first, second) = tokio::join!(north.pass(), south.pass());
    assert!(first.inserted > 1_000 && second.inserted > 1_000, "{first:?} {second:?}");
    for scene in [&north, &south] {
        scene.assert_mirrors().await;
        scene.assert_complete().await;
    }
    assert!(south.truth().iter().all(|row| row.started_at > DateTime::UNIX_EPOCH));
}

#[tokio::test]
async fn a_busy_hour_that_the_clock_repeats_is_read_in_few_requests() {
    // Both passes of that hour are written the same, so that its bounds bring the calls of both.
    let mut simulator = SimulatorOptions { record_limit: 100, ..simulated(ApiGeneration::Current) };
    simulator.world = WorldOptions { calls_per_day: 0.0, ..simulator.world };
    simulator.dialect.date_form = Some(DateForm::Plain);
    simulator.dialect.zone = Some(Tz::Asia__Jerusalem);
    let now = instant("2026-10-25T04:00:00Z");
    let scene = MirrorScene::of(Setup { now, history: hours(10), ..Setup::new(simulator) }).await;
    let calls = 1_800;
    for number in 0..calls {
        let date = now - hours(10) + chrono::TimeDelta::seconds(7 + 20 * number);
        scene.insert(Record::new(&format!("call{number}"), "Queue", date), date + minutes(2));
    }
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
    let requests = scene.simulator.requests().all().len() as i64;
    assert!(requests < calls / 100 * 8, "{requests} requests for {calls} calls");
}
