//! Notifies systemd (sd_notify(3)) of readiness, the end, and that the daemon still makes progress. Without systemd
//! nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;

/// Notifies that the schema is up to date and syncing begins.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Notifies that a stop was requested.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Shows `text` in `systemctl status`: what the daemon waits for.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// Pings the watchdog at half its interval while the handle lives and `turns` says that every engine makes progress. It
/// runs on the runtime that does the work: if that hangs, the pings stop and systemd restarts the daemon.
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
