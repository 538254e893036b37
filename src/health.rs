//! What is wrong with an account and what to do about it: page, probes and the command `status` show it.

pub(crate) mod facts;
pub mod status;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::store::push_figures::PushOverview;
use crate::sync::status::Progress;
use crate::voicenter::advice::{self, Cause};
use crate::voicenter::said::own_words;
use facts::AccountFacts;
use status::unresolved_error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Numbers are or will be wrong unless somebody acts.
    Bad,
    /// Worth a look, but no numbers are wrong.
    Warn,
    /// Good to know; nobody needs to act.
    Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProblemKind {
    CredentialRefused,
    AddressRefused,
    WrongZone,
    /// Any other error that no success has followed.
    Failing,
    NotConfigured,
    NoLeader,
    Behind,
    Gaps,
    DuplicateKeys,
    Unstorable,
    /// Records are not in a form that can be stored.
    Unreadable,
    /// Suspiciously many rows were missing from an answer.
    Missing,
    /// CDR notifications come in a format that is not read.
    PushesUnsupported,
    /// CDR notifications come that nobody understands.
    PushesRejected,
    Waiting,
    /// An operator wants it so.
    PausedByHand,
    /// The vendor keeps nothing older.
    Horizon,
}

impl ProblemKind {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 17] = [
        ProblemKind::CredentialRefused,
        ProblemKind::AddressRefused,
        ProblemKind::WrongZone,
        ProblemKind::Failing,
        ProblemKind::NotConfigured,
        ProblemKind::NoLeader,
        ProblemKind::Behind,
        ProblemKind::Gaps,
        ProblemKind::DuplicateKeys,
        ProblemKind::Unstorable,
        ProblemKind::Unreadable,
        ProblemKind::Missing,
        ProblemKind::PushesUnsupported,
        ProblemKind::PushesRejected,
        ProblemKind::Waiting,
        ProblemKind::PausedByHand,
        ProblemKind::Horizon,
    ];

    /// Its section in docs/operations.md.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            ProblemKind::CredentialRefused | ProblemKind::AddressRefused => "cdrsynccredentialrefused",
            ProblemKind::WrongZone => "the-apis-time-zone",
            ProblemKind::Failing | ProblemKind::Behind => "cdrsyncstale",
            ProblemKind::NotConfigured => "accounts",
            ProblemKind::NoLeader => "cdrsyncnoleader",
            ProblemKind::Gaps => "cdrsyncgapopen",
            ProblemKind::DuplicateKeys | ProblemKind::Unstorable | ProblemKind::Unreadable => {
                "cdrsyncrejectedrecords"
            }
            ProblemKind::Missing => "cdrsyncsuspiciousanswer",
            ProblemKind::PushesUnsupported | ProblemKind::PushesRejected => "receive-cdr-notifications",
            ProblemKind::Waiting => "cdrsyncratelimited",
            ProblemKind::PausedByHand => "cdrsyncpaused",
            ProblemKind::Horizon => "how-far-back-the-api-goes",
        }
    }

    const fn level(self) -> Level {
        match self {
            ProblemKind::CredentialRefused
            | ProblemKind::AddressRefused
            | ProblemKind::WrongZone
            | ProblemKind::Failing
            | ProblemKind::NotConfigured
            | ProblemKind::NoLeader
            | ProblemKind::Behind
            | ProblemKind::Gaps => Level::Bad,
            ProblemKind::Unstorable
            | ProblemKind::Unreadable
            | ProblemKind::Missing
            | ProblemKind::PushesUnsupported
            | ProblemKind::PushesRejected
            | ProblemKind::PausedByHand => Level::Warn,
            ProblemKind::DuplicateKeys | ProblemKind::Waiting | ProblemKind::Horizon => Level::Note,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) kind: ProblemKind,
    pub(crate) text: String,
    pub(crate) advice: String,
}

impl Problem {
    fn new(kind: ProblemKind, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: kind.level(), kind, text: text.into(), advice: advice.into() }
    }
}

/// All problems of an account, the worst first.
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
        found.push(failure(&error));
    }
    if let Some(pause) = &status.pause {
        found.push(Problem::new(
            ProblemKind::PausedByHand,
            format!("This account has been paused since {} UTC: nothing is read for it.", pause.since.format("%Y-%m-%d %H:%M")),
            "cdr-sync status says who paused it and why; cdr-sync account resume NAME ends that, and what was missed is read then.",
        ));
    } else if !configured {
        found.push(Problem::new(
            ProblemKind::NotConfigured,
            "This account is not in the configuration: its rows are no longer updated.",
            "Configure it again, or remove it: cdr-sync account forget NAME.",
        ));
    } else if status.leader.is_none() && state(facts, poll_interval, now) != AccountState::Paused {
        found.push(Problem::new(
            ProblemKind::NoLeader,
            "No process leads this account at present.",
            "It is taken over within 30 s; if not, look for standby or account_stopped in the log.",
        ));
    }
    if status.pause.is_none() && stale(status.cursor.map(|cursor| cursor.to()), poll_interval, now) {
        found.push(Problem::new(
            ProblemKind::Behind,
            "The newest calls are missing: the mirror is far behind the present.",
            "cdr-sync check shows what fails: the database, the network, the API or the clock.",
        ));
    }
    if !overview.gaps.is_empty() {
        let span: TimeDelta = overview.gaps.iter().map(|gap| gap.window.len()).sum();
        let last = overview.gaps.iter().filter_map(|gap| gap.last_error.as_deref()).next_back();
        let last = last.map(|error| format!(" The last error: {}", own_words(error))).unwrap_or_default();
        let count = overview.gaps.len();
        let spans = if count == 1 { String::new() } else { format!(" in {count} spans") };
        found.push(Problem::new(
            ProblemKind::Gaps,
            format!("{}{spans} could not be read in full.{last}", minutes(span)),
            "It is retried automatically at growing intervals; cdr-sync gaps shows when. cdr-sync gaps --retry tries at once.",
        ));
    }
    for (reason, count) in &overview.rejected {
        found.push(rejected(reason, *count));
    }
    if status.suspicious > 0 {
        found.push(Problem::new(
            ProblemKind::Missing,
            format!(
                "{} stored rows were missing from an answer, which is suspiciously many.",
                status.suspicious
            ),
            "Nothing to do: none is marked as removed before three reads over six hours agree.",
        ));
    }
    if let Some(pushes) = &overview.pushes {
        found.extend(push_problems(pushes, now));
    }
    if let Some((why, until)) = progress.and_then(|progress| progress.waiting.as_ref())
        && *until > now
    {
        found.push(Problem::new(
            ProblemKind::Waiting,
            format!("Waiting until {} UTC: {}", until.format("%H:%M:%S"), own_words(why)),
            "Nothing to do unless this lasts.",
        ));
    }
    if let Some(floor) = status.horizon {
        found.push(Problem::new(
            ProblemKind::Horizon,
            format!("The vendor keeps nothing before {}.", floor.format("%Y-%m-%d %H:%M")),
            "Older rows are not marked as removed.",
        ));
    }
    let name = for_a_shell(&status.name);
    found.iter_mut().for_each(|problem| problem.advice = problem.advice.replace("NAME", &name));
    if status.pause.is_some() {
        // Whoever paused it knows.
        for problem in found.iter_mut().filter(|problem| problem.level == Level::Bad) {
            problem.level = Level::Warn;
        }
    }
    found
}

/// What nobody could read of the notifications of the last day: what was set right before is no problem any more.
pub(crate) fn push_problems(pushes: &PushOverview, now: DateTime<Utc>) -> Vec<Problem> {
    let kinds = [
        (
            ProblemKind::PushesUnsupported,
            pushes.unsupported_at,
            "CDR notifications come as XML-RPC, which is kept but not read",
            "Choose POST-JSON for the CDR Notification in Voicenter's cPanel; then JSON comes with the next call.",
        ),
        (
            ProblemKind::PushesRejected,
            pushes.rejected_at,
            "CDR notifications come that are not understood",
            "They are kept in cdr_sync.push, whose column problem says why. cdr-sync push replay reads them again, as after an upgrade.",
        ),
    ];
    let recent = |at: &DateTime<Utc>| now - *at < TimeDelta::days(1);
    kinds
        .into_iter()
        .filter_map(|(kind, at, text, advice)| {
            let at = at.filter(recent)?;
            Some(Problem::new(
                kind,
                format!("{text}: the last at {} UTC.", at.format("%Y-%m-%d %H:%M:%S")),
                advice,
            ))
        })
        .collect()
}

/// A name as it is typed in a command.
fn for_a_shell(name: &str) -> String {
    let is_plain =
        !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || "._-".contains(char));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// The state of an account in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountState {
    /// An operator has paused it.
    PausedByHand,
    /// It ended with an error, such as a refusal by the API, and is restarted later.
    Paused,
    /// Nothing has been read up to now.
    Starting,
    /// The newest part is missing.
    Behind,
    /// Still fresh, but no process keeps it in sync.
    NoLeader,
    Fresh,
}

pub(crate) fn state(facts: &AccountFacts, poll_interval: TimeDelta, now: DateTime<Utc>) -> AccountState {
    let status = &facts.status;
    let paused = status.paused_until.is_some_and(|until| until > now);
    match status.cursor {
        _ if status.pause.is_some() => AccountState::PausedByHand,
        _ if paused && unresolved_error(status).is_some() => AccountState::Paused,
        None => AccountState::Starting,
        Some(cursor) if stale(Some(cursor.to()), poll_interval, now) => AccountState::Behind,
        Some(_) if status.leader.is_none() => AccountState::NoLeader,
        Some(_) => AccountState::Fresh,
    }
}

/// Returns `true` if the newest part is missing for longer than a slow moment.
pub(crate) fn stale(until: Option<DateTime<Utc>>, poll_interval: TimeDelta, now: DateTime<Utc>) -> bool {
    until.is_some_and(|until| now - until > allowance(poll_interval))
}

/// How far behind the present an account is at most in a slow moment.
pub(crate) fn allowance(poll_interval: TimeDelta) -> TimeDelta {
    (poll_interval * 5).max(TimeDelta::minutes(10))
}

/// An error that no success has followed.
fn failure(error: &str) -> Problem {
    let parts = advice::split(error);
    let (kind, advice) = match (parts.cause, parts.advice) {
        (Some(Cause::AddressRefused(Some(address))), _) => (
            ProblemKind::AddressRefused,
            format!(
                "Ask Voicenter to whitelist {address}, or use a bearer token. The API is asked again automatically."
            ),
        ),
        (cause, Some(advice)) => (kind(cause), advice.to_owned()),
        (cause, None) => (
            kind(cause),
            "It is retried automatically; if it lasts, cdr-sync check shows what fails.".to_owned(),
        ),
    };
    Problem::new(kind, parts.error, advice)
}

const fn kind(cause: Option<Cause>) -> ProblemKind {
    match cause {
        Some(Cause::CredentialRefused) => ProblemKind::CredentialRefused,
        Some(Cause::AddressRefused(_)) => ProblemKind::AddressRefused,
        Some(Cause::WrongZone) => ProblemKind::WrongZone,
        None => ProblemKind::Failing,
    }
}

fn rejected(reason: &str, count: i64) -> Problem {
    let records = if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
    let advice = "cdr-sync rejected lists them.";
    match reason {
        "duplicate_key" => Problem::new(
            ProblemKind::DuplicateKeys,
            format!("{records} had the same CallID and Type as another record; the later one is stored."),
            advice,
        ),
        "unstorable" => {
            Problem::new(ProblemKind::Unstorable, format!("PostgreSQL refused {records}."), advice)
        }
        _ => Problem::new(
            ProblemKind::Unreadable,
            format!("{records} could not be stored: {}.", reason.replace('_', " ")),
            format!("{advice} If the API's format has changed, please report one of them."),
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
        let problem = failure(
            "the API does not trust the address 192.0.2.7 (error 4: IP address 192.0.2.7 is not trusted.). Ask Voicenter to whitelist this address, or use a bearer token.",
        );
        assert_eq!(problem.kind, ProblemKind::AddressRefused);
        assert!(problem.text.ends_with("is not trusted.)"), "{}", problem.text);
        assert!(problem.advice.starts_with("Ask Voicenter to whitelist 192.0.2.7"), "{}", problem.advice);
    }

    #[test]
    fn a_name_in_a_command_can_be_pasted() {
        assert_eq!(
            ["sales", "תמיכה", "left over", "a'b"].map(for_a_shell),
            ["sales", "תמיכה", "'left over'", "'a'\\''b'"]
        );
    }

    #[test]
    fn an_error_without_advice_gets_some() {
        let problem = failure("3 requests in a row had no usable answer; the last: timed out");
        assert_eq!(problem.kind, ProblemKind::Failing);
        assert!(problem.text.starts_with("3 requests"));
        assert!(problem.advice.contains("cdr-sync check"));
    }

    #[test]
    fn stale_is_more_than_a_slow_moment() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let behind = |minutes| stale(Some(now - TimeDelta::minutes(minutes)), TimeDelta::seconds(60), now);
        assert!(!behind(9) && behind(11));
        assert!(!stale(Some(now - TimeDelta::minutes(40)), TimeDelta::minutes(10), now));
    }
}
