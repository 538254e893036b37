//! A fresh database with one account, and the few words that the tests are written in.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cdr_sync::cdr::{Cdr, CdrKey, Column};
use cdr_sync::store::Store;
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Claim, Commit, Committed, RemovalRules};
use cdr_sync::store::commit_count::CommitCount;
use cdr_sync::window::Window;
use cdr_sync::window::lacking::Lacking;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::support::database::{Database, settings};
use crate::support::dates::{instant, minutes, window};

pub const ACCOUNT: &str = "main";

/// Every test's calls happen on this day.
pub fn at(hour: u32, minute: u32) -> DateTime<Utc> {
    instant("2024-06-10T00:00:00Z") + TimeDelta::hours(hour.into()) + TimeDelta::minutes(minute.into())
}

/// The hour from `hour` o'clock.
pub fn hour(hour: u32) -> Window {
    window(at(hour, 0), at(hour + 1, 0))
}

pub fn key(call_id: &str) -> CdrKey {
    CdrKey { call_id: call_id.into(), call_type: "Incoming Call".into() }
}

/// A plain record.
pub fn cdr(call_id: &str, started_at: DateTime<Utc>) -> Cdr {
    Cdr {
        key: key(call_id),
        cdr_type: Some(1),
        started_at,
        duration_seconds: Some(60),
        ring_seconds: Some(5),
        caller_number: Some("0501234567".into()),
        target_number: Some("031234567".into()),
        dial_status: Some("ANSWER".into()),
        representative_name: Some("דנה כהן".into()),
        price: Some("12.50".into()),
        record_expected: Some(true),
        custom_data: Some(json!({"k": [1, "two"]})),
        extra: [("New".to_owned(), json!("field"))].into(),
        ..Cdr::default()
    }
}

/// `n` records, one a second from `from`.
pub fn cdrs(n: usize, from: DateTime<Utc>) -> Vec<Cdr> {
    (0..n).map(|i| cdr(&format!("{i:06}"), from + TimeDelta::seconds(i as i64))).collect()
}

pub fn claim(window: Window, read_at: DateTime<Utc>) -> Claim {
    Claim { window, reread_age: TimeDelta::zero(), lacking: Lacking::NONE, read_at, may_mark: true }
}

static ALL_COLUMNS: LazyLock<BTreeSet<Column>> = LazyLock::new(|| Column::ALL.into());
/// What records of [`cdr`] have beyond the columns.
static OTHERS: LazyLock<BTreeSet<String>> = LazyLock::new(|| ["new".to_owned()].into());

/// One account, opened and led.
pub struct StoreScene {
    pub store: Store,
    pub database: Database,
    pub fence: i64,
    pub count: CommitCount,
}

impl StoreScene {
    pub async fn new() -> Self {
        Self::in_database(Database::migrated().await).await
    }

    pub async fn in_database(database: Database) -> Self {
        let store = Store::connect(&settings(database.url())).await.unwrap();
        store.migrate().await.unwrap();
        store.open_account(ACCOUNT, &json!({"url": "u"}), Start::Default(at(0, 0)), at(12, 0)).await.unwrap();
        Self { store, database, fence: 0, count: CommitCount::default() }
    }

    /// A commit of `records` that proves nothing yet.
    pub fn commit<'a>(&'a self, records: &'a [Cdr], read_at: DateTime<Utc>) -> Commit<'a> {
        Commit {
            account: ACCOUNT,
            fence: self.fence,
            count: &self.count,
            read_at,
            records,
            rejected: &[],
            columns: &ALL_COLUMNS,
            other_fields: &OTHERS,
            claims: &[],
            earlier_keys: &[],
            earlier_rejected: &[],
            lowered: &[],
            uncover: &[],
            open_gaps: &[],
            close_gaps: &[],
            knowledge: None,
            window_read: None,
            removal: RemovalRules::new(minutes(10)),
            confirmed_gone: None,
            ignored: &[],
            history: true,
        }
    }

    /// Stores records that prove nothing.
    pub async fn store(&self, records: &[Cdr]) -> Committed {
        self.store.commit(&self.commit(records, at(12, 0))).await.unwrap()
    }

    /// A complete read of `window` that returned `records`.
    pub async fn read(&self, window: Window, records: &[Cdr], read_at: DateTime<Utc>) -> Committed {
        let claims = [claim(window, read_at)];
        self.store.commit(&Commit { claims: &claims, ..self.commit(records, read_at) }).await.unwrap()
    }

    pub async fn rows(&self) -> Vec<Cdr> {
        let all = window(at(0, 0) - TimeDelta::days(3650), at(0, 0) + TimeDelta::days(3650));
        let (mut rows, mut found) = (self.store.read_span(ACCOUNT, all), Vec::new());
        while let Some((row, _)) = rows.next().await.unwrap() {
            found.push(row);
        }
        found
    }

    pub async fn removed(&self) -> Vec<String> {
        self.database.lines("select call_id from voicenter.cdr where removed_at is not null order by 1").await
    }
}
