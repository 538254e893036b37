//! How voicenter_reader gets its password in compose. The role belongs to the cluster, so the test has one of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use private_postgres::{Cluster, Options, ProgramSource};
use sqlx::{Connection, PgConnection};

use crate::support::database::{execute, migrate, sql};
use crate::support::folder::Folder;

/// Who the reader is, what is set for its sessions (this driver sets a zone of its own), and what it may.
const SEEN: &str = "
    select concat_ws(' ', current_user, current_setting('jit'),
        (select c from pg_db_role_setting, unnest(setconfig) c
         where setrole = current_user::regrole and c ilike 'timezone=%'),
        has_table_privilege('voicenter.calls', 'select'), has_table_privilege('voicenter.calls', 'update'),
        has_schema_privilege('cdr_sync', 'usage'))";

async fn seen(url: &str) -> String {
    sqlx::query_scalar(SEEN).fetch_one(&mut sql(url).await).await.unwrap()
}

#[tokio::test]
async fn the_reader_of_compose_logs_in_before_and_after_the_migration() {
    let start = || Cluster::start(Options { source: ProgramSource::from_env(), ..Options::default() });
    let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    let folder = Folder::new();
    let secret = folder.write("reader-password", "it's secret\n");
    // The server may run as another user.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o444)).unwrap();
    let statements = fs::read_to_string("deploy/compose/reader-login.sql").unwrap();
    let path = "/run/secrets/reader-password";
    assert_eq!(statements.matches(path).count(), 1);
    let statements = statements.replace(path, secret.to_str().unwrap());

    cluster.create_database("calls").await.unwrap();
    let (owner, port) = (cluster.url("calls"), cluster.port());
    let reader = |password: &str| format!("postgresql://voicenter_reader:{password}@127.0.0.1:{port}/calls");
    execute(&owner, &statements).await;
    migrate(&owner).await;
    let before = "voicenter_reader off TimeZone=Asia/Jerusalem t f f";
    assert_eq!(seen(&reader("it's%20secret")).await, before);
    // Started again, with another password and another zone.
    fs::remove_file(&secret).unwrap();
    let secret = folder.write("reader-password", "another");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o444)).unwrap();
    execute(&owner, "insert into cdr_sync.reporting (account, timezone) values ('a', 'Europe/Berlin')").await;
    execute(&owner, &statements).await;
    assert_eq!(seen(&reader("another")).await, "voicenter_reader off TimeZone=Europe/Berlin t f f");
    let refused = PgConnection::connect(&reader("it's%20secret")).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("28P01"), "{refused}");
}

/// Each secret that a service of compose mounts is written by setup and stands in the demo.
#[test]
fn setup_writes_every_secret_that_compose_mounts() {
    let compose = fs::read_to_string("docker-compose.yml").unwrap();
    let setup = fs::read_to_string("deploy/compose/setup").unwrap();
    let (_, secrets) = compose.split_once("\nsecrets:\n").unwrap();
    let names: Vec<&str> =
        secrets.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(setup.contains(&format!("keep {name} ")), "setup does not write {name}");
        assert!(fs::exists(format!("deploy/compose/demo/{name}")).unwrap(), "the demo has no {name}");
    }
    // What Grafana reads is mounted for it.
    let source = fs::read_to_string("deploy/grafana/provisioning/datasources/calls.yml").unwrap();
    assert!(source.contains("password: $__file{/run/secrets/reader-password}"), "{source}");
}
