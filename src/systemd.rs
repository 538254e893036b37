//! What systemd is notified of (sd_notify(3)): readiness, the end, and that the daemon still makes progress. Without
//! systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;

/// The schema is up to date and syncing begins.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A stop was asked for.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// What the daemon waits for, shown by `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// Pings the watchdog at half its time for as long as the handle lives and every account's engine `turns`. It is a task
/// of the runtime that does the work: when that one stands still, so do the pings, and systemd starts the daemon again.
pub fn watch(clock: Clock, turns: impl Fn() -> bool + Send + 'static) -> AbortOnDropHandle<()> {
    let every = sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(1)));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let Some(every) = every else { return };
        loop {
            if turns() {
                notify(&[NotifyState::Watchdog]);
            }
            clock.sleep(every).await;
        }
    }))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(event = "systemd_not_told", %error);
    }
}
