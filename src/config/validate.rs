//! Conditions between values.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use secrecy::ExposeSecret;

use super::reader::Reader;
use super::{AccountConfig, ApiConfig, Credential, RetentionConfig, SyncConfig};

/// The share of a budget that polling may use: the rest is for lookback, history, retries and commands.
const MOST_FOR_POLLING: f64 = 0.8;

/// Reports every value that contradicts another.
pub(super) fn check(
    reader: &mut Reader,
    api: &ApiConfig,
    sync: &SyncConfig,
    retention: RetentionConfig,
    accounts: &[AccountConfig],
) {
    if api.burst > api.requests_per_minute {
        let most = api.requests_per_minute;
        reader.refuse("api.burst", format!("must not be more than api.requests_per_minute, {most}"));
    }
    if api.backoff_min > api.backoff_max {
        let most = api.backoff_max.as_secs();
        reader.refuse("api.backoff_min", format!("must not be longer than api.backoff_max, {most}s"));
    }
    check_windows(reader, api, sync);
    if !sync.reconcile.is_sorted_by(|a, b| a < b) {
        reader.refuse("sync.reconcile", "the ages must grow, such as [\"1d\", \"7d\", \"30d\"]".to_owned());
    }
    check_retention(reader, sync, retention);
    check_names(reader, accounts);
    check_budget(reader, sync, accounts);
}

fn check_windows(reader: &mut Reader, api: &ApiConfig, sync: &SyncConfig) {
    let unit = api.granularity.num_seconds();
    if sync.min_window.num_seconds() % unit != 0 {
        reader.refuse("sync.min_window", format!("must be a multiple of api.granularity, {unit}s"));
    }
    if sync.min_window > sync.max_window {
        let most = sync.max_window.num_seconds();
        reader.refuse("sync.min_window", format!("must not be longer than sync.max_window, {most}s"));
    }
}

/// Every stretch is read again at its last age, up to 12 hours late, before it is deleted; and days are deleted whole.
fn check_retention(reader: &mut Reader, sync: &SyncConfig, retention: RetentionConfig) {
    let last = sync.reconcile.iter().copied().fold(sync.lookback, TimeDelta::max);
    let least = (last + TimeDelta::days(3) - TimeDelta::seconds(1)).num_days();
    if retention.calls.is_some_and(|kept| kept < TimeDelta::days(least)) {
        reader.refuse(
            "retention.calls",
            format!("must be at least {least}d: two days longer than the last age of sync.reconcile and sync.lookback"),
        );
    }
}

fn check_names(reader: &mut Reader, accounts: &[AccountConfig]) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, account) in accounts.iter().enumerate() {
        if let Some(before) = first.get(account.name.as_str()) {
            reader.refuse(
                &format!("accounts[{index}].name"),
                format!("accounts[{before}] has that name already"),
            );
        } else {
            first.insert(&account.name, index);
        }
    }
}

/// A credential's polls must leave room in its budget, or history would never be filled.
fn check_budget(reader: &mut Reader, sync: &SyncConfig, accounts: &[AccountConfig]) {
    let mut sharing: BTreeMap<&str, Vec<&AccountConfig>> = BTreeMap::new();
    for account in accounts {
        let (Credential::Code(secret) | Credential::Token(secret)) = &account.credential;
        sharing.entry(secret.expose_secret()).or_default().push(account);
    }
    let seconds = sync.poll_interval.num_seconds();
    let mut told = None;
    for accounts in sharing.values() {
        let budget = accounts.iter().map(|account| account.requests_per_minute).min().unwrap_or_default();
        let count = accounts.len();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a handful of accounts and at most a century of seconds"
        )]
        let (polls, count_f) = (count as f64 * 60.0 / seconds as f64, count as f64);
        let room = f64::from(budget) * MOST_FOR_POLLING;
        if polls > room && told.is_none_or(|most| polls > most) {
            told = Some(polls);
            let least = (count_f * 60.0 / room).ceil();
            let plural = if count == 1 { "account" } else { "accounts that share a credential" };
            let message = format!(
                "the budget cannot pay for it: {count} {plural} × 60s / {seconds}s = {polls:.1} requests a minute, more \
                 than 80 % of requests_per_minute = {budget}; poll every {least:.0}s or more seldom"
            );
            reader.refuse("sync.poll_interval", message);
        }
    }
}
