//! Faults of the PostgreSQL server.

use std::time::Duration;

use crate::rounds::{Form, Kind, torture};
use crate::scene::{Scene, Setup};

/// Stops the server as `pg_ctl stop -m immediate` does and starts it again.
async fn crash(scene: &mut Scene) -> Duration {
    scene.postgres.crash().await;
    let down = Duration::from_millis(scene.random.u64(0..1_500));
    tokio::time::sleep(down).await;
    scene.postgres.restart().await;
    scene.recovery().await
}

pub async fn crashed_server(form: Form) {
    let kind = Kind {
        place: 2,
        name: "PostgreSQL stopped with `-m immediate`, started again",
        times: (50, 2),
        lanes: 2,
        within: 10,
    };
    // A crash must keep what was acknowledged; the operating system does not crash here.
    let setup = Setup { settings: vec![("synchronous_commit", "on")], ..Setup::default() };
    torture(&kind, form, &setup, async |scene, _| crash(scene).await).await;
}

pub async fn lost_commits(form: Form) {
    let kind = Kind {
        place: 3,
        name: "PostgreSQL crashes and loses its last commits (`synchronous_commit = off`)",
        times: (20, 1),
        lanes: 1,
        within: 10,
    };
    let settings = vec![("synchronous_commit", "off"), ("wal_writer_delay", "10000")];
    torture(&kind, form, &Setup { settings, ..Setup::default() }, async |scene, _| crash(scene).await).await;
}

/// All that a commit may write.
const SNAPSHOT: &str = "
drop schema if exists before cascade;
create schema before;
do $$ declare t regclass; begin
    for t in select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('voicenter', 'cdr_sync') and c.relkind = 'r' loop
        execute format('create table before.%I as table %s', replace(t::text, '.', '__'), t);
    end loop;
end $$";

/// The state of the snapshot, under the daemon that went on since. All tables are locked first: what a failover brings
/// is of one instant.
const RESTORE: &str = "
begin;
set local session_replication_role = replica;
do $$ declare t regclass; begin
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

pub async fn restored_snapshot(form: Form) {
    let kind = Kind {
        place: 4,
        name: "The database goes back to an earlier snapshot under the running daemon",
        times: (20, 2),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, _| {
        scene.execute(SNAPSHOT).await;
        scene.disturb();
        // Commits that will be lost.
        scene.recovery().await;
        scene.execute(RESTORE).await;
        scene.recovery().await
    })
    .await;
}
