//! `cdr_sync.number`: how the numbers in the rows are spelt. Filled before calls are folded, for SQL has no numbering plans.

use sqlx::{FromRow, PgConnection};

use super::{StoreError, sql, sql_as, sql_value};
use crate::phone_number::{Country, in_one_spelling};

/// Says to PostgreSQL that whoever folds in this transaction has spelt the numbers.
pub(super) const SPELT: &str = "set local cdr_sync.numbers_spelt = 'on'";
/// How many numbers are spelt before other accounts get their turn.
const AT_ONCE: usize = 250;

/// What an account's numbers are read by, locked until the transaction ends.
#[derive(FromRow)]
struct Reporting {
    country: String,
    lacks_customers: bool,
}

/// Keeps everybody else from folding the account's calls; returns the country in which its numbers are read.
pub(super) async fn lock(conn: &mut PgConnection, account: &str) -> Result<Country, StoreError> {
    const LOCK: &str =
        "select country, lacks_customers from cdr_sync.reporting where account = $1 for update";
    let mut found: Option<Reporting> = sql_as(LOCK).bind(account).fetch_optional(&mut *conn).await?;
    if found.is_none() {
        sql("insert into cdr_sync.reporting (account) values ($1) on conflict do nothing")
            .bind(account)
            .execute(&mut *conn)
            .await?;
        found = sql_as(LOCK).bind(account).fetch_optional(&mut *conn).await?;
    }
    if found.as_ref().is_some_and(|reporting| reporting.lacks_customers) {
        sql("update cdr_sync.reporting
             set lacks_customers = false, folded_until = '-infinity', folded_call = ''
             where account = $1")
        .bind(account)
        .execute(conn)
        .await?;
    }
    Ok(found.and_then(|reporting| reporting.country.parse().ok()).unwrap_or(Country::IL))
}

/// The numbers of one commit that were not spelt yet.
pub(super) async fn unspelt(
    conn: &mut PgConnection,
    account: &str,
    committed_at: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<String>, StoreError> {
    let raw = sql_value("select cdr_sync.unspelt($1, $2)").bind(account).bind(committed_at);
    Ok(raw.fetch_all(conn).await?)
}

/// Those of the calls that are to be folded next.
pub(super) async fn unspelt_of_slice(
    conn: &mut PgConnection,
    account: &str,
    at_most: i32,
) -> Result<Vec<String>, StoreError> {
    let raw = sql_value("select cdr_sync.unspelt_of_slice($1, $2)").bind(account).bind(at_most);
    Ok(raw.fetch_all(conn).await?)
}

/// Stores how these numbers are spelt.
pub(super) async fn spell(
    conn: &mut PgConnection,
    account: &str,
    raw: Vec<String>,
    country: Country,
) -> Result<(), StoreError> {
    if raw.is_empty() {
        return Ok(());
    }
    let mut spelt = Vec::with_capacity(raw.len());
    for some in raw.chunks(AT_ONCE) {
        spelt.extend(some.iter().map(|raw| in_one_spelling(raw, country)));
        tokio::task::yield_now().await;
    }
    sql("insert into cdr_sync.number (account, raw, number)
         select $1, n.raw, n.number from unnest($2::text[], $3::text[]) n (raw, number)
         order by n.raw
         on conflict do nothing")
    .bind(account)
    .bind(raw)
    .bind(spelt)
    .execute(conn)
    .await?;
    Ok(())
}
