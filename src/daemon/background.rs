//! Tasks that work for all accounts, beside what keeps them in sync: one that panics is logged, counted and started again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// A bug that every start meets must not fill the log.
const AGAIN: Duration = Duration::from_secs(60);

/// Starts what `work` makes, until it ends or the handle is dropped.
pub(super) fn start<F: Future<Output = ()> + Send>(
    task: &'static str,
    clock: &Clock,
    metrics: &Metrics,
    work: impl Fn() -> F + Send + Sync + 'static,
) -> AbortOnDropHandle<()> {
    let (clock, metrics) = (clock.clone(), metrics.clone());
    metrics.process().background(task);
    AbortOnDropHandle::new(tokio::spawn(async move {
        while AssertUnwindSafe(async { work().await }).catch_unwind().await.is_err() {
            metrics.process().background_panicked(task);
            tracing::error!(
                event = "background_panicked",
                task,
                "this is a bug; the task is started again in a minute"
            );
            clock.sleep(AGAIN).await;
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_task_that_panics_is_counted_and_started_again() {
        let clock = ManualClock::new("2026-06-01T00:00:00Z".parse().unwrap());
        let metrics = Metrics::new().unwrap();
        let starts = Arc::new(AtomicU32::new(0));
        let counted = starts.clone();
        let task = start("trying", &Clock::Manual(clock.clone()), &metrics, move || {
            let counted = counted.clone();
            async move {
                assert!(counted.fetch_add(1, Ordering::SeqCst) >= 2, "a bug");
            }
        });
        while !task.is_finished() {
            clock.advance(chrono::TimeDelta::seconds(61));
            tokio::task::yield_now().await;
        }
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        let text = metrics.expose(&[], true, "2026-06-01T00:00:00Z".parse().unwrap());
        assert!(text.contains("cdr_sync_background_panics_total{task=\"trying\"} 2"), "{text}");
    }
}
