//! A database of the test's own, and short ways to ask it.

use cdr_sync::store::{DatabaseSettings, Store};
use private_postgres::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub struct Database {
    url: String,
    /// Dropped with this value.
    own: Option<TestDatabase>,
}

impl Database {
    pub async fn new() -> Self {
        let own = TestDatabase::new().await.unwrap();
        Self { url: own.url().to_owned(), own: Some(own) }
    }

    /// One of a server that the test has started, and that ends with the test.
    pub fn at(url: String) -> Self {
        Self { url, own: None }
    }

    /// One with the program's schema: a copy, since each test would spend half a second on migrating its own.
    pub async fn migrated() -> Self {
        let own = TestDatabase::copy_of("cdr_test_migrated", migrate).await.unwrap();
        Self { url: own.url().to_owned(), own: Some(own) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn name(&self) -> &str {
        self.own.as_ref().map_or("", TestDatabase::name)
    }

    /// A connection of the test's own.
    pub async fn sql(&self) -> PgConnection {
        sql(self.url()).await
    }

    pub async fn execute(&self, statements: &str) {
        execute(self.url(), statements).await;
    }

    pub async fn count(&self, query: &str) -> i64 {
        count(self.url(), query).await
    }

    /// The rows of a query whose only column is text.
    pub async fn lines(&self, query: &str) -> Vec<String> {
        let query = sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(query.to_owned()));
        let rows = query.fetch_all(&mut self.sql().await).await.unwrap();
        rows.into_iter().map(|row| row.unwrap_or("null".into())).collect()
    }
}

pub fn settings(url: &str) -> DatabaseSettings {
    DatabaseSettings::new(url.to_owned().into())
}

pub async fn migrate(url: &str) {
    let store = Store::connect(&settings(url)).await.unwrap();
    store.migrate().await.unwrap();
}

pub async fn sql(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

pub async fn execute(url: &str, statements: &str) {
    let mut connection = sql(url).await;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The only number of a query.
pub async fn count(url: &str, query: &str) -> i64 {
    let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    query.fetch_one(&mut sql(url).await).await.unwrap()
}

/// Remembers all that a commit may write; the one that runs ends first.
pub const SNAPSHOT: &str = "
drop schema if exists before cascade;
create schema before;
do $$ declare t regclass; begin
    lock table cdr_sync.cursor in exclusive mode;
    for t in select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('voicenter', 'cdr_sync') and c.relkind = 'r' loop
        execute format('create table before.%I as table %s', replace(t::text, '.', '__'), t);
    end loop;
end $$";

/// Brings that state back, under the programs that went on since. All tables are locked first: what a failover brings is
/// of one instant.
pub const RESTORE: &str = "
begin;
set local session_replication_role = replica;
do $$ declare t regclass; begin
    -- As a migration does: commits and foldings that run end first.
    lock table cdr_sync.cursor in exclusive mode;
    lock table cdr_sync.reporting in exclusive mode;
    for t in select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('voicenter', 'cdr_sync') and c.relkind = 'r' loop
        execute format('lock table %s in share row exclusive mode', t);
    end loop;
    for t in select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('voicenter', 'cdr_sync') and c.relkind = 'r' loop
        execute format('delete from %s', t);
        execute format('insert into %s overriding system value table before.%I', t, replace(t::text, '.', '__'));
    end loop;
end $$;
commit";
