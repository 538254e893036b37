//! Which commit of an account is the last one, as far as its leader knows.

use std::sync::atomic::{AtomicI64, Ordering};

/// How many commits the account's ledger has had. After a commit whose outcome is unknown, it may be one more.
#[derive(Debug, Default)]
pub struct CommitCount {
    known: AtomicI64,
    unsure: AtomicI64,
    /// Transactions begun for the account: while this grows, storing makes progress.
    begun: AtomicI64,
}

impl CommitCount {
    /// The count of a ledger that was just read.
    pub(super) fn after(commits: i64) -> Self {
        Self { known: AtomicI64::new(commits), ..Self::default() }
    }

    /// Returns `true` if the ledger can have had this many.
    pub(super) fn admits(&self, commits: i64) -> bool {
        let known = self.known.load(Ordering::Relaxed);
        (known..=known + self.unsure.load(Ordering::Relaxed)).contains(&commits)
    }

    /// How many transactions were begun for the account.
    pub fn begun(&self) -> i64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a commit was sent and is not acknowledged yet.
    pub(super) fn ending(&self) {
        self.unsure.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the commit with this number was acknowledged.
    pub(super) fn ended(&self, number: i64) {
        self.known.store(number, Ordering::Relaxed);
        self.unsure.store(0, Ordering::Relaxed);
    }
}

impl Clone for CommitCount {
    fn clone(&self) -> Self {
        let value = |of: &AtomicI64| AtomicI64::new(of.load(Ordering::Relaxed));
        Self { known: value(&self.known), unsure: value(&self.unsure), begun: value(&self.begun) }
    }
}

impl PartialEq for CommitCount {
    fn eq(&self, other: &Self) -> bool {
        let value = |of: &AtomicI64| of.load(Ordering::Relaxed);
        value(&self.known) == value(&other.known) && value(&self.unsure) == value(&other.unsure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_acknowledged_is_uncertain() {
        let count = CommitCount::after(7);
        assert_eq!([6, 7, 8].map(|n| count.admits(n)), [false, true, false]);
        count.ending();
        assert_eq!([6, 7, 8, 9].map(|n| count.admits(n)), [false, true, true, false]);
        count.ended(8);
        assert_eq!([7, 8, 9].map(|n| count.admits(n)), [false, true, false]);
    }
}
