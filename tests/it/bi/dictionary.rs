//! docs/data-dictionary.md is what the COMMENTs of a migrated database say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs};

use sqlx::FromRow;

use crate::support::database::Database;

const PAGE: &str = "docs/data-dictionary.md";
/// When set, the page is written instead of compared: scripts/data-dictionary sets it.
const WRITE: &str = "CDR_SYNC_WRITE_DICTIONARY";

/// Every column of a schema for readers.
const COLUMNS: &str = "
    select c.relname::text as relation, c.relkind = 'r' as is_table, obj_description(c.oid, 'pg_class') as about,
        coalesce((
            select string_agg(k.attname, ', ' order by array_position(i.indkey::smallint[], k.attnum))
            from pg_index i
            join pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey)
            where i.indrelid = c.oid and i.indisprimary
        ), '') as key,
        a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type, col_description(c.oid, a.attnum) as meaning
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    order by c.relname collate \"C\", a.attnum";

/// What readers look at first; then whatever is named in neither list.
const FIRST: [&str; 14] = [
    "calls",
    "call_legs",
    "queue_visits",
    "agent_calls",
    "menu_choices",
    "calls_15min",
    "calls_hourly",
    "calls_daily",
    "queue_daily",
    "agent_daily",
    "queue_15min",
    "agent_15min",
    "queue_1day",
    "agent_1day",
];
/// Rules, the state of the mirror, feeds, and the records behind all of it.
const LAST: [&str; 8] =
    ["outcomes", "dial_statuses", "queues", "sync_state", "changes", "removed_calls", "cdr", "cdr_history"];

const INTRO: &str = "# Data dictionary

Every table, view and column of schema `voicenter` and, at the end, of `voicenter_ai`: what readers and BI tools see. [docs/bi.md](bi.md) has the questions
that they answer. This page is made from the COMMENTs of the database, which psql (`\\d+ voicenter.calls`) and most tools
show as well; `scripts/data-dictionary` writes it, and a test compares it.

- `account` is the account's name in the configuration. Accounts are never added up: filter by it.
- Columns that end in `_at` are instants; `_local` and `day` are by the clock of the account (`sync_state.timezone`).
- Counts and sums can be added up over any span; averages and shares are left to the query.
- NULL means that something is not known or not there, never zero.
- Names marked as deprecated go with the next minor version.
";

const AI_INTRO: &str = "
## voicenter_ai

What AI makes of calls, in a schema of its own: only the role `voicenter_ai_reader` reads it
([operations.md](operations.md#transcripts-and-what-ai-makes-of-calls)). `call_id` and `type` lead to `voicenter.cdr`.

";

#[derive(FromRow)]
struct Column {
    relation: String,
    is_table: bool,
    about: String,
    key: String,
    name: String,
    #[sqlx(rename = "type")]
    sql_type: String,
    meaning: String,
}

#[derive(FromRow)]
struct Outcome {
    outcome: String,
    meaning: String,
    meaning_he: String,
    missed: bool,
}

/// Where a relation stands in the page.
fn place(relation: &str, about: &str) -> (usize, usize) {
    let position = |list: &[&str]| list.iter().position(|name| *name == relation);
    match (is_deprecated(about), position(&FIRST), position(&LAST)) {
        (true, ..) => (3, 0),
        (_, Some(nth), _) => (0, nth),
        (_, _, Some(nth)) => (2, nth),
        _ => (1, 0),
    }
}

fn is_deprecated(text: &str) -> bool {
    text.starts_with("Deprecated")
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text.trim_end_matches('.'), |(first, _)| first)
}

fn unit(name: &str) -> &'static str {
    match name {
        _ if name.ends_with("_seconds") => ", seconds",
        _ if name.ends_with("_agorot") || name == "price" => ", agorot",
        _ => "",
    }
}

/// The page, from the columns of both schemas in the order of the query.
fn page(columns: &[Column], of_ai: &[Column], outcomes: &[Outcome]) -> String {
    let mut page = INTRO.to_owned();
    page.push('\n');
    schema(&mut page, "##", columns, outcomes);
    page.push_str(AI_INTRO);
    schema(&mut page, "###", of_ai, &[]);
    page
}

/// The relations of a schema: a list of them, then each under a heading.
fn schema(page: &mut String, heading: &str, columns: &[Column], outcomes: &[Outcome]) {
    let mut relations: BTreeMap<((usize, usize), &str), Vec<&Column>> = BTreeMap::new();
    for column in columns {
        let place = place(&column.relation, &column.about);
        relations.entry((place, &column.relation)).or_default().push(column);
    }
    page.push_str("| relation | holds |\n|---|---|\n");
    for ((_, name), columns) in &relations {
        let about = cell(first_sentence(&columns[0].about));
        writeln!(page, "| [`{name}`](#{name}) | {about} |").unwrap();
    }
    for ((_, name), columns) in &relations {
        let Column { is_table, about, key, .. } = columns[0];
        let kind = if *is_table { "Table" } else { "View" };
        let key = if key.is_empty() { String::new() } else { format!(" Key: {key}.") };
        write!(
            page,
            "\n{heading} {name}\n\n{kind}. {about}{key}\n\n| column | type | meaning |\n|---|---|---|\n"
        )
        .unwrap();
        let (old, current): (Vec<&&Column>, _) =
            columns.iter().partition(|column| is_deprecated(&column.meaning));
        for column in current.into_iter().chain(old) {
            let Column { name, sql_type, meaning, .. } = column;
            let strike = if is_deprecated(meaning) { "~~" } else { "" };
            let (unit, meaning) = (unit(name), cell(meaning));
            writeln!(page, "| {strike}`{name}`{strike} | {sql_type}{unit} | {meaning} |").unwrap();
        }
        if *name == "outcomes" {
            page.push_str(
                "\nAs installed:\n\n| outcome | missed | meaning | in Hebrew |\n|---|---|---|---|\n",
            );
            for Outcome { outcome, meaning, meaning_he, missed } in outcomes {
                let missed = if *missed { "yes" } else { "no" };
                writeln!(page, "| `{outcome}` | {missed} | {} | {meaning_he} |", cell(meaning)).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn the_data_dictionary_says_what_the_comments_say() {
    let database = Database::migrated().await;
    let mut sql = database.sql().await;
    let columns: Vec<Column> = sqlx::query_as(COLUMNS).bind("voicenter").fetch_all(&mut sql).await.unwrap();
    let of_ai: Vec<Column> = sqlx::query_as(COLUMNS).bind("voicenter_ai").fetch_all(&mut sql).await.unwrap();
    let outcomes = "select outcome, meaning, meaning_he, missed from voicenter.outcomes
                    order by missed desc, outcome collate \"C\"";
    let outcomes: Vec<Outcome> = sqlx::query_as(outcomes).fetch_all(&mut sql).await.unwrap();
    assert!(columns.len() > 200, "{}", columns.len());
    let page = page(&columns, &of_ai, &outcomes);
    if env::var_os(WRITE).is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    let differing = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(page == written, "{PAGE} is old, run scripts/data-dictionary; it differs in {differing:?}");
}
