//! What the page draws: everything that `status` shows, with the reads behind it.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::calendar::calendar;
use super::ledger::{Details, HOURS};
use super::{AccountSettings, PageSettings, Web, json_answer};
use crate::health::facts::AccountFacts;
use crate::health::{Problem, allowance, problems, state, status};
use crate::store::activity::{Activity, Backfill, HourOfCalls, RecentRead};
use crate::store::lateness::Completeness;
use crate::store::push_figures::PushFigures;
use crate::voicenter::said::printable;
use crate::window::Lane;

/// Up to this many accounts are described in full; of more accounts only those that the page asks for, as many at most.
/// One takes up some 40 kB, most of it a year of days.
const IN_FULL: usize = 40;

pub(super) async fn overview(State(web): State<Web>, RawQuery(query): RawQuery) -> Response {
    let shown = web.shown();
    let facts = shown.ledger.read().await;
    let in_full = in_full(&facts.accounts, query.as_deref().unwrap_or_default());
    let (details, failure) = shown.ledger.details(&in_full, &facts).await;
    let now = web.clock.now();
    let account = |account: &AccountFacts| {
        let mut json = account_json(&shown.settings, account, now);
        if in_full.contains(&account.status.name) {
            let details = details.get(&account.status.name).cloned().unwrap_or_default();
            add_details(&mut json, &shown.settings, account, &details, now);
        }
        json
    };
    let accounts: Vec<Value> = facts.accounts.iter().map(account).collect();
    // Accounts that were configured but have not been opened yet: the first seconds of a first start.
    let known: BTreeSet<&String> = facts.accounts.iter().map(|account| &account.status.name).collect();
    let starting: Vec<&String> =
        shown.settings.accounts.keys().filter(|name| !known.contains(name)).collect();
    let body = json!({
        "now": now,
        "version": env!("CARGO_PKG_VERSION"),
        "poll_seconds": shown.settings.poll_interval.num_seconds(),
        "database_failure": facts.failure.or(failure),
        "starting": starting,
        "accounts": accounts,
    });
    json_answer(StatusCode::OK, &body)
}

/// The names of the accounts to describe in full: all, or the first of those that `query` names as `account=`.
fn in_full(accounts: &[AccountFacts], query: &str) -> Vec<String> {
    let names = accounts.iter().map(|account| &account.status.name);
    if accounts.len() <= IN_FULL {
        return names.cloned().collect();
    }
    let asked: BTreeSet<_> = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "account")
        .map(|(_, name)| name)
        .collect();
    names.filter(|name| asked.contains(name.as_str())).take(IN_FULL).cloned().collect()
}

fn account_json(page: &PageSettings, facts: &AccountFacts, now: DateTime<Utc>) -> Value {
    let AccountFacts { status, overview, unread } = facts;
    let settings = page.accounts.get(&status.name);
    let progress = settings.map(|settings| settings.watch.read());
    let poll = page.poll_interval;
    let (start, end) = wanted(facts, now);
    let problems = problems(facts, settings.is_some(), progress.as_ref(), poll, now);
    json!({
        "status": status::account_json(status, overview, now),
        "state": state(facts, poll, now),
        // The older name of `state`, for pages that were left open while the program was replaced: they run the script of
        // the version before.
        "standing": state(facts, poll, now),
        "unread_seconds": unread.num_seconds(),
        "wanted_seconds": (end - start).num_seconds().max(0),
        // Whoever leads it knows.
        "overdue_seconds": progress.as_ref().filter(|progress| progress.leads).map(|progress| progress.overdue.num_seconds()),
        "problems": problems.iter().map(problem_json).collect::<Vec<_>>(),
        "reading": progress.and_then(|progress| progress.reading)
            .map(|(lane, window)| json!({ "lane": lane.as_str(), "from": window.from(), "to": window.to() })),
    })
}

/// From where history is wanted, and up to where it was read.
fn wanted(
    AccountFacts { status, overview, .. }: &AccountFacts,
    now: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let start = status.horizon.map_or(status.history_start, |floor| floor.max(status.history_start));
    (start, overview.coverage.end().unwrap_or(now).min(now))
}

/// Adds what is drawn below the problems.
fn add_details(
    account: &mut Value,
    page: &PageSettings,
    facts: &AccountFacts,
    Details { activity, calls: all, pushes }: &Details,
    now: DateTime<Utc>,
) {
    let AccountFacts { status, overview, unread } = facts;
    let (start, end) = wanted(facts, now);
    let gaps: Vec<_> = overview.gaps.iter().map(|gap| gap.window).collect();
    // The newest days count as unread once they are missing for longer than a slow moment.
    let drawn_end = end.max(now - allowance(page.poll_interval)).max(start);
    account["eta_seconds"] = json!(activity.backfill.and_then(|backfill| eta(backfill, *unread, now)));
    account["calendar"] = json!(calendar(start, drawn_end, overview.coverage.stretches(), &gaps));
    account["gaps"] = overview
        .gaps
        .iter()
        .map(|gap| {
            json!({
                "from": gap.window.from(), "to": gap.window.to(), "reason": gap.reason, "tries": gap.tries,
                "next_try_at": gap.next_try_at,
            })
        })
        .collect();
    account["completeness"] = json!(activity.completeness.as_ref().map(completeness_json));
    account["building"] =
        json!(activity.building.map(|building| json!({ "folded": building.folded, "rows": building.rows })));
    account["work"] = activity
        .work
        .iter()
        .map(|request| {
            json!({
                "id": request.id, "from": request.from, "to": request.to, "reason": printable(&request.reason),
                "state": request.state, "progress": request.progress, "error": request.error.as_deref().map(printable),
            })
        })
        .collect();
    account["calls"] = json!(all.as_ref().map(|all| calls(all, now)));
    account["budget"] = budget(activity, page.accounts.get(&status.name));
    account["pushes"] = json!(pushes.as_ref().map(|pushes| pushes_json(pushes)));
    account["recent"] = activity.recent.iter().map(read_json).collect();
}

/// What CDR notifications are like, over the last week.
fn pushes_json(PushFigures { times, shares }: &PushFigures) -> Value {
    let shares: Vec<Value> = shares
        .iter()
        .map(|share| {
            json!({ "type": printable(&share.call_type), "records": share.records, "pushed": share.pushed })
        })
        .collect();
    json!({
        "latency_seconds": times.latency, "latency_of_most_seconds": times.latency_of_most, "lead_seconds": times.lead,
        "offset_seconds": times.offset, "shares": shares,
    })
}

/// How complete hours are, and how late calls appear.
fn completeness_json(known: &Completeness) -> Value {
    let within = |thousandths| known.records.quantile(thousandths).map(|late| late.num_seconds());
    json!({
        "settled_until": known.settled_until, "final_until": known.final_until,
        "settled_after_seconds": known.settled_after.num_seconds(),
        "final_after_seconds": known.final_after.num_seconds(),
        "hours_known": known.hours.followed, "late_records": known.records.records(),
        "late_seconds": { "500": within(500), "950": within(950), "990": within(990), "999": within(999) },
    })
}

fn problem_json(problem: &Problem) -> Value {
    let Problem { level, kind, text, advice } = problem;
    // `mend` is the older name of `advice`: pages that were left open during an upgrade still read it.
    let handbook = format!("docs/operations.md#{}", kind.section());
    json!({ "level": level, "kind": kind, "text": text, "advice": advice, "mend": advice, "handbook": handbook })
}

/// When history will be filled at the pace of the last hour; `None` if that hour shows no progress.
fn eta(backfill: Backfill, unread: TimeDelta, now: DateTime<Utc>) -> Option<i64> {
    let (done, took) = (backfill.from - backfill.to, now - backfill.since);
    if unread <= TimeDelta::zero() || done <= TimeDelta::zero() || took <= TimeDelta::zero() {
        return None;
    }
    Some((unread.as_seconds_f64() / done.as_seconds_f64() * took.as_seconds_f64()).ceil() as i64)
}

/// Calls by hour, with the same hours a week earlier.
fn calls(all: &[HourOfCalls], now: DateTime<Utc>) -> Value {
    let counted: BTreeMap<DateTime<Utc>, i64> = all.iter().map(|hour| (hour.hour, hour.calls)).collect();
    let last = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let hours = (0..HOURS).rev().map(|back| last - TimeDelta::hours(back));
    let count = |hour: DateTime<Utc>| counted.get(&hour).copied().unwrap_or(0);
    let rows: Vec<Value> =
        hours.map(|hour| json!([hour, count(hour), count(hour - TimeDelta::days(7))])).collect();
    json!(rows)
}

/// Requests by lane, and how many the budget allows.
fn budget(activity: &Activity, settings: Option<&AccountSettings>) -> Value {
    let lanes = Lane::ALL.map(|lane| {
        let used = activity.requests.iter().find(|used| used.lane == lane.as_str());
        let (hour, five) = used.map_or((0, 0), |used| (used.hour, used.five_minutes));
        json!({ "lane": lane.as_str(), "hour": hour, "five_minutes": five })
    });
    json!({ "per_minute": settings.map(|settings| settings.requests_per_minute), "lanes": lanes })
}

fn read_json(read: &RecentRead) -> Value {
    json!({
        "started_at": read.started_at, "lane": read.lane, "reason": read.reason, "outcome": read.outcome,
        "from": read.window.from(), "to": read.window.to(), "requests": read.requests, "seen": read.seen,
        "inserted": read.inserted, "updated": read.updated, "removed": read.removed, "rejected": read.rejected,
        "elapsed_ms": read.elapsed_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    #[test]
    fn backfill_goes_on_at_the_pace_of_the_last_hour() {
        let backfill = Backfill { since: hour(1000), from: hour(990), to: hour(890) };
        assert_eq!(eta(backfill, TimeDelta::hours(50), hour(1001)), Some(1800));
        assert_eq!(eta(backfill, TimeDelta::zero(), hour(1001)), None);
        assert_eq!(eta(Backfill { to: hour(990), ..backfill }, TimeDelta::hours(50), hour(1001)), None);
    }

    #[test]
    fn calls_stand_beside_those_of_the_week_before() {
        let all = [(1000, 7), (1000 - 168, 5)].map(|(at, calls)| HourOfCalls { hour: hour(at), calls });
        let rows = calls(&all, hour(1000) + TimeDelta::minutes(5));
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 48);
        assert_eq!(rows.last().unwrap(), &json!([hour(1000), 7, 5]));
    }
}
