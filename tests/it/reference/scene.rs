//! A database with an account, a simulated API, and a reader of its lists.

use std::time::Duration;

use cdr_sync::reference::ListKind;
use cdr_sync::store::Store;
use cdr_sync::store::account::Start;
use cdr_sync::sync::reference::{ListOutcome, ListReader};
use cdr_sync::voicenter::{Client, ClientSettings, Credential, Granularity, Method};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::json;
use voicenter_simulator::{ApiGeneration, ListFault, ListName, Simulator, SimulatorOptions, WorldOptions};

use crate::support::database::{Database, settings};
use crate::support::dates::instant;
use crate::support::program::CODE;
use crate::support::simulator::{standing, unlimited};

pub const ACCOUNT: &str = "main";

pub fn at(minute: i64) -> DateTime<Utc> {
    instant("2024-06-10T10:00:00Z") + TimeDelta::minutes(minute)
}

pub struct ListScene {
    pub database: Database,
    pub store: Store,
    pub simulator: Simulator,
}

pub fn name(kind: ListKind) -> ListName {
    match kind {
        ListKind::Extensions => ListName::Extensions,
        ListKind::Queues => ListName::Queues,
    }
}

impl ListScene {
    pub async fn new() -> Self {
        let database = Database::migrated().await;
        let store = Store::connect(&settings(database.url())).await.unwrap();
        let options = SimulatorOptions { world: WorldOptions::empty(), ..unlimited(ApiGeneration::Current) };
        let scene = Self { database, store, simulator: standing(options, at(0)).await };
        scene.open(ACCOUNT).await;
        scene
    }

    pub async fn open(&self, account: &str) {
        self.store.open_account(account, &json!({"url": "u"}), Start::Default(at(0)), at(0)).await.unwrap();
    }

    pub fn reader(
        &self,
        account: &str,
        kind: ListKind,
        credential: Credential,
        method: Method,
    ) -> ListReader {
        let client = Client::new(ClientSettings {
            url: self.simulator.list_url(name(kind)).parse().unwrap(),
            credential,
            method,
            timezone: Tz::UTC,
            granularity: Granularity::Second,
            timeout: Duration::from_millis(1500),
            max_response_bytes: 1 << 20,
            ca_file: None,
        });
        let (account, store) = (account.to_owned(), self.store.clone());
        ListReader { account, kind, client: client.unwrap(), store, every: Duration::from_secs(1800) }
    }

    pub async fn read_with(&self, kind: ListKind, code: &str, minute: i64) -> ListOutcome {
        let reader = self.reader(ACCOUNT, kind, Credential::Code(code.to_owned().into()), Method::Post);
        reader.read(at(minute)).await.unwrap()
    }

    pub async fn read(&self, kind: ListKind, minute: i64) -> ListOutcome {
        self.read_with(kind, CODE, minute).await
    }

    pub fn spoil(&self, kind: ListKind, fault: Option<ListFault>) {
        self.simulator.lists().spoil(name(kind), fault);
    }

    /// Everything that is stored of a list, to be compared.
    pub async fn rows(&self, kind: ListKind) -> Vec<String> {
        let table = match kind {
            ListKind::Extensions => "extension",
            ListKind::Queues => "queue",
        };
        self.database.lines(&format!("select to_jsonb(t)::text from voicenter.{table} t order by 1")).await
    }

    /// Minutes from which to which the intervals of an id lasted, with one of their columns.
    pub async fn intervals(&self, table: &str, id: &str, column: &str) -> Vec<String> {
        let key = if table == "queue" { "queue_id" } else { "extension" };
        let minute = |name: &str| format!("round(extract(epoch from {name} - '2024-06-10T10:00:00Z') / 60)");
        self.database
            .lines(&format!(
                "select {} || '-' || coalesce({}::text, '') || ' ' || coalesce({column}::text, 'null')
                 from voicenter.{table} where account = '{ACCOUNT}' and {key} = '{id}' order by valid_from",
                minute("valid_from"),
                minute("valid_to")
            ))
            .await
    }
}
