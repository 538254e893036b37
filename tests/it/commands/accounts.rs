//! `account rename` and `account forget`.

use sqlx::Connection;

use crate::commands::scene::{Ledger, printed, program};
use crate::support::polling::until;

const LEDGER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start)
values ('sales', '{}', now(), now()), ('old', '{}', now(), now()), ('led', '{}', now(), now()),
    ('left', '{}', now(), now());
insert into cdr_sync.cursor (account) values ('sales'), ('old'), ('led'), ('left');
insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
values ('led', 'x', 'host-1, process 7', now(), now() + interval '90 seconds');
insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
select 'old', n::text, '', now(), now(), now() from generate_series(1, 1500) as n;
";

#[tokio::test]
async fn renamed_and_forgotten() {
    let ledger = Ledger::new(LEDGER).await;
    let mut all = String::new();
    for arguments in [
        &["account", "rename", "old", "sales"][..],
        &["account", "rename", "odl", "new"],
        &["account", "rename", "led", "new"],
        &["account", "rename", "old", "new"],
        &["account", "forget", "led", "--delete"],
        &["account", "forget", "sales"],
        &["account", "forget", "new"],
        // Its rows are there, its ledger is not.
        &["account", "forget", "new"],
        &["account", "rename", "left", "new"],
    ] {
        all.push_str(&format!("$ cdr-sync {}\n{}", arguments.join(" "), ledger.printed(arguments).await));
    }
    assert_eq!(ledger.0.count("select count(*) from voicenter.cdr where account = 'new'").await, 1500);
    for arguments in [
        &["account", "forget", "new", "--delete"][..],
        &["account", "forget", "new", "--delete"],
        &["account", "rename", "left", "new"],
    ] {
        all.push_str(&format!("$ cdr-sync {}\n{}", arguments.join(" "), ledger.printed(arguments).await));
    }
    assert_eq!(ledger.0.count("select count(*) from voicenter.cdr").await, 0);
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn nobody_can_lead_an_account_while_it_is_renamed_or_forgotten_also_when_it_was_paused() {
    let ledger = Ledger::new(LEDGER).await;
    ledger.0.execute("update cdr_sync.account set paused_until = now() + interval '1 hour'").await;
    for (arguments, account) in [
        (["account", "rename", "old", "new"].as_slice(), "old"),
        (&["account", "forget", "new", "--delete"], "new"),
    ] {
        // The command stands at its first row until the lock is let go.
        let mut connection = ledger.0.sql().await;
        let mut lock = connection.begin().await.unwrap();
        sqlx::raw_sql("lock table voicenter.cdr_history in exclusive mode")
            .execute(&mut *lock)
            .await
            .unwrap();
        let working = program(arguments, &[("DATABASE_URL", ledger.0.url()), ("VOICENTER_CODE", "x")]);
        let working = tokio::spawn(printed(working));
        let leads =
            "select count(*) from cdr_sync.lease where account in ('old', 'new') and expires_at > now()";
        until("a lease", async || {
            assert!(!working.is_finished(), "it takes no lease");
            ledger.0.count(leads).await > 0
        })
        .await;
        let other = ledger.printed(&["account", "forget", account]).await;
        assert!(other.contains("in sync: stop it first") && other.ends_with("exit status 1\n"), "{other}");
        lock.rollback().await.unwrap();
        let done = working.await.unwrap();
        assert!(done.ends_with("exit status 0\n"), "{done}");
        assert_eq!(ledger.0.count("select count(*) from cdr_sync.lease where account <> 'led'").await, 0);
    }
    assert_eq!(ledger.0.count("select count(*) from voicenter.cdr").await, 0);
}

#[tokio::test]
async fn paused_and_resumed() {
    let ledger = Ledger::new(LEDGER).await;
    let said = ledger.printed(&["account", "pause", "slaes"]).await;
    assert!(said.contains("the database has no account \"slaes\"; it has: led, left, old, sales"), "{said}");
    assert!(said.ends_with("exit status 2\n"), "{said}");
    let said = ledger.printed(&["account", "pause", "led", "--reason", "a\u{1b}[31m move"]).await;
    assert!(said.contains("led is paused") && said.contains("host-1, process 7 stops reading it"), "{said}");
    // The first one's word stands.
    let said = ledger.printed(&["account", "pause", "led", "--reason", "another"]).await;
    assert!(
        said.contains("led was already paused since") && said.contains("move") && !said.contains('\u{1b}'),
        "{said}"
    );
    let said = ledger.printed(&["status"]).await;
    assert!(
        said.contains("‖ paused by hand")
            && said.contains("cdr-sync account resume led")
            && said.contains("move"),
        "{said}"
    );
    let json = ledger.printed(&["status", "--json"]).await;
    assert!(json.contains("\"pause_since\":\""), "{json}");
    for resume in [&["account", "resume", "led"][..], &["resume", "sales"]] {
        ledger.printed(&["account", "pause", "sales"]).await;
        let said = ledger.printed(resume).await;
        assert!(said.contains("it was paused since"), "{said}");
    }
    let said = ledger.printed(&["account", "resume", "sales"]).await;
    assert!(said.contains("sales is not paused") && said.ends_with("exit status 0\n"), "{said}");
    let still = "select count(*) from cdr_sync.account where pause_since is not null";
    assert_eq!(ledger.0.count(still).await, 0);
}
