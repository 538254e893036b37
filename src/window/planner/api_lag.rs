//! How far claims end before the present: by the API's clock where that is behind.

use chrono::{DateTime, TimeDelta, Utc};

/// The nodes of an API may differ: the slowest one counts until it has not been seen for this long.
const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(1);

/// The longest lag of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ApiLag {
    by: TimeDelta,
    seen_at: DateTime<Utc>,
}

impl ApiLag {
    /// Notes by how much an answer's clock was behind ours at `now`.
    pub(super) fn note(&mut self, by: TimeDelta, now: DateTime<Utc>) {
        let is_old = !(TimeDelta::zero()..REMEMBERED_FOR).contains(&(now - self.seen_at));
        if by >= self.by || is_old {
            *self = Self { by, seen_at: now };
        }
    }

    /// How far the API's clock is behind.
    pub(super) fn get(&self) -> TimeDelta {
        self.by
    }
}
