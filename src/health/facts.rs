//! The accounts' state in the ledger at one moment.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::account::AccountStatus;
use crate::store::overview::Overview;
use crate::store::{Store, StoreError};
use crate::window::Window;

/// The state of one account in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct AccountFacts {
    pub(crate) status: AccountStatus,
    pub(crate) overview: Overview,
    /// History still to be read for the first time.
    pub(crate) unread: TimeDelta,
}

impl AccountFacts {
    /// Reads every account in the ledger.
    pub(crate) async fn read_all(store: &Store, now: DateTime<Utc>) -> Result<Vec<Self>, StoreError> {
        let facts = |(status, overview): (AccountStatus, Overview)| {
            let unread = unread(&status, &overview, now);
            Self { status, overview, unread }
        };
        Ok(store.overview().await?.into_iter().map(facts).collect())
    }
}

/// The unread time between the start of history and the newest read: without the lag after it, open gaps, and what the
/// vendor no longer keeps.
fn unread(status: &AccountStatus, overview: &Overview, now: DateTime<Utc>) -> TimeDelta {
    let from = status.horizon.map_or(status.history_start, |floor| floor.max(status.history_start));
    let to = overview.coverage.end().unwrap_or(now);
    let Some(wanted) = Window::new(from, to) else { return TimeDelta::zero() };
    let holes = overview.coverage.holes(wanted);
    let unread: TimeDelta = holes.iter().map(Window::len).sum();
    let in_gaps = holes.iter().flat_map(|hole| {
        overview.gaps.iter().filter_map(|gap| gap.window.intersect(hole)).map(|gap| gap.len())
    });
    (unread - in_gaps.sum::<TimeDelta>()).max(TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::gap::OpenGap;
    use crate::window::coverage::{Coverage, Stretch};

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    #[test]
    fn unread_leaves_out_the_lag_the_gaps_and_what_the_vendor_dropped() {
        let window = |from, to| Window::new(hour(from), hour(to)).unwrap();
        let read = |from, to| Stretch {
            window: window(from, to),
            reread_age: TimeDelta::zero(),
            lacking: Default::default(),
        };
        let mut status = AccountStatus {
            name: "sales".into(),
            history_start: hour(0),
            cursor: None,
            horizon: None,
            last_success_at: None,
            last_error: None,
            paused_until: None,
            pause: None,
            gaps: 1,
            rejected: 0,
            missing: 0,
            suspicious: 0,
            leader: None,
        };
        let gap = OpenGap {
            id: 1,
            account: "sales".into(),
            window: window(52, 54),
            reason: "unreadable".into(),
            tries: 1,
            opened_at: hour(99),
            next_try_at: hour(99),
            last_error: None,
        };
        let overview = Overview {
            coverage: Coverage::from_stretches([read(40, 50), read(60, 90)]),
            gaps: vec![gap],
            rejected: Vec::new(),
            lists: Vec::new(),
            pushes: None,
        };
        assert_eq!(unread(&status, &overview, hour(100)).num_hours(), 40 + 8);
        status.horizon = Some(hour(30));
        assert_eq!(unread(&status, &overview, hour(100)).num_hours(), 10 + 8);
    }
}
