//! How much the database merges in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A merge that takes too long is made smaller by this.
const FASTER: usize = 8;
/// One that does not, larger by this for the next answer.
const GROWTH: usize = 2;

/// How many records a transaction may merge: all of an answer, unless that took too long of late.
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

    /// A merge of so many took too long. Returns how many to try.
    pub(super) fn slower(&self, records: usize) -> usize {
        let fewer = (records / FASTER).max(1);
        self.0.store(fewer, Ordering::Relaxed);
        fewer
    }

    /// Merges of so many were in time.
    pub(super) fn faster(&self, records: usize) {
        self.0.store(records.saturating_mul(GROWTH), Ordering::Relaxed);
    }
}
