//! The request budget of a credential, shared by every process on the database.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, StoreError, delta, interval, sql, sql_as};

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

impl Store {
    /// Reserves the next instant at which a request may leave for the credential: wait so long, then send. A
    /// reservation that is not used is lost.
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
        let rate = Rate::new(per_minute, burst);
        let mut tx = self.begin().await?;
        // `excluded.last_send_at` is the present. A slower rate than before starts with nothing saved up: the next
        // request keeps its full distance from the last one, and the burst has to be earned anew.
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
    }

    /// Lets nothing leave for the credential for so long; never shortens a pause.
    pub async fn pause_credential(&self, fingerprint: &str, pause: Duration) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sql("insert into cdr_sync.budget as b
                 (credential, spacing, allowance, last_send_at, arrival_at, paused_until)
             select $1, interval '0', interval '0', '-infinity', '-infinity', clock_timestamp() + $2
             on conflict (credential) do update
             set paused_until = greatest(b.paused_until, excluded.paused_until)")
        .bind(fingerprint)
        .bind(interval(delta(pause)))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// This installation's random bytes, to be mixed into the fingerprints of credentials.
    pub async fn salt(&self) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.begin().await?;
        let (salt,): (Vec<u8>,) =
            sql_as("select salt from cdr_sync.installation").fetch_one(&mut *tx).await?;
        Ok(salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
