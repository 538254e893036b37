//! `check`: everything tried out, and nothing changed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::table::Paint;
use super::{CliError, Exit};
use crate::app::{self, App, AppError};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config};
use crate::pace::Pace;
use crate::store::{SchemaState, Store, StoreError};
use crate::voicenter::capabilities::Remembered;
use crate::voicenter::session::Session;
use crate::voicenter::{Action, Answer, ApiError, Capability, Client, Fields, Form, Format, Question};

/// So far the API's clock and ours may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// A database that is there answers sooner.
const CONNECTING: Duration = Duration::from_secs(5);

/// The lines printed so far, and the worst of them.
struct Findings {
    exit: Exit,
    paint: Paint,
}

impl Findings {
    fn good(&self, line: &str) {
        println!("{} {line}", self.paint.good("✓"));
    }

    /// Something to know, nothing to mend.
    fn note(&self, line: &str) {
        println!("{} {line}", self.paint.quiet("·"));
    }

    fn bad(&mut self, line: &str, mend: &str, exit: Exit) {
        println!("{} {line}\n    → {mend}", self.paint.bad("✗"));
        if self.exit != Exit::Refused {
            self.exit = exit;
        }
    }
}

/// Tries configuration, database and API.
pub(super) async fn run(config: &Config, clock: Clock) -> Result<Exit, CliError> {
    let mut findings = Findings { exit: Exit::Done, paint: Paint::for_stdout() };
    findings.good("the configuration is valid");
    proxy(&findings);
    let store = match App::store(config) {
        Ok(store) => database(store, &mut findings).await,
        Err(AppError::Config(_)) => {
            let mend = "set DATABASE_URL, for example postgres://user:password@host/database";
            findings.bad("no database is configured (database.url)", mend, Exit::Usage);
            None
        }
        Err(error) => {
            findings.bad(&error.to_string(), "check database.url", Exit::Usage);
            None
        }
    };
    if let Some(store) = &store {
        neighbours(config, store, &mut findings).await;
    }
    match config.require_accounts() {
        Ok(accounts) => {
            for account in accounts {
                scope(account, store.as_ref(), &mut findings).await;
                api(config, account, store.as_ref(), &clock, &mut findings).await?;
            }
        }
        Err(_) => {
            let mend = "set VOICENTER_CODE or VOICENTER_TOKEN, or write an [[accounts]] table";
            findings.bad("no account is configured (accounts)", mend, Exit::Usage);
        }
    }
    Ok(findings.exit)
}

/// The store, if it is there and migrated.
async fn database(store: Store, findings: &mut Findings) -> Option<Store> {
    let state = match reached(&store).await {
        Ok(state) => state,
        Err(error) => {
            findings.bad(&format!("the database: {error}"), database_mend(&error), Exit::Failed);
            return None;
        }
    };
    let (version, may_create) = match store.server().await {
        Ok(server) => server,
        Err(error) => {
            findings.bad(&format!("the database: {error}"), "the message is PostgreSQL's own", Exit::Failed);
            return None;
        }
    };
    findings.good(&format!("the database answers: PostgreSQL {version}"));
    if !state.pending.is_empty() && !may_create {
        findings.bad(
            &format!(
                "the user may not create schemas, and migrations are to come: {}",
                state.pending.join(", ")
            ),
            "grant create on database ... to the user, or let its owner run cdr-sync migrate",
            Exit::Failed,
        );
        return None;
    }
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

/// The schema's state, over a connection that was tried once: no waiting for a database that is not there.
async fn reached(store: &Store) -> Result<SchemaState, StoreError> {
    let tried = tokio::time::timeout(CONNECTING, store.try_connecting()).await;
    tried.map_err(|_| StoreError::Away(format!("no answer within {} s", CONNECTING.as_secs())))??;
    store.schema_state().await
}

/// By PostgreSQL's error codes (appendix A of its manual).
fn database_mend(error: &StoreError) -> &'static str {
    match error {
        StoreError::Away(_) => {
            "check the host and port in database.url, and that PostgreSQL runs there and lets this host in (pg_hba.conf)"
        }
        StoreError::Refused { code, .. } if code.starts_with("28") => {
            "check the user and password in database.url, and pg_hba.conf"
        }
        StoreError::Refused { code, .. } if code == "3D000" => {
            "create the database, or check its name in database.url"
        }
        StoreError::Migration { .. } => "run the version of cdr-sync that migrated it, or restore the schema",
        _ => "the message is PostgreSQL's own: the user needs the rights to create schemas and tables",
    }
}

/// Whether requests go through a proxy; its address may hold a password, so it is not shown.
fn proxy(findings: &Findings) {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if let Some(name) = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().find(|name| set(name))
    {
        findings.note(&format!("requests to the API go through the proxy that {name} names"));
    }
}

/// Accounts that the configuration lacks, and those that share calls.
async fn neighbours(config: &Config, store: &Store, findings: &mut Findings) {
    let known = match store.status().await {
        Ok(known) => known,
        Err(error) => return findings.bad(&error.to_string(), "see above", Exit::Failed),
    };
    for account in known.iter().filter(|known| config.accounts.iter().all(|ours| ours.name != known.name)) {
        findings.bad(
            &format!(
                "account {}: in the database, but not in the configuration: its rows go stale",
                account.name
            ),
            &format!("configure it again, or: cdr-sync account forget {}", account.name),
            Exit::Failed,
        );
    }
    for pair in store.shared_calls().await.unwrap_or_default() {
        findings.bad(
            &format!(
                "accounts {} and {} share calls: {} of their {} newest rows stand under both",
                pair.account, pair.other, pair.shared, pair.sampled
            ),
            "charts over both count them twice: leave one out, or narrow what it reads",
            Exit::Failed,
        );
    }
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
    let pace = match store {
        Some(store) => {
            let fingerprint = client.credential_fingerprint(&store.salt().await?);
            Some(Pace::new(store.clone(), fingerprint, account.requests_per_minute, config.api.burst))
        }
        None => None,
    };
    if let Some(pace) = &pace {
        pace.ready(clock).await?;
    }
    let now = clock.now();
    let mut session = Session::new(client.method(), &Remembered::default());
    match ask(&client, account, &mut session, pace.as_ref(), clock).await {
        Ok(answer) => {
            findings.good(&format!(
                "account {}: the API answers, {} records of the last minutes",
                account.name, answer.listed
            ));
            let dropped: Vec<_> = session.dropped().members().map(Capability::name).collect();
            if !dropped.is_empty() {
                let line = format!(
                    "account {}: the API does not take {}: asked without",
                    account.name,
                    dropped.join(", ")
                );
                findings.note(&line);
            }
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

/// The last hour and a day ahead, in the fullest form that the server takes.
async fn ask(
    client: &Client,
    account: &AccountConfig,
    session: &mut Session,
    pace: Option<&Pace>,
    clock: &Clock,
) -> Result<Answer, ApiError> {
    let (now, mut minutes, mut first) = (clock.now(), 60, true);
    loop {
        let question = question(account, now, TimeDelta::minutes(minutes));
        let asked = session.ask(
            question,
            || clock.now(),
            async |question| {
                // The first request was waited for before the clock was read.
                if let (false, Some(pace)) = (std::mem::take(&mut first), pace) {
                    let _ = pace.ready(clock).await; // a database that went away is reported elsewhere
                }
                client.ask(question).await
            },
        );
        match asked.await {
            // A few minutes of calls tell the zone just as well.
            Err(error) if error.action() == Action::Split && minutes > 1 => minutes /= 8,
            result => return result.map(|asked| asked.answer),
        }
    }
}

fn question(account: &AccountConfig, now: DateTime<Utc>, back: TimeDelta) -> Question {
    let whole = |instant: DateTime<Utc>| DateTime::from_timestamp(instant.timestamp(), 0).unwrap_or(instant);
    Question {
        from: whole(now - back),
        to: whole(now + TimeDelta::days(1)),
        narrow: false,
        order: None,
        form: Form::FULL,
        filter: app::filter(account),
        fields: Fields::All,
        format: Format::Json,
    }
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
