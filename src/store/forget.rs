//! Forgetting a call or a phone number on somebody's demand: what was said, what was made of it, and the notifications it came in.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::action::{self, ActionKind};
use super::forgotten;
use super::push::UnreadPush;
use super::{Store, StoreError, analysis, pushed, sql, sql_as, sql_value};
use crate::phone_number::{Country, in_one_spelling};
use crate::push::{BodyNames, Named, names_of};

/// Bodies that are looked through at a time.
const BODIES: i64 = 50;
/// Calls and bodies that are erased in one transaction.
const AT_ONCE: usize = 500;

/// What is to be forgotten. No `Debug`: it is what must not be printed.
#[derive(Clone)]
pub enum Forget {
    /// All calls from and to a number, however it is written.
    Number(String),
    /// A call, by its CallID.
    Call(String),
}

/// A text that is no phone number was given; it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no phone number: write it like 0541234567 or +972541234567, or name the call with --call-id"
)]
pub struct NotANumber;

/// What is to be erased, and what remains in the mirror.
#[derive(Clone, Default)]
pub struct Forgettable {
    /// The calls, by their CallIDs.
    call_ids: BTreeSet<String>,
    /// The notifications with them that still have a body.
    bodies: BTreeSet<Vec<u8>>,
    /// Rows of `voicenter.cdr` that remain.
    pub mirrored: i64,
    /// Replaced versions of them, which remain as well.
    pub versions: i64,
}

/// How much was erased, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Calls with an analysis.
    pub analyses: u64,
    /// Lines of transcripts.
    pub lines: u64,
    /// Bodies of notifications; what else is in one stays.
    pub bodies: u64,
    /// Rows of what was made of notifications (`voicenter.cdr_push`).
    pub pushed: u64,
}

impl Forgettable {
    /// How many calls are concerned.
    pub fn calls(&self) -> usize {
        self.call_ids.len()
    }
}

/// What else was made of the notifications of some calls: it is deleted, too, and counted apart.
const OF_PUSHES: [&str; 1] = ["delete from voicenter.cdr_push where account = $1 and call_id = any ($2)"];
/// The same, counted for a dry run.
const COUNT_OF_PUSHES: [&str; 1] =
    ["select count(*) from voicenter.cdr_push where account = $1 and call_id = any ($2)"];

/// Every number in the mirror of an account that nobody has spelt yet.
const UNSPELT: &str = "
select distinct n.raw
from (
    select left(c.caller_number, 200) as raw from voicenter.cdr c where c.account = $1
    union all select left(c.target_number, 200) from voicenter.cdr c where c.account = $1
    union all select left(h.caller_number, 200) from voicenter.cdr_history h where h.account = $1
    union all select left(h.target_number, 200) from voicenter.cdr_history h where h.account = $1
    union all select left(p.client_phone, 200) from voicenter.cdr_push p where p.account = $1
    union all select left(p.shared ->> 'caller_number', 200) from voicenter.cdr_push p where p.account = $1
    union all select left(p.shared ->> 'target_number', 200) from voicenter.cdr_push p where p.account = $1
    union all select left(p.dialer ->> 'phone', 200) from voicenter.cdr_push p where p.account = $1
) n
where n.raw is not null
  and not exists (select from cdr_sync.number s where s.account = $1 and s.raw = n.raw)";

const CALLS_OF: &str = "
select c.call_id from voicenter.cdr c
where c.account = $1 and (left(c.caller_number, 200) = any ($2) or left(c.target_number, 200) = any ($2))
union
select h.call_id from voicenter.cdr_history h
where h.account = $1 and (left(h.caller_number, 200) = any ($2) or left(h.target_number, 200) = any ($2))
union
select p.call_id from voicenter.cdr_push p
where p.account = $1
  and (left(p.client_phone, 200) = any ($2) or left(p.shared ->> 'caller_number', 200) = any ($2)
       or left(p.shared ->> 'target_number', 200) = any ($2) or left(p.dialer ->> 'phone', 200) = any ($2))";

impl Store {
    /// What is to be forgotten in the form in which it is compared; an error for a number that names nobody.
    pub async fn forget_in_one_spelling(
        &self,
        account: &str,
        what: Forget,
    ) -> Result<Result<Forget, NotANumber>, StoreError> {
        let Forget::Number(raw) = &what else { return Ok(Ok(what)) };
        let country = self.country(account).await?;
        Ok(in_one_spelling(raw, country).map(Forget::Number).ok_or(NotANumber))
    }

    /// What there is to be forgotten of an account: calls of the mirror and of notifications. Changes nothing.
    pub async fn forgettable(&self, account: &str, what: &Forget) -> Result<Forgettable, StoreError> {
        let country = self.country(account).await?;
        let mut found = Forgettable::default();
        let number = match what {
            Forget::Call(call_id) => {
                found.call_ids.insert(call_id.clone());
                None
            }
            Forget::Number(number) => {
                found.call_ids.extend(self.calls_of_number(account, number, country).await?);
                Some(number.as_str())
            }
        };
        // A call may be known by the number of one of its legs only: first all calls, then the bodies with any of them.
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        let mut last: Option<(DateTime<Utc>, Vec<u8>)> = None;
        loop {
            let bodies = self.bodies_after(account, last.as_ref()).await?;
            let Some(end) = bodies.last() else { break };
            last = Some((end.received_at, end.body_sha256.clone()));
            for body in bodies {
                let body_sha256 = body.body_sha256.clone();
                match names(body).await? {
                    BodyNames::Records(records) => {
                        let about = |record: &&Named| is_about(&record.numbers, number, country);
                        found
                            .call_ids
                            .extend(records.iter().filter(about).map(|record| record.call_id.clone()));
                        let call_ids: Vec<String> =
                            records.into_iter().map(|record| record.call_id).collect();
                        read.push((body_sha256, call_ids));
                    }
                    BodyNames::Words { .. } => unread.push(body_sha256),
                }
            }
        }
        let concerns = |call_ids: &[String]| call_ids.iter().any(|call_id| found.call_ids.contains(call_id));
        found.bodies =
            read.into_iter().filter(|(_, call_ids)| concerns(call_ids)).map(|(body, _)| body).collect();
        for body_sha256 in unread {
            let body = self
                .in_time(async {
                    let mut tx = self.begin().await?;
                    let body = body(&mut tx, account, &body_sha256).await?;
                    tx.commit().await?;
                    Ok(body)
                })
                .await?;
            if let Some(body) = body
                && let BodyNames::Words { call_ids, numbers } = names(body).await?
                && (call_ids.iter().any(|call_id| found.call_ids.contains(call_id))
                    || is_about(&numbers, number, country))
            {
                found.bodies.insert(body_sha256);
            }
        }
        let call_ids: Vec<&String> = found.call_ids.iter().collect();
        (found.mirrored, found.versions) = self.at_length(async |mut tx| {
            let rows = sql_as(
                "select (select count(*) from voicenter.cdr c where c.account = $1 and c.call_id = any ($2)),
                     (select count(*) from voicenter.cdr_history h where h.account = $1 and h.call_id = any ($2))",
            )
            .bind(account)
            .bind(&call_ids)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await?;
        Ok(found)
    }

    /// What [`Store::erase`] would erase.
    pub async fn count_erasable(&self, account: &str, found: &Forgettable) -> Result<Erased, StoreError> {
        let call_ids: Vec<&String> = found.call_ids.iter().collect();
        self.at_length(async |mut tx| {
            let (analyses, lines): (i64, i64) = sql_as(
                "select (select count(*) from voicenter_ai.call_ai a where a.account = $1 and a.call_id = any ($2)),
                     (select count(*) from voicenter_ai.call_transcript t where t.account = $1 and t.call_id = any ($2))",
            )
            .bind(account)
            .bind(&call_ids)
            .fetch_one(&mut *tx)
            .await?;
            let mut pushed = 0;
            for count in COUNT_OF_PUSHES {
                let rows: i64 = sql_value(count).bind(account).bind(&call_ids).fetch_one(&mut *tx).await?;
                pushed += rows.unsigned_abs();
            }
            tx.commit().await?;
            let bodies = found.bodies.len() as u64;
            Ok(Erased { analyses: analyses.unsigned_abs(), lines: lines.unsigned_abs(), bodies, pushed })
        })
        .await
    }

    /// Forgets from now on: whatever is pushed about it is not kept. Who asked for it is written down, but not what. Returns
    /// `true` if it was not forgotten before. What is there already is left to [`Store::erase`].
    pub async fn forget_from_now_on(&self, account: &str, what: &Forget) -> Result<bool, StoreError> {
        let (kind, text, action) = match what {
            Forget::Call(call_id) => (forgotten::CALL, call_id, ActionKind::ForgetCall),
            Forget::Number(number) => (forgotten::NUMBER, number, ActionKind::ForgetNumber),
        };
        self.soon(async {
            let mut tx = self.begin().await?;
            let noted = forgotten::note(&mut tx, account, kind, std::slice::from_ref(text)).await?;
            action::note(&mut tx, account, action, None).await?;
            tx.commit().await?;
            Ok(noted > 0)
        })
        .await
    }

    /// Erases what was found. May be cut off and done again.
    pub async fn erase(&self, account: &str, found: &Forgettable) -> Result<Erased, StoreError> {
        let mut erased = Erased::default();
        let call_ids: Vec<String> = found.call_ids.iter().cloned().collect();
        for some in call_ids.chunks(AT_ONCE) {
            // Before anything is erased: no other leg of these calls may come meanwhile.
            self.soon(async {
                let mut tx = self.begin().await?;
                forgotten::note(&mut tx, account, forgotten::CALL, some).await?;
                tx.commit().await
            })
            .await?;
        }
        // The bodies first: whoever applies one holds its row, so that what it makes of it is there to be erased afterwards.
        let bodies: Vec<&Vec<u8>> = found.bodies.iter().collect();
        for some in bodies.chunks(AT_ONCE) {
            for body in some {
                erased.bodies += u64::from(self.erase_body(account, body, &found.call_ids).await?);
            }
        }
        for some in call_ids.chunks(AT_ONCE) {
            self.in_time(async {
                let mut tx = self.begin().await?;
                // Whoever confirms what was pushed writes its row anew.
                pushed::lock_waiting(&mut tx, account).await?;
                for (statement, nth) in analysis::DELETE.into_iter().zip(0..) {
                    let rows = delete(&mut tx, statement, account, some).await?;
                    match nth {
                        0 => erased.analyses += rows,
                        1 => erased.lines += rows,
                        _ => {}
                    }
                }
                for statement in OF_PUSHES {
                    erased.pushed += delete(&mut tx, statement, account, some).await?;
                }
                tx.commit().await
            })
            .await?;
            self.in_time(async {
                let mut tx = self.begin().await?;
                sql("delete from cdr_sync.call_history where account = $1 and call_id = any ($2)")
                    .bind(account)
                    .bind(some)
                    .execute(&mut *tx)
                    .await?;
                // Those that were emptied before.
                sql("update cdr_sync.push set state = 'forgotten', call_id = null, type = null
                     where account = $1 and call_id = any ($2) and raw is null")
                .bind(account)
                .bind(some)
                .execute(&mut *tx)
                .await?;
                tx.commit().await
            })
            .await?;
        }
        Ok(erased)
    }

    /// Empties a body, or takes the forgotten records out of one that has others. Returns `false` if it is gone already.
    async fn erase_body(
        &self,
        account: &str,
        body_sha256: &[u8],
        call_ids: &BTreeSet<String>,
    ) -> Result<bool, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let Some(push) = body(&mut tx, account, body_sha256).await? else {
                return tx.commit().await.map(|()| false);
            };
            let push = push.of(account);
            let gone = match names_of(push.content_type.as_deref(), &push.body) {
                BodyNames::Records(records) => {
                    records.iter().map(|record| call_ids.contains(&record.call_id)).collect()
                }
                BodyNames::Words { .. } => vec![true],
            };
            forgotten::leave(&mut tx, account, body_sha256, &forgotten::left_of(&push, &gone)).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The CallIDs of all calls from and to a number.
    async fn calls_of_number(
        &self,
        account: &str,
        number: &str,
        country: Country,
    ) -> Result<Vec<String>, StoreError> {
        self.at_length(async |mut tx| {
            let mut raw: Vec<String> =
                sql_value("select s.raw from cdr_sync.number s where s.account = $1 and s.number = $2")
                    .bind(account)
                    .bind(number)
                    .fetch_all(&mut *tx)
                    .await?;
            let unspelt: Vec<String> = sql_value(UNSPELT).bind(account).fetch_all(&mut *tx).await?;
            raw.extend(
                unspelt.into_iter().filter(|raw| in_one_spelling(raw, country).as_deref() == Some(number)),
            );
            let calls = sql_value(CALLS_OF).bind(account).bind(raw).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(calls)
        })
        .await
    }

    async fn bodies_after(
        &self,
        account: &str,
        last: Option<&(DateTime<Utc>, Vec<u8>)>,
    ) -> Result<Vec<UnreadPush>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let bodies = sql_as(
                "select body_sha256, received_at, content_type, raw from cdr_sync.push
                 where account = $1 and raw is not null
                   and (received_at, body_sha256) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::bytea, ''))
                 order by received_at, body_sha256 limit $4",
            )
            .bind(account)
            .bind(last.map(|(at, _)| *at))
            .bind(last.map(|(_, body)| body.as_slice()))
            .bind(BODIES)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(bodies)
        })
        .await
    }

    /// The country of an account's numbers that name none.
    async fn country(&self, account: &str) -> Result<Country, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let keeping = forgotten::begin_keeping(&mut tx, account).await?;
            tx.commit().await?;
            Ok(keeping.country())
        })
        .await
    }
}

/// It takes a while for a large body.
async fn names(body: UnreadPush) -> Result<BodyNames, StoreError> {
    let names = tokio::task::spawn_blocking(move || names_of(body.content_type.as_deref(), &body.raw));
    names.await.map_err(|error| StoreError::Away(error.to_string()))
}

/// A body that is there, locked.
async fn body(
    conn: &mut PgConnection,
    account: &str,
    body_sha256: &[u8],
) -> Result<Option<UnreadPush>, StoreError> {
    let body = sql_as(
        "select body_sha256, received_at, content_type, raw from cdr_sync.push
         where account = $1 and body_sha256 = $2 and raw is not null for update",
    );
    Ok(body.bind(account).bind(body_sha256).fetch_optional(conn).await?)
}

fn is_about(numbers: &[String], number: Option<&str>, country: Country) -> bool {
    let Some(number) = number else { return false };
    numbers.iter().any(|raw| in_one_spelling(raw, country).as_deref() == Some(number))
}

async fn delete(
    conn: &mut PgConnection,
    statement: &'static str,
    account: &str,
    call_ids: &[String],
) -> Result<u64, StoreError> {
    Ok(sql(statement).bind(account).bind(call_ids).execute(conn).await?.rows_affected())
}
