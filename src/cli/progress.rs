//! Progress for people: a bar on a terminal, a line every 10 seconds elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::task::AbortOnDropHandle;

use super::table::{span, thousands};
use crate::clock::monotonic;
use crate::sync::status::{Progress, ProgressWatch};

const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Without progress: `--quiet`.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Shows no progress in this process any more.
pub(super) fn hide() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// Returns `true` if standard error is a terminal.
pub(super) fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Shows an account's progress on standard error until dropped.
pub(super) fn show(bars: &MultiProgress, account: &str, watch: ProgressWatch) -> AbortOnDropHandle<()> {
    let account = account.to_owned();
    if HIDDEN.load(Ordering::Relaxed) {
        return AbortOnDropHandle::new(tokio::spawn(async {}));
    }
    if on_terminal() {
        let bar = bars.add(ProgressBar::new(1000));
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}% {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
        bar.set_prefix(account);
        AbortOnDropHandle::new(tokio::spawn(draw(bar, watch)))
    } else {
        AbortOnDropHandle::new(tokio::spawn(lines(account, watch)))
    }
}

async fn draw(bar: ProgressBar, watch: ProgressWatch) {
    let started = monotonic();
    loop {
        let progress = watch.read();
        bar.set_position((done(&progress) * 1000.0) as u64);
        bar.set_message(words(&progress, started.elapsed()));
        tokio::time::sleep(BAR_EVERY).await;
    }
}

async fn lines(account: String, watch: ProgressWatch) {
    let started = monotonic();
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let progress = watch.read();
        eprintln!("{account}: {:.0}% {}", done(&progress) * 100.0, words(&progress, started.elapsed()));
    }
}

/// The share of the unread history that has been read.
fn done(progress: &Progress) -> f64 {
    let all = progress.unread_at_start.num_seconds() as f64;
    if all <= 0.0 { 1.0 } else { (1.0 - progress.unread.num_seconds() as f64 / all).clamp(0.0, 1.0) }
}

/// Windows, records, rate and remaining time, in one line.
pub(super) fn words(progress: &Progress, elapsed: Duration) -> String {
    let rate = progress.records as f64 / elapsed.as_secs_f64().max(0.1);
    // A daemon that does the work tells only how far it is.
    let mut text = if progress.requests == 0 {
        "no request yet".to_owned()
    } else {
        format!(
            "{} windows, {} requests, {} records, {}/s",
            thousands(progress.windows),
            thousands(progress.requests),
            thousands(progress.records),
            thousands(rate as u64)
        )
    };
    let share = done(progress);
    if share > 0.01 && share < 1.0 {
        let left = elapsed.as_secs_f64() * (1.0 - share) / share;
        text.push_str(&format!(", {} left", span(TimeDelta::seconds(left as i64))));
    }
    if let Some((why, until)) = &progress.waiting {
        text.push_str(&format!(", waiting until {} ({why})", until.format("%H:%M:%S")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_windows_records_rate_and_what_is_left() {
        let progress = Progress {
            windows: 12,
            requests: 14,
            records: 60_000,
            unread: TimeDelta::days(9),
            unread_at_start: TimeDelta::days(10),
            ..Progress::default()
        };
        let line = words(&progress, Duration::from_secs(60));
        assert_eq!(line, "12 windows, 14 requests, 60,000 records, 1,000/s, 9m left");
    }
}
