//! What this process uses and does besides keeping accounts in sync: processor, memory, files, connections, answers over HTTP.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::Definer;

/// A page is drawn from what is cached, in milliseconds.
const ANSWER_BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Debug)]
pub(crate) struct ProcessFamilies {
    background_panics: IntCounterVec,
    answers: IntCounterVec,
    answer_seconds: HistogramVec,
    connections: IntGaugeVec,
}

impl ProcessFamilies {
    pub(super) fn new(define: &Definer<'_>) -> Result<Self, prometheus::Error> {
        // Under the names that every client library uses: process_cpu_seconds_total and the like.
        #[cfg(target_os = "linux")]
        define.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            background_panics: define.counters(
                "background_panics_total",
                "Panics of a task that works for all accounts: bugs. The task was started again.",
                &["task"],
            )?,
            answers: define.counters(
                "http_requests_total",
                "Requests that this process answered, by path and status.",
                &["path", "status"],
            )?,
            answer_seconds: define.histograms(
                "http_request_duration_seconds",
                "From the head of a request to its answer.",
                &ANSWER_BUCKETS,
                &["path"],
            )?,
            connections: define.int_gauges(
                "database_connections",
                "Connections to the database: in use, idle, and the most that may be open (database.max_connections, and a few beside).",
                &["state"],
            )?,
        })
    }

    /// A task that works for all accounts appears at zero.
    pub(crate) fn background(&self, task: &str) {
        self.background_panics.with_label_values(&[task]);
    }

    /// Counts a panic of a task that works for all accounts.
    pub(crate) fn background_panicked(&self, task: &str) {
        self.background_panics.with_label_values(&[task]).inc();
    }

    /// Counts an answer. `path` comes from a closed list.
    pub(crate) fn answered(&self, path: &str, status: u16, elapsed: Duration) {
        self.answers.with_label_values(&[path, &status.to_string()]).inc();
        self.answer_seconds.with_label_values(&[path]).observe(elapsed.as_secs_f64());
    }

    /// Sets how many connections there are.
    pub(crate) fn connections(&self, used: u32, idle: u32, most: u32) {
        for (state, count) in [("used", used), ("idle", idle), ("most", most)] {
            self.connections.with_label_values(&[state]).set(i64::from(count));
        }
    }
}
