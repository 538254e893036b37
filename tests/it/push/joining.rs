//! Notifications joined to what the pull brings.

use cdr_sync::clock::Clock;
use cdr_sync::joining::{Joining, Seen};
use cdr_sync::metrics::Metrics;
use cdr_sync::plan::Mode;
use cdr_sync::push::KeyHash;
use cdr_sync::sync::engine::Engine;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use voicenter_simulator::{ApiGeneration, Record, Search, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, configuration};
use crate::support::dates::minutes;
use crate::support::simulator::unlimited;

/// A Saturday noon in summer: Jerusalem is three hours ahead of UTC.
const AHEAD: TimeDelta = TimeDelta::hours(3);

/// An account whose notifications are written into the inbox by hand; only what is inserted happens in its world.
struct JoinScene {
    mirror: MirrorScene,
    joining: Joining,
    metrics: Metrics,
    seen: Seen,
}

impl JoinScene {
    async fn new() -> Self {
        Self::of(|_| {}).await
    }

    async fn of(change: impl FnOnce(&mut SimulatorOptions)) -> Self {
        let world = WorldOptions { calls_per_day: 0.0, ..WorldOptions::default() };
        let mut simulator = SimulatorOptions { world, ..unlimited(ApiGeneration::Current) };
        change(&mut simulator);
        let env = [
            ("CDR_SYNC__PUSH__LISTEN", "127.0.0.1:1".to_owned()),
            ("CDR_SYNC__PUSH__KEYS", KeyHash::of("key").to_string()),
        ];
        let mut setup = Setup::new(simulator);
        setup.env.extend(env.clone());
        // Days go by in some of these tests.
        setup.env.push(("CDR_SYNC__SYNC__POLL_INTERVAL", "10m".to_owned()));
        let mirror = MirrorScene::of(setup).await;
        let database = [
            ("DATABASE_URL", mirror.database.url().to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__NAME", "main".to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__CODE", "code".to_owned()),
        ];
        let config = configuration(database.into_iter().chain(env));
        let metrics = Metrics::new().unwrap();
        let joining =
            Joining::new(&config, mirror.store.clone(), Clock::Manual(mirror.clock.clone()), metrics.clone());
        Self { mirror, joining, metrics, seen: Seen::default() }
    }

    fn now(&self) -> DateTime<Utc> {
        self.mirror.now()
    }

    /// The API shows this record from now on.
    fn appears(&self, record: Record) {
        self.mirror.simulator.world().insert(record, self.now());
    }

    /// A notification comes now.
    async fn comes(&self, body: &Value) {
        self.came(body, self.now()).await;
    }

    async fn came(&self, body: &Value, received_at: DateTime<Utc>) {
        let insert =
            "insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, raw, state)
             values ('main', sha256($1), $2, $2, $1, 'new')";
        sqlx::query(insert)
            .bind(body.to_string().into_bytes())
            .bind(received_at)
            .execute(&mut self.mirror.database.sql().await)
            .await
            .unwrap();
    }

    async fn joins(&mut self) {
        self.joining.turn(&mut self.seen).await.unwrap();
    }

    async fn lines(&self, query: &str) -> Vec<String> {
        self.mirror.database.lines(query).await
    }

    async fn states(&self) -> Vec<String> {
        self.lines(
            "select concat_ws(' ', call_id, type, state, 'x' || versions) from voicenter.cdr_push order by 1",
        )
        .await
    }

    /// How many requests asked for one call.
    fn asked_for_call(&self) -> usize {
        let requests = self.mirror.simulator.requests().all();
        let for_one = |search: &Search| search.call_id.is_some();
        requests.iter().filter(|request| request.search.as_ref().is_some_and(for_one)).count()
    }

    async fn daemon(&self) -> Engine {
        self.mirror.engine(Mode::Daemon, ProgressWatch::default()).await
    }
}

/// A queue's call at `at`: 300 s of waiting, then 60 s of talk.
fn queue_call(call_id: &str, at: DateTime<Utc>) -> Record {
    Record {
        cdr_type: Some(8),
        duration: Some(360),
        ring_time: Some(3),
        dial_status: "ANSWER".to_owned(),
        queue_name: "Sales".to_owned(),
        target_extension: "SIP1".to_owned(),
        ..Record::new(call_id, "Queue", at)
    }
}

/// What is pushed of it.
fn pushed(call_id: &str, at: DateTime<Utc>) -> Value {
    json!({
        "ivruniqueid": call_id, "type": "Queue", "time": (at + AHEAD).timestamp(), "duration": 360, "dialtime": 3,
        "queuename": "Sales", "queueid": 77, "seconds_waiting_in_queue": 300, "actualCallDuration": 60,
        "targetextension": "SIP1", "status": "ANSWER", "campaignName": "Spring"
    })
}

#[tokio::test]
async fn waits_and_talk_of_a_call_are_those_of_its_push() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(60);
    scene.appears(queue_call("1", at));
    scene.mirror.pass().await;
    let figures = "select concat_ws(' ', c.wait_seconds, c.wait_source, c.talk_seconds, c.talk_source, v.wait_seconds, v.wait_source, q.wait_seconds)
         from voicenter.calls c join voicenter.queue_visits v using (account, call_id)
         join voicenter.queue_15min q on q.account = c.account";
    assert_eq!(scene.lines(figures).await, ["unknown unknown unknown 0"]);
    let rows = "select string_agg(c::text, '' order by call_id) from voicenter.cdr c";
    let before = scene.lines(rows).await;

    scene.comes(&pushed("1", at)).await;
    scene.joins().await;
    assert_eq!(scene.lines(figures).await, ["300 vendor 60 vendor 300 vendor 300"]);
    assert_eq!(scene.lines(rows).await, before, "a push writes nothing of the mirror");
    assert_eq!(scene.states().await, ["1 Queue confirmed x1"]);
    let record = "select concat_ws(' ', source, state, talk_seconds, queue_id, campaign_name, duration_seconds) from voicenter.records";
    assert_eq!(scene.lines(record).await, ["both confirmed 60 77 Spring 360"]);
    assert_eq!(scene.lines("select time_base from voicenter.cdr_push").await, ["local"]);
    // Later changes of the record are folded with it.
    scene.mirror.simulator.world().edit("1", "Queue", scene.now(), |record| record.duration = Some(361));
    let history = scene.mirror.history();
    scene.mirror.read_again(history).await;
    assert_eq!(scene.lines(figures).await, ["300 vendor 60 vendor 300 vendor 300"]);
    // What contradicts the whole is no talk.
    scene.mirror.clock.advance(minutes(1));
    scene.comes(&json!({ "ivruniqueid": "1", "type": "Queue", "actualCallDuration": 5_000 })).await;
    scene.joins().await;
    assert_eq!(scene.lines(figures).await, ["300 vendor unknown 300 vendor 300"]);
}

#[tokio::test]
async fn what_comes_by_push_first_stands_in_records_and_is_confirmed_by_the_pull() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(10);
    // A CallID begins with the wall clock.
    let call = format!("{}ab", (at + AHEAD).format("%Y%m%d%H%M%S"));
    scene.comes(&pushed(&call, at)).await;
    scene.joins().await;
    let record = "select concat_ws(' ', source, state, started_at at time zone 'UTC', duration_seconds, talk_seconds, removed_at) from voicenter.records";
    let started = at.format("%Y-%m-%d %H:%M:%S").to_string();
    assert_eq!(scene.lines(record).await, [format!("push provisional {started} 360 60")]);
    assert_eq!(scene.lines("select count(*)::text from voicenter.cdr").await, ["0"]);
    scene.appears(queue_call(&call, at));
    scene.mirror.pass().await;
    scene.joins().await;
    assert_eq!(scene.lines(record).await, [format!("both confirmed {started} 360 60")]);
    let call = "select concat_ws(' ', wait_seconds, wait_source) from voicenter.calls";
    assert_eq!(scene.lines(call).await, ["300 vendor"]);
    // What the API no longer has is still one record.
    scene.mirror.database.execute("update voicenter.cdr set removed_at = now()").await;
    scene.joins().await;
    let record = scene
        .lines("select concat_ws(' ', source, state, removed_at is not null) from voicenter.records")
        .await;
    assert_eq!(record, ["both confirmed t"]);
}

#[tokio::test]
async fn records_are_the_union_of_both() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(60);
    for call in ["1", "2"] {
        scene.appears(queue_call(call, at));
    }
    scene.mirror.pass().await;
    for call in ["2", "3"] {
        scene.comes(&pushed(call, at)).await;
    }
    scene.joins().await;
    let records = "select concat_ws(' ', call_id, source) from voicenter.records order by 1";
    assert_eq!(scene.lines(records).await, ["1 pull", "2 both", "3 push"]);
    let same = "select count(*)::text from (
             select account, call_id, type from voicenter.records
             except all (select account, call_id, type from voicenter.cdr union select account, call_id, type from voicenter.cdr_push)) d";
    assert_eq!(scene.lines(same).await, ["0"]);
}

#[tokio::test]
async fn a_later_push_adds_to_the_first_and_an_older_one_only_fills_what_is_missing() {
    let mut scene = JoinScene::new().await;
    scene.comes(&json!({ "ivruniqueid": "1", "type": "Queue", "actualCallDuration": 60, "campaignName": "Spring" })).await;
    scene.joins().await;
    scene.mirror.clock.advance(minutes(5));
    scene
        .comes(&json!({ "ivruniqueid": "1", "type": "Queue", "actualCallDuration": 61, "extenUser": "SIP1" }))
        .await;
    scene.joins().await;
    let facts = "select concat_ws(' ', talk_seconds, campaign_name, extension_user, versions) from voicenter.cdr_push";
    assert_eq!(scene.lines(facts).await, ["61 Spring SIP1 2"]);
    // From a spool: received before the other.
    let late = json!({ "ivruniqueid": "1", "type": "Queue", "actualCallDuration": 7, "queueid": 5, "campaignName": "Summer" });
    scene.came(&late, scene.now() - minutes(2)).await;
    scene.joins().await;
    let facts = "select concat_ws(' ', talk_seconds, campaign_name, extension_user, queue_id, versions) from voicenter.cdr_push";
    assert_eq!(scene.lines(facts).await, ["61 Summer SIP1 5 3"]);
}

#[tokio::test]
async fn a_push_of_an_older_call_has_the_time_around_it_read() {
    let scene = JoinScene::new().await;
    scene.mirror.pass().await;
    let mut engine = scene.daemon().await;
    let end = scene.now() + minutes(30);
    scene.mirror.live(&mut engine, end).await;
    // It lasted two days, which no lookback reaches: without the push it would come with the re-reads of a week.
    let at = scene.now() - TimeDelta::days(2);
    scene.appears(queue_call("1", at));
    let mut scene = scene;
    scene.comes(&pushed("1", at)).await;
    scene.joins().await;
    let end = scene.now() + minutes(25);
    scene.mirror.live(&mut engine, end).await;
    engine.close().await.unwrap();
    scene.joins().await;
    assert_eq!(scene.states().await, ["1 Queue confirmed x1"]);
}

#[tokio::test]
async fn what_never_comes_is_asked_for_by_its_callid_and_then_unmatched() {
    let mut scene = JoinScene::new().await;
    scene.mirror.pass().await;
    let mut engine = scene.daemon().await;
    let at = scene.now() - minutes(2);
    scene.comes(&pushed("1", at)).await;
    scene.joins().await;
    let mut counts = Vec::new();
    for passed in [1, 2, 22, 4] {
        let end = scene.now() + TimeDelta::hours(passed);
        scene.mirror.live(&mut engine, end).await;
        counts.push(scene.asked_for_call());
    }
    engine.close().await.unwrap();
    assert_eq!(counts, [0, 1, 2, 2]);
    assert_eq!(scene.states().await, ["1 Queue unmatched x1"]);
    // It may come all the same.
    scene.appears(queue_call("1", at));
    let history = scene.mirror.history();
    scene.mirror.read_again(history).await;
    scene.mirror.clock.advance(minutes(10));
    // Looking at what is unmatched needs something else to look at.
    scene.comes(&pushed("2", at)).await;
    scene.joins().await;
    assert_eq!(scene.states().await[0], "1 Queue confirmed x1");
}

#[tokio::test]
async fn a_record_under_another_time_is_found_by_its_callid() {
    let mut scene = JoinScene::new().await;
    scene.mirror.pass().await;
    let mut engine = scene.daemon().await;
    // The push tells a time that is a day off.
    let at = scene.now() - TimeDelta::days(3);
    scene.appears(queue_call("1", at));
    scene.comes(&pushed("1", at + TimeDelta::days(1))).await;
    scene.joins().await;
    let end = scene.now() + TimeDelta::hours(3);
    scene.mirror.live(&mut engine, end).await;
    engine.close().await.unwrap();
    scene.joins().await;
    assert_eq!(scene.states().await, ["1 Queue confirmed x1"]);
}

#[tokio::test]
async fn an_account_that_reads_a_part_of_the_calls_asks_for_no_others() {
    let mut scene = JoinScene::new().await;
    scene.mirror.account.filter.extensions = vec!["SIP9".to_owned()];
    scene.mirror.pass().await;
    let mut engine = scene.daemon().await;
    let at = scene.now() - minutes(2);
    scene.comes(&pushed("1", at)).await;
    scene.joins().await;
    let end = scene.now() + TimeDelta::hours(30);
    scene.mirror.live(&mut engine, end).await;
    engine.close().await.unwrap();
    assert_eq!(scene.asked_for_call(), 0);
    assert_eq!(scene.states().await, ["1 Queue unmatched x1"]);
}

#[tokio::test]
async fn a_body_that_postgresql_refuses_does_not_keep_the_others_waiting() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(2);
    for call in ["1", "3"] {
        scene.comes(&pushed(call, at)).await;
    }
    let mut bad = pushed("2", at);
    bad["campaignName"] = json!("B");
    scene.comes(&bad).await;
    // No check of this program refuses it, but one of the database does.
    scene.mirror.database.execute("alter table voicenter.cdr_push add check (campaign_name <> 'B')").await;
    scene.joins().await;
    assert_eq!(scene.states().await, ["1 Queue provisional x1", "3 Queue provisional x1"]);
    let kept = "select concat_ws(' ', state, problem) from cdr_sync.push where state <> 'applied'";
    assert_eq!(scene.lines(kept).await, ["rejected PostgreSQL refused what it says (SQLSTATE 23514)"]);
}

#[tokio::test]
async fn figures_say_what_was_missed_how_late_pushes_come_and_what_differs() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - TimeDelta::hours(30);
    let uptime = "insert into cdr_sync.push_uptime values ('main', $1, $2)";
    sqlx::query(AssertSqlSafe(uptime))
        .bind(at - minutes(30))
        .bind(at + minutes(30))
        .execute(&mut scene.mirror.database.sql().await)
        .await
        .unwrap();
    for (call, started) in [("1", at), ("2", at), ("3", at - minutes(31)), ("4", scene.now() - minutes(60))] {
        scene.appears(queue_call(call, started));
    }
    scene.mirror.pass().await;
    let mut differs = pushed("1", at);
    differs["duration"] = json!(60);
    scene.comes(&differs).await;
    scene.comes(&pushed("4", scene.now() - minutes(60))).await;
    scene.joins().await;
    // Of the four only two started a day ago while somebody listened.
    assert_eq!(
        scene.lines("select concat_ws(' ', type, records, pushed) from voicenter.push_daily").await,
        ["Queue 2 1"]
    );
    let mut text = scene.metrics.expose(&[], true, scene.now());
    assert!(
        text.contains("cdr_sync_push_disagreements_total{account=\"main\",column=\"duration_seconds\"} 1"),
        "{text}"
    );
    assert!(text.contains("cdr_sync_push_latency_seconds_count{account=\"main\"} 2"), "{text}");
    scene.mirror.clock.advance(TimeDelta::hours(1));
    scene.comes(&pushed("5", at)).await;
    scene.joins().await;
    text = scene.metrics.expose(&[], true, scene.now());
    for line in [
        "cdr_sync_push_expected_records{account=\"main\",type=\"Queue\"} 2",
        "cdr_sync_push_matched_records{account=\"main\",type=\"Queue\"} 1",
        "cdr_sync_push_time_offset_seconds{account=\"main\"} 10800",
        "cdr_sync_push_records{account=\"main\",state=\"provisional\"} 1",
        "cdr_sync_push_waiting{account=\"main\"} 0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn they_are_renamed_forgotten_and_deleted_with_their_account() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(60);
    scene.appears(queue_call("1", at));
    scene.mirror.pass().await;
    scene.comes(&pushed("1", at)).await;
    scene.joins().await;
    scene.mirror.store.rename_account("main", "office").await.unwrap();
    let accounts = "select concat_ws(' ', account, source) from voicenter.records";
    assert_eq!(scene.lines(accounts).await, ["office both"]);
    let rest = "select (select count(*) from voicenter.cdr_push) || ' ' || (select count(*) from cdr_sync.push_uptime)";
    assert_eq!(scene.lines(rest).await, ["1 1"]);
    scene.mirror.store.forget_account("office", true).await.unwrap();
    assert_eq!(scene.lines(rest).await, ["0 0"]);
}

#[tokio::test]
async fn what_is_meant_to_break_it_breaks_nothing() {
    let mut scene = JoinScene::new().await;
    scene.mirror.pass().await;
    let mut engine = scene.daemon().await;
    let nested = (0..100).fold(json!("end"), |inner, _| json!([inner]));
    let wrapped = nested.to_string();
    for (call, mut body) in [
        (
            "1",
            json!({ "a": { "$serde_json::private::RawValue": wrapped }, "$serde_json::private::RawValue": "[" }),
        ),
        ("2", json!({ "!a_key_that_is_longer_than_the_other_one": 1, "$serde_json::private::Number": "x" })),
        ("3", json!({ "deep": nested, "CUSTOM_DATA": wrapped, "IVR": [nested] })),
        ("4", json!({ "time": -8_334_601_228_800_i64 })),
        ("20240610120455aa", json!({ "time": 8_210_266_876_799_i64 })),
        ("6", json!({ "price": "1e-100000", "duration": "99999999999", "talk": 1e300 })),
        ("7", json!({ "time": 253_402_300_799_i64, "duration": i64::MAX })),
        ("8", json!({ "caller": "\u{0}", "\u{0}": "\u{0}" })),
        ("9", Value::from_iter((0..500).map(|nth| (format!("f{nth}"), json!("x".repeat(nth)))))),
    ] {
        body["ivruniqueid"] = json!(call);
        body["type"] = json!("Queue");
        scene.comes(&body).await;
    }
    // More records than anybody sends.
    scene.comes(&Value::from_iter((0..101).map(|_| json!({ "ivruniqueid": "10" })))).await;
    scene.joins().await;
    // Each is read again with the next push, and asked for.
    scene.mirror.clock.advance(minutes(2));
    for call in ["1", "2", "3", "4", "20240610120455aa", "6", "7", "8", "9"] {
        scene
            .comes(&json!({ "ivruniqueid": call, "type": "Queue", "campaignName": "Spring", "one": 1 }))
            .await;
    }
    scene.joins().await;
    let end = scene.now() + TimeDelta::hours(3);
    scene.mirror.live(&mut engine, end).await;
    engine.close().await.unwrap();
    let kept = "select concat_ws(' ', call_id, state, problem) from cdr_sync.push where state <> 'applied'";
    let (states, kept) = (scene.states().await, scene.lines(kept).await);
    assert_eq!(kept, ["rejected the body has 101 records, and at most 100 are read"]);
    assert_eq!(
        states.iter().filter(|state| state.ends_with("Queue provisional x2")).count(),
        9,
        "{states:?}"
    );
    let read = "select count(*)::text from (select * from voicenter.records offset 0) r where campaign_name = 'Spring'";
    assert_eq!(scene.lines(read).await, ["9"]);
}

#[tokio::test]
async fn what_ai_makes_of_a_call_is_stored_under_the_type_that_the_pull_has() {
    let mut scene = JoinScene::new().await;
    let at = scene.now() - minutes(60);
    let mut untyped = pushed("1", at);
    untyped.as_object_mut().unwrap().remove("type");
    untyped["aiData"] = json!({ "insights": { "summary": "Bought a table." } });
    scene.comes(&untyped).await;
    scene.joins().await;
    let summaries = "select concat_ws('|', call_id, type, summary) from voicenter_ai.call_ai";
    assert_eq!(scene.lines(summaries).await, ["1||Bought a table."]);
    scene.appears(queue_call("1", at));
    scene.mirror.pass().await;
    scene.joins().await;
    assert_eq!(scene.lines(summaries).await, ["1|Queue|Bought a table."]);
    // The second one finds the record at once.
    scene.mirror.clock.advance(minutes(1));
    untyped["aiData"] = json!({ "transcript": [{ "speaker": "Speaker0", "text": "Good morning" }] });
    scene.comes(&untyped).await;
    scene.joins().await;
    let lines = "select concat_ws('|', type, text) from voicenter_ai.call_transcript";
    assert_eq!(scene.lines(lines).await, ["Queue|Good morning"]);
    // It may come beside a push that names the type.
    scene.mirror.clock.advance(minutes(1));
    let typed = json!({ "ivruniqueid": "1", "type": "queue", "aiData": { "insights": { "summary": "Wants a chair." } } });
    scene.comes(&typed).await;
    scene.mirror.clock.advance(minutes(1));
    scene.comes(&json!({ "ivruniqueid": "1", "aiData": "{the table" })).await;
    scene.joins().await;
    assert_eq!(scene.lines(summaries).await, ["1|Queue|Wants a chair."]);
    let unread = "select extra::text from voicenter_ai.call_ai";
    assert_eq!(scene.lines(unread).await, ["{\"aiData\": \"{the table\"}"]);
    let nowhere_else = "select count(*)::text from voicenter.records r where r::text like '%table%'";
    assert_eq!(scene.lines(nowhere_else).await, ["0"]);
}
