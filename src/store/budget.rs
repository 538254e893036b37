//! The request budget of a credential, shared by every process on the database.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, StoreError, Tx, delta, interval, sql, sql_as};

/// A minute of requests is spread over this long, in microseconds: the 1.5 s more than a minute take up what the
/// network and the scheduler add to the distance between two requests, or take away from it.
const MINUTE_AND_MARGIN: i64 = 61_500_000;

/// The rate as the generic cell rate algorithm (GCRA) wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// The time one request uses up.
    spacing: TimeDelta,
    /// How far ahead of its even spacing a request may leave.
    allowance: TimeDelta,
}

impl Rate {
    /// In any 60 s at most `per_minute` requests, `burst` of them at once.
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

/// What the API's last error 1 left of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lowered {
    /// Requests a minute.
    to: u32,
    /// For how long it has been rising since; negative while the pause after that error lasts.
    since: TimeDelta,
}

impl Lowered {
    /// The rate at present: additive increase, one request a minute more each minute.
    fn now(lowered: Option<Self>, configured: u32) -> u32 {
        let risen = lowered.map_or(configured, |lowered| {
            lowered.to.saturating_add(u32::try_from(lowered.since.num_minutes()).unwrap_or_default())
        });
        risen.min(configured).max(1)
    }

    /// The rate after another error 1: multiplicative decrease. Requests that were under way together meet it together:
    /// while the pause after one lasts, others change nothing.
    fn after_error(lowered: Option<Self>, configured: u32) -> Option<u32> {
        if lowered.is_some_and(|lowered| lowered.since < TimeDelta::zero()) {
            return None;
        }
        Some((Self::now(lowered, configured) / 2).max(LEAST_PER_MINUTE.min(configured)).max(1))
    }
}

impl Store {
    /// Reserves the next instant at which a request may leave for the credential: wait until then, and send. A
    /// reservation that is not used is lost. The rate is lower than `per_minute` for a while after error 1.
    pub async fn reserve(
        &self,
        fingerprint: &str,
        per_minute: u32,
        burst: u32,
    ) -> Result<Duration, StoreError> {
        self.reserve_at(fingerprint, per_minute, burst, None).await
    }

    /// [`Store::reserve`] with the instant injected instead of the database's clock: for tests.
    pub async fn reserve_at(
        &self,
        fingerprint: &str,
        per_minute: u32,
        burst: u32,
        now: Option<DateTime<Utc>>,
    ) -> Result<Duration, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let effective = Lowered::now(lowered(&mut tx, fingerprint, now).await?, per_minute);
            // In proportion: a burst as large as the rate would leave nothing to spread over the minute.
            let share = u64::from(burst) * u64::from(effective) / u64::from(per_minute.max(1));
            let rate = Rate::new(effective, u32::try_from(share).unwrap_or(burst));
            // `excluded.last_send_at` is the present. A slower rate than before starts with nothing saved up: the next
            // request keeps its full distance from the last one, and the burst has to be earned again.
            let (send_at, now): (DateTime<Utc>, DateTime<Utc>) = sql_as(
                "insert into cdr_sync.budget as b (credential, spacing, allowance, last_send_at, arrival_at)
             select $1, $2, $3, present, present + $2 from coalesce($4, clock_timestamp()) as present
             on conflict (credential) do update
             set (spacing, allowance, last_send_at, arrival_at) = (
                 select $2, $3, send_at, greatest(arrival_at, send_at) + $2
                 from (select case when $2 > b.spacing
                                   then greatest(b.arrival_at, b.last_send_at + $2) + $3
                                   else b.arrival_at end as arrival_at) as due,
                      lateral (select greatest(excluded.last_send_at, due.arrival_at - $3, b.paused_until)
                               as send_at) as next
             )
             returning last_send_at, coalesce($4, clock_timestamp())",
            )
            .bind(fingerprint)
            .bind(interval(rate.spacing))
            .bind(interval(rate.allowance))
            .bind(now)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok((send_at - now).to_std().unwrap_or_default())
        })
        .await
    }

    /// After error 1: nothing leaves for the credential for this long (an existing longer pause stays), and then at half
    /// the rate. Returns the requests a minute that it was lowered to, if it was.
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
             set paused_until = greatest(b.paused_until, excluded.paused_until),
                 lowered_to = coalesce($3, b.lowered_to),
                 lowered_at = greatest(b.paused_until, excluded.paused_until)")
        .bind(fingerprint)
        .bind(interval(delta(pause)))
        .bind(lowered.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)))
        .bind(now)
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
            let (salt,): (Vec<u8>,) =
                sql_as("select salt from cdr_sync.installation").fetch_one(&mut *tx).await?;
            tx.commit().await?;
            Ok(salt)
        })
        .await
    }
}

/// What the row says of a lowered rate; the row stays locked. The columns are younger than the table: commands that read
/// only do not migrate, and may meet it without them.
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
    Ok(Some(Lowered { to: u32::try_from(to).unwrap_or(1), since }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(to: u32, seconds: i64) -> Option<Lowered> {
        Some(Lowered { to, since: TimeDelta::seconds(seconds) })
    }

    #[test]
    fn a_rate_falls_by_half_and_rises_by_one_each_minute() {
        assert_eq!(Lowered::now(None, 30), 30);
        assert_eq!(Lowered::after_error(None, 30), Some(15));
        let now = |seconds| Lowered::now(lowered(15, seconds), 30);
        assert_eq!([-20, 0, 59, 60, 600, 900, 90_000].map(now), [15, 15, 15, 16, 25, 30, 30]);
        assert_eq!(Lowered::after_error(lowered(15, 600), 30), Some(12));
        assert_eq!(Lowered::after_error(lowered(15, -1), 30), None);
    }

    #[test]
    fn a_rate_never_falls_below_the_floor_nor_rises_above_what_is_configured() {
        let after = |to, configured| Lowered::after_error(lowered(to, 0), configured);
        assert_eq!(
            [(3, 30), (2, 30), (1, 1), (30, 3)].map(|(to, c)| after(to, c)),
            [Some(2), Some(2), Some(1), Some(2)]
        );
        assert_eq!(Lowered::now(lowered(15, 0), 10), 10);
        assert_eq!(Lowered::now(lowered(u32::MAX, i64::from(u32::MAX)), 10), 10);
    }

    #[test]
    fn spacing_and_burst_together_stay_below_the_rate_for_every_setting() {
        for per_minute in 1..200_u32 {
            for burst in 1..=per_minute {
                let rate = Rate::new(per_minute, burst);
                let in_a_minute = i64::from(burst) + 60_750_000 / rate.spacing.num_microseconds().unwrap();
                assert!(in_a_minute <= i64::from(per_minute), "{per_minute}/{burst}: {in_a_minute}");
            }
        }
    }

    #[test]
    fn senseless_settings_give_the_nearest_sensible_rate() {
        assert_eq!(Rate::new(0, 0), Rate::new(1, 1));
        assert_eq!(Rate::new(10, 50), Rate::new(10, 10));
    }
}
