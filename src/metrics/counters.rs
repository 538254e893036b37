//! Counters of accounts, labelled by closed lists: eight bytes for each series.
//!
//! `prometheus` keeps for each series its name, its help and its labels: some 700 bytes. An account has ninety such series,
//! so a thousand accounts would take up 60 MB before the first request, and as much again for a moment at each scrape.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A label and all its values.
type Label = (&'static str, Vec<&'static str>);

/// One family of counters: a series for each account and each combination of the labels' values.
#[derive(Debug)]
pub(super) struct AccountCounters {
    name: String,
    help: &'static str,
    labels: Vec<Label>,
    accounts: Mutex<BTreeMap<String, Arc<[AtomicU64]>>>,
}

impl AccountCounters {
    /// `labels` in the order of their names, as the text format of `prometheus` has them; all of them after `account`.
    pub(super) fn new(name: &str, help: &'static str, labels: Vec<Label>) -> Self {
        Self { name: format!("cdr_sync_{name}"), help, labels, accounts: Mutex::default() }
    }

    /// The account's series; the first time they are made, at zero.
    fn account(&self, account: &str) -> Arc<[AtomicU64]> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = accounts.get(account) {
            return Arc::clone(series);
        }
        let count = self.labels.iter().map(|(_, values)| values.len()).product();
        let series: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        accounts.insert(account.to_owned(), Arc::clone(&series));
        series
    }

    /// Shows the account's series from now on.
    pub(super) fn define(&self, account: &str) {
        self.account(account);
    }

    /// Adds to the series whose labels have these values.
    pub(super) fn add(&self, account: &str, values: &[&str], count: u64) {
        let places = self.labels.iter().zip(values).map(|((_, all), value)| {
            let place = all.iter().position(|other| other == value);
            debug_assert!(place.is_some(), "{value} is in no list of {}", self.name);
            place.map(|place| (all.len(), place))
        });
        let index =
            places.into_iter().try_fold(0, |index, place| place.map(|(len, place)| index * len + place));
        if let Some(index) = index
            && let Some(series) = self.account(account).get(index)
        {
            series.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Appends the family in Prometheus's text format.
    pub(super) fn write(&self, text: &mut String) {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.is_empty() {
            return;
        }
        // Writing into a string does not fail.
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} counter", self.name, self.help, self.name);
        let series = self.series();
        for (account, counts) in accounts.iter() {
            let account = escaped(account);
            for (labels, count) in series.iter().zip(counts.iter()) {
                let count = count.load(Ordering::Relaxed);
                let _ = writeln!(text, "{}{{account=\"{account}\"{labels}}} {count}", self.name);
            }
        }
    }

    /// The labels of every series, in the order of the counts.
    fn series(&self) -> Vec<String> {
        self.labels.iter().fold(vec![String::new()], |before, (name, values)| {
            let with = |labels: &String| {
                let labels = labels.clone();
                values.iter().map(move |value| format!("{labels},{name}=\"{value}\""))
            };
            before.iter().flat_map(with).collect()
        })
    }
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> AccountCounters {
        let labels = vec![("colour", vec!["blue", "red"]), ("size", vec!["large", "small", "tiny"])];
        AccountCounters::new("things_total", "Things.", labels)
    }

    #[test]
    fn what_is_written_is_what_prometheus_would_write() {
        let ours = counters();
        let options = prometheus::Opts::new("cdr_sync_things_total", "Things.");
        let theirs = prometheus::IntCounterVec::new(options, &["account", "colour", "size"]).unwrap();
        for account in ["sales", "a \"b\" \\ c"] {
            ours.define(account);
            for (colour, size, count) in [("red", "tiny", 3), ("blue", "small", 5), ("red", "large", 0)] {
                ours.add(account, &[colour, size], count);
                theirs.with_label_values(&[account, colour, size]).inc_by(count);
            }
            for colour in ["blue", "red"] {
                for size in ["large", "small", "tiny"] {
                    theirs.with_label_values(&[account, colour, size]);
                }
            }
        }
        let registry = prometheus::Registry::new();
        registry.register(Box::new(theirs)).unwrap();
        let theirs = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let mut text = String::new();
        ours.write(&mut text);
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&text), sorted(&theirs));
    }

    #[test]
    fn a_series_takes_up_its_count_alone() {
        let counters = counters();
        counters.define("sales");
        assert_eq!(counters.account("sales").len(), 6);
        assert_eq!(size_of_val(&*counters.account("sales")), 6 * 8);
    }

    #[test]
    fn a_family_without_accounts_is_not_written() {
        let mut text = String::new();
        counters().write(&mut text);
        assert_eq!(text, "");
    }
}
