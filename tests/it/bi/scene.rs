//! A database that mirrors a simulated call centre, asked by the role that BI tools have.

use cdr_sync::store::calls::SliceSize;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};
use voicenter_simulator::{ApiGeneration, Intent, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::instant;

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
