//! This daemon's leases, and what the other daemons know of it.

use crate::store::StoreError;

/// Leases could not be renewed this time.
pub(in crate::sync) struct LeaseNotRenewed<'a> {
    pub accounts: usize,
    pub error: &'a StoreError,
}

impl LeaseNotRenewed<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { accounts, error } = self;
        tracing::warn!(event = "lease_not_renewed", accounts, %error, "trying again");
    }
}

/// Another process has taken a lease that was held here.
pub(in crate::sync) struct LeaseLost<'a> {
    pub account: &'a str,
}

impl LeaseLost<'_> {
    pub(in crate::sync) fn emit(&self) {
        let account = self.account;
        tracing::warn!(event = "lease_lost", account, "another process leads this account now");
    }
}

/// A lease could not be released.
pub(in crate::sync) struct LeaseNotReleased<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl LeaseNotReleased<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, error } = self;
        tracing::debug!(event = "lease_not_released", account, %error, "it will expire");
    }
}

/// This daemon could not announce itself to the others.
pub(in crate::sync) struct NotShownUp<'a> {
    pub error: &'a StoreError,
}

impl NotShownUp<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::debug!(event = "not_shown_up", error = %self.error, "trying again");
    }
}

/// This daemon could not tell the others that it ends.
pub(in crate::sync) struct NotLeft<'a> {
    pub error: &'a StoreError,
}

impl NotLeft<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::debug!(event = "not_left", error = %self.error);
    }
}
