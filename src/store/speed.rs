//! How many records the database can merge in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Divisor of the batch size after a merge that took too long.
const FASTER: usize = 8;
/// Factor by which the batch size grows after merges in time.
const GROWTH: usize = 2;

/// How many records a transaction may merge: all of an answer, unless that took too long recently.
#[derive(Clone, Debug)]
pub(super) struct Speed(Arc<AtomicUsize>);

impl Default for Speed {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Speed {
    pub(super) fn batch(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that a merge of `records` took too long. Returns how many to try next.
    pub(super) fn slower(&self, records: usize) -> usize {
        let fewer = (records / FASTER).max(1);
        self.0.store(fewer, Ordering::Relaxed);
        fewer
    }

    /// Notes that merges of `records` each were in time.
    pub(super) fn faster(&self, records: usize) {
        self.0.store(records.saturating_mul(GROWTH), Ordering::Relaxed);
    }
}
