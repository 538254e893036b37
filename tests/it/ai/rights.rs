//! Who may read what AI makes of calls.

use cdr_sync::store::Store;

use crate::ai::scene::{AiScene, at, push, said};
use crate::support::database::{Database, settings};

/// What a role may do with relations that are not for it.
const RIGHTS: &str = "
select r.role || ' ' || p.privilege || ' ' || c.oid::regclass
from pg_class c
cross join (values ('voicenter_reader'), ('public')) r (role)
cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (privilege)
where (c.relnamespace = 'voicenter_ai'::regnamespace or c.oid in ('cdr_sync.push'::regclass, 'cdr_sync.forgotten'::regclass))
  and c.relkind in ('r', 'v') and has_table_privilege(r.role, c.oid, p.privilege)
union all
select r.role || ' usage of the schema' from (values ('voicenter_reader'), ('public')) r (role)
where has_schema_privilege(r.role, 'voicenter_ai', 'usage') or has_schema_privilege(r.role, 'voicenter_ai', 'create')";

const NONE: [&str; 0] = [];

#[tokio::test]
async fn readers_of_calls_and_everybody_else_may_read_nothing_of_it() {
    let scene = AiScene::new().await;
    assert_eq!(scene.database.lines(RIGHTS).await, NONE);
    let reads = "select string_agg(c.oid::regclass::text, ' ' order by c.relname) from pg_class c
                 where c.relkind in ('r', 'v') and c.relnamespace in ('voicenter_ai'::regnamespace, 'voicenter'::regnamespace, 'cdr_sync'::regnamespace)
                   and has_table_privilege('voicenter_ai_reader', c.oid, 'select')";
    assert_eq!(
        scene.database.lines(reads).await,
        [
            "voicenter_ai.call_ai voicenter_ai.call_ai_answer voicenter_ai.call_ai_part voicenter_ai.call_ai_sentence voicenter_ai.call_ai_state voicenter_ai.call_transcript"
        ]
    );
    scene.receive(at(0), &push("1", said(&["a"]))).await;
    scene.apply().await;
    let read = async |role: &str| {
        let mut sql = scene.database.sql().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set role {role}"))).execute(&mut sql).await.unwrap();
        let lines: Result<i64, _> =
            sqlx::query_scalar("select (select count(*) from voicenter_ai.call_transcript) + (select count(*) from voicenter_ai.call_ai_state)")
                .fetch_one(&mut sql)
                .await;
        lines.ok()
    };
    assert_eq!(read("voicenter_ai_reader").await, Some(2));
    assert_eq!(read("voicenter_reader").await, None);
}

#[tokio::test]
async fn default_privileges_give_nothing_of_it_away() {
    let database = Database::new().await;
    // The role belongs to the cluster, and is there once any database was migrated.
    Database::migrated().await;
    database
        .execute(
            "alter default privileges grant select, insert on tables to public;
             alter default privileges grant all on tables to voicenter_reader;
             alter default privileges grant usage on schemas to public;
             alter default privileges grant usage, create on schemas to voicenter_reader",
        )
        .await;
    let store = Store::connect(&settings(database.url())).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(database.lines(RIGHTS).await, NONE);
    // What a later version makes there under privileges that were given since.
    database
        .execute("alter default privileges in schema voicenter grant select on tables to public; create table voicenter_ai.later (n int)")
        .await;
    assert!(database.lines(RIGHTS).await.iter().any(|right| right.contains("voicenter_ai.later")));
    database.execute("delete from cdr_sync.migration where name = '0019_numbers_within_accounts'").await;
    store.migrate().await.unwrap();
    assert_eq!(database.lines(RIGHTS).await, NONE);
}
