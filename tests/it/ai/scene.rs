//! A database, and notifications in its inbox as if the receiver had stored them.

use std::borrow::Borrow;

use cdr_sync::clock::Clock;
use cdr_sync::joining::{Joining, Seen};
use cdr_sync::metrics::Metrics;
use cdr_sync::store::Store;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::mirror::scene::configuration;
use crate::support::database::{Database, settings};
use crate::support::dates::instant;
use crate::support::polling::until;

pub const ACCOUNT: &str = "default";

/// Every table with what AI makes of calls.
pub const TABLES: [&str; 5] =
    ["call_ai", "call_ai_part", "call_ai_answer", "call_ai_sentence", "call_transcript"];

pub struct AiScene<D = Database> {
    pub database: D,
    pub store: Store,
}

/// Minutes after some instant.
pub fn at(minute: i64) -> DateTime<Utc> {
    instant("2026-11-01T08:00:00Z") + TimeDelta::minutes(minute)
}

/// A notification of a call, with what AI makes of it.
pub fn push(call_id: &str, ai: Value) -> Value {
    json!({ "ivruniqueid": call_id, "type": "Queue", "direction": "incoming", "caller": "0541111111", "aiData": ai })
}

/// An analysis with a transcript of these lines.
pub fn said(lines: &[&str]) -> Value {
    let lines = lines.iter().zip(0..).map(|(line, nth)| {
        json!({ "speaker": format!("Speaker{}", nth % 2), "text": line, "startTime": nth, "endTime": null, "sentence_id": nth })
    });
    json!({ "transcript": lines.collect::<Vec<_>>() })
}

impl AiScene {
    pub async fn new() -> Self {
        Self::of(Database::migrated().await).await
    }
}

impl<D: Borrow<Database>> AiScene<D> {
    /// In a database that somebody else uses as well.
    pub async fn of(database: D) -> Self {
        let store = Store::connect(&settings(database.borrow().url())).await.unwrap();
        Self { database, store }
    }

    pub async fn receive(&self, received_at: DateTime<Utc>, body: &Value) {
        self.receive_for(ACCOUNT, received_at, body.to_string().as_bytes()).await;
    }

    pub async fn receive_for(&self, account: &str, received_at: DateTime<Utc>, body: &[u8]) {
        let insert = "insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, content_type, raw, state)
                      values ($1, sha256($3), $2, $2, 'application/json', $3, 'new')";
        let insert = sqlx::query(insert).bind(account).bind(received_at).bind(body);
        insert.execute(&mut self.database.borrow().sql().await).await.unwrap();
    }

    /// Takes in what is in the inbox.
    pub async fn apply(&self) {
        self.apply_for(ACCOUNT).await;
    }

    pub async fn apply_for(&self, account: &str) {
        let config = configuration([
            ("DATABASE_URL", self.database.borrow().url().to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__NAME", account.to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__CODE", "code".to_owned()),
        ]);
        let joining = Joining::new(&config, self.store.clone(), Clock::System, Metrics::new().unwrap());
        // A daemon may be at it.
        let left =
            format!("select count(*) from cdr_sync.push where account = '{account}' and state = 'new'");
        until("an empty inbox", async || {
            joining.turn(&mut Seen::default()).await.unwrap();
            self.database.borrow().count(&left).await == 0
        })
        .await;
    }

    /// All that is known of calls, apart from the account.
    pub async fn known(&self) -> Vec<String> {
        let rows = TABLES.map(|table| {
            format!("select '{table} ' || (to_jsonb(t) - 'account')::text as row from voicenter_ai.{table} t")
        });
        let rows = format!("select row from ({}) r order by 1", rows.join(" union all "));
        self.database.borrow().lines(&rows).await
    }

    pub async fn value(&self, query: &str) -> Value {
        let query = format!("select coalesce(jsonb_agg(to_jsonb(q)), '[]') from ({query}) q");
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&mut self.database.borrow().sql().await)
            .await
            .unwrap()
    }

    pub async fn transcript(&self) -> Vec<String> {
        self.database
            .borrow()
            .lines("select concat_ws(' ', call_id, position, role, text) from voicenter_ai.call_transcript order by call_id, position")
            .await
    }
}
