//! A migrated database, rows written by hand, and what the views make of them.

use cdr_sync::store::Store;
use cdr_sync::store::calls::SliceSize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::database::{Database, settings};

pub struct ReaderScene {
    /// Dropped with the scene.
    _database: Database,
    pub sql: PgConnection,
    /// Folds as the daemon does.
    store: Store,
}

impl ReaderScene {
    pub async fn new() -> Self {
        let database = Database::migrated().await;
        let sql = database.sql().await;
        let store = Store::open(&settings(database.url())).unwrap();
        Self { _database: database, sql, store }
    }

    /// A database with these rows of `voicenter.cdr`.
    pub async fn of(rows: Value) -> Self {
        let mut scene = Self::new().await;
        scene.add(rows).await;
        scene
    }

    /// Adds rows: arrays of objects by column name. What is not said: account `a`, call `c`, an answered
    /// Incoming Call at ten o'clock on 2024-06-10.
    pub async fn add(&mut self, rows: Value) {
        sqlx::query(
            r#"insert into voicenter.cdr
               select r.* from jsonb_array_elements($1) e, jsonb_populate_record(null::voicenter.cdr,
                   '{"account": "a", "call_id": "c", "type": "Incoming Call", "started_at": "2024-06-10T10:00:00Z",
                     "dial_status": "ANSWER", "first_seen_at": "2024-06-11T00:00:00Z",
                     "updated_at": "2024-06-11T00:00:00Z"}'::jsonb || e) r"#,
        )
        .bind(rows)
        .execute(&mut self.sql)
        .await
        .unwrap();
        self.fold().await;
    }

    /// Runs statements that change rows.
    pub async fn run(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.sql).await.unwrap();
        self.fold().await;
    }

    /// Settings of the session.
    pub async fn set(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.sql).await.unwrap();
    }

    /// Follows all rows, whatever their `updated_at`: the tests write them by hand.
    async fn fold(&mut self) {
        self.set("update cdr_sync.reporting set folded_until = '-infinity', folded_call = ''").await;
        let accounts: Vec<String> = sqlx::query_scalar("select distinct account from voicenter.cdr")
            .fetch_all(&mut self.sql)
            .await
            .unwrap();
        for account in accounts {
            while self.store.fold_calls(&account, &mut SliceSize::default()).await.unwrap().has_more {}
        }
    }

    /// The rows of a query, as an array of objects.
    pub async fn rows(&mut self, query: &str) -> Value {
        let statement = format!("select coalesce(jsonb_agg(to_jsonb(t)), '[]') from ({query}) t");
        plain(sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut self.sql).await.unwrap())
    }

    /// The only row of a query.
    pub async fn row(&mut self, query: &str) -> Value {
        let mut rows = self.rows(query).await;
        assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
        rows[0].take()
    }
}

/// Numbers as `json!` writes them: 1.0 for PostgreSQL's 1.0000.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(n) if n.to_string().contains('.') => n.as_f64().into(),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}
