//! Servers that take only some of the fields and keys, complain of others than they mean, or learn to take more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use cdr_sync::clock::ManualClock;
use cdr_sync::plan::Mode;
use cdr_sync::sync::status::ProgressWatch;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use voicenter_simulator::{ApiGeneration, Record, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, NOW, Setup, simulated};
use crate::support::database::Database;
use crate::support::dates::{days, hours, instant, minutes};

/// What the server before the simulator makes of requests.
#[derive(Default)]
struct Manners {
    /// Fields and keys that it refuses.
    refuses: Vec<&'static str>,
    /// It says which.
    by_name: bool,
    /// Error texts that it answers with first.
    trouble: VecDeque<&'static str>,
    /// STATUS_CODE, TOTAL_HITS and RETURN_HITS are left out.
    no_extras: bool,
    /// `callID` is accepted and ignored.
    ignores_call_id: bool,
    /// The bodies of all requests that it refused, and of those that it passed on.
    refused: Vec<Value>,
    passed: Vec<Value>,
}

impl Manners {
    fn refused_part(&self, body: &Value) -> Option<&'static str> {
        let fields = body["fields"].as_array().cloned().unwrap_or_default();
        let carries = |part: &&&str| match **part {
            "sort by date" => body["sort"][0]["field"] == "date",
            key => {
                fields.contains(&json!(key)) || body.get(key).is_some() || body["search"].get(key).is_some()
            }
        };
        self.refuses.iter().find(carries).copied()
    }
}

#[derive(Clone, Default)]
struct Picky {
    manners: Arc<Mutex<Manners>>,
    simulator: Arc<OnceLock<String>>,
}

impl Picky {
    fn with<T>(&self, change: impl FnOnce(&mut Manners) -> T) -> T {
        change(&mut self.manners.lock().unwrap())
    }

    async fn answer(State(picky): State<Picky>, body: Bytes) -> Response<Body> {
        let mut asked: Value = serde_json::from_slice(&body).unwrap();
        let complaint = picky.with(|manners| {
            asked.as_object_mut().unwrap().remove("code");
            if let Some(trouble) = manners.trouble.pop_front() {
                return Some(trouble.to_owned());
            }
            let part = manners.refused_part(&asked)?;
            Some(if manners.by_name { format!("bad request: unknown: {part}") } else { "Bad request".into() })
        });
        if let Some(complaint) = complaint {
            picky.with(|manners| manners.refused.push(asked));
            let error = json!({"ERROR_NUMBER": 77, "ERROR_DESCRIPTION": complaint, "CDR_LIST": []});
            return Response::new(error.to_string().into());
        }
        let mut passed: Value = serde_json::from_slice(&body).unwrap();
        let no_extras = picky.with(|manners| {
            manners.passed.push(asked);
            if manners.ignores_call_id {
                passed["search"].as_object_mut().unwrap().remove("callID");
            }
            manners.no_extras
        });
        let http = reqwest::Client::new();
        let sent = http.post(picky.simulator.get().unwrap()).header("Content-Type", "application/json");
        let sent = sent.body(passed.to_string()).send().await.unwrap();
        let mut answer = Response::builder().status(sent.status()).header("Date", &sent.headers()["Date"]);
        answer = answer.header("Content-Type", "application/json");
        let mut body = sent.bytes().await.unwrap().to_vec();
        if no_extras {
            let mut envelope: serde_json::Map<String, Value> = serde_json::from_slice(&body).unwrap();
            envelope.retain(|name, _| !["STATUS_CODE", "TOTAL_HITS", "RETURN_HITS"].contains(&name.as_str()));
            body = Value::from(envelope).to_string().into_bytes();
        }
        answer.body(body.into()).unwrap()
    }

    /// The server, and its address.
    async fn start(manners: Manners) -> (Self, String) {
        cdr_sync::voicenter::install_crypto();
        let picky = Self { manners: Arc::new(Mutex::new(manners)), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(picky.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (picky, url)
    }
}

/// Two quiet days behind such a server.
async fn behind(manners: Manners) -> (Picky, MirrorScene) {
    let database = Arc::new(Database::new().await);
    let (picky, url) = Picky::start(manners).await;
    let scene = scene_at(&picky, &url, database).await;
    (picky, scene)
}

async fn scene_at(picky: &Picky, url: &str, database: Arc<Database>) -> MirrorScene {
    let simulator = simulated(ApiGeneration::Current);
    let world = WorldOptions { calls_per_day: 400.0, ..simulator.world }.unchanging();
    let setup = Setup::new(SimulatorOptions { world, ..simulator });
    let setup = Setup { history: days(2), ..setup }.with("CDR_SYNC__API__URL", url);
    let setup = setup.with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m");
    let scene = MirrorScene::on(database, ManualClock::new(instant(NOW)), setup).await;
    picky.simulator.set(scene.simulator.url()).unwrap();
    scene
}

/// A pass that meets trouble waits for a clock that stands still: it must not.
async fn pass(scene: &MirrorScene) {
    tokio::time::timeout(Duration::from_secs(60), scene.pass()).await.expect("nothing to wait for");
}

/// The stretches that were read without one of the fields.
async fn lacking(scene: &MirrorScene) -> Vec<String> {
    scene.database.lines("select concat_ws(' ', span, fields) from cdr_sync.lacking").await
}

/// Nothing was read without a field, and no row is without one.
async fn assert_nothing_lacks(scene: &MirrorScene) {
    assert_eq!((lacking(scene).await, bare_rows(scene).await), (vec![], 0));
}

/// Rows without a single field of those that not every server has.
async fn bare_rows(scene: &MirrorScene) -> i64 {
    scene
        .database
        .count("select count(*) from voicenter.cdr where cdr_type is null and user_id is null")
        .await
}

#[tokio::test]
async fn an_envelope_without_its_newer_members_costs_no_field() {
    let (picky, scene) = behind(Manners { no_extras: true, ..Manners::default() }).await;
    pass(&scene).await;
    scene.assert_mirrors().await;
    assert_nothing_lacks(&scene).await;
    let asked = picky.with(|manners| std::mem::take(&mut manners.passed));
    assert!(asked.iter().all(|body| body["fields"].as_array().unwrap().len() == 27));
    assert!(asked.iter().all(|body| body["version"] == "2"));
}

#[tokio::test]
async fn an_unknown_error_as_the_first_reply_costs_no_field() {
    let texts =
        ["Internal error", "API version temporarily unavailable", "could not sort it out", "bad UserId"];
    for text in texts {
        for times in [1, 2] {
            let trouble = VecDeque::from(vec![text; times]);
            let (_, scene) = behind(Manners { trouble, ..Manners::default() }).await;
            pass(&scene).await;
            scene.clock.advance(minutes(11));
            pass(&scene).await;
            scene.assert_mirrors().await;
            assert_nothing_lacks(&scene).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_only_sort_costs_a_few_requests_and_no_field() {
    for (by_name, refuses, spelling) in [
        (true, "sort", None),
        (false, "sort", None),
        (true, "sort by date", Some("Date")),
        (false, "sort by date", Some("Date")),
    ] {
        let (picky, scene) = behind(Manners { refuses: vec![refuses], by_name, ..Manners::default() }).await;
        pass(&scene).await;
        scene.assert_mirrors().await;
        assert_nothing_lacks(&scene).await;
        let refused = picky.with(|manners| manners.refused.len());
        assert!((1..=6).contains(&refused), "{refused} requests were refused");
        // Everything once more costs nothing more.
        let watch = ProgressWatch::default();
        let mut engine = scene.engine(Mode::Daemon, watch.clone()).await;
        let before = picky.with(|manners| manners.refused.len());
        scene.live(&mut engine, scene.now() + hours(3)).await;
        engine.close().await.unwrap();
        let refused = picky.with(|manners| manners.refused.len()) - before;
        assert!(watch.read().requests > 15 && refused <= 6, "{refused} of {}", watch.read().requests);
        let last = picky
            .with(|manners| manners.passed.iter().rev().find(|body| body.get("sort").is_some()).cloned());
        assert_eq!(last.map(|body| body["sort"][0]["field"].clone()), spelling.map(Value::from));
        pass(&scene).await;
        scene.assert_mirrors().await;
    }
}

#[tokio::test]
async fn a_refused_field_is_read_again_once_the_server_takes_it() {
    {
        let (picky, scene) =
            behind(Manners { refuses: vec!["UserId"], by_name: false, ..Manners::default() }).await;
        pass(&scene).await;
        let without = "select count(*) from cdr_sync.lacking where fields <> '{UserId}'";
        assert_eq!(scene.database.count(without).await, 0);
        assert!(!lacking(&scene).await.is_empty());
        let named = |field| format!("select count(*) from voicenter.cdr where {field} is not null");
        let some: &'static str = named("user_name").leak();
        assert!(scene.database.count(some).await > 0, "only the refused field is left out");
        let none: &'static str = named("user_id").leak();
        assert_eq!(scene.database.count(none).await, 0);
        // A daemon that goes on notices it at the latest after a day.
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, scene.now() + minutes(12)).await;
        assert!(!lacking(&scene).await.is_empty());
        picky.with(|manners| manners.refuses.clear());
        scene.live(&mut engine, scene.now() + hours(26)).await;
        engine.close().await.unwrap();
        assert_nothing_lacks(&scene).await;
        pass(&scene).await; // the last poll was some minutes ago
        scene.assert_mirrors().await;
    }
}

#[tokio::test]
async fn a_start_tries_again_what_was_refused() {
    let refuses = vec!["DateEpoch", "CdrType", "UserName", "UserId", "version", "sort"];
    let (picky, scene) = behind(Manners { refuses, by_name: true, ..Manners::default() }).await;
    pass(&scene).await;
    assert!(bare_rows(&scene).await > 0);
    let known = scene
        .database
        .count(
            "select jsonb_array_length(knowledge #> '{capabilities,dropped}')::bigint from cdr_sync.account",
        )
        .await;
    assert_eq!(known, 7, "`sort` has two spellings");
    let refused = picky.with(|manners| manners.refused.len());
    assert!(refused <= 8, "{refused} requests were refused");
    picky.with(|manners| manners.refuses = vec!["sort"]);
    pass(&scene).await;
    assert_nothing_lacks(&scene).await;
    scene.assert_mirrors().await;
}

/// A ledger as version 0.1 left it: both its migrations, its words for what it learned, rows without the newer fields.
async fn old_ledger(database: &Database, scene: &MirrorScene, knowledge: Value, bare_until: i64) {
    let mut connection = database.sql().await;
    sqlx::raw_sql(
        "create schema cdr_sync;
         create table cdr_sync.migration (name text primary key, checksum text not null,
             applied_at timestamptz not null default clock_timestamp())",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    for (name, text) in [
        ("0001_schema", include_str!("../../../migrations/0001_schema.sql")),
        ("0002_readers", include_str!("../../../migrations/0002_readers.sql")),
    ] {
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        let sum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        sqlx::query("insert into cdr_sync.migration (name, checksum) values ($1, $2)")
            .bind(name)
            .bind(sum)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::query(
        "insert into cdr_sync.account (name, scope, scope_since, history_start, knowledge) values ('main', $1, $2, $2, $3)",
    )
    .bind(&scene.account.scope)
    .bind(scene.start)
    .bind(knowledge)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query("insert into cdr_sync.cursor (account, history_from, synced_until) values ('main', $1, $2)")
        .bind(scene.start)
        .bind(scene.now())
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query(
        // As old as each age, and no younger: else a clock that was ahead would have claimed it.
        "insert into cdr_sync.coverage (account, span, tier) values
             ('main', tstzrange($1, $2::timestamptz - interval '24 hours'), '24 hours'),
             ('main', tstzrange($2::timestamptz - interval '24 hours', $2::timestamptz - interval '3 hours'), '3 hours'),
             ('main', tstzrange($2::timestamptz - interval '3 hours', $2), '0')",
    )
    .bind(scene.start)
    .bind(scene.now())
    .execute(&mut connection)
    .await
    .unwrap();
    let edge = scene.now() - hours(bare_until);
    for row in scene.truth() {
        let cdr_type = (row.started_at >= edge).then_some(99);
        sqlx::query(
            "insert into voicenter.cdr (account, call_id, type, started_at, cdr_type, first_seen_at, updated_at)
             values ('main', $1, $2, $3, $4, $3, $3)",
        )
        .bind(row.call_id)
        .bind(row.r#type)
        .bind(row.started_at)
        .bind(cdr_type)
        .execute(&mut connection)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_ledger_of_version_0_1_that_asked_in_the_older_form_heals_by_itself() {
    let api = json!({"totals": false, "from_inclusive": true});
    // The server took the newer form all the time; or only after a first reply that was an error.
    for (generation, bare_hours) in [("v01", 0), ("current", 24)] {
        let (picky, url) = Picky::start(Manners::default()).await;
        // Another database shows the account's scope and the simulator's truth.
        let scratch = scene_at(&picky, &url, Arc::new(Database::new().await)).await;
        let database = Arc::new(Database::new().await);
        old_ledger(&database, &scratch, json!({"generation": generation, "api": api}), bare_hours).await;
        let scene =
            MirrorScene { simulator: scratch.simulator, ..scene_on(&url, Arc::clone(&database)).await };
        pass(&scene).await;
        assert_nothing_lacks(&scene).await;
        let kept = scene.database.count("select count(*) from voicenter.cdr where cdr_type = 99").await;
        if generation == "v01" {
            scene.assert_mirrors().await;
        } else {
            // Rows with the newer fields were read in the newer form: what they hold is left alone, but for the lookback.
            assert!(kept > 0);
        }
        let requests = picky.with(|manners| manners.passed.len());
        assert!(requests <= 12, "{requests} requests");
        assert_eq!(picky.with(|manners| manners.refused.len()), 0);
        let forms = "select count(*) from cdr_sync.account where knowledge ? 'generation' or not knowledge ? 'capabilities'";
        assert_eq!(scene.database.count(forms).await, 0);
        // Once it is complete, nothing is read again for it.
        let before = picky.with(|manners| manners.passed.len());
        pass(&scene).await;
        // On a quiet day two questions look at the zone; the newest minutes and the lookback are read.
        let again = picky.with(|manners| manners.passed.len()) - before;
        assert!(again <= 4, "{again} requests");
    }
}

/// A scene whose server has its simulator already.
async fn scene_on(url: &str, database: Arc<Database>) -> MirrorScene {
    let setup = Setup { history: days(2), ..Setup::new(simulated(ApiGeneration::Current)) };
    MirrorScene::on(database, ManualClock::new(instant(NOW)), setup.with("CDR_SYNC__API__URL", url)).await
}

#[tokio::test]
async fn a_removal_is_marked_where_the_server_ignores_or_refuses_call_ids() {
    for manners in [
        Manners { ignores_call_id: true, ..Manners::default() },
        Manners { refuses: vec!["callID"], by_name: true, ..Manners::default() },
        Manners { refuses: vec!["callID"], ..Manners::default() },
        Manners::default(),
    ] {
        let (picky, scene) = behind(manners).await;
        let date = scene.now() - minutes(50);
        scene.insert(Record::new("vanishing", "Queue", date), date + minutes(2));
        pass(&scene).await;
        scene.simulator.world().remove("vanishing", "Queue", scene.now());
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, scene.now() + minutes(90)).await;
        engine.close().await.unwrap();
        let marked = "select count(*) from voicenter.cdr where removed_at is not null";
        assert_eq!(scene.database.count(marked).await, 1);
        let by_id =
            |bodies: &[Value]| bodies.iter().filter(|body| body["search"].get("callID").is_some()).count();
        let asked = picky.with(|manners| by_id(&manners.passed) + by_id(&manners.refused));
        assert!((1..=4).contains(&asked), "{asked} look-ups");
    }
}
