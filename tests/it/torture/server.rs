//! Faults of the PostgreSQL server.

use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

use crate::support::database::{RESTORE, SNAPSHOT};
use crate::torture::postgres::{PASSWORD, ROLE};
use crate::torture::rounds::{Form, Kind, torture};
use crate::torture::scene::{Setup, TortureScene};

/// Stops the server as `pg_ctl stop -m immediate` does and starts it again.
async fn crash(scene: &mut TortureScene) -> Duration {
    scene.postgres.crash().await;
    scene.spell(0..1_500).await;
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
    let noticed = Cell::new(0);
    torture(&kind, form, &Setup { settings, ..Setup::default() }, async |scene, number| {
        if number % 2 == 0 {
            // A commit was acknowledged a moment ago: something is lost.
            scene.recovery().await;
        }
        let recovery = crash(scene).await;
        noticed.set(scene.daemons[0].events().get("ledger_reloaded").copied().unwrap_or(0));
        recovery
    })
    .await;
    assert!(noticed.get() > 0, "no crash lost anything");
}

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

/// How long a spell lasts, in milliseconds.
const SPELL: Range<u64> = 1_500..5_000;

pub async fn read_only_spells(form: Form) {
    let kind = Kind {
        place: 6,
        name: "The database takes no writes for a while (`default_transaction_read_only`)",
        times: (20, 2),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        let whose = if number % 2 == 0 { "system".to_owned() } else { format!("database {ROLE}") };
        scene.execute(&format!("alter {whose} set default_transaction_read_only = on")).await;
        scene.execute("select pg_reload_conf()").await;
        scene.disconnect().await;
        scene.spell(SPELL).await;
        scene.execute(&format!("alter {whose} reset default_transaction_read_only")).await;
        scene.execute("select pg_reload_conf()").await;
        scene.recovery().await
    })
    .await;
}

const CODES: [&str; 5] = ["57014", "40001", "40P01", "55P03", "53100"];

pub async fn refused_merges(form: Form) {
    let kind = Kind {
        place: 7,
        name: "Every merge ends with 57014, 40001, 40P01, 55P03 or 53100 for a while",
        times: (20, 5),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        let code = CODES[number % CODES.len()];
        scene
            .execute(&format!(
                "create function public.refuse() returns trigger language plpgsql as
                 $$ begin raise exception 'not now' using errcode = '{code}'; end $$;
                 create trigger refuse before insert or update on voicenter.cdr for each row
                     execute function public.refuse()"
            ))
            .await;
        scene.disturb();
        scene.spell(SPELL).await;
        scene.execute("drop function public.refuse() cascade").await;
        scene.recovery().await
    })
    .await;
}

/// Longer than the program waits for a lock.
const LONG_LOCK: Duration = Duration::from_secs(12);

pub async fn held_locks(form: Form) {
    let kind = Kind {
        place: 8,
        name: "Somebody locks a table longer than `lock_timeout` (55P03)",
        times: (8, 1),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        let table = ["voicenter.cdr", "cdr_sync.cursor"][number % 2];
        let text = format!(
            "begin; lock table {table} in access exclusive mode; select pg_sleep({}); rollback",
            LONG_LOCK.as_secs()
        );
        scene.execute(&text).await;
        scene.recovery().await
    })
    .await;
}

pub async fn slow_merges(form: Form) {
    let kind = Kind {
        place: 9,
        name: "A trigger sleeps longer than `statement_timeout` (57014)",
        times: (3, 1),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, _| {
        scene
            .execute(
                "create function public.slow() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(45); return new; end $$;
                 create trigger slow before insert on voicenter.cdr for each row execute function public.slow()",
            )
            .await;
        scene.disturb();
        scene.spell(SPELL).await;
        // It waits for the merge that sleeps.
        scene.execute("drop function public.slow() cascade").await;
        scene.recovery().await
    })
    .await;
}

pub async fn changed_role(form: Form) {
    let kind = Kind {
        place: 10,
        name: "The role's password changes and comes back, it may not log in, it may have no connection",
        times: (15, 3),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        let (change, back) = [
            ("password 'second'".to_owned(), format!("password '{PASSWORD}'")),
            ("nologin".to_owned(), "login".to_owned()),
            ("connection limit 0".to_owned(), "connection limit -1".to_owned()),
        ][number % 3]
            .clone();
        scene.execute(&format!("alter role {ROLE} {change}")).await;
        scene.disconnect().await;
        scene.spell(SPELL).await;
        scene.execute(&format!("alter role {ROLE} {back}")).await;
        scene.recovery().await
    })
    .await;
}
