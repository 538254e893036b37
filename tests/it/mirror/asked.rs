//! Spans that somebody asked a daemon to read again, by rows of `cdr_sync.request`.

use cdr_sync::plan::Mode;
use cdr_sync::sync::engine::TickOutcome;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use voicenter_simulator::ApiGeneration;

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::{days, instant};

/// Calls of ten days, all of them read; those of five days ago have lost a column since, which no re-read is due to find.
async fn damaged() -> (MirrorScene, Window) {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world.calls_per_day = 200.0;
    let setup = Setup { now: instant("2026-06-19T00:00:00Z"), history: days(10), ..Setup::new(simulator) };
    let scene = MirrorScene::of(setup).await;
    scene.pass().await;
    let from = scene.now() - days(5);
    let damage = format!(
        "update voicenter.cdr set duration_seconds = 4711 where started_at >= '{from}' and started_at < '{}'",
        from + TimeDelta::hours(30)
    );
    scene.database.execute(&damage).await;
    assert!(wrong(&scene).await > 100);
    (scene, Window::new(from, from + TimeDelta::hours(30)).unwrap())
}

async fn wrong(scene: &MirrorScene) -> i64 {
    scene.database.count("select count(*) from voicenter.cdr where duration_seconds = 4711").await
}

async fn ask(scene: &MirrorScene, span: &str) {
    let insert =
        format!("insert into cdr_sync.request (account, span) values ('{}', {span})", scene.account.name);
    scene.database.execute(&insert).await;
}

async fn rows(scene: &MirrorScene) -> Vec<String> {
    let rows =
        "select concat_ws(' ', state, progress, started_at is not null, finished_at is not null, error)
                from cdr_sync.request order by id";
    scene.database.lines(rows).await
}

async fn a_minute(scene: &MirrorScene, engine: &mut cdr_sync::sync::engine::Engine) -> DateTime<Utc> {
    let end = scene.now() + TimeDelta::minutes(1);
    scene.live(engine, end).await;
    end
}

#[tokio::test]
async fn a_row_inserted_in_sql_has_its_span_read_again_and_says_so() {
    let (scene, span) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    a_minute(&scene, &mut engine).await;
    let before = wrong(&scene).await;
    // Twice the same, as two people do, with bounds as SQL has them.
    let range = format!("tstzrange('{}', '{}', '(]')", span.from() - TimeDelta::seconds(1), span.to());
    for _ in 0..2 {
        ask(&scene, &range).await;
    }
    a_minute(&scene, &mut engine).await;
    assert_eq!((wrong(&scene).await, rows(&scene).await), (before, vec!["waiting 0 f f".to_owned(); 2]));
    engine.take_on_work(&[1, 2].into()).await;
    assert_eq!(rows(&scene).await, ["running 0 t f"; 2]);
    let asked = scene.simulator.requests().len();
    a_minute(&scene, &mut engine).await;
    assert_eq!((wrong(&scene).await, rows(&scene).await), (0, vec!["done 1 t t".to_owned(); 2]));
    let both = scene.simulator.requests().len() - asked;
    // What waits as a whole is read once for all who ask for it.
    ask(&scene, &range).await;
    engine.take_on_work(&[3].into()).await;
    let asked = scene.simulator.requests().len();
    a_minute(&scene, &mut engine).await;
    assert_eq!(both, scene.simulator.requests().len() - asked);
    engine.close().await.unwrap();
    scene.assert_mirrors().await;
}

#[tokio::test]
async fn the_row_says_what_of_a_span_is_not_kept() {
    let (mut scene, span) = damaged().await;
    scene.account.retention = Some(days(4));
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    a_minute(&scene, &mut engine).await;
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), span.to())).await;
    engine.take_on_work(&[1].into()).await;
    a_minute(&scene, &mut engine).await;
    let rows = rows(&scene).await;
    assert!(rows[0].starts_with("done 1 t t what is older than 2026-06-14 21:00:00 UTC"), "{rows:?}");
    assert!(rows[0].ends_with(" is not kept (retention.calls); the rest was read"), "{rows:?}");
    let kept = "select count(*) from voicenter.cdr where duration_seconds = 4711 and started_at >= '2026-06-14 21:00Z'";
    assert_eq!(scene.database.count(kept).await, 0);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn what_a_leader_had_begun_the_next_one_does() {
    let (scene, span) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), span.to())).await;
    engine.take_on_work(&[1].into()).await;
    engine.close().await.unwrap();
    assert_eq!(rows(&scene).await, ["running 0 t f"]);
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    engine.take_on_work(&[1].into()).await;
    // Taken once, however often it is looked for.
    engine.take_on_work(&[1].into()).await;
    a_minute(&scene, &mut engine).await;
    assert_eq!((wrong(&scene).await, rows(&scene).await), (0, vec!["done 1 t t".to_owned()]));
    engine.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_fails_and_says_why() {
    let (scene, span) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    let later = scene.now() + days(1);
    ask(&scene, &format!("tstzrange('{later}', '{}')", later + days(1))).await;
    ask(&scene, "tstzrange('290000-01-01', '290001-01-01')").await;
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), later)).await;
    ask(&scene, "tstzrange('0202-06-01', '0202-06-02')").await;
    engine.take_on_work(&[1, 2, 3, 4].into()).await;
    a_minute(&scene, &mut engine).await;
    // What lies in the future is left out of the last one.
    let future = "failed 1 t t it lies in the future";
    assert_eq!(
        rows(&scene).await,
        [future, future, "done 1 t t", "failed 1 t t it begins before the year 2000"]
    );
    assert_eq!(wrong(&scene).await, 0);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_request_is_done_only_once_its_last_answer_is_stored() {
    let (scene, span) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    a_minute(&scene, &mut engine).await;
    let mut held = scene.database.sql().await;
    sqlx::raw_sql("begin; lock table voicenter.cdr in share row exclusive mode")
        .execute(&mut held)
        .await
        .unwrap();
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), span.to())).await;
    engine.take_on_work(&[1].into()).await;
    // Its only answer is read and waits for the lock.
    while !matches!(engine.tick().await.unwrap(), TickOutcome::Asked) {}
    ask(&scene, "tstzrange('2027-01-01', '2027-01-02')").await;
    engine.take_on_work(&[1, 2].into()).await;
    let future = "failed 1 t t it lies in the future";
    assert_eq!(rows(&scene).await[1], future);
    assert!(rows(&scene).await[0].starts_with("running"), "{:?}", rows(&scene).await);
    sqlx::raw_sql("commit").execute(&mut held).await.unwrap();
    a_minute(&scene, &mut engine).await;
    assert_eq!(
        (wrong(&scene).await, rows(&scene).await),
        (0, vec!["done 1 t t".to_owned(), future.to_owned()])
    );
    engine.close().await.unwrap();
}

#[tokio::test]
async fn what_is_deleted_is_not_read_and_who_lost_the_lead_writes_nothing() {
    let (scene, span) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    a_minute(&scene, &mut engine).await;
    let before = wrong(&scene).await;
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), span.to())).await;
    engine.take_on_work(&[1].into()).await;
    scene.database.execute("update cdr_sync.request set state = 'failed', error = 'by hand'").await;
    engine.take_on_work(&[].into()).await;
    a_minute(&scene, &mut engine).await;
    assert_eq!((wrong(&scene).await, rows(&scene).await), (before, vec!["failed 0 t f by hand".to_owned()]));
    scene.database.execute("update cdr_sync.cursor set fence = fence + 1").await;
    ask(&scene, &format!("tstzrange('{}', '{}')", span.from(), span.to())).await;
    engine.take_on_work(&[2].into()).await;
    assert_eq!(rows(&scene).await[1], "waiting 0 f f");
}

#[tokio::test]
async fn what_is_overdue_is_known_until_it_is_read_again() {
    let (scene, _) = damaged().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    a_minute(&scene, &mut engine).await;
    assert_eq!(engine.planner().overdue(scene.now()), TimeDelta::zero());
    // Nobody has read for three days: what was two days old or less had not been read at the age of one.
    scene.clock.advance(days(3));
    // By the slower of both clocks: an answer shows what time it is at the API.
    let mut overdue = TimeDelta::zero();
    for _ in 0..5 {
        engine.tick().await.unwrap();
        overdue = overdue.max(engine.planner().overdue(scene.now()));
    }
    assert!(overdue > TimeDelta::hours(20) && overdue < days(10), "{overdue}");
    scene.live(&mut engine, scene.now() + TimeDelta::hours(2)).await;
    assert_eq!(engine.planner().overdue(scene.now()), TimeDelta::zero());
    engine.close().await.unwrap();
}
