//! What is counted and measured, for Prometheus. Labels are few and closed: accounts come from the configuration,
//! everything else from the lists here. No phone number, no name, no CallID.

mod call_history;
mod counters;
mod ledger;
mod process;
mod push;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::read::request::Outcome;
use crate::voicenter::RequestOutcome;
use crate::window::Lane;
pub(crate) use call_history::HistoryOutcome;
use counters::AccountCounters;
pub use ledger::LedgerFacts;
use ledger::LedgerFamilies;
use process::ProcessFamilies;
use push::PushFamilies;
pub(crate) use push::{PushOutcome, PushState};
pub use reference::ListFacts;
use reference::ReferenceFamilies;

/// Why a window was divided, as the label `reason` says it.
const SPLIT_REASONS: [&str; 6] =
    ["unproven", "too_many", "too_large", "doubted", "range_refused", "too_slow"];

/// What became of records, as the label `change` says it.
const CHANGES: [&str; 5] = ["inserted", "updated", "unchanged", "removed", "rejected"];

/// A request has 60 s by default; most answers take well below one.
const REQUEST_BUCKETS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0];
/// A commit takes milliseconds; one of 10,000 new records a good part of a second.
const STORE_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All metrics of this process; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    requests: AccountCounters,
    request_seconds: HistogramVec,
    rate_limited: IntCounterVec,
    windows: AccountCounters,
    splits: AccountCounters,
    records: AccountCounters,
    changed: IntCounterVec,
    store_seconds: HistogramVec,
    panics: IntCounterVec,
    leader: IntGaugeVec,
    stalled: IntGaugeVec,
    last_success: GaugeVec,
    budget: IntGaugeVec,
    poll_interval: GaugeVec,
    log_lines_dropped: IntCounterVec,
    process: ProcessFamilies,
    ledger: LedgerFamilies,
    push: PushFamilies,
    reference: ReferenceFamilies,
    ai_requests: AccountCounters,
}

/// What storing one window changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Changes {
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub removed: u64,
    pub rejected: u64,
}

/// A metric's definition breaks the format: a bug in this program that every start would show.
#[derive(Debug, thiserror::Error)]
#[error("a metric cannot be defined: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Creates all metrics of this process, at zero.
    ///
    /// # Errors
    /// Only for a definition that breaks the format.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let define = Definer(&registry);
        let account = &["account"];
        define
            .int_gauges("build_info", "Always 1; the label says which version runs.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self(Arc::new(Families {
            requests: AccountCounters::new(
                "api_requests_total",
                "Requests to the API, retries included.",
                vec![("outcome", RequestOutcome::ALL.map(RequestOutcome::as_str).to_vec())],
            ),
            request_seconds: define.histograms(
                "api_request_duration_seconds",
                "From sending a request to the end of its answer.",
                &REQUEST_BUCKETS,
                account,
            )?,
            rate_limited: define.counters(
                "api_rate_limited_total",
                "Answers that said we asked too often (error 1, HTTP 429).",
                account,
            )?,
            windows: AccountCounters::new(
                "windows_total",
                "Windows asked for, by what the answer led to.",
                vec![("lane", lanes()), ("outcome", Outcome::ALL.map(Outcome::as_str).to_vec())],
            ),
            splits: AccountCounters::new(
                "window_splits_total",
                "Windows that were divided.",
                vec![("reason", SPLIT_REASONS.to_vec())],
            ),
            records: AccountCounters::new(
                "records_total",
                "Records, by what became of them.",
                vec![("change", CHANGES.to_vec()), ("lane", lanes())],
            ),
            changed: define.counters(
                "changed_fields_total",
                "Values that were different at a read from what was stored, by column.",
                &["account", "column"],
            )?,
            store_seconds: define.histograms(
                "store_duration_seconds",
                "One commit: rows and ledger.",
                &STORE_BUCKETS,
                account,
            )?,
            panics: define.counters(
                "panics_total",
                "Panics of an account's task: bugs. The account was started again.",
                account,
            )?,
            leader: define.int_gauges(
                "leader",
                "1 in the process that syncs the account, else 0.",
                account,
            )?,
            stalled: define.int_gauges(
                "stalled",
                "1 while the account's engine in this process has not turned for longer than any wait may last, else 0.",
                account,
            )?,
            last_success: define.gauges(
                "last_success_timestamp_seconds",
                "Start of the last request whose window was read completely and stored, as Unix time; 0 for never.",
                &["account", "lane"],
            )?,
            budget: define.int_gauges(
                "requests_per_minute",
                "The most requests that may leave in any 60 seconds for the account's credential.",
                account,
            )?,
            poll_interval: define.gauges(
                "poll_interval_seconds",
                "The configured time between polls, by which alerts judge a lag.",
                &[],
            )?,
            log_lines_dropped: define.counters(
                "log_lines_dropped_total",
                "Log lines that standard error did not take.",
                &[],
            )?,
            process: ProcessFamilies::new(&define)?,
            ledger: LedgerFamilies::new(&define)?,
            push: PushFamilies::new(&define)?,
            reference: ReferenceFamilies::new(&define)?,
            ai_requests: call_history::requests(),
            registry,
        })))
    }

    /// The metrics of one account, all its series at zero: a counter that appears at 1 would hide its first increase.
    pub fn account(&self, name: &str) -> AccountMetrics {
        let all = &self.0;
        for counters in [&all.requests, &all.windows, &all.splits, &all.records] {
            counters.define(name);
        }
        for lane in lanes() {
            // Never is 0, not absent: an alert must see an account that never succeeded.
            all.last_success.with_label_values(&[name, lane]);
        }
        all.request_seconds.with_label_values(&[name]);
        all.store_seconds.with_label_values(&[name]);
        all.rate_limited.with_label_values(&[name]);
        all.panics.with_label_values(&[name]);
        all.leader.with_label_values(&[name]);
        all.stalled.with_label_values(&[name]);
        AccountMetrics(Some((self.clone(), name.to_owned())))
    }

    /// Sets the sizes of tables on disk, in bytes by name.
    pub fn table_sizes(&self, sizes: &[(String, i64)]) {
        self.0.ledger.table_sizes(sizes);
    }

    /// Sets the configured time between polls.
    pub fn poll_interval(&self, interval: TimeDelta) {
        self.0.poll_interval.with_label_values::<&str>(&[]).set(interval.as_seconds_f64());
    }

    /// What the process does besides keeping accounts in sync.
    pub(crate) fn process(&self) -> &ProcessFamilies {
        &self.0.process
    }

    /// Sets whether the engine of an account is stuck.
    pub fn stalled(&self, account: &str, stalled: bool) {
        self.0.stalled.with_label_values(&[account]).set(i64::from(stalled));
    }

    /// The counter of log lines that were dropped.
    pub fn log_lines_dropped(&self) -> IntCounter {
        self.0.log_lines_dropped.with_label_values::<&str>(&[])
    }

    /// Everything in Prometheus's text format, with what the ledger says at `now`. While the database is unreachable,
    /// the last facts are kept, and lag keeps growing from them.
    pub fn expose(&self, facts: &[LedgerFacts], database_up: bool, now: DateTime<Utc>) -> String {
        self.0.ledger.write(facts, database_up, now);
        self.0.reference.write(facts);
        let all = &self.0;
        let mut text = String::new();
        // Writing into memory fails only for a metric that breaks the format, which tests would have shown.
        if let Err(error) = TextEncoder::new().encode_utf8(&all.registry.gather(), &mut text) {
            tracing::error!(event = "metrics_not_encoded", %error, "this is a bug");
        }
        let families = [&all.requests, &all.windows, &all.splits, &all.records, &all.push.received];
        for counters in families.into_iter().chain([&all.reference.failures, &all.ai_requests]) {
            counters.write(&mut text);
        }
        text
    }
}

/// The metrics of one account; the default is exposed nowhere, for single passes and tests.
#[derive(Clone, Debug, Default)]
pub struct AccountMetrics(Option<(Metrics, String)>);

impl AccountMetrics {
    fn parts(&self) -> Option<(&Families, &str)> {
        self.0.as_ref().map(|(metrics, account)| (&*metrics.0, account.as_str()))
    }

    /// Counts a request that ended with `outcome` after `elapsed`.
    pub fn request(&self, outcome: RequestOutcome, elapsed: Duration) {
        let Some((all, account)) = self.parts() else { return };
        all.requests.add(account, &[outcome.as_str()], 1);
        all.request_seconds.with_label_values(&[account]).observe(elapsed.as_secs_f64());
        if outcome == RequestOutcome::RateLimited {
            all.rate_limited.with_label_values(&[account]).inc();
        }
    }

    /// Counts a window whose answer was judged and stored.
    pub fn window(&self, lane: Lane, outcome: Outcome, changes: Changes) {
        let Some((all, account)) = self.parts() else { return };
        all.windows.add(account, &[lane.as_str(), outcome.as_str()], 1);
        let counts =
            [changes.inserted, changes.updated, changes.unchanged, changes.removed, changes.rejected];
        for (change, count) in CHANGES.into_iter().zip(counts) {
            all.records.add(account, &[change, lane.as_str()], count);
        }
        let reason = match outcome {
            Outcome::SplitUnproven => "unproven",
            Outcome::SplitTooMany => "too_many",
            Outcome::SplitTooLarge => "too_large",
            Outcome::Doubted => "doubted",
            Outcome::Refused => "range_refused",
            Outcome::TooSlow => "too_slow",
            Outcome::Whole | Outcome::Continued | Outcome::Gap | Outcome::Failed => return,
        };
        all.splits.add(account, &[reason], 1);
    }

    /// Counts rows that had another value in this column.
    pub fn changed(&self, column: &str, rows: u64) {
        let Some((all, account)) = self.parts() else { return };
        all.changed.with_label_values(&[account, column]).inc_by(rows);
    }

    /// Records how long a commit took.
    pub fn stored(&self, elapsed: Duration) {
        let Some((all, account)) = self.parts() else { return };
        all.store_seconds.with_label_values(&[account]).observe(elapsed.as_secs_f64());
    }

    /// Records that a window of `lane` was read completely by a request that started `at`.
    pub fn success(&self, lane: &str, at: DateTime<Utc>) {
        let Some((all, account)) = self.parts() else { return };
        all.last_success.with_label_values(&[account, lane]).set(unix(at));
    }

    /// Sets how many requests per minute the account may make.
    pub fn budget(&self, per_minute: u32) {
        let Some((all, account)) = self.parts() else { return };
        all.budget.with_label_values(&[account]).set(i64::from(per_minute));
    }

    /// Sets whether this process leads the account.
    pub fn leads(&self, leads: bool) {
        let Some((all, account)) = self.parts() else { return };
        all.leader.with_label_values(&[account]).set(i64::from(leads));
    }

    /// Counts a panic of the account's task.
    pub fn panicked(&self) {
        let Some((all, account)) = self.parts() else { return };
        all.panics.with_label_values(&[account]).inc();
    }
}

fn lanes() -> Vec<&'static str> {
    Lane::ALL.map(Lane::as_str).to_vec()
}

fn unix(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_micros() as f64 / 1e6
}

/// Defines metrics in a registry.
struct Definer<'a>(&'a Registry);

impl Definer<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.registered(IntCounterVec::new(options(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.registered(GaugeVec::new(options(name, help), labels)?)
    }

    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.registered(IntGaugeVec::new(options(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts { common_opts: options(name, help), buckets: buckets.to_vec() };
        self.registered(HistogramVec::new(options, labels)?)
    }

    fn registered<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cdr_sync")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(account: &str) -> LedgerFacts {
        let instant = |seconds| DateTime::from_timestamp(seconds, 0);
        LedgerFacts {
            account: account.into(),
            synced_until: instant(1_000_000),
            history_from: instant(500_000),
            history_start: DateTime::from_timestamp(400_000, 0).unwrap(),
            unread_seconds: 100_000,
            gaps: 2,
            rejected: 1,
            suspicious: 0,
            is_paused: false,
            lists: Vec::new(),
        }
    }

    fn expose(metrics: &Metrics, facts: &[LedgerFacts]) -> String {
        metrics.expose(facts, true, DateTime::from_timestamp(1_000_090, 0).unwrap())
    }

    #[test]
    fn every_series_of_an_account_stands_at_zero_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.account("sales");
        let text = expose(&metrics, &[]);
        assert!(
            text.contains("cdr_sync_api_requests_total{account=\"sales\",outcome=\"address_refused\"} 0")
        );
        assert!(
            text.contains("cdr_sync_windows_total{account=\"sales\",lane=\"backfill\",outcome=\"gap\"} 0")
        );
        assert!(text.contains("cdr_sync_leader{account=\"sales\"} 0"));
        assert!(
            text.contains("cdr_sync_last_success_timestamp_seconds{account=\"sales\",lane=\"live\"} 0"),
            "{text}"
        );
    }

    #[test]
    fn events_are_counted() {
        let metrics = Metrics::new().unwrap();
        let sales = metrics.account("sales");
        sales.request(RequestOutcome::RateLimited, Duration::from_millis(300));
        sales.request(RequestOutcome::Ok, Duration::from_millis(30));
        sales.window(Lane::Live, Outcome::SplitTooMany, Changes { inserted: 7, ..Changes::default() });
        sales.leads(true);
        sales.budget(30);
        let text = expose(&metrics, &[]);
        for line in [
            "cdr_sync_api_requests_total{account=\"sales\",outcome=\"ok\"} 1",
            "cdr_sync_api_rate_limited_total{account=\"sales\"} 1",
            "cdr_sync_api_request_duration_seconds_count{account=\"sales\"} 2",
            "cdr_sync_window_splits_total{account=\"sales\",reason=\"too_many\"} 1",
            "cdr_sync_records_total{account=\"sales\",change=\"inserted\",lane=\"live\"} 7",
            "cdr_sync_leader{account=\"sales\"} 1",
            "cdr_sync_requests_per_minute{account=\"sales\"} 30",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn lag_goes_on_growing_from_the_last_facts_and_forgotten_accounts_go() {
        let metrics = Metrics::new().unwrap();
        let text = expose(&metrics, &[facts("sales"), facts("old")]);
        assert!(text.contains("cdr_sync_lag_seconds{account=\"sales\"} 90"), "{text}");
        assert!(text.contains("cdr_sync_gaps{account=\"old\"} 2"));
        let text = expose(&metrics, &[facts("sales")]);
        assert!(!text.contains("account=\"old\""), "{text}");
    }
}
