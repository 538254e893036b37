//! Status as JSON: `status --json` and `/api/status` both print it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::store::account::AccountStatus;
use crate::store::overview::Overview;
use crate::store::push_figures::PushOverview;
use crate::voicenter::said::own_words;

/// The status of all accounts as JSON, with their lag at `now`.
pub fn json<'a>(
    accounts: impl IntoIterator<Item = (&'a AccountStatus, &'a Overview)>,
    now: DateTime<Utc>,
) -> Value {
    let accounts: Vec<Value> =
        accounts.into_iter().map(|(account, overview)| account_json(account, overview, now)).collect();
    json!({ "now": now, "accounts": accounts })
}

/// The last error, unless a read has succeeded since; without text from outside.
pub fn unresolved_error(account: &AccountStatus) -> Option<String> {
    let (error, at) = account.last_error.as_ref()?;
    let over = account.last_success_at.is_some_and(|success| success > *at);
    (!over).then(|| own_words(error))
}

pub(crate) fn account_json(account: &AccountStatus, overview: &Overview, now: DateTime<Utc>) -> Value {
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
        // Where none ever came, none is expected.
        "pushes": overview.pushes.as_ref().map(pushes_json),
    })
}

fn pushes_json(pushes: &PushOverview) -> Value {
    json!({
        "last_received_at": pushes.last_received_at,
        "waiting": pushes.new,
        "provisional": pushes.provisional,
        "unmatched": pushes.unmatched,
        "last_rejected_at": pushes.rejected_at,
        "last_unsupported_at": pushes.unsupported_at,
    })
}
