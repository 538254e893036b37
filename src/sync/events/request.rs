//! A request and its outcome.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::read::request::Request;
use crate::sync::status::ProgressWatch;
use crate::voicenter::{ApiError, RequestOutcome};
use crate::window::Window;

/// A request was answered, or was not.
pub(in crate::sync) struct RequestEnded {
    pub outcome: RequestOutcome,
    pub took: Duration,
}

impl RequestEnded {
    pub(in crate::sync) fn emit(&self, watch: &ProgressWatch) {
        watch.metrics.request(self.outcome, self.took);
        watch.update(|progress| {
            progress.requests += 1;
            progress.waiting = None;
        });
    }
}

/// A planned request had no usable answer.
pub(in crate::sync) struct RequestFailed<'a> {
    pub account: &'a str,
    pub request: &'a Request,
    pub failures: u32,
    pub error: &'a ApiError,
    /// `true` if it failed because it took too long.
    pub too_slow: bool,
}

impl RequestFailed<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, request, failures, error, too_slow } = self;
        let what = if *too_slow { "no usable answer in time" } else { "no usable answer" };
        tracing::warn!(
            event = "request_failed", account, lane = request.lane.as_str(), window = %request.window, failures,
            %error, "{what}"
        );
    }
}

/// Error 5: the API does not answer for such a range.
pub(in crate::sync) struct InvalidRange<'a> {
    pub account: &'a str,
    pub window: Window,
    pub error: &'a ApiError,
}

impl InvalidRange<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, window, error } = self;
        tracing::warn!(event = "invalid_range", account, %window, %error, advice = error.advice());
    }
}

/// The API refuses the credential or the address.
pub(in crate::sync) struct Refused<'a> {
    pub account: &'a str,
    pub message: &'a str,
}

impl Refused<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::error!(event = "refused", account = self.account, error = self.message);
    }
}

/// A call could not be asked for by its CallID: it is not marked removed this time.
pub(in crate::sync) struct CallNotAsked<'a> {
    pub account: &'a str,
    pub error: &'a ApiError,
}

impl CallNotAsked<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::warn!(event = "call_not_asked", account = self.account, error = %self.error);
    }
}

/// The API does not accept a field or a key of requests.
pub(in crate::sync) struct CapabilityDropped<'a> {
    pub account: &'a str,
    pub capability: &'a str,
}

impl CapabilityDropped<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, capability } = self;
        tracing::warn!(
            event = "capability_dropped",
            account,
            capability,
            "the API does not accept it: requests leave it out, and it is tried again in ten minutes, daily and at \
             every start"
        );
    }
}

/// The API accepts what it did not accept before.
pub(in crate::sync) struct CapabilityRestored<'a> {
    pub account: &'a str,
    pub capability: &'a str,
}

impl CapabilityRestored<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, capability } = self;
        tracing::info!(event = "capability_restored", account, capability, "the API accepts it after all");
    }
}

/// No requests are made for a while.
pub(in crate::sync) struct Waiting<'a> {
    pub account: &'a str,
    /// The reason, as a word for the log.
    pub why: &'static str,
    pub wait: Duration,
    pub until: DateTime<Utc>,
    pub error: &'a str,
}

impl Waiting<'_> {
    pub(in crate::sync) fn emit(&self, watch: &ProgressWatch) {
        let Self { account, why, wait, until, error } = self;
        tracing::info!(event = "waiting", account, why, seconds = wait.as_secs(), %until, error);
        watch.update(|progress| {
            progress.waiting = Some((format!("{}: {error}", why.replace('_', " ")), *until));
        });
    }
}
