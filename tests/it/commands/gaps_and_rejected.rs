//! `gaps` and `rejected`.

use crate::commands::scene::Ledger;

#[tokio::test]
async fn none() {
    let ledger = Ledger::new("").await;
    let printed = format!("{}{}", ledger.printed(&["gaps"]).await, ledger.printed(&["rejected"]).await);
    insta::assert_snapshot!(printed);
}

#[tokio::test]
async fn some() {
    let ledger = Ledger::new(
        "insert into cdr_sync.gap (account, span, reason, tries, opened_at, last_tried_at, next_try_at, last_error)
         values ('sales', '[2026-11-10T23:45Z,2026-11-11T00:00Z)', 'unreadable', 3, now(), now(), now(), 'HTTP 500, but not an answer from the API: HTML'),
                ('service', '[2026-11-12T08:00Z,2026-11-12T08:00:01Z)', 'overloaded', 1, now(), now(), now(), null);
         insert into cdr_sync.rejected (account, content_hash, raw, reason, started_at, first_seen_at, last_seen_at, times_seen)
         values ('sales', 'x', '{\"Duration\":3}', 'no_call_id', '2026-11-12T08:00Z', now(), now() - interval '1 hour', 12),
                ('sales', 'y', '{\"call_id\":\"a\"}', 'duplicate_key', '2026-11-12T08:00Z', now(), now(), 1);",
    )
    .await;
    let printed = format!("{}\n{}", ledger.printed(&["gaps"]).await, ledger.printed(&["rejected"]).await);
    insta::assert_snapshot!(printed);
}

const REJECTED: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start) values ('sales', '{}', now(), now()), ('service', '{}', now(), now());
insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at, closed_at)
values ('sales', 'x', '{}', 'no_call_id', now(), now(), null), ('sales', 'y', '{}', 'duplicate_key', now(), now(), null),
       ('service', 'z', '{}', 'no_date', now(), now(), null), ('service', 'over', '{}', 'no_date', now(), now(), now());";

#[tokio::test]
async fn what_is_acknowledged_counts_no_longer() {
    let ledger = Ledger::new(REJECTED).await;
    let counted = async || {
        let json = ledger.printed(&["status", "--json"]).await;
        let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        [0, 1].map(|n: usize| json["accounts"][n]["rejected_records"].as_i64().unwrap())
    };
    assert_eq!(counted().await, [2, 1]);
    let said = ledger.printed(&["rejected", "--acknowledge", "1", "4", "7"]).await;
    assert!(
        said.starts_with("1 rejected records are acknowledged\n") && said.contains("has the number 4, 7"),
        "{said}"
    );
    assert!(said.ends_with("exit status 1\n"), "{said}");
    assert_eq!(counted().await, [1, 1]);
    let said = ledger.printed(&["rejected"]).await;
    assert!(
        !said.contains("no call id") && said.contains("no date") && said.ends_with("exit status 4\n"),
        "{said}"
    );
    let said = ledger.printed(&["rejected", "--acknowledge", "3"]).await;
    assert!(said.ends_with("acknowledged\n--- exit status 0\n"), "{said}");
    // What is left is only a duplicate of what is stored.
    let said = ledger.printed(&["rejected"]).await;
    assert!(said.contains("duplicate key") && said.ends_with("exit status 0\n"), "{said}");
    let said = ledger.printed(&["rejected", "--acknowledge", "all"]).await;
    assert!(said.starts_with("1 rejected"), "{said}");
    let said = ledger.printed(&["rejected"]).await;
    assert!(
        said.starts_with("no rejected records but those acknowledged") && said.ends_with("status 0\n"),
        "{said}"
    );
    let said = ledger.printed(&["rejected", "--all", "--json"]).await;
    let all: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert!(said.ends_with("exit status 0\n") && all[0]["acknowledged_at"].is_string(), "{said}");
    let actions = "select concat_ws(' ', account, what, detail) from cdr_sync.action order by id";
    assert_eq!(
        ledger.0.lines(actions).await,
        [
            "sales acknowledge 1 rejected records",
            "service acknowledge 1 rejected records",
            "sales acknowledge 1 rejected records"
        ]
    );
}

#[tokio::test]
async fn gaps_as_json() {
    let ledger = Ledger::new(
        "insert into cdr_sync.gap (account, span, reason, tries, opened_at, last_tried_at, next_try_at, last_error)
         values ('sales', '[2026-11-10T23:45Z,2026-11-11T00:00Z)', 'unreadable', 3, now(), now(), now(), 'HTTP 500')",
    )
    .await;
    let said = ledger.printed(&["gaps", "--json"]).await;
    let gaps: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((&gaps[0]["account"], &gaps[0]["tries"]), (&"sales".into(), &3.into()));
    assert!(said.ends_with("exit status 4\n"), "{said}");
}
