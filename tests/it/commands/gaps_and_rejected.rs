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
