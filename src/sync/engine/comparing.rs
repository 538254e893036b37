//! Compares the table with the ledger: what somebody else deleted is read again.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{Engine, TURN};
use crate::store::StoreError;
use crate::store::day::Compared;
use crate::sync::SyncError;
use crate::sync::events::{DaysNotCompared, RowsLost};

/// How often some days are compared.
const EVERY: TimeDelta = TimeDelta::minutes(5);
/// About this many rows are counted at a time …
const ROWS: i64 = 200_000;
/// … and this many times fewer, down to a day, after that took too long.
const FEWER: i64 = 8;

/// How far the comparison has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    last_at: Option<DateTime<Utc>>,
    /// Days before this one are next; after the oldest, the newest.
    below: Option<NaiveDate>,
    rows: i64,
}

impl Default for Comparison {
    fn default() -> Self {
        Self { last_at: None, below: None, rows: ROWS }
    }
}

impl Comparison {
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.last_at.is_none_or(|at| now - at >= EVERY || now < at)
    }
}

impl Engine {
    /// Counts the rows of some days, from the newest further back at each call. Days that have fewer than were stored
    /// no longer count as read; then all days are counted at once, and the ledger must be loaded again.
    pub(super) async fn compare(&mut self, now: DateTime<Utc>) -> Result<(), SyncError> {
        self.settle().await?;
        self.comparison.last_at = Some(now);
        let (mut days, mut rows) = (0, 0);
        let mut from_newest = self.comparison.below.is_none();
        loop {
            self.fetcher.watch.heart.beats_within(TURN);
            let Some(compared) = self.compare_some().await? else { break };
            days += compared.lost_days;
            rows += compared.lost_rows;
            self.comparison.below = compared.down_to;
            match compared.down_to {
                _ if days == 0 => break,
                Some(_) => {}
                // Days newer than where this began were not counted yet.
                None if !from_newest => from_newest = true,
                None => break,
            }
        }
        if days == 0 {
            return Ok(());
        }
        RowsLost { account: &self.fetcher.account.name, days, rows }.emit();
        Err(StoreError::RowsLost.into())
    }

    /// Returns `None` if even that took too long: a failed comparison must not stop the sync.
    async fn compare_some(&mut self) -> Result<Option<Compared>, SyncError> {
        let Comparison { below, rows, .. } = self.comparison;
        let mut tries = 0;
        let compared = self
            .fetcher
            .retry_while_unavailable(|fetcher| {
                tries += 1;
                let (store, count) = (self.store.clone(), self.count.clone());
                let (name, fence) = (fetcher.account.name.clone(), self.leadership.fence);
                async move { store.compare_days(&name, fence, &count, below, rows).await }
            })
            .await;
        match compared {
            // An earlier try may have succeeded unnoticed, and found what this one no longer finds.
            Ok(_) if tries > 1 => Err(StoreError::CommitsLost.into()),
            Ok(compared) => {
                self.comparison.rows = (rows * FEWER).min(ROWS);
                Ok(Some(compared))
            }
            Err(SyncError::Store(error)) if error.is_too_slow() => {
                self.comparison.rows = (rows / FEWER).max(1);
                let account = &self.fetcher.account.name;
                DaysNotCompared { account, error: &error }.emit();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
