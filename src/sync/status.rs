//! What an engine tells about itself while it works: for the progress bar, the page and metrics.

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
    /// Requests sent, retries included.
    pub requests: u64,
    /// Windows read and stored.
    pub windows: u64,
    /// Records that came.
    pub records: u64,
    /// Rows that were new.
    pub inserted: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Rows marked removed.
    pub removed: u64,
    /// Records that could not be stored.
    pub rejected: u64,
    /// History still to be read for the first time.
    pub unread: TimeDelta,
    /// What was unread when the engine started.
    pub unread_at_start: TimeDelta,
    /// The window being read.
    pub reading: Option<(Lane, Window)>,
    /// `history_from` to `synced_until`.
    pub cursor: Option<Window>,
    /// This process leads the account.
    pub leads: bool,
    /// When it led last, that ended with an error.
    pub troubled: bool,
    /// How long was waited since a request last had a usable answer.
    pub failing_for: Duration,
    /// Its requests failed here for so long that it was given up: not before this is it tried again while there is another
    /// daemon for it, and after another such time for twice as long.
    pub given_up: Option<(DateTime<Utc>, TimeDelta)>,
    /// Why nothing is being asked at present, and until when.
    pub waiting: Option<(String, DateTime<Utc>)>,
    /// Nothing was due at the last look.
    pub caught_up: bool,
}

/// Where an engine writes its progress and anybody may read it.
#[derive(Clone, Debug)]
pub struct ProgressWatch {
    progress: watch::Sender<Progress>,
    /// Whether it still turns.
    pub heart: Heart,
    /// What is counted beside it.
    pub metrics: AccountMetrics,
}

impl Default for ProgressWatch {
    fn default() -> Self {
        Self::new(AccountMetrics::default())
    }
}

impl ProgressWatch {
    /// A board that counts in `metrics`.
    pub fn new(metrics: AccountMetrics) -> Self {
        Self { progress: watch::channel(Progress::default()).0, heart: Heart::default(), metrics }
    }

    /// The progress now.
    pub fn read(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// To be woken by changes.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

/// What shows that an engine still turns. Before each wait it says by when it will have moved again, and so does what
/// stores its answers beside it.
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

    /// It moves again within this.
    pub fn beats_within(&self, wait: Duration) {
        self.due().turn = monotonic().checked_add(wait);
    }

    /// What is being stored moves again within this.
    pub fn stores_within(&self, wait: Duration) {
        self.due().stored = monotonic().checked_add(wait);
    }

    /// Nothing is being stored.
    pub fn has_stored(&self) {
        self.due().stored = None;
    }

    /// Nothing is expected of it: it does not run.
    pub fn rests(&self) {
        *self.due() = Due::default();
    }

    /// For how long it should have moved already. `None` while all is well.
    pub fn late_by(&self) -> Option<Duration> {
        let due = self.due().first();
        due.and_then(|due| monotonic().checked_duration_since(due)).filter(|late| !late.is_zero())
    }

    /// Returns once it is late.
    pub async fn stops(&self) {
        loop {
            let due = self.due().first();
            match due {
                Some(due) if due <= monotonic() => return,
                // It may say something else meanwhile.
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
