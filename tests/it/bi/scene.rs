//! A database that mirrors a simulated call centre, asked by the role that BI tools have.

use std::time::Duration;

use cdr_sync::reference::ListKind;
use cdr_sync::store::calls::SliceSize;
use cdr_sync::sync::reference::{ListOutcome, ListReader};
use cdr_sync::voicenter::{Client, ClientSettings, Credential, Granularity, Method};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};
use voicenter_simulator::{ApiGeneration, Intent, ListName, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::instant;
use crate::support::program::CODE;

/// As in docs/bi.md and in the demo.
pub const ACCOUNT: &str = "demo";
/// A Thursday, three in the afternoon by the account's clock.
pub const NOW: &str = "2026-06-18T12:00:00Z";
/// From midnight of the Wednesday of the week before.
const HISTORY: TimeDelta = TimeDelta::hours(8 * 24 + 15);

pub type Row = Map<String, Value>;

pub struct CallCentre {
    scene: MirrorScene,
    reader: PgConnection,
}

impl CallCentre {
    pub async fn mirrored() -> Self {
        let simulator = simulated(ApiGeneration::Current);
        let world = WorldOptions { calls_per_day: 2_000.0, seed: 5, ..WorldOptions::call_centre() };
        let simulator = SimulatorOptions { world: world.unchanging(), ..simulator };
        let setup = Setup { now: instant(NOW), history: HISTORY, account: ACCOUNT, ..Setup::new(simulator) };
        let scene = MirrorScene::of(setup).await;
        scene.pass().await;
        let mut size = SliceSize::default();
        while scene.store.fold_calls(ACCOUNT, &mut size).await.unwrap().has_more {}
        read_extensions(&scene).await;
        let reader = reader(&scene).await;
        Self { scene, reader }
    }

    /// The rows of a query as the reader sees them, or why it fails.
    pub async fn ask(&mut self, query: &str) -> Result<Vec<Row>, String> {
        let query = query.trim().trim_end_matches(';');
        let statement = format!("select to_jsonb(t) from (\n{query}\n) t");
        let rows: Result<Vec<Value>, _> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut self.reader).await;
        let rows = rows.map_err(|error| error.to_string())?;
        rows.into_iter()
            .map(|row| match row {
                Value::Object(row) => Ok(row),
                other => Err(format!("no row: {other}")),
            })
            .collect()
    }

    /// What the call centre meant by the calls that began in this span; transfers are part of what they continue.
    pub fn intents(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Intent> {
        let intents = self.scene.simulator.intents(self.scene.now(), from, to);
        intents.into_iter().filter(|intent| intent.original_call.is_none()).collect()
    }
}

/// As the daemon reads them.
async fn read_extensions(scene: &MirrorScene) {
    let client = Client::new(ClientSettings {
        url: scene.simulator.list_url(ListName::Extensions).parse().unwrap(),
        credential: Credential::Code(CODE.to_owned().into()),
        method: Method::Post,
        timezone: Tz::UTC,
        granularity: Granularity::Second,
        timeout: Duration::from_secs(30),
        max_response_bytes: 1 << 20,
        ca_file: None,
    });
    let (store, every) = (scene.store.clone(), Duration::from_secs(1800));
    let (account, client, kind) = (ACCOUNT.to_owned(), client.unwrap(), ListKind::Extensions);
    let reader = ListReader { account, kind, client, store, every };
    let outcome = reader.read(instant(NOW)).await.unwrap();
    assert!(matches!(outcome, ListOutcome::Followed(followed) if followed.opened > 10), "{outcome:?}");
}

/// A session of voicenter_reader, for whom it is the moment of the simulated world: what readers call is `now()`.
async fn reader(scene: &MirrorScene) -> PgConnection {
    let clock = format!(
        "create schema clock;
         create function clock.now() returns timestamptz language sql stable as $$ select timestamptz '{NOW}' $$;
         grant usage on schema clock to voicenter_reader;
         analyze"
    );
    scene.database.execute(&clock).await;
    let mut reader = scene.database.sql().await;
    let session = "set role voicenter_reader;
                   set search_path = clock, pg_catalog;
                   set timezone = 'Asia/Jerusalem';
                   set jit = off";
    sqlx::raw_sql(session).execute(&mut reader).await.unwrap();
    reader
}
