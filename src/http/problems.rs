//! What is wrong with an account, and what to do about it: pure. The page shows it, and so does `status`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::ledger::AccountFacts;
use super::status::unresolved_error;
use crate::sync::status::Progress;
use crate::voicenter::said::own_words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Numbers are or will be wrong unless somebody acts.
    Bad,
    /// Somebody should look.
    Warn,
    /// Good to know; it mends itself.
    Note,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    pub level: Level,
    pub text: String,
    pub mend: String,
}

fn problem(level: Level, text: impl Into<String>, mend: impl Into<String>) -> Problem {
    Problem { level, text: text.into(), mend: mend.into() }
}

/// All of them, the worst first.
pub(crate) fn problems(
    facts: &AccountFacts,
    configured: bool,
    progress: Option<&Progress>,
    poll_interval: TimeDelta,
    now: DateTime<Utc>,
) -> Vec<Problem> {
    let (status, overview) = (&facts.status, &facts.overview);
    let mut found = Vec::new();
    if let Some(error) = unresolved_error(status) {
        let (text, mend) = advised(&error);
        found.push(problem(Level::Bad, text, mend));
    }
    if !configured {
        found.push(problem(
            Level::Bad,
            "The configuration lacks this account: its rows go stale.",
            "Configure it again, or forget it: cdr-sync account forget NAME.",
        ));
    } else if status.leader.is_none() && standing(facts, poll_interval, now) != AccountState::Paused {
        found.push(problem(
            Level::Bad,
            "No process leads this account at present.",
            "It is taken up within 30 s; if not, look into the log for standby or account_stopped.",
        ));
    }
    if stale(status.cursor.map(|cursor| cursor.to()), poll_interval, now) {
        found.push(problem(
            Level::Bad,
            "The newest calls are missing: the mirror is far behind the present.",
            "cdr-sync check tells what fails: the database, the network, the API or the clock.",
        ));
    }
    if !overview.gaps.is_empty() {
        let span: TimeDelta = overview.gaps.iter().map(|gap| gap.window.len()).sum();
        let last = overview.gaps.iter().filter_map(|gap| gap.last_error.as_deref()).next_back();
        let last = last.map(|error| format!(" The last error: {}", own_words(error))).unwrap_or_default();
        let count = overview.gaps.len();
        let spans = if count == 1 { String::new() } else { format!(" in {count} spans") };
        found.push(problem(
            Level::Bad,
            format!("{}{spans} could not be read in full.{last}", minutes(span)),
            "It is tried again by itself, ever more seldom. cdr-sync gaps tells when; with the daemon stopped, cdr-sync gaps --retry tries at once.",
        ));
    }
    for (reason, count) in &overview.rejected {
        found.push(rejected(reason, *count));
    }
    if status.suspicious > 0 {
        found.push(problem(
            Level::Warn,
            format!("{} rows went missing at once, which is suspicious.", status.suspicious),
            "Nothing to do: none is marked removed before three reads over six hours agree.",
        ));
    }
    if let Some((why, until)) = progress.and_then(|progress| progress.waiting.as_ref())
        && *until > now
    {
        found.push(problem(
            Level::Note,
            format!("Waiting until {} UTC: {}", until.format("%H:%M:%S"), own_words(why)),
            "Nothing to do, unless it lasts.",
        ));
    }
    if let Some(floor) = status.horizon {
        found.push(problem(
            Level::Note,
            format!("The vendor keeps nothing before {}.", floor.format("%Y-%m-%d %H:%M")),
            "Nothing older is marked removed.",
        ));
    }
    found
}

/// How an account fares, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountState {
    /// It ended with an error, the API's refusal perhaps, and is started again later.
    Paused,
    /// Nothing was read yet.
    Starting,
    /// The newest part is missing.
    Behind,
    /// Fresh still, but no process goes on.
    NoLeader,
    /// All is well.
    Fresh,
}

pub(crate) fn standing(facts: &AccountFacts, poll_interval: TimeDelta, now: DateTime<Utc>) -> AccountState {
    let status = &facts.status;
    let paused = status.paused_until.is_some_and(|until| until > now);
    match status.cursor {
        _ if paused && unresolved_error(status).is_some() => AccountState::Paused,
        None => AccountState::Starting,
        Some(cursor) if stale(Some(cursor.to()), poll_interval, now) => AccountState::Behind,
        Some(_) if status.leader.is_none() => AccountState::NoLeader,
        Some(_) => AccountState::Fresh,
    }
}

/// Whether the newest part is so far behind that it is more than a slow moment.
pub(crate) fn stale(until: Option<DateTime<Utc>>, poll_interval: TimeDelta, now: DateTime<Utc>) -> bool {
    until.is_some_and(|until| now - until > allowance(poll_interval))
}

/// So far behind the present is a slow moment.
pub(crate) fn allowance(poll_interval: TimeDelta) -> TimeDelta {
    (poll_interval * 5).max(TimeDelta::minutes(10))
}

/// An error's text and its advice, which stands behind it where the API refused us.
fn advised(error: &str) -> (String, String) {
    let address = error.split("does not trust the address ").nth(1).and_then(|rest| rest.split(' ').next());
    if let Some(address) = address.filter(|word| word.parse::<std::net::IpAddr>().is_ok()) {
        let text = error.split("). ").next().unwrap_or(error);
        let mend = format!(
            "Ask Voicenter to whitelist {address}, or use a bearer token. It is asked again by itself."
        );
        return (closed(text), mend);
    }
    match error.split_once("). ") {
        Some((text, advice)) if !advice.is_empty() => (closed(text), advice.to_owned()),
        _ => (
            error.to_owned(),
            "It is tried again by itself; if it lasts, cdr-sync check tells what fails.".to_owned(),
        ),
    }
}

fn closed(text: &str) -> String {
    if text.ends_with(')') { text.to_owned() } else { format!("{text})") }
}

fn rejected(reason: &str, count: i64) -> Problem {
    let records = if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
    let mend = "cdr-sync rejected lists them.";
    match reason {
        "duplicate_key" => problem(
            Level::Note,
            format!("{records} had the CallID and Type of another record; the later one is stored."),
            mend,
        ),
        "unstorable" => problem(Level::Warn, format!("PostgreSQL refused {records}."), mend),
        _ => problem(
            Level::Warn,
            format!("{records} could not be stored: {}.", reason.replace('_', " ")),
            format!("{mend} A change of the API's format is reported best with one of them."),
        ),
    }
}

fn minutes(span: TimeDelta) -> String {
    match span.num_minutes() {
        0 => format!("{} seconds", span.num_seconds()),
        1 => "1 minute".to_owned(),
        minutes if minutes < 180 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_4_shows_the_address_to_whitelist() {
        let (text, mend) = advised(
            "the API does not trust the address 192.0.2.7 (error 4: IP address 192.0.2.7 is not trusted.). Ask Voicenter to whitelist this address, or use a bearer token.",
        );
        assert!(text.ends_with("is not trusted.)"), "{text}");
        assert!(mend.starts_with("Ask Voicenter to whitelist 192.0.2.7"), "{mend}");
    }

    #[test]
    fn an_error_without_advice_gets_some() {
        let (text, mend) = advised("3 requests in a row had no usable answer; the last: timed out");
        assert!(text.starts_with("3 requests"));
        assert!(mend.contains("cdr-sync check"));
    }

    #[test]
    fn stale_is_more_than_a_slow_moment() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let behind = |minutes| stale(Some(now - TimeDelta::minutes(minutes)), TimeDelta::seconds(60), now);
        assert!(!behind(9) && behind(11));
        assert!(!stale(Some(now - TimeDelta::minutes(40)), TimeDelta::minutes(10), now));
    }
}
