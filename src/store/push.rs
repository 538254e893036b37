//! CDR notifications as they came: rows of `cdr_sync.push`.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::forgotten::{self, Kept};
use super::{Store, StoreError, action::storable, interval, sql, sql_as, sql_value};
use crate::push::{DecodeError, decode};

/// The bodies of at most this many rows are emptied at a time.
const BATCH: i64 = 1_000;

/// What is known of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushState {
    /// To be applied.
    New,
    /// Not understood.
    Rejected,
    /// In a format that is not read.
    Unsupported,
    /// About nothing but what was forgotten on demand: it has no body.
    Forgotten,
}

impl PushState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            PushState::New => "new",
            PushState::Rejected => "rejected",
            PushState::Unsupported => "unsupported",
            PushState::Forgotten => "forgotten",
        }
    }
}

/// What was read of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PushReading {
    pub(crate) state: PushState,
    /// CallID and type of its first record.
    pub(crate) call_id: Option<String>,
    pub(crate) call_type: Option<String>,
    /// Why it is not new, without anything of its contents.
    pub(crate) problem: Option<String>,
}

/// A notification that was received. Its contents are never to be printed: no `Debug`.
#[derive(Clone)]
pub(crate) struct ReceivedPush {
    pub(crate) account: String,
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) content_type: Option<String>,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) body: Vec<u8>,
}

/// A body as it is stored, such as one that was not understood; no `Debug` either.
#[derive(Clone, FromRow)]
pub(crate) struct UnreadPush {
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) content_type: Option<String>,
    pub(crate) raw: Vec<u8>,
}

impl PushReading {
    /// What is read of a body now.
    fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        match decode(content_type, body) {
            Ok(calls) => {
                let first = calls.into_iter().next().unwrap_or_default();
                let (call_id, call_type) = (Some(first.call_id), first.call_type);
                Self { state: PushState::New, call_id, call_type, problem: None }
            }
            Err(error) => {
                let is_unsupported = error == DecodeError::XmlRpc;
                let state = if is_unsupported { PushState::Unsupported } else { PushState::Rejected };
                Self { state, call_id: None, call_type: None, problem: Some(error.to_string()) }
            }
        }
    }
}

impl PushReading {
    /// Reading it was a failure of this program: it is read again after an upgrade.
    pub(crate) fn failed() -> Self {
        let problem = Some("it could not be read, because of a bug in this program".to_owned());
        Self { state: PushState::Rejected, call_id: None, call_type: None, problem }
    }
}

impl ReceivedPush {
    pub(crate) fn read(&self) -> PushReading {
        PushReading::of(self.content_type.as_deref(), &self.body)
    }
}

impl UnreadPush {
    pub(super) fn of(&self, account: &str) -> ReceivedPush {
        ReceivedPush {
            account: account.to_owned(),
            body_sha256: self.body_sha256.clone(),
            received_at: self.received_at,
            content_type: self.content_type.clone(),
            remote: None,
            body: self.raw.clone(),
        }
    }

    pub(crate) fn read(&self) -> PushReading {
        PushReading::of(self.content_type.as_deref(), &self.raw)
    }
}

impl Store {
    /// Stores a notification, or counts it as a repeat. Returns `true` if it is new. The same one received at the same instant is
    /// counted once, however often it is stored.
    pub(crate) async fn keep_push(
        &self,
        push: &ReceivedPush,
        reading: &PushReading,
    ) -> Result<bool, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let keeping = forgotten::begin_keeping(&mut tx, &push.account).await?;
            let left = forgotten::kept(&mut tx, &keeping, push).await?;
            let nothing = PushReading::forgotten();
            let (push, reading, body) = match &left {
                Kept::Whole => (push, reading, Some(&push.body)),
                Kept::Part(part) => (&part.0, &part.1, Some(&part.0.body)),
                Kept::Nothing => (push, &nothing, None),
            };
            let kept: Option<(i32, String)> = sql_as(
                "insert into cdr_sync.push as p
                     (account, body_sha256, received_at, last_received_at, content_type, remote, raw, call_id, type, state, problem)
                 values ($1, $2, $3, $3, $4, $5::text::inet, $6, $7, $8, $9, $10)
                 on conflict (account, body_sha256) do update
                 set times = p.times + 1, received_at = least(p.received_at, excluded.received_at),
                     last_received_at = greatest(p.last_received_at, excluded.received_at)
                 where excluded.received_at not in (p.received_at, p.last_received_at)
                 returning times, state",
            )
            .bind(&push.account)
            .bind(&push.body_sha256)
            .bind(push.received_at)
            .bind(push.content_type.as_deref().map(storable))
            .bind(push.remote.map(|address| address.to_string()))
            .bind(body)
            .bind(reading.call_id.as_deref().map(storable))
            .bind(reading.call_type.as_deref().map(storable))
            .bind(reading.state.as_str())
            .bind(&reading.problem)
            .fetch_optional(&mut *tx)
            .await?;
            let was_unread = |(times, state): &(i32, String)| {
                *times > 1
                    && [PushState::Rejected, PushState::Unsupported].iter().any(|unread| unread.as_str() == state)
            };
            if kept.as_ref().is_some_and(was_unread)
                && matches!(reading.state, PushState::New | PushState::Forgotten)
            {
                // The same bytes, understood with what their sender says of them now.
                sql("update cdr_sync.push set content_type = $3 where account = $1 and body_sha256 = $2")
                    .bind(&push.account)
                    .bind(&push.body_sha256)
                    .bind(push.content_type.as_deref().map(storable))
                    .execute(&mut *tx)
                    .await?;
                forgotten::leave(&mut tx, &push.account, &push.body_sha256, &left).await?;
                note_reading(&mut tx, &push.account, &push.body_sha256, reading).await?;
            }
            tx.commit().await?;
            Ok(kept.is_some_and(|(times, _)| times == 1))
        })
        .await
    }

    /// The next notification after `after` that was not understood, in the order in which they came.
    pub(crate) async fn next_unread_push(
        &self,
        account: &str,
        state: PushState,
        after: Option<&UnreadPush>,
    ) -> Result<Option<UnreadPush>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let push = sql_as(
                "select body_sha256, received_at, content_type, raw from cdr_sync.push
                 where account = $1 and state = $2 and raw is not null
                   and ($3::timestamptz is null or (received_at, body_sha256) > ($3, $4))
                 order by received_at, body_sha256 limit 1",
            )
            .bind(account)
            .bind(state.as_str())
            .bind(after.map(|push| push.received_at))
            .bind(after.map(|push| push.body_sha256.as_slice()))
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(push)
        })
        .await
    }

    /// Notes what was read of a body that had not been understood. What of it is forgotten goes.
    pub(crate) async fn note_push_reading(
        &self,
        account: &str,
        push: &UnreadPush,
        reading: &PushReading,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let keeping = forgotten::begin_keeping(&mut tx, account).await?;
            let left = forgotten::kept(&mut tx, &keeping, &push.of(account)).await?;
            forgotten::leave(&mut tx, account, &push.body_sha256, &left).await?;
            let reading = if let Kept::Part(part) = &left { &part.1 } else { reading };
            note_reading(&mut tx, account, &push.body_sha256, reading).await?;
            tx.commit().await
        })
        .await
    }

    /// The accounts that have notifications which were not understood.
    pub(crate) async fn accounts_with_unread_pushes(&self) -> Result<Vec<String>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let accounts = sql_value(
                "select distinct account from cdr_sync.push
                 where state in ('rejected', 'unsupported') and raw is not null order by account",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(accounts)
        })
        .await
    }

    /// Empties bodies that were applied and are older than `keep`, a batch at a time. What was not applied yet is never emptied.
    /// Returns how many.
    pub async fn empty_applied_pushes(
        &self,
        account: &str,
        keep: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // By both clocks: one that is fast deletes nothing.
            let emptied =
                sql("update cdr_sync.push set raw = null where account = $1 and body_sha256 = any (array(
                     select p.body_sha256 from cdr_sync.push p
                     where p.account = $1 and p.state = 'applied' and p.raw is not null
                       and p.received_at < least($2, clock_timestamp() - $3)
                     order by p.received_at limit $4))
                   and state = 'applied'")
                .bind(account)
                .bind(now.checked_sub_signed(keep).unwrap_or(DateTime::<Utc>::MIN_UTC))
                .bind(interval(keep))
                .bind(BATCH)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            tx.commit().await?;
            Ok(emptied)
        })
        .await
    }
}

async fn note_reading(
    conn: &mut PgConnection,
    account: &str,
    body_sha256: &[u8],
    reading: &PushReading,
) -> Result<(), StoreError> {
    sql("update cdr_sync.push set state = $3, call_id = $4, type = $5, problem = $6
         where account = $1 and body_sha256 = $2 and state in ('rejected', 'unsupported')")
    .bind(account)
    .bind(body_sha256)
    .bind(reading.state.as_str())
    .bind(reading.call_id.as_deref().map(storable))
    .bind(reading.call_type.as_deref().map(storable))
    .bind(&reading.problem)
    .execute(conn)
    .await?;
    Ok(())
}
