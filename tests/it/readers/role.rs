//! The role `voicenter_reader`: what it may, and how it comes to be. It belongs to the whole cluster, so what
//! depends on its absence has a cluster of its own.

use futures_util::future::join_all;
use private_postgres::{Cluster, Options, ProgramSource};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::readers::scene::ReaderScene;
use crate::support::database::{migrate, sql};

const RELATIONS: &str = "
    select format('%I.%I', relnamespace::regnamespace, relname) from pg_class
    where relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace) and relkind in ('r', 'v') order by 1";

/// The SQLSTATE with which a statement is refused; nothing when it is not.
async fn refusal(sql: &mut PgConnection, statement: &str) -> Option<String> {
    let error = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(sql).await.err()?;
    Some(error.as_database_error().unwrap().code().unwrap().into_owned())
}

const FORBIDDEN: Option<&str> = Some("42501");

#[tokio::test]
async fn a_reader_reads_all_of_voicenter_and_nothing_else() {
    let mut scene = ReaderScene::of(json!([{}])).await;
    scene.run("insert into cdr_sync.account (name, scope, scope_since, history_start) values ('a', '{}', now(), now())").await;
    let relations: Vec<String> = sqlx::query_scalar(RELATIONS).fetch_all(&mut scene.sql).await.unwrap();
    assert!(relations.len() > 15, "{relations:?}");
    scene.set("create table voicenter.later (n int); set role voicenter_reader").await;
    for relation in relations.iter().map(String::as_str).chain(["voicenter.later"]) {
        let refused = refusal(&mut scene.sql, &format!("select * from {relation}")).await;
        let expected = if relation.starts_with("voicenter.") { None } else { FORBIDDEN };
        assert_eq!(refused.as_deref(), expected, "{relation}");
    }
    assert_eq!(scene.rows("select account from voicenter.sync_state").await, json!([{"account": "a"}]));
    for statement in [
        "insert into voicenter.later values (1)",
        "update voicenter.cdr set price = 0",
        "delete from voicenter.cdr",
        "truncate voicenter.cdr_history",
        "create table voicenter.mine (n int)",
        "drop table voicenter.calls",
        "create table cdr_sync.mine (n int)",
    ] {
        assert_eq!(refusal(&mut scene.sql, statement).await.as_deref(), FORBIDDEN, "{statement}");
    }
    // Also without the schema's own door: the rights on each relation are missing too.
    scene
        .set("reset role; grant usage on schema cdr_sync to voicenter_reader; set role voicenter_reader")
        .await;
    assert_eq!(refusal(&mut scene.sql, "select * from cdr_sync.rejected").await.as_deref(), FORBIDDEN);
}

async fn cluster() -> Cluster {
    let start = || Cluster::start(Options { source: ProgramSource::from_env(), ..Options::default() });
    tokio::task::spawn_blocking(start).await.unwrap().unwrap()
}

/// Runs SQL as the superuser.
async fn run(cluster: &Cluster, database: &str, statement: &str) {
    let mut sql = sql(&cluster.url(database)).await;
    for part in statement.split(';') {
        sqlx::raw_sql(AssertSqlSafe(part.to_owned())).execute(&mut sql).await.unwrap();
    }
}

/// Returns whether the role exists, and whether it may read the views of the database.
async fn reader(url: &str) -> (bool, bool) {
    let mut sql = sql(url).await;
    sqlx::query_as(
        "select count(*) = 1, coalesce(bool_and(not rolcanlogin and has_schema_privilege(oid, 'voicenter', 'usage')
             and has_table_privilege(oid, 'voicenter.calls_daily', 'select')), false)
         from pg_roles where rolname = 'voicenter_reader'",
    )
    .fetch_one(&mut sql)
    .await
    .unwrap()
}

fn as_user(cluster: &Cluster, user: &str, database: &str) -> String {
    format!("postgresql://{user}:x@127.0.0.1:{}/{database}", cluster.port())
}

#[tokio::test]
async fn databases_of_one_cluster_migrate_at_the_same_moment() {
    let cluster = cluster().await;
    let names: Vec<String> = (0..6).map(|n| format!("d{n}")).collect();
    for name in &names {
        cluster.create_database(name).await.unwrap();
    }
    let urls: Vec<String> = names.iter().map(|name| cluster.url(name)).collect();
    join_all(urls.iter().map(|url| migrate(url))).await;
    for url in &urls {
        assert_eq!(reader(url).await, (true, true));
    }
}

#[tokio::test]
async fn whoever_may_not_create_roles_migrates_all_the_same() {
    let cluster = cluster().await;
    run(&cluster, "postgres", "create role plain login password 'x'; create database one owner plain; create database two owner plain").await;
    let (one, two) = (as_user(&cluster, "plain", "one"), as_user(&cluster, "plain", "two"));
    migrate(&one).await;
    assert_eq!(reader(&one).await, (false, false));
    let mut sql = sql(&one).await;
    assert_eq!(refusal(&mut sql, "select * from voicenter.calls, voicenter.sync_state").await, None);
    // A role that is there is granted to, whoever made it.
    run(&cluster, "postgres", "create role voicenter_reader nologin").await;
    migrate(&two).await;
    assert_eq!(reader(&two).await, (true, true));
}

#[tokio::test]
async fn createrole_is_enough_to_make_the_role() {
    let cluster = cluster().await;
    run(
        &cluster,
        "postgres",
        "create role maker login createrole password 'x'; create database made owner maker",
    )
    .await;
    let url = as_user(&cluster, "maker", "made");
    migrate(&url).await;
    assert_eq!(reader(&url).await, (true, true));
}

/// A database as the program before this one left it, with a row.
async fn at_0001(url: &str) {
    let first = include_str!("../../../migrations/0001_schema.sql");
    let mut sql = sql(url).await;
    let bootstrap = "create schema cdr_sync;
        create table cdr_sync.migration (name text primary key, checksum text not null, applied_at timestamptz not null default now())";
    for statement in [bootstrap, first] {
        sqlx::raw_sql(statement).execute(&mut sql).await.unwrap();
    }
    sqlx::query("insert into cdr_sync.migration values ('0001_schema', encode(sha256(convert_to($1, 'UTF8')), 'hex'))")
        .bind(first)
        .execute(&mut sql)
        .await
        .unwrap();
    sqlx::raw_sql(
        "insert into voicenter.cdr (account, call_id, type, started_at, dial_status, first_seen_at, updated_at)
         values ('a', 'c', 'Queue', '2024-06-10 10:00Z', 'ANSWER', now(), now())",
    )
    .execute(&mut sql)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_database_with_rows_is_migrated_and_others_tables_in_it_are_left_alone() {
    let cluster = cluster().await;
    run(
        &cluster,
        "postgres",
        "create role plain login password 'x'; create role voicenter_reader; create database old owner plain",
    )
    .await;
    let url = as_user(&cluster, "plain", "old");
    at_0001(&url).await;
    run(&cluster, "old", "create table voicenter.of_the_superuser (n int)").await;
    migrate(&url).await;
    let mut sql = sql(&url).await;
    // What the daemon does next.
    sqlx::query("select cdr_sync.fold_changes('a', 10)").execute(&mut sql).await.unwrap();
    let calls: i64 = sqlx::query_scalar("select sum(calls)::bigint from voicenter.calls_daily")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(calls, 1);
    assert_eq!(reader(&url).await, (true, true));
}

#[tokio::test]
async fn what_a_member_of_the_owner_migrates_belongs_to_the_owner() {
    let cluster = cluster().await;
    let roles =
        "create role company; create role plain login password 'x' in role company; create role voicenter_reader;
                 create database old owner company";
    run(&cluster, "postgres", roles).await;
    let url = as_user(&cluster, "plain", "old");
    run(&cluster, "old", "grant create on database old to plain").await;
    at_0001(&url).await;
    run(&cluster, "old", "reassign owned by plain to company").await;
    migrate(&url).await;
    let mut sql = sql(&url).await;
    sqlx::query("select cdr_sync.fold_changes('a', 10)").execute(&mut sql).await.unwrap();
    let read = "select (select sum(offered) from voicenter.queue_daily) + (select count(*) from voicenter.sync_state)";
    assert_eq!(refusal(&mut sql, read).await, None);
    let rename = "insert into cdr_sync.account (name, history_start, scope, scope_since) values ('a', now(), '{}', now());
                  update cdr_sync.account set name = 'b'";
    sqlx::raw_sql(rename).execute(&mut sql).await.unwrap();
    let owners: Vec<String> = sqlx::query_scalar(
        "select distinct pg_get_userbyid(relowner)::text from pg_class
         where relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace)",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(owners, ["company"]);
}
