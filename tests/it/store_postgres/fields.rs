//! The table of fields and the migrations say the same.

use std::collections::BTreeSet;

use cdr_sync::cdr::Cdr;

use crate::store_postgres::scene::StoreScene;

/// What a row holds besides its record.
const BOOKKEEPING: [&str; 4] = [
    "account text",
    "first_seen_at timestamp with time zone",
    "updated_at timestamp with time zone",
    "removed_at timestamp with time zone",
];
/// What a replaced version of a row holds beyond that.
const VERSIONS: [&str; 2] = ["valid_from timestamp with time zone", "valid_to timestamp with time zone"];

fn expected(bookkeeping: &[&str]) -> BTreeSet<String> {
    let long = |kind| if kind == "timestamptz" { "timestamp with time zone" } else { kind };
    let fields = Cdr::COLUMNS.into_iter().map(|(name, kind)| format!("{name} {}", long(kind)));
    fields.chain(bookkeeping.iter().map(|column| (*column).to_owned())).collect()
}

fn compare(table: &str, columns: Vec<String>, expected: &BTreeSet<String>) {
    let columns: BTreeSet<String> = columns.into_iter().collect();
    let missing: Vec<_> = expected.difference(&columns).collect();
    assert!(
        missing.is_empty(),
        "{table} lacks these columns of the table in src/cdr/fields.rs, or has them with another type: write a \
         migration that adds them to voicenter.cdr and voicenter.cdr_history: {missing:?}"
    );
    let unknown: Vec<_> = columns.difference(expected).collect();
    assert!(
        unknown.is_empty(),
        "{table} has columns that nothing fills: add a row to the table in src/cdr/fields.rs, or, if the daemon itself \
         fills them, to the lists at the head of this test: {unknown:?}"
    );
}

#[tokio::test]
async fn the_migrated_tables_have_the_columns_of_the_table_of_fields_and_no_others() {
    let scene = StoreScene::new().await;
    let columns = scene
        .database
        .lines(
            "select column_name || ' ' || data_type from information_schema.columns
             where table_schema = 'voicenter' and table_name = 'cdr'",
        )
        .await;
    compare("voicenter.cdr", columns, &expected(&BOOKKEEPING));
    let columns = scene
        .database
        .lines(
            "select column_name || ' ' || data_type from information_schema.columns
             where table_schema = 'voicenter' and table_name = 'cdr_history'",
        )
        .await;
    compare("voicenter.cdr_history", columns, &expected(&[&BOOKKEEPING[..], &VERSIONS].concat()));
}
