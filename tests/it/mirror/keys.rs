//! Records that share a key, move about, lie beyond the vendor's horizon, or come in another form, end to end.

use std::sync::Arc;

use cdr_sync::plan::Mode;
use cdr_sync::setup;
use cdr_sync::sync::Account;
use cdr_sync::sync::status::ProgressWatch;
use chrono::TimeDelta;
use serde_json::json;
use voicenter_simulator::{ApiGeneration, DialectOptions, Record, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, configuration, simulated};
use crate::support::compare;
use crate::support::dates::{days, hours, instant, minutes};

const TUESDAY: &str = "2026-06-16T09:00:00Z";

fn empty(generation: ApiGeneration) -> SimulatorOptions {
    SimulatorOptions { world: WorldOptions::empty(), ..simulated(generation) }
}

async fn scene(simulator: SimulatorOptions, history: TimeDelta) -> MirrorScene {
    let setup = Setup { now: instant(TUESDAY), history, ..Setup::new(simulator) };
    MirrorScene::of(setup.with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m")).await
}

/// The scene's account as another configuration makes it.
pub async fn configured<const N: usize>(
    scene: &MirrorScene,
    url: String,
    more: [(&'static str, String); N],
) -> Account {
    let env = [
        ("VOICENTER_CODE", "simulated-code".to_owned()),
        ("DATABASE_URL", scene.database.url().to_owned()),
        ("CDR_SYNC__ACCOUNTS__0__NAME", scene.account.name.clone()),
        ("CDR_SYNC__API__URL", url),
        ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "1000000".to_owned()),
        ("CDR_SYNC__API__BURST", "1000".to_owned()),
    ];
    let config = configuration(env.into_iter().chain(more));
    setup::accounts(&config, &scene.store).await.unwrap().remove(0)
}

async fn open_rejected(scene: &MirrorScene) -> usize {
    scene.store.rejected(Some("main"), 100).await.unwrap().len()
}

/// A call every twenty minutes from the beginning, so that no window is empty.
fn background(scene: &MirrorScene) {
    let mut date = scene.start + minutes(5);
    let mut number = 0;
    while date < scene.now() + days(2) {
        scene.insert(Record::new(&format!("call{number:05}"), "Queue", date), date + minutes(2));
        (date, number) = (date + minutes(20), number + 1);
    }
}

#[tokio::test]
async fn twins_far_apart_and_records_that_move_far_forth_and_back_end_as_the_api_shows_them() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        let scene = scene(empty(generation), days(3)).await;
        let begin = scene.now();
        background(&scene);
        for (name, away) in [("back", hours(-30)), ("forth", hours(30))] {
            let home = begin - hours(36);
            scene.insert(Record::new(name, "Queue", home), home);
            // There for good, and there for an hour only.
            let world = scene.simulator.world();
            scene.insert(Record::new(&format!("{name} again"), "Queue", home), home);
            assert!(world.edit(name, "Queue", begin + hours(1), |record| record.started_at += away));
            let again = format!("{name} again");
            assert!(world.edit(&again, "Queue", begin + hours(1), |record| record.started_at += away));
            assert!(world.edit(&again, "Queue", begin + hours(2), |record| record.started_at = home));
        }
        for (number, date) in [begin - hours(1), begin - hours(50)].into_iter().enumerate() {
            let twin = Record { ring_time: Some(number as i32), ..Record::new("twin", "Queue", date) };
            scene.insert(twin, date);
        }
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, begin + minutes(50)).await;
        assert_eq!(open_rejected(&scene).await, 1, "the earlier twin");
        // What moves is met where it went, and nowhere else.
        for (hour, places) in [(1, &[-66, -6][..]), (2, &[-36])] {
            scene.live(&mut engine, begin + hours(hour) + minutes(1)).await;
            for shift in places {
                let at = begin + hours(*shift);
                engine.ask_for(cdr_sync::window::Window::new(at - minutes(1), at + minutes(1)).unwrap());
            }
            scene.live(&mut engine, begin + hours(hour) + minutes(45)).await;
            assert_eq!(open_rejected(&scene).await, 1, "{generation:?}: after {hour} hours");
            let truth = scene.simulator.truth(scene.now(), scene.start, begin);
            let url = scene.database.url();
            compare::assert_mirrors(url, "main", &truth, scene.start, begin).await;
        }
        // The later twin goes: the other is the row.
        assert!(scene.simulator.world().remove("twin", "Queue", scene.now()), "the first inserted");
        let left = scene.simulator.truth(scene.now() + minutes(1), scene.start, begin);
        scene.live(&mut engine, begin + hours(28)).await;
        engine.close().await.unwrap();
        compare::assert_mirrors(scene.database.url(), "main", &left, scene.start, begin).await;
        assert_eq!(open_rejected(&scene).await, 0);
        assert_eq!(scene.database.count("select count(*) from cdr_sync.twin").await, 0);
        assert_eq!(
            scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await,
            0
        );
    }
}

#[tokio::test]
async fn a_wrong_zone_and_back_leaves_every_row_as_it_was() {
    let right = scene(SimulatorOptions { record_limit: 300, ..empty(ApiGeneration::V01) }, days(2)).await;
    // Nothing shows the zone: no epoch, no time in CallIDs, and no call of late that would be read as a future one.
    for number in 0..600 {
        let date = right.start + minutes(3 * number + 5);
        right.insert(Record::new(&format!("call{number:05}"), "Queue", date), date);
    }
    right.pass().await;
    right.assert_mirrors().await;
    // The same server, read as if its zone were another one.
    let zone = ("CDR_SYNC__API__TIMEZONE", "America/New_York".to_owned());
    let start = ("CDR_SYNC__SYNC__START", (right.start + hours(8)).to_rfc3339());
    let wrong = configured(&right, right.simulator.url(), [zone, start]).await;
    let account =
        Account { client: wrong.client, scope: wrong.scope, start: wrong.start, ..right.account.clone() };
    let right_account = right.account.clone();
    let mut scene = right;
    scene.account = account;
    scene.pass().await;
    scene.account = right_account;
    scene.pass().await;
    scene.assert_mirrors().await;
    assert_eq!(open_rejected(&scene).await, 0);
}

#[tokio::test]
async fn history_that_the_vendor_no_longer_keeps_is_not_marked_and_a_lost_old_call_is() {
    for generation in [ApiGeneration::Current, ApiGeneration::V01] {
        // History begins long before the first call; the purge ends in the midst of what is read at once.
        let scene = scene(empty(generation), days(40)).await;
        let begin = scene.now();
        let dates = |from: i64| (from..0).map(move |hour| (hour, begin + hours(hour) + minutes(3)));
        for (hour, date) in dates(-480) {
            scene.insert(Record::new(&format!("call{hour}"), "Queue", date), date);
        }
        scene.pass().await;
        scene.assert_mirrors().await;
        scene.clock.advance(minutes(1));
        for (hour, _) in dates(-480).take_while(|(_, date)| *date < begin - hours(231)) {
            assert!(scene.simulator.world().remove(&format!("call{hour}"), "Queue", scene.now()));
        }
        assert!(scene.simulator.world().remove("call-100", "Queue", scene.now()));
        let old = cdr_sync::window::Window::new(scene.start, begin).unwrap();
        for _ in 0..4 {
            scene.read_again(old).await;
            scene.clock.advance(hours(5));
            scene.pass().await;
        }
        let marked =
            scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await;
        assert_eq!(marked, 1, "{generation:?}");
        let call = "select count(*) from voicenter.cdr where removed_at is not null and call_id = 'call-100'";
        assert_eq!(scene.database.count(call).await, 1);
        assert_eq!(scene.status().await.missing, 0);
        assert_eq!(scene.status().await.horizon, Some(begin - hours(231) + minutes(3)));
    }
}

#[tokio::test]
async fn a_server_that_changes_the_form_of_everything_makes_no_row_change() {
    let plain = SimulatorOptions {
        record_limit: 700,
        world: WorldOptions {
            calls_per_day: 1_000.0,
            ..simulated(ApiGeneration::Current).world.unchanging()
        },
        ..simulated(ApiGeneration::Current)
    };
    let dialect =
        DialectOptions { lower_case_names: true, text_numbers: true, date_epoch: false, ..plain.dialect };
    let other = SimulatorOptions { dialect, ..plain.clone() };
    let first = scene(plain, days(2)).await;
    let second = MirrorScene::on(
        Arc::clone(&first.database),
        first.clock.clone(),
        Setup { now: instant(TUESDAY), history: days(2), ..Setup::new(other) },
    )
    .await;
    for simulator in [&first.simulator, &second.simulator] {
        let record = Record {
            unknown: json!({"NewField": 7, "Flag": true}).as_object().unwrap().clone(),
            ..Record::new("odd", "Queue", first.now() - hours(7))
        };
        simulator.world().insert(record, first.now() - hours(6));
    }
    first.pass().await;
    first.assert_mirrors().await;
    let tuples = first.tuples().await;
    // The same account, as far as the ledger knows.
    let mut scene = second;
    scene.account.scope = first.account.scope.clone();
    let again = scene.read_again(scene.history()).await;
    assert!(again.records > 1_500, "{again:?}");
    assert_eq!((again.inserted, again.updated, again.removed), (0, 0, 0), "{again:?}");
    assert_eq!(scene.tuples().await, tuples);
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr where extra ? 'DateEpoch'").await, 0);
}
