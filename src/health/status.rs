//! Status as JSON: `status --json` and `/api/status` both print it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::store::account::AccountStatus;
use crate::voicenter::said::own_words;

/// The status of all accounts as JSON, with their lag at `now`.
pub fn json(accounts: &[AccountStatus], now: DateTime<Utc>) -> Value {
    let accounts: Vec<Value> = accounts.iter().map(|account| account_json(account, now)).collect();
    json!({ "now": now, "accounts": accounts })
}

/// The last error, unless a read has succeeded since; without text from outside.
pub fn unresolved_error(account: &AccountStatus) -> Option<String> {
    let (error, at) = account.last_error.as_ref()?;
    let over = account.last_success_at.is_some_and(|success| success > *at);
    (!over).then(|| own_words(error))
}

pub(crate) fn account_json(account: &AccountStatus, now: DateTime<Utc>) -> Value {
    json!({
        "account": account.name,
        "synced_until": account.cursor.map(|cursor| cursor.to()),
        "lag_seconds": account.cursor.map(|cursor| (now - cursor.to()).num_seconds().max(0)),
        "history_from": account.cursor.map(|cursor| cursor.from()),
        "history_start": account.history_start,
        "horizon": account.horizon,
        "last_success_at": account.last_success_at,
        "last_error": account.last_error.as_ref().map(|(error, _)| own_words(error)),
        "last_error_at": account.last_error.as_ref().map(|(_, at)| at),
        "paused_until": account.paused_until,
        // Who paused it and why is for those who may ask the database.
        "pause_since": account.pause.as_ref().map(|pause| pause.since),
        "open_gaps": account.gaps,
        "rejected_records": account.rejected,
        "missing_rows": account.missing,
        "suspicious_rows": account.suspicious,
        "leader": account.leader,
    })
}
