//! The request budget of a credential, shared by every process on the database.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, Tx, delta, interval, sql, sql_as, sql_value};

/// A minute's requests are spread over this long, in microseconds: the extra 1.5 s absorb what the network and the
/// scheduler add to or take from the distance between two requests.
const MINUTE_AND_MARGIN: i64 = 61_500_000;

/// How far apart requests are, and how many may leave at once, if any 60 s are to hold at most `per_minute`.
pub(crate) fn spacing(per_minute: u32, burst: u32) -> (Duration, u32) {
    let rate = Rate::new(per_minute, burst);
    (rate.spacing.to_std().unwrap_or_default(), burst.clamp(1, per_minute.max(1)))
}

/// The rate in terms of the generic cell rate algorithm (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// The time one request uses up.
    spacing: TimeDelta,
    /// How far ahead of its even spacing a request may leave.
    allowance: TimeDelta,
}

impl Rate {
    /// At most `per_minute` requests in any 60 s, `burst` of them at once.
    ///
    /// GCRA lets at most `burst + floor(60 / spacing)` pass in 60 s, so the spacing is what `per_minute - burst`
    /// leaves.
    fn new(per_minute: u32, burst: u32) -> Self {
        let per_minute = i64::from(per_minute.max(1));
        let burst = i64::from(burst).clamp(1, per_minute);
        // Rounded up: a microsecond too much is harmless, one too little is not.
        let requests = per_minute - burst + 1;
        let spacing = (MINUTE_AND_MARGIN + requests - 1) / requests;
        Self {
            spacing: TimeDelta::microseconds(spacing),
            allowance: TimeDelta::microseconds(spacing * (burst - 1)),
        }
    }
}

/// Error 1 halves a rate down to this; below it, hardly anything would be read.
const LEAST_PER_MINUTE: u32 = 2;

/// A rate that was lowered after the API's last error 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lowered {
    /// Requests per minute right after that error.
    to: u32,
    /// How long it has been rising since; negative while the pause after that error lasts.
    since: TimeDelta,
}

impl Lowered {
    /// The current rate: additive increase, by one request per minute each minute.
    fn now(lowered: Option<Self>, configured: u32) -> u32 {
        let risen = lowered.map_or(configured, |lowered| {
            lowered.to.saturating_add(u32::try_from(lowered.since.num_minutes()).unwrap_or_default())
        });
        risen.min(configured).max(1)
    }

    /// The rate after another error 1: multiplicative decrease. Requests in flight together get the error together, so
    /// during the pause after one, others change nothing.
    fn after_error(lowered: Option<Self>, configured: u32) -> Option<u32> {
        if lowered.is_some_and(|lowered| lowered.since < TimeDelta::zero()) {
            return None;
        }
        Some((Self::now(lowered, configured) / 2).max(LEAST_PER_MINUTE.min(configured)).max(1))
    }
}

/// The longest possible pause: `Retry-After` is obeyed up to an hour.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(61);

/// The result of asking for an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Wait this long, check that the slot is still valid ([`Store::stands`]), and send: nobody else has that instant.
    After(Duration, Slot),
    /// Too many are waiting. Nothing is reserved; ask again after this long.
    Later(Duration),
}

/// Limit for holding a credential's row, for which all its requests wait: after it the connection must be dead.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A reserved instant, as written in its credential's row. A pause, its end by an operator, or a clock that was set
/// back make it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    arrival_at: DateTime<Utc>,
    paused_until: DateTime<Utc>,
}

/// How much of the credential's time is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    rate: Rate,
    arrival_at: DateTime<Utc>,
    last_send_at: DateTime<Utc>,
    paused_until: DateTime<Utc>,
}

/// How far ahead anybody reserves.
fn farthest_ahead(spacing: TimeDelta) -> TimeDelta {
    TimeDelta::minutes(1).max(spacing * 2)
}

impl Used {
    /// Reserves the next instant: returns it with what is then used up, or how long to wait before asking again.
    ///
    /// Nobody reserves further ahead than a short while after now or after the pause, so a later time in the row was
    /// written under a fast clock that was corrected since, and is ignored.
    fn reserve(self, rate: Rate, now: DateTime<Utc>) -> Result<(DateTime<Utc>, Used), Duration> {
        let spacing = rate.spacing.max(self.rate.spacing);
        let paused = self.paused_until <= now + LONGEST_PAUSE;
        let start = if paused { self.paused_until.max(now) } else { now };
        let furthest = start + farthest_ahead(spacing) + spacing + rate.allowance.max(self.rate.allowance);
        let (mut arrival_at, mut last_send_at) = (self.arrival_at, self.last_send_at);
        if arrival_at > furthest || last_send_at > furthest {
            // Nothing is saved up, and the next request keeps its distance from any before.
            (arrival_at, last_send_at) = (now + rate.allowance + rate.spacing, now);
        }
        // So does the first after the rate was lowered: the burst has to be earned again.
        if rate.spacing > self.rate.spacing {
            arrival_at = arrival_at.max(last_send_at + rate.spacing) + rate.allowance;
        }
        let send_at = start.max(arrival_at - rate.allowance);
        // By the new rate alone, which the row will show: what is reserved by an older one would not be believed later.
        let ahead = farthest_ahead(rate.spacing);
        if send_at > start + ahead {
            let wait = (send_at - start - ahead).clamp(TimeDelta::seconds(1), TimeDelta::seconds(10));
            return Err(wait.to_std().unwrap_or_default());
        }
        let paused_until = if paused { self.paused_until } else { now };
        let arrival_at = arrival_at.max(send_at) + rate.spacing;
        Ok((send_at, Used { rate, arrival_at, last_send_at: send_at, paused_until }))
    }
}

/// The restrictions that an operator has lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifted {
    /// How much longer the pause would have lasted.
    pub pause: Option<Duration>,
    /// Requests per minute to which the rate had been lowered.
    pub lowered_to: Option<u32>,
}

impl Store {
    /// Reserves the next instant at which a request may leave for the credential: wait until then, and send. A
    /// reservation that is not used is lost. The rate is lower than `per_minute` for a while after error 1.
    pub async fn reserve(
        &self,
        fingerprint: &str,
        per_minute: u32,
        burst: u32,
    ) -> Result<Reserved, StoreError> {
        self.reserve_at(fingerprint, per_minute, burst, None).await
    }

    /// [`Store::reserve`] with the instant injected instead of the database's clock: for tests.
    pub async fn reserve_at(
        &self,
        fingerprint: &str,
        per_minute: u32,
        burst: u32,
        now: Option<DateTime<Utc>>,
    ) -> Result<Reserved, StoreError> {
        let mut tx = self.soon(self.begin()).await?;
        self.within(AT_ONCE, Box::pin(async move {
        sql("insert into cdr_sync.budget (credential, spacing, allowance, last_send_at, arrival_at)
             values ($1, interval '0', interval '0', '-infinity', '-infinity') on conflict do nothing")
        .bind(fingerprint)
        .execute(&mut *tx)
        .await?;
        let effective = Lowered::now(lowered(&mut tx, fingerprint, now).await?, per_minute);
        // In proportion: a burst as large as the rate would leave nothing to spread over the minute.
        let share = u64::from(burst) * u64::from(effective) / u64::from(per_minute.max(1));
        let rate = Rate::new(effective, u32::try_from(share).unwrap_or(burst));
        let Some((used, now)) = used(&mut tx, fingerprint, now).await? else {
            tx.commit().await?;
                return Ok(Reserved::Later(Duration::ZERO));
        };
        let (send_at, used) = match used.reserve(rate, now) {
            Ok(reserved) => reserved,
            Err(wait) => {
                    tx.commit().await?;
                    return Ok(Reserved::Later(wait));
                }
        };
        sql("update cdr_sync.budget
             set spacing = $2, allowance = $3, arrival_at = $4, last_send_at = $5, paused_until = least(paused_until, $6)
             where credential = $1")
        .bind(fingerprint)
        .bind(interval(used.rate.spacing))
        .bind(interval(used.rate.allowance))
        .bind(used.arrival_at)
        .bind(used.last_send_at)
        .bind(used.paused_until)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let wait = (send_at - now).to_std().unwrap_or_default();
        Ok(Reserved::After(wait, Slot { arrival_at: used.arrival_at, paused_until: used.paused_until }))
        }))
        .await
    }

    /// Lets requests leave for the credential again, at the configured rate. Returns what had held them back.
    pub async fn resume_credential(&self, fingerprint: &str) -> Result<Lifted, StoreError> {
        self.soon(async {
        let mut tx = self.begin().await?;
        let lowered_to = lowered(&mut tx, fingerprint, None).await?.map(|lowered| lowered.to);
        let Some((used, now)) = used(&mut tx, fingerprint, None).await? else { return Ok(Lifted::default()) };
        let pause = (used.paused_until - now).to_std().ok();
        // What was reserved for the end of the pause is given back; whoever holds it asks again.
        sql("update cdr_sync.budget
             set lowered_to = null, lowered_at = null, paused_until = '-infinity',
                 arrival_at = case when $2 then least(arrival_at, clock_timestamp() + allowance + spacing) else arrival_at end,
                 last_send_at = case when $2 then least(last_send_at, clock_timestamp()) else last_send_at end
             where credential = $1")
        .bind(fingerprint)
        .bind(pause.is_some())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Lifted { pause, lowered_to })
        })
        .await
    }

    /// Returns `true` if nothing has voided the slot since it was reserved.
    pub async fn stands(&self, fingerprint: &str, slot: &Slot) -> Result<bool, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let stands: Option<bool> = sql_value(
                "select greatest(paused_until, '2000-01-01Z') = $2 and arrival_at >= $3
                 from cdr_sync.budget where credential = $1",
            )
            .bind(fingerprint)
            .bind(slot.paused_until)
            .bind(slot.arrival_at)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(stands == Some(true))
        })
        .await
    }

    /// After error 1: no requests leave for the credential during `pause` (an existing longer pause stays), and then at
    /// half the rate. Returns the new rate in requests per minute, if it was lowered.
    pub async fn slow_down(
        &self,
        fingerprint: &str,
        per_minute: u32,
        pause: Duration,
    ) -> Result<Option<u32>, StoreError> {
        self.slow_down_at(fingerprint, per_minute, pause, None).await
    }

    /// [`Store::slow_down`] with the instant injected instead of the database's clock: for tests.
    pub async fn slow_down_at(
        &self,
        fingerprint: &str,
        per_minute: u32,
        pause: Duration,
        now: Option<DateTime<Utc>>,
    ) -> Result<Option<u32>, StoreError> {
        self.soon(async {
        let mut tx = self.begin().await?;
        let lowered = Lowered::after_error(lowered(&mut tx, fingerprint, now).await?, per_minute);
        sql("insert into cdr_sync.budget as b
                 (credential, spacing, allowance, last_send_at, arrival_at, paused_until, lowered_to, lowered_at)
             select $1, interval '0', interval '0', '-infinity', '-infinity', present + $2, $3, present + $2
             from coalesce($4, clock_timestamp()) as present
             on conflict (credential) do update
             set (paused_until, lowered_to, lowered_at) = (
                 select pause, coalesce($3, b.lowered_to), pause
                 from (select case when b.paused_until > coalesce($4, clock_timestamp()) + $5 then excluded.paused_until
                                   else greatest(b.paused_until, excluded.paused_until) end as pause) as longer)")
        .bind(fingerprint)
        .bind(interval(delta(pause)))
        .bind(lowered.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)))
        .bind(now)
        .bind(interval(LONGEST_PAUSE))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(lowered)
        })
        .await
    }

    /// This installation's random bytes, to be mixed into the fingerprints of credentials.
    pub async fn salt(&self) -> Result<Vec<u8>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let salt = sql_value("select salt from cdr_sync.installation").fetch_one(&mut *tx).await?;
            tx.commit().await?;
            Ok(salt)
        })
        .await
    }
}

/// What the row says is used up, and the current time; the row stays locked. An instant before 2000 counts as 2000,
/// which changes nothing.
async fn used(
    tx: &mut Tx,
    fingerprint: &str,
    now: Option<DateTime<Utc>>,
) -> Result<Option<(Used, DateTime<Utc>)>, StoreError> {
    let row: Option<UsedRow> = sql_as(
        "select extract(epoch from spacing)::float8 as spacing, extract(epoch from allowance)::float8 as allowance,
                greatest(arrival_at, '2000-01-01Z') as arrival_at, greatest(last_send_at, '2000-01-01Z') as last_send_at,
                greatest(paused_until, '2000-01-01Z') as paused_until, coalesce($2, clock_timestamp()) as now
         from cdr_sync.budget where credential = $1 for update",
    )
    .bind(fingerprint)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| {
        let rate = Rate { spacing: seconds(row.spacing), allowance: seconds(row.allowance) };
        let UsedRow { arrival_at, last_send_at, paused_until, now, .. } = row;
        (Used { rate, arrival_at, last_send_at, paused_until }, now)
    }))
}

#[derive(FromRow)]
struct UsedRow {
    spacing: f64,
    allowance: f64,
    arrival_at: DateTime<Utc>,
    last_send_at: DateTime<Utc>,
    paused_until: DateTime<Utc>,
    now: DateTime<Utc>,
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn seconds(seconds: f64) -> TimeDelta {
    TimeDelta::microseconds((seconds * 1e6).round() as i64)
}

/// The lowered rate in the row; the row stays locked. The columns are newer than the table: read-only commands do not
/// migrate and may find it without them.
async fn lowered(
    tx: &mut Tx,
    fingerprint: &str,
    now: Option<DateTime<Utc>>,
) -> Result<Option<Lowered>, StoreError> {
    let row: Option<(Option<i32>, Option<f64>)> = sql_as(
        "select (to_jsonb(b) ->> 'lowered_to')::integer,
                extract(epoch from coalesce($2, clock_timestamp()) - (to_jsonb(b) ->> 'lowered_at')::timestamptz)::float8
         from cdr_sync.budget b where credential = $1 for update",
    )
    .bind(fingerprint)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((Some(to), Some(since))) = row else { return Ok(None) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole seconds are all that matters, and the cast saturates"
    )]
    let since = TimeDelta::try_seconds(since.floor() as i64).unwrap_or(TimeDelta::MAX);
    // Further ahead than the longest pause: written under a fast clock.
    let since = if since < -LONGEST_PAUSE { TimeDelta::zero() } else { since };
    Ok(Some(Lowered { to: u32::try_from(to).unwrap_or(1), since }))
}

#[cfg(test)]
mod tests;
