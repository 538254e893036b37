//! What an answer shows of clocks and of the time zone.

use crate::voicenter::ApiError;

/// The API's clock and this host's are far apart.
pub(in crate::sync) struct ClocksDiffer<'a> {
    pub account: &'a str,
    pub seconds: i64,
}

impl ClocksDiffer<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, seconds } = self;
        tracing::warn!(
            event = "clocks_differ",
            account,
            seconds,
            "the API's clock (its Date header) and this host's are far apart: nothing newer than either is claimed as read"
        );
    }
}

/// Records are dated later than the API's own clock.
pub(in crate::sync) struct FutureDates<'a> {
    pub account: &'a str,
    pub minutes: i64,
}

impl FutureDates<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, minutes } = self;
        tracing::warn!(
            event = "future_dates",
            account,
            minutes,
            "records are dated in the future by the API's own clock"
        );
    }
}

/// The API did not answer a request that would have shown the zone.
pub(in crate::sync) struct ZoneNotLookedAt<'a> {
    pub account: &'a str,
    pub error: &'a ApiError,
}

impl ZoneNotLookedAt<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::debug!(event = "zone_not_looked_at", account = self.account, error = %self.error);
    }
}

/// An answer shows that the API uses another zone than the configured one.
pub(in crate::sync) struct ZoneContradicted<'a> {
    pub account: &'a str,
    pub message: &'a str,
}

impl ZoneContradicted<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::error!(event = "zone_contradicted", account = self.account, error = self.message);
    }
}
