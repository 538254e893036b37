//! Every statement on tables of accounts names one account, or stands in a list with its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::scaling::statement::loose_tables;
use crate::support::database::Database;

/// Relations with an account, and the column that holds it.
async fn keyed(database: &Database) -> BTreeMap<String, String> {
    let rows = database
        .lines(
            "select c.oid::regclass || ' ' || a.attname
             from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
             where c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace) and c.relkind in ('r', 'v')
               and (a.attname = 'account' or c.oid = 'cdr_sync.account'::regclass and a.attname = 'name')",
        )
        .await;
    rows.iter().filter_map(|row| row.split_once(' ')).map(|(t, c)| (t.to_owned(), c.to_owned())).collect()
}

const ALL: &str = "all accounts, for the page and the command line: one account after the other, or counts";
const HOUSEKEEPING: &str = "housekeeping, for all accounts at once";
const TELLING: &str = "what people are told of, a few small rows of accounts in trouble";
const LEADING: &str = "who leads, one small row for each account";

/// What is not bound to one account, and why: the file or function, a part of the statement, the reason.
const OF_ALL_ACCOUNTS: [(&str, &str, &str); 37] = [
    ("store/account.rs", "coalesce(m.suspicious, 0)", ALL),
    ("store/account.rs", "delete from cdr_sync.lease where account in ($1, $2)", "renames an account"),
    ("store/account.rs", "delete from cdr_sync.notice where account in ($1, $2)", "renames an account"),
    ("move_analysis", "where f.account = from_account", "renames an account, or moves within one"),
    ("move_analyses", "where f.account = from_account", "renames an account"),
    ("store/calls.rs", "from voicenter.sync_state where not calls_current", ALL),
    ("store/coverage.rs", "select account, span, tier", ALL),
    ("store/coverage.rs", "select account, span, fields", ALL),
    ("store/gap.rs", "where closed_at is null and ($1::text is null or account = $1)", ALL),
    ("store/history.rs", "delete from voicenter.cdr_history", HOUSEKEEPING),
    ("store/lateness.rs", "select account from cdr_sync.settling order by account", HOUSEKEEPING),
    ("store/lateness.rs", "as followed, sum(hours) as changed", ALL),
    ("store/lateness.rs", "join voicenter.sync_state v", ALL),
    ("store/lateness.rs", "select account, within_seconds, records", ALL),
    ("store/lease.rs", "account = any($1) and holder = $2", LEADING),
    (
        "store/missing.rs",
        "delete from cdr_sync.earlier_scope where ctid = any",
        "by the rows' places, found by their account",
    ),
    ("store/notice.rs", "order by account, kind for update", TELLING),
    ("store/notice.rs", "delete from cdr_sync.notice n", TELLING),
    ("store/notice.rs", "set ended_at", TELLING),
    ("store/notice.rs", "set told_at = clock_timestamp()", TELLING),
    ("store/notice.rs", "set told_at = null", TELLING),
    ("store/notice.rs", "set claimed_until", TELLING),
    ("store/overview.rs", "max(started_at) from cdr_sync.window_read", ALL),
    ("store/overview.rs", "group by 1, 2 order by 1, 3 desc", ALL),
    ("store/pause.rs", "pause_since is not null", LEADING),
    ("store/push.rs", "select distinct account from cdr_sync.push", ALL),
    ("store/reference.rs", "reference_list order by account, list", ALL),
    ("store/rejected.rs", "($1::text is null or account = $1)", ALL),
    ("store/replica.rs", "as leads", LEADING),
    ("store/shared_calls.rs", "count(*) from cdr_sync.account", "compares accounts"),
    ("store/shared_calls.rs", "shared.found", "compares accounts"),
    ("store/shared_calls.rs", "sampled as (", "compares accounts"),
    ("store/trim.rs", "no daemon has worked for this account", HOUSEKEEPING),
    ("store/trim.rs", "select name from cdr_sync.account order by name", HOUSEKEEPING),
    ("store/trim.rs", "rejected_left_out > 0", ALL),
    ("store/window_read.rs", "delete from cdr_sync.window_read", HOUSEKEEPING),
    ("fold_again", "update cdr_sync.reporting", "a rule of all accounts has changed"),
];

/// The string literals of Rust code, tests left out.
fn literals(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut literal = String::new();
            let mut chars = text.char_indices();
            let mut end = text.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => literal.extend(chars.next().map(|(_, c)| if c == '\n' { ' ' } else { c })),
                    c => literal.push(c),
                }
            }
            found.push(literal);
            rest = &text[end..];
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else {
            rest = &rest[1..];
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// A statement with the constants of its file put in, as `format!` does.
fn completed(text: String, code: &str) -> String {
    let constants = code.split("const ").skip(1).filter_map(|rest| rest.split_once(": &str = "));
    constants.fold(text, |text, (name, rest)| {
        let value = literals(rest).into_iter().next().unwrap_or_default();
        text.replace(&format!("{{{name}}}"), &value)
    })
}

/// Messages name tables, too.
fn is_statement(text: &str) -> bool {
    let verbs = ["select", "insert", "update", "delete", "with", "where", "join", "merge"];
    text.split_whitespace().any(|word| verbs.contains(&word.trim_start_matches('(')))
}

/// Where each statement stands, and its text.
async fn statements(database: &Database) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // Only the store speaks to the database.
    for path in sources(Path::new("src/store")) {
        let code = fs::read_to_string(&path).unwrap();
        let texts = literals(&code).into_iter().filter(|text| is_statement(text));
        found.extend(texts.map(|text| (path.display().to_string(), completed(text, &code))));
    }
    let functions = database
        .lines(
            "select proname || E'\\n' || prosrc from pg_proc
             where pronamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace) order by 1",
        )
        .await;
    found.extend(
        functions.iter().filter_map(|f| f.split_once('\n')).map(|(n, t)| (n.to_owned(), t.to_owned())),
    );
    found
}

#[tokio::test]
async fn every_statement_names_one_account() {
    let database = Database::migrated().await;
    let keyed = keyed(&database).await;
    let mut unused = OF_ALL_ACCOUNTS.to_vec();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (place, text) in statements(&database).await {
        seen += usize::from(keyed.keys().any(|table| text.contains(table.as_str())));
        let loose = loose_tables(&text, &keyed);
        if loose.is_empty() {
            continue;
        }
        let fits = |(at, part, _): &(&str, &str, &str)| place.ends_with(at) && text.contains(part);
        if !OF_ALL_ACCOUNTS.iter().any(fits) {
            wrong.push(format!("{place}: {} in {text}", loose.join(", ")));
        }
        unused.retain(|listed| !fits(listed));
    }
    assert!(seen > 100, "{seen} statements were read");
    assert!(wrong.is_empty(), "not bound to one account:\n{}", wrong.join("\n\n"));
    assert!(unused.is_empty(), "listed, but bound to one account or gone: {unused:?}");
}
