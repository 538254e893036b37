//! A second server that follows by logical replication, as docs/scaling.md sets it up.

use cdr_sync::cdr::Cdr;
use cdr_sync::store::calls::SliceSize;
use private_postgres::{Cluster, Options, ProgramSource};
use sqlx::AssertSqlSafe;

use crate::store_postgres::scene::{StoreScene, at, cdr, cdrs, hour};
use crate::support::database::{Database, migrate};
use crate::support::polling::until;

const NAME: &str = "calls";

/// A server of the test's own, which ends with it: also with a failed one.
async fn server(settings: &[(&str, &str)]) -> (Cluster, Database) {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let start =
        || Cluster::start(Options { source: ProgramSource::from_env(), settings, ..Options::default() });
    let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    cluster.create_database(NAME).await.unwrap();
    let database = Database::at(cluster.url(NAME));
    (cluster, database)
}

/// All tables of readers, and those of the ledger that their views read: sync_state among them.
const TABLES: &str = "
    with recursive read (relation) as (
        select oid from pg_class where relnamespace = 'voicenter'::regnamespace and relkind in ('r', 'p', 'v')
        union
        select d.refobjid
        from read
        join pg_rewrite w on w.ev_class = read.relation
        join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
    )
    select c.oid::regclass::text from read join pg_class c on c.oid = read.relation where c.relkind in ('r', 'p') order by 1";

struct Replica {
    publisher: StoreScene,
    subscriber: Database,
    tables: Vec<String>,
    /// They end with it.
    _servers: [Cluster; 2],
}

impl Replica {
    /// Two servers with the schema, and an answer in the first.
    async fn prepared() -> Self {
        let (publishing, subscribing) = tokio::join!(
            // A commit is in the log when it returns: what the subscriber is waited for is all of it.
            server(&[("wal_level", "logical"), ("synchronous_commit", "on")]),
            // Soon connected again, and soon confirming what it has.
            server(&[("wal_retrieve_retry_interval", "50ms"), ("wal_receiver_status_interval", "1s")]),
        );
        let (publisher, subscriber) = (StoreScene::in_database(publishing.1).await, subscribing.1);
        migrate(subscriber.url()).await;
        let tables = publisher.database.lines(TABLES).await;
        Self { publisher, subscriber, tables, _servers: [publishing.0, subscribing.0] }
    }

    async fn publish(&self) {
        // From PostgreSQL 15 on also `for tables in schema voicenter, table cdr_sync.account, …`.
        let publication = format!("create publication readers for table {}", self.tables.join(", "));
        self.publisher.database.execute(&publication).await;
        // The rules that the migration wrote come once more, from the publisher.
        self.subscriber.execute("alter table voicenter.outcomes disable trigger user; truncate voicenter.dial_statuses, voicenter.outcomes, voicenter.dates").await;
        let url = self.publisher.database.url();
        let subscription = format!("create subscription readers connection '{url}' publication readers");
        self.subscriber.execute(&subscription).await;
    }

    async fn copied(&self) {
        until("the first copy of all tables", async || {
            let left = "select count(*) from pg_subscription_rel where srsubstate <> 'r'";
            self.subscriber.count(left).await == 0
        })
        .await;
    }

    /// Waits until the subscriber has confirmed all that the publisher has written.
    async fn caught_up(&self) {
        let now = self.publisher.database.lines("select pg_current_wal_lsn()::text").await.remove(0);
        let confirmed = format!(
            "select count(*) from pg_replication_slots where slot_name = 'readers' and confirmed_flush_lsn >= '{now}'"
        );
        until("the subscriber", async || self.publisher.database.count(&confirmed).await == 1).await;
    }

    async fn assert_equal(&self) {
        let (here, there) =
            tokio::join!(self.contents(&self.publisher.database), self.contents(&self.subscriber));
        for (table, (here, there)) in self.tables.iter().zip(here.iter().zip(&there)) {
            assert_eq!(here, there, "{table}");
        }
    }

    /// The rows of each table. Over one connection: proving the password takes longer than reading.
    async fn contents(&self, database: &Database) -> Vec<Vec<String>> {
        let mut sql = database.sql().await;
        let mut contents = Vec::new();
        for table in &self.tables {
            let rows = format!("select t::text from {table} t order by 1");
            contents.push(sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut sql).await.unwrap());
        }
        contents
    }

    /// The process that sends to the subscriber.
    async fn sender(&self) -> Option<String> {
        let sender = "select pid::text from pg_stat_replication where application_name = 'readers'";
        self.publisher.database.lines(sender).await.pop()
    }
}

/// A call through a queue that nobody answered.
fn queued(call_id: &str, minute: u32) -> Cdr {
    Cdr {
        queue_name: Some("Support".into()),
        dial_status: Some("ABANDONE".into()),
        cdr_type: Some(8),
        ring_seconds: Some(40),
        ..cdr(call_id, at(2, minute))
    }
}

#[tokio::test]
async fn a_subscriber_follows_inserts_changes_and_removals_over_a_dropped_connection() {
    let replica = Replica::prepared().await;
    let scene = &replica.publisher;
    let mut records = cdrs(200, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    // Triggers follow rules where they are changed, and not once more on the subscriber.
    replica
        .subscriber
        .execute(
            "create or replace function cdr_sync.fold_again() returns trigger language plpgsql as $$
             begin raise exception 'fired on the subscriber'; end $$;
             create or replace function cdr_sync.fold_account_again() returns trigger language plpgsql as $$
             begin raise exception 'fired on the subscriber'; end $$;
             create or replace function cdr_sync.is_missing() returns trigger language plpgsql as $$
             begin raise exception 'fired on the subscriber'; end $$;",
        )
        .await;
    replica.publish().await;
    replica.copied().await;

    let new: Vec<Cdr> = (0..40).map(|n| queued(&format!("q{n}"), n)).collect();
    scene.store(&new).await;
    records.iter_mut().step_by(3).for_each(|record| record.duration_seconds = Some(61));
    records[7].started_at = at(1, 30);
    scene.read(hour(1), &records, at(12, 1)).await;
    replica.caught_up().await;
    replica.assert_equal().await;

    let sender = replica.sender().await.unwrap();
    let drop_it = format!("select pg_terminate_backend({sender})::text");
    assert_eq!(scene.database.lines(&drop_it).await, ["true"]);
    // What is written meanwhile comes once the connection is there again, in the order of the commits.
    scene.read(hour(1), &records[1..], at(12, 2)).await;
    let removed = scene.read(hour(1), &records[1..], at(12, 30)).await;
    assert_eq!(removed.removed, 1);
    scene.store(&[queued("late", 50)]).await;
    scene.database.execute("update voicenter.outcomes set missed = true where outcome = 'busy'").await;
    scene.database.execute("update voicenter.queues set short_abandon_seconds = 61").await;
    let mut size = SliceSize::default();
    while scene.store.fold_calls("main", &mut size).await.unwrap().has_more {}
    replica.caught_up().await;
    assert_ne!(replica.sender().await.unwrap(), sender);
    replica.assert_equal().await;

    // It answers readers as the publisher does.
    let outcomes = "select outcome || ' ' || count(*) from voicenter.calls group by outcome order by 1";
    assert_eq!(replica.subscriber.lines(outcomes).await, ["answered 199", "short_abandoned 41"]);
    let removed = "select call_id from voicenter.changes where kind = 'removed'";
    assert_eq!(replica.subscriber.lines(removed).await, [records[0].key.call_id.clone()]);
    let state = "select to_jsonb(s) - 'lag_seconds' from voicenter.sync_state s";
    let state = format!("select s::text from ({state}) s");
    assert_eq!(replica.subscriber.lines(&state).await, scene.database.lines(&state).await);
    let as_reader = "set role voicenter_reader; select * from voicenter.calls_daily, voicenter.sync_state";
    replica.subscriber.execute(as_reader).await;
}

#[tokio::test]
async fn a_published_schema_is_the_same_set_of_tables_where_postgresql_knows_it() {
    let database = Database::migrated().await;
    let create = "create publication readers for tables in schema voicenter";
    let created = sqlx::raw_sql(create).execute(&mut database.sql().await).await;
    if database.count("select current_setting('server_version_num')::bigint").await < 150_000 {
        // Before PostgreSQL 15 a publication lists its tables.
        assert_eq!(created.unwrap_err().as_database_error().unwrap().code().unwrap(), "42601");
        return;
    }
    created.unwrap();
    let tables = database.lines(TABLES).await;
    let of_readers: Vec<&String> = tables.iter().filter(|table| table.starts_with("voicenter.")).collect();
    let published = "select schemaname || '.' || tablename from pg_publication_tables where pubname = 'readers' order by 1";
    assert_eq!(database.lines(published).await.iter().collect::<Vec<_>>(), of_readers);
}
