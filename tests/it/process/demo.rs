//! `demo` on a database that is not its own.

use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support::database::Database;
use crate::support::polling::until;
use crate::support::program::{Running, command};

/// Another account, with a call and with reads that housekeeping would sum up.
const OTHER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start) values ('sales', '{}', now(), now());
insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
values ('sales', 'call', '', now(), now(), now());
insert into cdr_sync.window_read (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated,
                                  unchanged, removed, rejected, elapsed)
select 'sales', now() - interval '30 days' + n * interval '1 second', 'live', tstzrange(now() - interval '1 hour', now()),
       'poll', 'whole', 1, 0, 0, 0, 0, 0, 0, '1 second'
from generate_series(1, 3) as n;
";

#[tokio::test]
async fn a_demo_leaves_the_other_accounts_of_a_given_database_alone() {
    let database = Database::migrated().await;
    database.execute(OTHER).await;
    let mut demo = command(["demo", "--listen", "127.0.0.1:0"]);
    demo.env("DATABASE_URL", database.url()).stdout(Stdio::null()).stderr(Stdio::piped());
    let demo = Running::start(demo);
    // A daemon of its own database would have warned and cleaned up before its first read.
    until("the first read of the demo", async || {
        database.count("select count(*) from cdr_sync.window_read where account = 'demo'").await > 0
    })
    .await;
    demo.signal(Signal::SIGINT);
    let (status, _, said) = demo.finish().await;
    assert_eq!(status, Some(0), "{said}");
    assert!(!said.contains("sales"), "{said}");
    let others = "select count(*) from cdr_sync.window_read where account = 'sales' and outcome = 'whole'";
    assert_eq!(database.count(others).await, 3);
    assert_eq!(database.count("select count(*) from voicenter.cdr where account = 'sales'").await, 1);
}
