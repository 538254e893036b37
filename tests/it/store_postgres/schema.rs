//! Migrations and connections.

use cdr_sync::store::account::Start;
use cdr_sync::store::{Pooler, Store, StoreError};

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdrs};
use crate::support::database::{Database, settings};

#[tokio::test]
async fn several_starts_at_once_migrate_once() {
    let database = Database::new().await;
    let url = database.url();
    let all = Store::connect(&settings(url)).await.unwrap().schema_state().await.unwrap().pending.len();
    let start = || async {
        let store = Store::connect(&settings(url)).await.unwrap();
        store.migrate().await.unwrap().pending.len()
    };
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    assert_eq!(a + b + c + d, all);
}

#[tokio::test]
async fn a_database_migrated_by_a_newer_program_is_accepted() {
    let scene = StoreScene::new().await;
    scene.database.execute("insert into cdr_sync.migration values ('9999_later', 'x', now())").await;
    let state = scene.store.migrate().await.unwrap();
    assert_eq!(state.newer, ["9999_later"]);
}

#[tokio::test]
async fn an_edited_migration_is_refused_by_name() {
    let scene = StoreScene::new().await;
    scene.database.execute("update cdr_sync.migration set checksum = 'x'").await;
    let error = scene.store.migrate().await.unwrap_err();
    assert!(matches!(&error, StoreError::Migration { name, .. } if name == "0001_schema"), "{error}");
}

#[tokio::test]
async fn every_table_and_column_says_what_it_means() {
    let scene = StoreScene::new().await;
    let silent = scene.database.lines(
            "select c.oid::regclass || coalesce('.' || a.attname, '')
             from pg_class c
             left join lateral (
                 select null::name as attname, 0 as attnum
                 union all
                 select attname, attnum from pg_attribute
                 where attrelid = c.oid and attnum > 0 and not attisdropped) a on true
             where c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace) and c.relkind in ('r', 'v')
               and coalesce(case a.attnum when 0 then obj_description(c.oid) else col_description(c.oid, a.attnum) end, '') = ''",
        )
        .await;
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn no_statement_is_named_so_nothing_prepared_outlives_a_transaction() {
    let database = Database::new().await;
    let url = database.url();
    let mut pooled = settings(url);
    pooled.max_connections = 1;
    pooled.pooler = Pooler::Transaction;
    let store = Store::connect(&pooled).await.unwrap();
    store.migrate().await.unwrap();
    // A trigger sees the store's own session.
    database
        .execute(
            "create table prepared (name text);
         create function note() returns trigger language plpgsql as $$ begin
             insert into prepared select name from pg_prepared_statements; return new; end $$;
         create trigger note before update on cdr_sync.account for each row execute function note();",
        )
        .await;
    let now = "2024-06-10T00:00:00Z".parse().unwrap();
    store.open_account("a", &serde_json::json!({}), Start::Default(now), now).await.unwrap();
    store.note_error("a", "refused", None, now).await.unwrap();
    assert_eq!(database.lines("select name from prepared").await, Vec::<String>::new());
}

#[tokio::test]
async fn no_error_shows_the_password() {
    for url in ["postgres://me:s3cret@127.0.0.1:1/x", "postgres://me:s3cret@127.0.0.1:notaport/x", "s3cret"] {
        let mut quick = settings(url);
        quick.max_connections = 1;
        let error = match Store::open(&quick) {
            Err(error) => error,
            Ok(store) => store.ping().await.unwrap_err(),
        };
        assert!(!format!("{error} {error:?} {quick:?}").contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn every_transaction_sets_its_isolation_level_whatever_the_databases_default_is() {
    let scene = StoreScene::new().await;
    // Functions see the store's own transaction.
    scene.database.execute(
        "do $$ begin
             execute format('alter database %I set default_transaction_isolation = %L', current_database(), 'serializable');
         end $$;
         create table level (name text);
         create function note() returns trigger language plpgsql as $$ begin
             insert into level values (current_setting('transaction_isolation')); return null; end $$;
         create trigger note after insert or update on voicenter.cdr for each statement execute function note();
         create trigger note after update on cdr_sync.account for each statement execute function note();",
    )
    .await;
    let mut pooled = settings(scene.database.url());
    pooled.pooler = Pooler::Transaction;
    for settings in [settings(scene.database.url()), pooled] {
        let store = Store::connect(&settings).await.unwrap();
        let records = cdrs(2, at(1, 0));
        store.commit(&scene.commit(&records, at(12, 0))).await.unwrap();
        store.note_error(ACCOUNT, "refused", None, at(12, 0)).await.unwrap();
        store.load(ACCOUNT).await.unwrap();
    }
    assert_eq!(scene.database.lines("select distinct name from level").await, ["read committed"]);
}
