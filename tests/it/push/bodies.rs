//! How long the bodies of notifications are kept.

use cdr_sync::clock::Clock;
use cdr_sync::store::Store;
use cdr_sync::store::account::Start;
use chrono::TimeDelta;
use serde_json::json;

use crate::support::database::{Database, settings};

const NOTIFICATIONS: &str = "insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, raw, state)
    select account, sha256(convert_to(state || days, 'UTF8')), now() - days * interval '1 day', now(), 'body', state
    from unnest(array['sales', 'service']) account, unnest(array['new', 'applied', 'rejected', 'unsupported']) state, unnest(array[29, 31]) days";

#[tokio::test]
async fn only_bodies_that_were_applied_go_and_their_rows_stay() {
    let database = Database::migrated().await;
    database.execute(NOTIFICATIONS).await;
    let store = Store::connect(&settings(database.url())).await.unwrap();
    let (month, now) = (TimeDelta::days(30), Clock::System.now());
    // A clock that is fast deletes nothing.
    assert_eq!(store.empty_applied_pushes("sales", month, now - TimeDelta::days(2)).await.unwrap(), 0);
    assert_eq!(store.empty_applied_pushes("sales", month, now + TimeDelta::days(9)).await.unwrap(), 1);
    assert_eq!(store.empty_applied_pushes("sales", month, now).await.unwrap(), 0);
    let emptied = "select account || ' ' || state || ' ' || (now()::date - received_at::date) from cdr_sync.push where raw is null";
    assert_eq!(database.lines(emptied).await, ["sales applied 31"]);
    assert_eq!(database.count("select count(*) from cdr_sync.push").await, 16);
}

#[tokio::test]
async fn they_are_renamed_and_forgotten_with_their_account() {
    let database = Database::migrated().await;
    database.execute(NOTIFICATIONS).await;
    let store = Store::connect(&settings(database.url())).await.unwrap();
    let now = Clock::System.now();
    store.open_account("sales", &json!({}), Start::Default(now), now).await.unwrap();
    store.rename_account("sales", "office").await.unwrap();
    let accounts = "select account || ' ' || count(*) from cdr_sync.push group by account order by account";
    assert_eq!(database.lines(accounts).await, ["office 8", "service 8"]);
    store.forget_account("office", false).await.unwrap();
    assert_eq!(database.lines(accounts).await, ["service 8"]);
}

#[tokio::test]
async fn the_table_refuses_to_lose_a_body_that_was_not_applied() {
    let database = Database::migrated().await;
    database.execute(NOTIFICATIONS).await;
    let emptying = sqlx::query("update cdr_sync.push set raw = null where state = 'rejected'");
    let error = emptying.execute(&mut database.sql().await).await.unwrap_err();
    assert!(error.to_string().contains("push_raw"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_is_not_the_owner_may_store_them_and_who_only_asks_may_not() {
    let database = Database::new().await;
    let settings = settings(database.url());
    let store = Store::connect(&settings).await.unwrap();
    store.migrate().await.unwrap();
    let name = database.name();
    // As before the table was there.
    database
        .execute(&format!(
            "drop table cdr_sync.push; delete from cdr_sync.migration where name = '0020_push_inbox';
             create role \"{name}-daemon\"; create role \"{name}-asking\";
             grant select, insert, update, delete on cdr_sync.account to \"{name}-daemon\";
             grant select on cdr_sync.account to \"{name}-asking\""
        ))
        .await;
    store.migrate().await.unwrap();
    let may = |role: &str, what: &str| {
        format!("select has_table_privilege('{name}-{role}', 'cdr_sync.push', '{what}')::text")
    };
    let mut found = Vec::new();
    for what in ["select", "insert", "update", "delete"] {
        found.extend(database.lines(&may("daemon", what)).await);
        found.extend(database.lines(&may("asking", what)).await);
    }
    database
        .execute(&format!(
            "drop owned by \"{name}-daemon\", \"{name}-asking\"; drop role \"{name}-daemon\", \"{name}-asking\""
        ))
        .await;
    assert_eq!(found, ["true", "false"].repeat(4));
}
