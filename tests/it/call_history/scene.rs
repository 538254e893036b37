//! An account whose calls are inserted by hand and mirrored, and a reader that asks for their analyses.

use std::time::Duration;

use cdr_sync::call_history::HistoryRules;
use cdr_sync::sync::call_history::{HistoryReader, HistoryTurn};
use cdr_sync::voicenter::{Client, ClientSettings, Credential, Granularity, Method};
use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;
use serde_json::json;
use voicenter_simulator::{
    ApiGeneration, CallHistories, HistoryOptions, Record, SimulatorOptions, WorldOptions,
};

use crate::mirror::scene::{MirrorScene, Setup};
use crate::support::simulator::unlimited;

/// The token of GetCallHistory.
pub const TOKEN: &str = "a-secret-ai-token";

pub struct AskScene {
    pub mirror: MirrorScene,
    pub reader: HistoryReader,
}

impl AskScene {
    pub async fn new() -> Self {
        Self::of(400, false).await
    }

    /// The server answers so many requests a week; the reader asks for up to 10,000.
    pub async fn of(per_week: usize, is_flat: bool) -> Self {
        let history = HistoryOptions { token: TOKEN.into(), per_week, is_flat };
        let world = WorldOptions { calls_per_day: 0.0, ..WorldOptions::default() };
        let simulator =
            SimulatorOptions { world, history: Some(history), ..unlimited(ApiGeneration::Current) };
        let mirror = MirrorScene::of(Setup::new(simulator)).await;
        let client = client(&mirror, TOKEN);
        let rules = HistoryRules { after: TimeDelta::hours(6), back: TimeDelta::days(7), min_seconds: 30 };
        let reader = HistoryReader {
            account: "main".to_owned(),
            client,
            credential: "some-credential".to_owned(),
            store: mirror.store.clone(),
            rules,
            per_week: 10_000,
        };
        Self { mirror, reader }
    }

    /// A client with another token.
    pub fn client_with(&self, token: &str) -> Client {
        client(&self.mirror, token)
    }

    pub fn histories(&self) -> &CallHistories {
        self.mirror.simulator.histories().unwrap()
    }

    /// The API shows these, and they are mirrored.
    pub async fn mirrors(&self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.mirror.insert(record, self.mirror.now());
        }
        self.mirror.pass().await;
    }

    pub async fn turn(&self) -> HistoryTurn {
        self.reader.turn(self.mirror.now()).await.unwrap()
    }

    /// Turns until nothing is to be done now.
    pub async fn turns(&self) {
        loop {
            match self.turn().await {
                HistoryTurn::Analysis | HistoryTurn::None | HistoryTurn::Unknown => {}
                HistoryTurn::Nothing | HistoryTurn::NotBefore(_) => return,
                turn => panic!("{turn:?}"),
            }
        }
    }

    pub fn goes_on(&self, by: TimeDelta) {
        self.mirror.clock.advance(by);
    }

    pub async fn lines(&self, query: &str) -> Vec<String> {
        self.mirror.database.lines(query).await
    }
}

fn client(mirror: &MirrorScene, token: &str) -> Client {
    let settings = ClientSettings {
        url: mirror.simulator.history_url().parse().unwrap(),
        credential: Credential::Token(token.to_owned().into()),
        method: Method::Post,
        timezone: Tz::UTC,
        granularity: Granularity::Second,
        timeout: Duration::from_millis(1500),
        max_response_bytes: 1 << 20,
        ca_file: None,
    };
    Client::new(settings).unwrap()
}

/// An answered call so long ago, of which the call log says that there is an analysis.
pub fn call(call_id: &str, scene: &AskScene, ago: TimeDelta) -> Record {
    call_at(call_id, scene.mirror.now() - ago)
}

pub fn call_at(call_id: &str, at: DateTime<chrono::Utc>) -> Record {
    Record {
        cdr_type: Some(1),
        duration: Some(90),
        dial_status: "ANSWER".to_owned(),
        caller_number: "0541112222".to_owned(),
        record_url: format!("https://example.com/{call_id}.mp3"),
        custom_data: json!({ "AiExists": true }),
        ..Record::new(call_id, "Incoming Call", at)
    }
}
