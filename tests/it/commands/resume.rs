//! `resume`.

use crate::commands::scene::Ledger;

const LEDGER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start, paused_until)
values ('sales', '{}', now(), now(), now() + interval '5 minutes 30 seconds'), ('old', '{}', now(), now(), null);
insert into cdr_sync.cursor (account) values ('sales'), ('old');
insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at)
values ('sales', '[2026-06-01Z,2026-06-02Z)', 'unreadable', now(), now(), now() + interval '1 day');
";

#[tokio::test]
async fn the_waits_of_an_account_are_ended_and_listed_and_an_unknown_account_is_reported() {
    let ledger = Ledger::new(LEDGER).await;
    let first = ledger.printed(&["resume", "sales"]).await;
    assert!(first.contains("sales: ended the wait after an error (5m 2"), "{first}");
    assert!(
        first.contains("sales: ended the waits of open gaps (1)") && first.ends_with("exit status 0\n"),
        "{first}"
    );
    let waits = "select count(*) from cdr_sync.account a left join cdr_sync.gap g on g.account = a.name
                 where a.paused_until > now() or g.next_try_at > now()";
    assert_eq!(ledger.0.count(waits).await, 0);
    assert_eq!(
        ledger.printed(&["resume", "sales"]).await,
        "sales: it is not waiting for anything\n--- exit status 0\n"
    );
    let unknown = ledger.printed(&["resume", "slaes"]).await;
    assert!(unknown.contains("there is no account \"slaes\"; accounts: old, sales, service"), "{unknown}");
    assert!(unknown.ends_with("exit status 2\n"), "{unknown}");
}
