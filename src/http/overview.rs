//! What the page draws: everything that `status` shows, with the reads behind it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde_json::{Value, json};

use super::calendar::calendar;
use super::ledger::{Facts, HOURS};
use super::{AccountSettings, PageSettings, Web, json_answer};
use crate::health::facts::AccountFacts;
use crate::health::{Problem, allowance, problems, state, status};
use crate::store::lateness::Completeness;
use crate::store::overview::{Backfill, HourOfCalls, RecentRead};
use crate::window::Lane;

pub(super) async fn overview(axum_state: State<Web>) -> Response {
    let State(web) = axum_state;
    let shown = web.shown();
    let facts = shown.ledger.read_with_calls().await;
    let now = web.clock.now();
    let accounts: Vec<Value> =
        facts.accounts.iter().map(|account| account_json(&shown.settings, &facts, account, now)).collect();
    // Accounts that were configured but have not been opened yet: the first seconds of a first start.
    let known = |name: &&String| facts.accounts.iter().all(|account| account.status.name != **name);
    let starting: Vec<&String> = shown.settings.accounts.keys().filter(known).collect();
    let body = json!({
        "now": now,
        "version": env!("CARGO_PKG_VERSION"),
        "poll_seconds": shown.settings.poll_interval.num_seconds(),
        "database_failure": facts.failure,
        "starting": starting,
        "accounts": accounts,
    });
    json_answer(StatusCode::OK, &body)
}

fn account_json(page: &PageSettings, all: &Facts, facts: &AccountFacts, now: DateTime<Utc>) -> Value {
    let AccountFacts { status, overview, unread } = facts;
    let settings = page.accounts.get(&status.name);
    let progress = settings.map(|settings| settings.watch.read());
    let poll = page.poll_interval;
    let gaps: Vec<_> = overview.gaps.iter().map(|gap| gap.window).collect();
    let start = status.horizon.map_or(status.history_start, |floor| floor.max(status.history_start));
    let end = overview.coverage.end().unwrap_or(now).min(now);
    let problems = problems(facts, settings.is_some(), progress.as_ref(), poll, now);
    json!({
        "status": status::account_json(status, now),
        "state": state(facts, poll, now),
        // The older name of `state`, for pages that were left open while the program was replaced: they run the script of
        // the version before.
        "standing": state(facts, poll, now),
        "unread_seconds": unread.num_seconds(),
        "wanted_seconds": (end - start).num_seconds().max(0),
        "eta_seconds": overview.backfill.and_then(|backfill| eta(backfill, *unread, now)),
        // The newest days count as unread once they are missing for longer than a slow moment.
        "calendar": calendar(start, end.max(now - allowance(poll)).max(start), overview.coverage.stretches(), &gaps),
        "gaps": overview.gaps.iter().map(|gap| json!({
            "from": gap.window.from(), "to": gap.window.to(), "reason": gap.reason, "tries": gap.tries,
            "next_try_at": gap.next_try_at,
        })).collect::<Vec<_>>(),
        "completeness": overview.completeness.as_ref().map(completeness_json),
        "calls": all.calls.as_ref().map(|all| calls(all, &status.name, now)),
        "budget": budget(facts, settings),
        "problems": problems.iter().map(problem_json).collect::<Vec<_>>(),
        "recent": overview.recent.iter().map(read_json).collect::<Vec<_>>(),
        "reading": progress.and_then(|progress| progress.reading)
            .map(|(lane, window)| json!({ "lane": lane.as_str(), "from": window.from(), "to": window.to() })),
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
    // `mend` is what those pages call the advice.
    json!({ "level": level, "kind": kind, "text": text, "advice": advice, "mend": advice })
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
fn calls(all: &[HourOfCalls], account: &str, now: DateTime<Utc>) -> Value {
    let own = all.iter().filter(|hour| hour.account == account);
    let counted: BTreeMap<DateTime<Utc>, i64> = own.map(|hour| (hour.hour, hour.calls)).collect();
    let last = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let hours = (0..HOURS).rev().map(|back| last - TimeDelta::hours(back));
    let count = |hour: DateTime<Utc>| counted.get(&hour).copied().unwrap_or(0);
    let rows: Vec<Value> =
        hours.map(|hour| json!([hour, count(hour), count(hour - TimeDelta::days(7))])).collect();
    json!(rows)
}

/// Requests by lane, and how many the budget allows.
fn budget(facts: &AccountFacts, settings: Option<&AccountSettings>) -> Value {
    let lanes = Lane::ALL.map(|lane| {
        let used = facts.overview.requests.iter().find(|used| used.lane == lane.as_str());
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
        let of = |account: &str, hour, calls| HourOfCalls { account: account.into(), hour, calls };
        let all = [of("a", hour(1000), 7), of("a", hour(1000 - 168), 5), of("b", hour(1000), 9)];
        let rows = calls(&all, "a", hour(1000) + TimeDelta::minutes(5));
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 48);
        assert_eq!(rows.last().unwrap(), &json!([hour(1000), 7, 5]));
    }
}
