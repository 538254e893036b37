//! What an engine reports about itself while it works, for the progress bar, the page and metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::clock::monotonic;
use crate::metrics::AccountMetrics;
use crate::window::{Lane, Window};

/// How far an engine has come since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Number of requests sent, including retries.
    pub requests: u64,
    /// Number of windows read and stored.
    pub windows: u64,
    /// Number of records in the answers.
    pub records: u64,
    /// Rows that were new to the table.
    pub inserted: u64,
    /// Rows whose content changed or that were returned again.
    pub updated: u64,
    /// Rows that were marked as removed.
    pub removed: u64,
    /// Records that could not be stored.
    pub rejected: u64,
    /// History still to be read for the first time.
    pub unread: TimeDelta,
    /// What was not read again in time, at an age of `sync.reconcile` that it reached.
    pub overdue: TimeDelta,
    /// What was unread when the engine started.
    pub unread_at_start: TimeDelta,
    /// The lane and window being read at present.
    pub reading: Option<(Lane, Window)>,
    /// The span from `history_from` to `synced_until`.
    pub cursor: Option<Window>,
    /// `true` while this process leads the account.
    pub leads: bool,
    /// `true` if its last time as leader ended with an error.
    pub troubled: bool,
    /// Total of the waits since a request last had a usable answer.
    pub failing_for: Duration,
    /// Set after the account's requests failed here for too long: until when it is left to another daemon if there is
    /// one, and how long that is in total; the next time it is twice as long.
    pub given_up: Option<(DateTime<Utc>, TimeDelta)>,
    /// Why no requests are made at present, and until when.
    pub waiting: Option<(String, DateTime<Utc>)>,
    /// `true` if nothing was due at the last check.
    pub caught_up: bool,
}

/// Where an engine writes its progress and anybody may read it.
#[derive(Clone, Debug)]
pub struct ProgressWatch {
    progress: watch::Sender<Progress>,
    /// Shows that the engine still makes progress.
    pub heart: Heart,
    /// The account's metrics, counted along with the progress.
    pub metrics: AccountMetrics,
}

impl Default for ProgressWatch {
    fn default() -> Self {
        Self::new(AccountMetrics::default())
    }
}

impl ProgressWatch {
    /// Starts at zero, with `metrics` for what is counted.
    pub fn new(metrics: AccountMetrics) -> Self {
        Self { progress: watch::channel(Progress::default()).0, heart: Heart::default(), metrics }
    }

    /// A copy of the current progress.
    pub fn read(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// A receiver that is woken by every change.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Changes the progress and wakes its subscribers.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

/// Shows that an engine makes progress. Before each wait the engine, or the task that stores its answers, announces
/// when it will next move.
#[derive(Clone, Debug, Default)]
pub struct Heart(Arc<Mutex<Due>>);

#[derive(Clone, Copy, Debug, Default)]
struct Due {
    turn: Option<Instant>,
    stored: Option<Instant>,
}

impl Due {
    fn first(self) -> Option<Instant> {
        self.turn.into_iter().chain(self.stored).min()
    }
}

impl Heart {
    fn due(&self) -> std::sync::MutexGuard<'_, Due> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces that the engine moves again within `wait`.
    pub fn beats_within(&self, wait: Duration) {
        self.due().turn = monotonic().checked_add(wait);
    }

    /// Announces that storing makes progress within `wait`.
    pub fn stores_within(&self, wait: Duration) {
        self.due().stored = monotonic().checked_add(wait);
    }

    /// Announces that nothing is being stored any more.
    pub fn has_stored(&self) {
        self.due().stored = None;
    }

    /// Announces that the engine does not run, so that nothing is expected of it.
    pub fn rests(&self) {
        *self.due() = Due::default();
    }

    /// How long an announced movement is overdue; `None` while all is well.
    pub fn late_by(&self) -> Option<Duration> {
        let due = self.due().first();
        due.and_then(|due| monotonic().checked_duration_since(due)).filter(|late| !late.is_zero())
    }

    /// Returns once an announced movement is overdue.
    pub async fn stops(&self) {
        loop {
            let due = self.due().first();
            match due {
                Some(due) if due <= monotonic() => return,
                // Another time may be announced meanwhile.
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heart_is_late_once_it_has_not_moved_as_it_said() {
        let heart = Heart::default();
        assert_eq!(heart.late_by(), None);
        heart.beats_within(Duration::ZERO);
        while heart.late_by().is_none() {
            std::thread::yield_now();
        }
        heart.beats_within(Duration::from_secs(600));
        assert_eq!(heart.late_by(), None);
        heart.beats_within(Duration::MAX);
        assert_eq!(heart.late_by(), None);
        heart.rests();
        assert_eq!(heart.late_by(), None);
    }

    #[tokio::test]
    async fn who_waits_for_a_heart_to_stop_hears_of_it() {
        let heart = Heart::default();
        heart.beats_within(Duration::from_millis(5));
        heart.stops().await;
        assert!(heart.late_by().is_some());
    }
}
