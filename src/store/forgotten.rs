//! `cdr_sync.forgotten`: what was forgotten on demand, and stays so.

use sqlx::{FromRow, PgConnection};

use super::action::storable;
use super::push::{PushReading, PushState, ReceivedPush};
use super::{StoreError, sql, sql_as, sql_value};
use crate::phone_number::{Country, in_one_spelling};
use crate::push::{BodyNames, Named, PushedCall, names_of, without_records};

/// What something that may be forgotten is called in its hash.
pub(super) const CALL: &str = "call";
pub(super) const NUMBER: &str = "number";

/// What whoever stores something of an account must know first. Until the transaction ends, nothing of it is forgotten.
#[derive(FromRow)]
pub(super) struct Keeping {
    country: String,
    has_forgotten: bool,
}

impl Keeping {
    /// The country of numbers that name none.
    pub(super) fn country(&self) -> Country {
        self.country.parse().unwrap_or(Country::IL)
    }
}

/// Locks out whoever forgets. A commit is on the disk from here on, wherever others need not be: nobody could ask for a
/// notification again.
pub(super) async fn begin_keeping(conn: &mut PgConnection, account: &str) -> Result<Keeping, StoreError> {
    let keeping = sql_as(
        "select k.country, k.has_forgotten,
             case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
         from cdr_sync.begin_keeping($1) k",
    );
    Ok(keeping.bind(account).fetch_one(conn).await?)
}

/// What is kept of a notification.
pub(super) enum Kept {
    /// All of it.
    Whole,
    /// The records that are not forgotten.
    Part(Box<(ReceivedPush, PushReading)>),
    /// Nothing.
    Nothing,
}

/// What is kept of a notification by an account that has forgotten something.
pub(super) async fn kept(
    conn: &mut PgConnection,
    keeping: &Keeping,
    push: &ReceivedPush,
) -> Result<Kept, StoreError> {
    if !keeping.has_forgotten {
        return Ok(Kept::Whole);
    }
    let reading = push.clone();
    // It takes a while for a large body.
    let names =
        tokio::task::spawn_blocking(move || names_of(reading.content_type.as_deref(), &reading.body)).await;
    let names = names.map_err(|error| StoreError::Away(error.to_string()))?;
    let records = match &names {
        BodyNames::Records(records) => records.clone(),
        // One that is not understood is kept whole or not at all.
        BodyNames::Words { call_ids, numbers } => {
            let mut words: Vec<Named> = call_ids
                .iter()
                .map(|call_id| Named { call_id: call_id.clone(), numbers: Vec::new() })
                .collect();
            words.push(Named { call_id: String::new(), numbers: numbers.clone() });
            let forgotten = which(conn, &push.account, &words, keeping.country()).await?;
            return Ok(if forgotten.contains(&true) { Kept::Nothing } else { Kept::Whole });
        }
    };
    let forgotten = which(conn, &push.account, &records, keeping.country()).await?;
    Ok(left_of(push, &forgotten))
}

/// What is left of a notification without its forgotten records.
pub(super) fn left_of(push: &ReceivedPush, forgotten: &[bool]) -> Kept {
    let gone: Vec<usize> =
        (0..forgotten.len()).filter(|place| forgotten.get(*place).copied().unwrap_or(false)).collect();
    if gone.is_empty() {
        return Kept::Whole;
    }
    match without_records(push.content_type.as_deref(), &push.body, &gone) {
        Some(body) => {
            let content_type = Some("application/json".to_owned());
            let left = ReceivedPush { content_type, body, ..push.clone() };
            let reading = left.read();
            Kept::Part(Box::new((left, reading)))
        }
        None => Kept::Nothing,
    }
}

/// Takes out of a stored body what is not kept of it.
pub(super) async fn leave(
    conn: &mut PgConnection,
    account: &str,
    body_sha256: &[u8],
    kept: &Kept,
) -> Result<(), StoreError> {
    let statement = match kept {
        Kept::Whole => return Ok(()),
        Kept::Part(part) => {
            let (left, reading) = &**part;
            sql("update cdr_sync.push set raw = $3, content_type = $4, call_id = $5, type = $6
                 where account = $1 and body_sha256 = $2")
            .bind(account)
            .bind(body_sha256)
            .bind(left.body.as_slice())
            .bind(left.content_type.as_deref())
            .bind(reading.call_id.as_deref().map(storable))
            .bind(reading.call_type.as_deref().map(storable))
        }
        Kept::Nothing => {
            sql("update cdr_sync.push set raw = null, state = 'forgotten', call_id = null, type = null, problem = null
                 where account = $1 and body_sha256 = $2")
            .bind(account)
            .bind(body_sha256)
        }
    };
    statement.execute(conn).await?;
    Ok(())
}

impl PushReading {
    /// There is nothing in it that is not forgotten.
    pub(super) fn forgotten() -> Self {
        Self { state: PushState::Forgotten, call_id: None, call_type: None, problem: None }
    }
}

/// Which of the calls in a notification are forgotten, in their order: nothing of them may be stored. For whoever applies
/// notifications in a transaction that holds their rows of `cdr_sync.push`: whoever forgets waits for these rows, and then
/// deletes what was made of them.
pub(crate) async fn among(
    conn: &mut PgConnection,
    account: &str,
    calls: &[PushedCall],
) -> Result<Vec<bool>, StoreError> {
    let names: Vec<Named> = calls.iter().map(Named::from).collect();
    let country: Option<Option<String>> = sql_value(
        "select (select r.country from cdr_sync.reporting r where r.account = $1)
         where exists (select from cdr_sync.forgotten f where f.account = $1)",
    )
    .bind(account)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(country) = country else { return Ok(vec![false; calls.len()]) };
    let country = country.and_then(|country| country.parse().ok()).unwrap_or(Country::IL);
    which(conn, account, &names, country).await
}

/// Which of these are forgotten, by their CallID or by one of their numbers.
pub(super) async fn which(
    conn: &mut PgConnection,
    account: &str,
    names: &[Named],
    country: Country,
) -> Result<Vec<bool>, StoreError> {
    let (mut places, mut kinds, mut whats) = (Vec::new(), Vec::new(), Vec::new());
    for (name, place) in names.iter().zip(0_i64..) {
        let numbers = name.numbers.iter().filter_map(|raw| in_one_spelling(raw, country));
        let call = (!name.call_id.is_empty()).then(|| (CALL, name.call_id.replace('\0', "\u{fffd}")));
        for (kind, what) in call.into_iter().chain(numbers.map(|number| (NUMBER, number))) {
            places.push(place);
            kinds.push(kind);
            whats.push(what);
        }
    }
    let found: Vec<i64> = sql_value(
        "select distinct n.place
         from unnest($2::bigint[], $3::text[], $4::text[]) n (place, kind, what)
         where exists (
             select from cdr_sync.forgotten f where f.account = $1 and f.hash = cdr_sync.forgotten_hash(n.kind, n.what)
         )",
    )
    .bind(account)
    .bind(places)
    .bind(kinds)
    .bind(whats)
    .fetch_all(&mut *conn)
    .await?;
    let forgotten: Vec<bool> = (0_i64..).zip(names).map(|(place, _)| found.contains(&place)).collect();
    // Of a call that is forgotten by one leg's number, another leg may name other numbers.
    let calls = names.iter().zip(&forgotten).filter(|(name, gone)| **gone && !name.call_id.is_empty());
    let calls: Vec<String> = calls.map(|(name, _)| name.call_id.replace('\0', "\u{fffd}")).collect();
    if !calls.is_empty() {
        sql("insert into cdr_sync.forgotten (account, hash)
             select distinct $1, cdr_sync.forgotten_hash($2, w.what) from unnest($3::text[]) w (what)
             on conflict do nothing")
        .bind(account)
        .bind(CALL)
        .bind(calls)
        .execute(conn)
        .await?;
    }
    Ok(forgotten)
}

/// Notes what is forgotten from now on. Whoever stores a notification of the account meanwhile is waited for. Returns how many of
/// them were not forgotten before.
pub(super) async fn note(
    conn: &mut PgConnection,
    account: &str,
    kind: &'static str,
    whats: &[String],
) -> Result<u64, StoreError> {
    sql("select pg_advisory_xact_lock(1667527265, hashtext($1))").bind(account).execute(&mut *conn).await?;
    let noted = sql("insert into cdr_sync.forgotten (account, hash)
         select distinct $1, cdr_sync.forgotten_hash($2, w.what) from unnest($3::text[]) w (what)
         on conflict do nothing")
    .bind(account)
    .bind(kind)
    .bind(whats)
    .execute(conn)
    .await?;
    Ok(noted.rows_affected())
}
