//! A month of calls, mirrored twice: with notifications and without. They change nothing of the mirror, lose nothing, and
//! what they missed is counted as it was.

use std::collections::{BTreeMap, BTreeSet};

use cdr_sync::plan::Mode;
use cdr_sync::sync::engine::Engine;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use voicenter_simulator::{ApiGeneration, PushOptions, PushTime, PushTruth, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup};
use crate::push::receiving::{KEY, Receiving};
use crate::support::database::Database;
use crate::support::dates::{days, hours, instant};
use crate::support::log::Log;
use crate::support::simulator::unlimited;

/// What is looked at rarely is looked at again after this.
const LOOKED_AT_AFTER: TimeDelta = TimeDelta::hours(1);
const LOOKS: i32 = 2;

/// What is missed by a read is looked for within this.
const SETTLING: TimeDelta = TimeDelta::hours(2);

/// A receiver of which nothing was noted for longer was not running.
const NOTED_WITHIN: TimeDelta = TimeDelta::minutes(3);

/// Some time of a company's life.
struct Life {
    begin: DateTime<Utc>,
    length: TimeDelta,
    calls_per_day: f64,
    time: PushTime,
    /// How often notifications are delivered and joined.
    step: TimeDelta,
    /// The receiver is not running then.
    outage: (DateTime<Utc>, DateTime<Utc>),
}

impl Life {
    fn end(&self) -> DateTime<Utc> {
        self.begin + self.length
    }

    fn last_read(&self) -> DateTime<Utc> {
        self.end() + SETTLING
    }

    /// So few records that everything rare is to happen more often than it does.
    fn setup(&self) -> Setup {
        let world = WorldOptions {
            calls_per_day: self.calls_per_day,
            late_share: 0.05,
            vanish_share: 0.005,
            move_share: 0.005,
            retype_share: 0.005,
            twin_share: 0.005,
            ..WorldOptions::default()
        };
        let simulator = SimulatorOptions { world, record_limit: 500, ..unlimited(ApiGeneration::Current) };
        Setup { now: self.begin, history: days(1), ..Setup::new(simulator) }
            .with("CDR_SYNC__SYNC__POLL_INTERVAL", "3h")
            .with("CDR_SYNC__SYNC__LOOKBACK", "4h")
            .with("CDR_SYNC__SYNC__RECONCILE", "1d")
    }

    async fn without_pushes(&self) -> MirrorScene {
        let scene = MirrorScene::of(self.setup()).await;
        let mut engine = first_read(&scene).await;
        scene.live(&mut engine, self.end()).await;
        settle(&scene, engine).await;
        scene
    }

    async fn with_pushes(&self) -> (MirrorScene, Receiving) {
        let mut receiving = Receiving::bind().await;
        let mut setup = self.setup();
        setup.simulator.push = Some(PushOptions { time: self.time, ..PushOptions::to(receiving.url()) });
        setup.env.extend(receiving.env());
        let scene = MirrorScene::of(setup).await;
        receiving.serve(&scene).await;
        let mut engine = first_read(&scene).await;
        while scene.now() < self.end() {
            scene.live(&mut engine, (scene.now() + self.step).min(self.end())).await;
            let is_down = (self.outage.0..self.outage.1).contains(&scene.now());
            if is_down {
                receiving.stop()
            } else {
                receiving.run()
            }
            scene.simulator.deliver_due().await;
            if !is_down {
                receiving.turn(&scene, self.step > NOTED_WITHIN).await;
            }
        }
        settle(&scene, engine).await;
        // Once for what the last reads have brought, and once for what is looked at rarely.
        for _ in 0..LOOKS {
            receiving.join().await;
            scene.clock.advance(LOOKED_AT_AFTER);
        }
        (scene, receiving)
    }
}

async fn first_read(scene: &MirrorScene) -> Engine {
    scene.pass().await;
    scene.engine(Mode::Daemon, ProgressWatch::default()).await
}

/// All of history is read again, and what the daemon then looks for has time to be found missing; the last read is of this
/// very instant.
async fn settle(scene: &MirrorScene, engine: Engine) {
    engine.close().await.unwrap();
    scene.read_again(scene.history()).await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, scene.now() + SETTLING).await;
    engine.close().await.unwrap();
    scene.read_again(scene.history()).await;
}

/// The mirror apart from what says when something was done: first_seen_at and updated_at are the database's time of a
/// commit, and removed_at is when a read first missed the record, which is another time where other reads were made. That it
/// was removed is compared, unless it went in the last hours: one may have missed it twice, the other only once.
async fn mirror(scene: &MirrorScene, read_at: DateTime<Utc>) -> BTreeSet<String> {
    let shown = |at: DateTime<Utc>| -> BTreeSet<(String, String)> {
        let rows = scene.simulator.truth(at, scene.start, at).into_iter();
        rows.map(|row| (row.call_id, row.r#type)).collect()
    };
    let went: BTreeSet<_> = shown(read_at - SETTLING).difference(&shown(read_at)).cloned().collect();
    let query =
        "select call_id, type, (to_jsonb(c) - array['first_seen_at', 'updated_at', 'removed_at'])::text
                     || case when removed_at is not null then ' removed' else '' end
                 from voicenter.cdr c";
    let rows: Vec<(String, String, String)> =
        sqlx::query_as(query).fetch_all(&mut scene.database.sql().await).await.unwrap();
    let rows = rows.into_iter().map(|(call_id, call_type, row)| ((call_id, call_type), row));
    rows.filter(|(key, _)| !went.contains(key)).map(|(_, row)| row).collect()
}

/// Records that count, and how many of them had a notification, by type.
type Shares = BTreeMap<String, (i64, i64)>;

/// What `voicenter.push_daily` says, and the database's time then.
async fn counted(scene: &MirrorScene) -> (Shares, DateTime<Utc>) {
    let query = "select type, sum(records)::bigint, sum(pushed)::bigint, now() from voicenter.push_daily group by type";
    let rows: Vec<(String, i64, i64, DateTime<Utc>)> =
        sqlx::query_as(query).fetch_all(&mut scene.database.sql().await).await.unwrap();
    let now = rows[0].3;
    (rows.into_iter().map(|(call_type, records, pushed, _)| (call_type, (records, pushed))).collect(), now)
}

/// The same by what the simulator knows.
async fn true_shares(scene: &MirrorScene, receiving: &Receiving, now: DateTime<Utc>) -> Shares {
    let pushes = scene.simulator.push_truth(scene.start, scene.now());
    let query = "select call_id, type, started_at from voicenter.cdr where removed_at is null";
    let rows: Vec<(String, String, DateTime<Utc>)> =
        sqlx::query_as(query).fetch_all(&mut scene.database.sql().await).await.unwrap();
    let mut legs: BTreeMap<String, usize> = BTreeMap::new();
    rows.iter().for_each(|(call_id, ..)| *legs.entry(call_id.clone()).or_default() += 1);
    let query = "select call_id, type, talk_seconds from voicenter.cdr_push where state = 'confirmed'";
    let joined: Vec<(String, String, Option<i32>)> =
        sqlx::query_as(query).fetch_all(&mut scene.database.sql().await).await.unwrap();
    // One without a type is of the only record that its call had when it came. Of several nobody can say which; if it was joined
    // before the others were there, then to the right one.
    let is_joinable = |push: &PushTruth| {
        let joined_to = |(call_id, call_type, talk): &(String, String, Option<i32>)| {
            (call_id, call_type, *talk) == (&push.call_id, &push.call_type, Some(push.talk_seconds))
        };
        push.was_type_received || legs.get(&push.call_id) == Some(&1) || joined.iter().any(joined_to)
    };
    let received: BTreeSet<(String, String)> = pushes
        .into_iter()
        .filter(|push| push.received_at.is_some() && is_joinable(push))
        .map(|push| (push.call_id, push.call_type))
        .collect();
    let mut shares = Shares::new();
    for (call_id, call_type, started_at) in rows {
        let was_up = receiving.was_up.iter().any(|(from, until)| (*from..*until).contains(&started_at));
        if was_up && started_at < now - hours(24) {
            let share = shares.entry(call_type.clone()).or_default();
            share.0 += 1;
            share.1 += i64::from(received.contains(&(call_id, call_type)));
        }
    }
    shares
}

async fn assert_holds(life: Life) {
    let (log, _logging) = Log::begin();
    let ((with, receiving), without) = tokio::join!(life.with_pushes(), life.without_pushes());
    let sent = with.simulator.deliveries();
    assert!(sent.refused > 0 && sent.accepted > 200, "{sent:?}");
    let unread = "select count(*) from cdr_sync.push where state <> 'applied'";
    assert_eq!(with.database.count(unread).await, 0);

    let (mirrored, alone) = (mirror(&with, life.last_read()).await, mirror(&without, life.last_read()).await);
    assert_eq!(mirrored.symmetric_difference(&alone).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(alone.iter().any(|row| row.ends_with("removed")), "nothing was removed");

    let doubled = "select count(*) from (select from voicenter.records group by account, call_id, type having count(*) > 1) d";
    assert_eq!(with.database.count(doubled).await, 0);
    let difference = "with keys as (
             select account, call_id, type from voicenter.cdr union select account, call_id, type from voicenter.cdr_push
         ), records as (select account, call_id, type from voicenter.records)
         select count(*) from ((table keys except all table records) union all (table records except all table keys)) d";
    assert_eq!(with.database.count(difference).await, 0);
    let kinds = "select source from voicenter.records group by source order by source";
    assert_eq!(with.database.lines(kinds).await, ["both", "pull", "push"]);

    // Two more turns were taken after the end.
    let noted: Vec<(DateTime<Utc>, DateTime<Utc>)> =
        sqlx::query_as("select from_at, until_at from cdr_sync.push_uptime order by 1")
            .fetch_all(&mut with.database.sql().await)
            .await
            .unwrap();
    assert_eq!(noted[..2], receiving.was_up);
    let (shares, now) = counted(&with).await;
    assert_eq!(shares, true_shares(&with, &receiving, now).await);

    let analyses: BTreeSet<String> =
        with.database.lines("select call_id from voicenter_ai.call_ai").await.into_iter().collect();
    let pushes = with.simulator.push_truth(with.start, with.now());
    let analysed: Vec<_> = pushes.iter().filter(|push| push.ai_received_at.is_some()).collect();
    let late = analysed.iter().filter(|push| push.ai_received_at > push.received_at).count();
    assert!(late > 20, "{late}");
    for push in analysed {
        assert!(analyses.contains(&push.call_id), "{push:?}");
    }

    let said = receiving.metrics(with.now()) + &log.text();
    for secret in secrets(&with).await {
        assert!(!said.contains(&secret), "{secret}");
    }
}

/// What nobody but a reader of the tables may see.
async fn secrets(scene: &MirrorScene) -> Vec<String> {
    let words = "select distinct word from (
             select unnest(array[caller_number, target_number, representative_name, record_url]) as word from voicenter.cdr
             union all
             select unnest(array[shared ->> 'caller_number', shared ->> 'target_number', shared ->> 'representative_name',
                                 shared ->> 'record_url', client_phone]) from voicenter.cdr_push
         ) w where char_length(word) >= 7 and word <> 'anonymous'";
    let mut secrets = scene.database.lines(words).await;
    assert!(secrets.len() > 300);
    secrets.push(KEY.to_owned());
    secrets
}

#[tokio::test]
async fn a_month_of_notifications_changes_nothing_of_the_mirror_and_is_counted_exactly() {
    let begin = instant("2026-06-01T05:00:00Z");
    assert_holds(Life {
        begin,
        length: days(30),
        calls_per_day: 40.0,
        time: PushTime::Local,
        step: hours(3),
        outage: (begin + days(9), begin + days(9) + hours(10)),
    })
    .await;
}

/// Two working days, with turns as close as the receiver's own notes of when it ran need them.
#[tokio::test]
async fn so_are_days_of_notifications_that_tell_the_time_either_way() {
    let time = PushTime::Mixed;
    let begin = instant("2026-06-15T05:00:00Z");
    let outage = (begin + hours(5), begin + hours(10));
    let (length, calls_per_day, step) = (hours(30), 400.0, NOTED_WITHIN);
    assert_holds(Life { begin, length, calls_per_day, time, step, outage }).await;
}

#[tokio::test]
async fn records_count_as_missed_from_a_day_after_their_start() {
    let database = Database::migrated().await;
    // By the database's clock, for that is what the view goes by.
    let records = "insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
                   select 'main', n::text, 'Queue', now() - interval '24 hours' + n * interval '10 minutes', now(), now()
                   from generate_series(-2, 2) n where n <> 0;
                   insert into cdr_sync.push_uptime values ('main', now() - interval '2 days', now())";
    database.execute(records).await;
    let shares = database
        .lines(
            "select concat_ws(' ', type, sum(records), sum(pushed)) from voicenter.push_daily group by type",
        )
        .await;
    assert_eq!(shares, ["Queue 2 0"]);
}
