//! Databases that are not as they should be: refused before anything is written, or worked with all the same.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cdr_sync::store::{Store, StoreError};
use chrono::TimeDelta;
use private_postgres::TestDatabase;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use crate::store_postgres::scene::{ACCOUNT, Scene, at, cdrs, settings};

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn count(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

/// A role of this test alone, with a password.
struct Role<'a> {
    database: &'a TestDatabase,
    name: String,
}

impl<'a> Role<'a> {
    async fn new(database: &'a TestDatabase) -> Self {
        let name = format!("role_of_{}", database.name());
        execute(database.url(), format!("create role {name} login password 'right'")).await;
        Self { database, name }
    }

    fn url(&self, password: &str) -> String {
        let mut url = Url::parse(self.database.url()).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(password)).unwrap();
        url.into()
    }

    async fn change(&self, sql: &str) {
        execute(
            self.database.url(),
            sql.replace("ROLE", &self.name).replace("DATABASE", self.database.name()),
        )
        .await;
    }

    /// Roles outlive databases.
    async fn drop(self) {
        self.change("drop owned by ROLE cascade; drop role ROLE").await;
    }
}

fn named(error: &StoreError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[tokio::test]
async fn a_database_in_another_encoding_is_left_as_it_is() {
    let database = TestDatabase::new().await.unwrap();
    for encoding in ["LATIN1", "SQL_ASCII", "ISO_8859_8"] {
        let name = format!("{}_{}", database.name(), encoding.to_lowercase());
        execute(
            database.url(),
            format!("create database {name} template template0 encoding '{encoding}' locale 'C'"),
        )
        .await;
        let mut url = Url::parse(database.url()).unwrap();
        url.set_path(&name);
        let store = Store::connect(&settings(url.as_str())).await.unwrap();
        let refused = store.migrate().await;
        let left = count(
            url.as_str(),
            "select count(*) from pg_namespace where nspname like '%cdr_sync%' or nspname like 'voicenter%'",
        )
        .await;
        store.close().await;
        execute(database.url(), format!("drop database {name} with (force)")).await;
        let error = refused.unwrap_err();
        named(&error, &[encoding, "UTF8", "create database"]);
        assert!(!error.is_unavailable(), "no wait changes an encoding");
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn tables_of_somebody_else_are_named_and_left_alone() {
    let database = TestDatabase::new().await.unwrap();
    let theirs =
        "create schema voicenter; create table voicenter.cdr (id int); insert into voicenter.cdr values (1)";
    execute(database.url(), theirs.into()).await;
    let store = Store::connect(&settings(database.url())).await.unwrap();
    let error = store.migrate().await.unwrap_err();
    named(&error, &["voicenter.cdr (owner ", "no ledger", "another database"]);
    assert_eq!(count(database.url(), "select count(*) from voicenter.cdr").await, 1);
    let half_made = "select count(*) from pg_namespace where nspname = 'cdr_sync'";
    assert_eq!(count(database.url(), half_made).await, 0);
    // An empty schema that the role may use is nobody's.
    execute(database.url(), "drop table voicenter.cdr".into()).await;
    store.migrate().await.unwrap();
    assert!(store.environment().await.unwrap().obstacles().is_empty());
}

#[tokio::test]
async fn without_the_right_to_temporary_tables_a_large_answer_is_stored_all_the_same() {
    let scene = Scene::new().await;
    let role = Role::new(&scene.database).await;
    role.change(
        "revoke temporary on database DATABASE from public;
         grant usage on schema voicenter, cdr_sync to ROLE;
         grant select, insert, update, delete on all tables in schema voicenter, cdr_sync to ROLE",
    )
    .await;
    let poor = Store::connect(&settings(&role.url("right"))).await.unwrap();
    let environment = poor.environment().await.unwrap();
    assert!(!environment.may_stage && environment.denied.is_empty() && environment.obstacles().is_empty());
    let records = cdrs(1_500, at(1, 0));
    let stored = poor.commit(&scene.commit(&records, at(12, 0))).await;
    poor.close().await;
    role.drop().await;
    assert_eq!(stored.unwrap().inserted, 1_500);
    assert_eq!(scene.store(&records).await.unchanged, 1_500);
}

#[tokio::test]
async fn a_role_without_rights_to_a_table_learns_which() {
    let scene = Scene::new().await;
    let role = Role::new(&scene.database).await;
    role.change(
        "grant usage on schema voicenter, cdr_sync to ROLE;
         grant select, insert, update, delete on all tables in schema voicenter, cdr_sync to ROLE;
         revoke delete on cdr_sync.gap from ROLE",
    )
    .await;
    let poor = Store::connect(&settings(&role.url("right"))).await.unwrap();
    let environment = poor.environment().await;
    poor.close().await;
    role.drop().await;
    assert_eq!(environment.unwrap().denied, ["cdr_sync.gap"]);
}

#[tokio::test]
async fn a_role_whose_transactions_are_read_only_is_told_so_and_waited_for() {
    let database = TestDatabase::new().await.unwrap();
    let role = Role::new(&database).await;
    role.change(
        "grant create on database DATABASE to ROLE; alter role ROLE set default_transaction_read_only = on",
    )
    .await;
    let store = Store::connect(&settings(&role.url("right"))).await.unwrap();
    let refused = store.migrate().await;
    store.close().await;
    role.change("alter role ROLE reset default_transaction_read_only").await;
    let store = Store::connect(&settings(&role.url("right"))).await.unwrap();
    let migrated = store.migrate().await;
    store.close().await;
    role.drop().await;
    let error = refused.unwrap_err();
    assert!(error.is_unavailable());
    named(&error, &["read-only", "default_transaction_read_only", "primary"]);
    migrated.unwrap();
}

#[tokio::test]
async fn who_is_not_let_in_waits_with_the_servers_own_reason() {
    let database = TestDatabase::new().await.unwrap();
    let role = Role::new(&database).await;
    let open = |url: &str| {
        let settings = settings(url);
        Store::open(&cdr_sync::store::DatabaseSettings {
            acquire_timeout: Duration::from_secs(5),
            ..settings
        })
        .unwrap()
    };
    let wrong = open(&role.url("wrong")).ping().await;
    let mut url = Url::parse(&role.url("right")).unwrap();
    url.set_path("there_is_no_such_database");
    let missing = open(url.as_str()).ping().await;
    role.change("alter role ROLE connection limit 1").await;
    let only = PgConnection::connect(&role.url("right")).await.unwrap();
    let store = open(&role.url("right"));
    let crowded = store.ping().await;
    let trouble = store.last_trouble();
    only.close().await.unwrap();
    // PostgreSQL counts the connection until its process has ended.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.ping().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the connection is free again");
    }
    let calmed = store.last_trouble();
    store.close().await;
    role.drop().await;
    for (result, reason, advice) in [
        (wrong, "28P01", "password"),
        (missing, "3D000", "create the database"),
        (crowded, "too many connections for role", "database.max_connections"),
    ] {
        let error = result.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        named(&error, &[reason, advice]);
    }
    assert!(trouble.is_some_and(|text| text.contains("too many connections")));
    assert_eq!(calmed, None);
}

#[tokio::test]
async fn a_role_with_fewer_connections_than_the_pool_works_with_those() {
    let database = TestDatabase::new().await.unwrap();
    let role = Role::new(&database).await;
    role.change("alter role ROLE connection limit 1").await;
    let store = Store::open(&cdr_sync::store::DatabaseSettings {
        acquire_timeout: Duration::from_secs(5),
        ..settings(&role.url("right"))
    })
    .unwrap();
    // Two at a time: the second finds no connection free, and may make none.
    let mut results = Vec::new();
    for _ in 0..3 {
        let (one, other) = tokio::join!(store.ping(), store.ping());
        results.extend([one, other]);
    }
    store.close().await;
    role.drop().await;
    assert_eq!(results, vec![Ok(()); 6]);
}

/// A server that offers TLS with this certificate and ends after the handshake. Returns its port.
fn server_with(certificate: &str) -> u16 {
    let folder = "tests/it/store_postgres/certificates";
    let certificate = CertificateDer::from_pem_file(format!("{folder}/{certificate}.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/key.pem")).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).unwrap();
        socket.write_all(b"S").unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let _ = tls.complete_io(&mut socket);
    });
    port
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_named_with_what_to_do() {
    let authority = "&sslrootcert=tests/it/store_postgres/certificates/authority.pem";
    for (certificate, more, words) in [
        ("valid", "", ["unknown authority", "sslrootcert="]),
        ("expired", authority, ["has expired", "renew"]),
        ("other_host", authority, ["another host name", "host in database.url"]),
    ] {
        let port = server_with(certificate);
        let url = format!("postgres://u:hidden@127.0.0.1:{port}/d?sslmode=verify-full{more}");
        let error = Store::open(&settings(&url)).unwrap().try_connecting().await.unwrap_err();
        assert!(matches!(error, StoreError::Tls { .. }) && error.is_unavailable(), "{error}");
        named(&error, &words);
        assert!(!error.to_string().contains("hidden"));
    }
    // What is right is no TLS fault: this server just says nothing afterwards.
    let url = format!("postgres://u@127.0.0.1:{}/d?sslmode=verify-full{authority}", server_with("valid"));
    let error = Store::open(&settings(&url)).unwrap().try_connecting().await.unwrap_err();
    assert!(matches!(error, StoreError::Away(_)), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_named_when_tls_is_asked_for() {
    let database = TestDatabase::new().await.unwrap();
    let url = format!("{}?sslmode=require", database.url());
    let error = Store::open(&settings(&url)).unwrap().try_connecting().await.unwrap_err();
    assert!(error.is_unavailable());
    named(&error, &["TLS", "ssl = on"]);
}

#[tokio::test]
async fn days_that_take_too_long_to_count_keep_no_account_from_starting() {
    let scene = Scene::new().await;
    let mut records = cdrs(30, at(1, 0));
    records[10..].iter_mut().for_each(|record| record.started_at += TimeDelta::days(3));
    scene.store(&records).await;
    // Every row older than the third day takes half a minute to look at.
    execute(
        scene.database.url(),
        "alter table voicenter.cdr rename to kept;
         create view voicenter.cdr as
         select * from voicenter.kept
         where case when started_at < '2024-06-12' then pg_sleep(30) is not null else true end"
            .into(),
    )
    .await;
    let short = cdr_sync::store::DatabaseSettings {
        statement_timeout: Duration::from_secs(5),
        ..settings(scene.database.url())
    };
    let store = Store::connect(&short).await.unwrap();
    let (from, to) = (at(0, 0), at(0, 0) + TimeDelta::days(5));
    let counts = store.hourly_counts(ACCOUNT, from, to).await.unwrap();
    assert_eq!(counts, [(at(1, 0) + TimeDelta::days(3), 20)]);
}
