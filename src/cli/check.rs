//! `check`: everything tried out, and nothing changed.

use chrono::{DateTime, TimeDelta, Utc};

use super::{CliError, Exit};
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config};
use crate::pace::Pace;
use crate::store::{Store, StoreError};
use crate::voicenter::{Action, Answer, ApiError, Client, Fields, Format, Generation, Question};

/// So far the API's clock and ours may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// The lines printed so far, and the worst of them.
struct Findings {
    exit: Exit,
}

impl Findings {
    fn good(&self, line: &str) {
        println!("✓ {line}");
    }

    /// Something to know, nothing to mend.
    fn note(&self, line: &str) {
        println!("· {line}");
    }

    fn bad(&mut self, line: &str, mend: &str, exit: Exit) {
        println!("✗ {line}\n    → {mend}");
        if self.exit != Exit::Refused {
            self.exit = exit;
        }
    }
}

/// Tries configuration, database and API.
pub(super) async fn run(config: &Config, clock: Clock) -> Result<Exit, CliError> {
    let mut findings = Findings { exit: Exit::Done };
    findings.good("the configuration is valid");
    let store = match App::store(config) {
        Ok(store) => database(store, &mut findings).await,
        Err(error) => {
            findings.bad(&error.to_string(), "set DATABASE_URL", Exit::Usage);
            None
        }
    };
    match config.require_accounts() {
        Ok(accounts) => {
            for account in accounts {
                scope(account, store.as_ref(), &mut findings).await;
                api(config, account, store.as_ref(), &clock, &mut findings).await?;
            }
        }
        Err(error) => findings.bad(&error.to_string(), "set VOICENTER_CODE or VOICENTER_TOKEN", Exit::Usage),
    }
    Ok(findings.exit)
}

/// The store, if it is there and migrated.
async fn database(store: Store, findings: &mut Findings) -> Option<Store> {
    let state = match store.schema_state().await {
        Ok(state) => state,
        Err(error) => {
            let mend = match &error {
                StoreError::Away(_) => {
                    "check database.url, that PostgreSQL runs, and that its pg_hba.conf lets this host in"
                }
                _ => {
                    "the message is PostgreSQL's own: the user needs the rights to create schemas and tables"
                }
            };
            findings.bad(&format!("the database: {error}"), mend, Exit::Failed);
            return None;
        }
    };
    findings.good("the database answers");
    if !state.pending.is_empty() {
        findings.note(&format!(
            "migrations to come: {}; run, sync and migrate apply them",
            state.pending.join(", ")
        ));
        return None;
    }
    findings.good("the schema is up to date");
    Some(store)
}

async fn scope(account: &AccountConfig, store: Option<&Store>, findings: &mut Findings) {
    let Some(store) = store else { return };
    let wanted = app::scope(account);
    match store.stored_scope(&account.name).await {
        Ok(Some(stored)) if stored != wanted => findings.note(&format!(
            "account {}: what it reads has changed, so the next start reads everything again (before: {stored}; now: {wanted})",
            account.name
        )),
        Ok(_) => {}
        Err(error) => findings.bad(&format!("account {}: {error}", account.name), "see above", Exit::Failed),
    }
}

/// Asks with a `todate` a day ahead: what is dated later than the API's own clock betrays a wrong time zone.
async fn api(
    config: &Config,
    account: &AccountConfig,
    store: Option<&Store>,
    clock: &Clock,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let client = app::client(config, account).map_err(app::AppError::from)?;
    if let Some(store) = store {
        let fingerprint = client.credential_fingerprint(&store.salt().await?);
        let pace = Pace::new(store.clone(), fingerprint, account.requests_per_minute, config.api.burst);
        pace.ready(clock).await?;
    }
    let now = clock.now();
    match ask(&client, account, now).await {
        Ok(answer) => {
            findings.good(&format!(
                "account {}: the API answers, {} records of the last minutes",
                account.name, answer.listed
            ));
            clocks(account, &answer, now, findings);
        }
        Err(error) => {
            let exit =
                if matches!(error.action(), Action::Pause { .. }) { Exit::Refused } else { Exit::Failed };
            findings.bad(&format!("account {}: {error}", account.name), error.advice(), exit);
        }
    }
    Ok(())
}

/// In today's form; a server that does not know it is asked in that of v0.1.
async fn ask(client: &Client, account: &AccountConfig, now: DateTime<Utc>) -> Result<Answer, ApiError> {
    let mut generation = Generation::Unknown;
    let mut minutes = 60;
    loop {
        match ask_as(client, account, now, TimeDelta::minutes(minutes), generation).await {
            Err(error) if error.action() == Action::OlderForm && generation != Generation::V01 => {
                generation = Generation::V01;
            }
            // A few minutes of calls tell the zone just as well.
            Err(error) if error.action() == Action::Split && minutes > 1 => minutes /= 8,
            result => return result,
        }
    }
}

async fn ask_as(
    client: &Client,
    account: &AccountConfig,
    now: DateTime<Utc>,
    back: TimeDelta,
    generation: Generation,
) -> Result<Answer, ApiError> {
    let whole = |instant: DateTime<Utc>| DateTime::from_timestamp(instant.timestamp(), 0).unwrap_or(instant);
    let question = Question {
        from: whole(now - back),
        to: whole(now + TimeDelta::days(1)),
        order: None,
        generation,
        filter: app::filter(account),
        fields: Fields::All,
        format: Format::Json,
    };
    client.ask(&question).await
}

fn clocks(account: &AccountConfig, answer: &Answer, now: DateTime<Utc>, findings: &mut Findings) {
    let Some(theirs) = answer.server_date else { return };
    if (theirs - now).abs() > SKEW {
        let line = format!("the API's clock is {} s away from this host's", (theirs - now).num_seconds());
        findings.bad(
            &line,
            "set this host's clock by NTP: coverage never goes past the earlier of the two",
            Exit::Failed,
        );
    }
    let newest = answer.records.iter().map(|record| record.started_at).max();
    let Some(ahead) = newest.map(|newest| newest - theirs).filter(|ahead| *ahead > TimeDelta::minutes(5))
    else {
        findings.good(&format!(
            "account {}: no record is dated in the future: {} fits",
            account.name, account.timezone
        ));
        return;
    };
    // The newest record is at most some minutes old, so the zone lies that many whole hours off.
    let hours = (ahead.num_minutes() + 59) / 60;
    findings.bad(
        &format!(
            "account {}: records are dated up to {} minutes in the future: {} is not their zone",
            account.name,
            ahead.num_minutes(),
            account.timezone
        ),
        &format!(
            "set api.timezone to the zone that is {hours} h ahead of it, in Israel most likely Asia/Jerusalem"
        ),
        Exit::Usage,
    );
}
