//! Compares the clocks of this host and of the API with each other and with the records.

use chrono::{DateTime, TimeDelta, Utc};

use super::events::{ClocksDiffer, FutureDates};
use crate::voicenter::Answer;

/// A greater difference between clocks or dates is more than skew.
const APART: TimeDelta = TimeDelta::minutes(5);
/// How often each of the warnings is logged.
const WARN_EVERY: TimeDelta = TimeDelta::hours(1);

/// When each of the warnings was last logged.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    future_dates: Option<DateTime<Utc>>,
    difference: Option<DateTime<Utc>>,
}

impl ClockWatch {
    /// Warns if the answer to a request at `read_at` shows that a clock is wrong.
    pub(super) fn look(&mut self, account: &str, answer: &Answer, read_at: DateTime<Utc>) {
        let Some(theirs) = answer.server_date else { return };
        let seconds = (theirs - read_at).num_seconds();
        if (theirs - read_at).abs() > APART && is_time(&mut self.difference, read_at) {
            ClocksDiffer { account, seconds }.emit();
        }
        // A wrong zone ends the sync before this; what remains are a few odd dates.
        let newest = answer.records.iter().map(|record| record.started_at).max();
        let Some(ahead) = newest.map(|newest| newest - theirs).filter(|ahead| *ahead > APART) else { return };
        if is_time(&mut self.future_dates, read_at) {
            FutureDates { account, minutes: ahead.num_minutes() }.emit();
        }
    }
}

fn is_time(warned_at: &mut Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let due = warned_at.is_none_or(|at| (now - at).abs() >= WARN_EVERY);
    if due {
        *warned_at = Some(now);
    }
    due
}
