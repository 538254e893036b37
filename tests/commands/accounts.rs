//! `account rename` and `account forget`.

use crate::scene::Ledger;

const LEDGER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start)
values ('sales', '{}', now(), now()), ('old', '{}', now(), now()), ('led', '{}', now(), now()),
    ('left', '{}', now(), now());
insert into cdr_sync.cursor (account) values ('sales'), ('old'), ('led'), ('left');
insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
values ('led', 'x', 'host-1, process 7', now(), now() + interval '1 hour');
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
    assert_eq!(ledger.count("select count(*) from voicenter.cdr where account = 'new'").await, 1500);
    for arguments in [
        &["account", "forget", "new", "--delete"][..],
        &["account", "forget", "new", "--delete"],
        &["account", "rename", "left", "new"],
    ] {
        all.push_str(&format!("$ cdr-sync {}\n{}", arguments.join(" "), ledger.printed(arguments).await));
    }
    assert_eq!(ledger.count("select count(*) from voicenter.cdr").await, 0);
    insta::assert_snapshot!(all);
}
