//! Keys lead with the account, so that the tables can be distributed by it.

use crate::support::database::Database;

/// Keys that do not lead with the account, and why they need not.
const OTHER_KEYS: [(&str, &str); 8] = [
    ("cdr_sync.budget credential", "a credential's budget; several accounts may share it"),
    ("cdr_sync.call_history_week credential", "a token's ration; several accounts may share it"),
    ("cdr_sync.installation only_one", "one row for the database"),
    ("cdr_sync.migration name", "one row for each migration"),
    ("cdr_sync.replica holder", "the daemons"),
    ("voicenter.dates day", "the calendar, the same for every account: a reference table"),
    ("voicenter.dial_statuses status", "a rule, the same for every account: a reference table"),
    ("voicenter.outcomes outcome", "a rule, the same for every account: a reference table"),
];

#[tokio::test]
async fn every_key_leads_with_the_account() {
    let keys = Database::migrated()
        .await
        .lines(
            "select c.oid::regclass || ' ' || a.attname
             from pg_index i
             join pg_class c on c.oid = i.indrelid
                 and c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace)
             left join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
             where i.indisunique
               and (a.attname, c.oid) is distinct from ('name', 'cdr_sync.account'::regclass)
               and a.attname is distinct from 'account'
             order by 1",
        )
        .await;
    let mut listed: Vec<&str> = OTHER_KEYS.iter().map(|(key, _)| *key).collect();
    listed.sort_unstable();
    assert_eq!(keys, listed);
}

#[tokio::test]
async fn every_table_with_calls_has_a_key() {
    // Without one, changes and removals are not replicated, and PostgreSQL refuses them once the table is published.
    let without = "select c.oid::regclass::text from pg_class c
         where c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace) and c.relkind in ('r', 'p')
           and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)";
    assert_eq!(Database::migrated().await.lines(without).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_reference_to_another_table_is_by_account() {
    let others = Database::migrated()
        .await
        .lines(
            "select f.conrelid::regclass || ' ' || a.attname || ' -> ' || f.confrelid::regclass || ' ' || b.attname
             from pg_constraint f
             join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
             join pg_attribute b on b.attrelid = f.confrelid and b.attnum = f.confkey[1]
             where f.contype = 'f' and f.connamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace)
               and not (a.attname = 'account' and (b.attname = 'account' or f.confrelid = 'cdr_sync.account'::regclass))
             order by 1",
        )
        .await;
    // Both are reference tables, whole on every server.
    assert_eq!(others, ["voicenter.dial_statuses outcome -> voicenter.outcomes outcome"]);
}

/// A view is a question about one account if every table in its plan is: PostgreSQL itself says so. What an account's
/// share of a table is must not depend on how large the table is.
#[tokio::test]
async fn a_view_asked_about_one_account_reads_that_account_alone() {
    let database = Database::migrated().await;
    let views = database
        .lines(
            "select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'account'
             where c.relnamespace in ('voicenter'::regnamespace, 'voicenter_ai'::regnamespace) and c.relkind = 'v' order by 1",
        )
        .await;
    assert!(views.len() >= 6, "{views:?}");
    // sync_state counts for each of the accounts that it shows: `a` is the one row of cdr_sync.account.
    // Inside a subquery its name is a parameter.
    // So it is where a lateral looks up the legs of a call that is bound.
    let bound = [
        "account = 'one'",
        "name = 'one'",
        "account = a.name",
        "account = m.account",
        "account = c.account",
        "account = c_1.account",
        "account = p.account",
        "account = r.account",
        "account = $",
    ];
    for view in views {
        let plan = database
            .lines(&format!("explain (costs off, verbose) select * from {view} where account = 'one'"))
            .await;
        let scans: Vec<usize> = plan
            .iter()
            .enumerate()
            .filter(|(_, line)| {
                let is_rule =
                    line.contains(" on voicenter.dial_statuses") || line.contains(" on voicenter.dates");
                let is_made = line.contains("Function Scan") || line.contains("WorkTable Scan");
                line.contains("Scan") && line.contains(" on ") && !is_made && !is_rule
            })
            .map(|(at, _)| at)
            .collect();
        assert!(!scans.is_empty(), "{plan:#?}");
        for at in scans {
            // The lines that belong to the scan are indented more deeply than it.
            let depth = |line: &str| line.len() - line.trim_start_matches([' ', '-', '>']).len();
            let own = plan[at + 1..].iter().take_while(|line| depth(line) > depth(&plan[at]));
            let is_bound = own.into_iter().any(|line| bound.iter().any(|part| line.contains(part)));
            assert!(is_bound, "{view}: {}\n{plan:#?}", plan[at]);
        }
    }
}
