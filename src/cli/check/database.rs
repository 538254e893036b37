//! The database's part of `check`: connection, rights, schema and accounts.

use std::time::Duration;

use super::{Exit, Findings};
use crate::config::{AccountConfig, Config};
use crate::setup;
use crate::store::collation::CollationChange;
use crate::store::environment::{Environment, Transport};
use crate::store::{SchemaState, Store, StoreError};

/// A reachable database answers sooner than this.
const CONNECTING: Duration = Duration::from_secs(5);

/// Returns the store if it is reachable and migrated.
pub(super) async fn check(store: Store, findings: &mut Findings) -> Option<Store> {
    let environment = match reached(&store).await {
        Ok(environment) => environment,
        Err(error) => {
            findings.bad(&format!("the database: {}", reason(&error)), advice(&error), Exit::Failed);
            return None;
        }
    };
    findings.good(&format!("the database answers: PostgreSQL {}", environment.version));
    protection(store.transport(&environment), findings);
    connections(store.max_connections(), environment.connection_limit, findings);
    let obstacles = environment.obstacles();
    for obstacle in &obstacles {
        findings.bad(&obstacle.what, &obstacle.advice, Exit::Failed);
    }
    if !environment.may_stage {
        findings.note("the role may not create temporary tables: large answers are stored without them, a little more slowly (grant temporary on database ... to the role)");
    }
    if !obstacles.is_empty() {
        return None;
    }
    collation(&store, findings).await;
    let state = match store.schema_state().await {
        Ok(state) => state,
        Err(error) => {
            findings.bad(&format!("the database: {}", reason(&error)), advice(&error), Exit::Failed);
            return None;
        }
    };
    migrated(&state, &environment, findings).then_some(store)
}

/// Reports what the schema or the role lacks. Returns `true` if the schema is up to date.
fn migrated(state: &SchemaState, environment: &Environment, findings: &mut Findings) -> bool {
    let pending = state.pending.join(", ");
    if !state.pending.is_empty() && !environment.may_create {
        findings.bad(
            &format!("the user may not create schemas, and migrations are pending: {pending}"),
            "grant create on database ... to the user, or let its owner run cdr-sync migrate",
            Exit::Failed,
        );
        return false;
    }
    if !environment.denied.is_empty() {
        findings.bad(
            &format!("the role may not use {}", environment.denied.join(", ")),
            "grant usage on schema voicenter, cdr_sync, select, insert, update, delete on all tables in both, and execute on all \
             functions in schema cdr_sync, to the role",
            Exit::Failed,
        );
    }
    if !state.pending.is_empty() {
        findings.note(&format!("pending migrations: {pending}; run, sync and migrate apply them"));
        return false;
    }
    findings.good("the schema is up to date");
    true
}

/// An index on text that another version of the library has sorted may miss rows, or hold a unique key twice.
async fn collation(store: &Store, findings: &mut Findings) {
    match store.changed_collation().await {
        Ok(None) => {}
        Ok(Some(CollationChange { database, recorded, present })) => findings.warn(
            &format!(
                "the database's collation has changed from version {recorded} to {present}, as an upgrade of the operating system or \
                 of the image does: indexes on text may miss rows or hold one twice"
            ),
            &format!(
                "as the database's owner: reindex database concurrently {database}; then alter database {database} refresh collation \
                 version; (docs/operations.md, Upgrade)"
            ),
        ),
        Err(error) => {
            findings.bad(&format!("the database: {}", reason(&error)), advice(&error), Exit::Failed);
        }
    }
}

/// A pool that is refused its next connection waits for it in vain, although others are free.
fn connections(wanted: u32, limit: Option<i32>, findings: &mut Findings) {
    if let Some(limit) = limit.filter(|limit| i64::from(*limit) < i64::from(wanted)) {
        findings.warn(
            &format!(
                "the role may have {limit} connections at once, and database.max_connections is {wanted}"
            ),
            "lower database.max_connections to less than the limit (1 is enough), or raise the limit",
        );
    }
}

/// Calls and the password are sent over this connection.
fn protection(transport: Transport, findings: &mut Findings) {
    const VERIFY: &str =
        "sslmode=verify-full in database.url, with sslrootcert=/path/to/ca.pem for an authority of your own";
    match transport {
        Transport::Local => {}
        Transport::Plain => findings.warn(
            "the connection to the database on another host is not encrypted: anybody on the way can read and change calls",
            &format!("turn TLS on in PostgreSQL and set {VERIFY}"),
        ),
        Transport::Opportunistic => findings.warn(
            "the connection to the database is encrypted, but sslmode=prefer does not insist on that and verifies no certificate",
            &format!("set {VERIFY}"),
        ),
        Transport::Unverified => findings.warn(
            "the connection to the database is encrypted, but sslmode=require verifies no certificate: another server could pose as the database",
            &format!("set {VERIFY}"),
        ),
        Transport::AuthorityVerified => findings.note(
            "the database's certificate is verified, but not that it is for this host: sslmode=verify-full does that, too",
        ),
        Transport::Verified => findings.good("the connection to the database is encrypted, and its certificate verified"),
    }
}

/// Tries to connect only once: an unreachable database is reported, not waited for.
async fn reached(store: &Store) -> Result<Environment, StoreError> {
    let tried = tokio::time::timeout(CONNECTING, store.try_connecting()).await;
    tried.map_err(|_| StoreError::Away(format!("no answer within {} s", CONNECTING.as_secs())))??;
    store.environment().await
}

/// The error without its advice, which is printed on a line of its own.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::NotAdmitted { reason, .. } => format!("it does not accept cdr-sync: {reason}"),
        StoreError::Tls { reason, .. } => format!("TLS failed: {reason}"),
        other => other.to_string(),
    }
}

/// By PostgreSQL's error codes (appendix A of its manual).
fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Away(_) => {
            "check the host and port in database.url, and that PostgreSQL runs there and accepts connections from this host (pg_hba.conf)"
        }
        StoreError::NotAdmitted { advice, .. } | StoreError::Tls { advice, .. } => advice,
        StoreError::Migration { .. } => "run the version of cdr-sync that migrated it, or restore the schema",
        StoreError::Refused { code, .. } if code == "42501" => {
            "grant usage on schema voicenter, cdr_sync, and select, insert, update, delete on all tables in them, to the role"
        }
        _ => "the message is PostgreSQL's own: the user needs the rights to create schemas and tables",
    }
}

/// Accounts that the configuration lacks, and those that share calls.
pub(super) async fn neighbours(config: &Config, store: &Store, findings: &mut Findings) {
    let known = match store.status().await {
        Ok(known) => known,
        Err(error) => return findings.bad(&error.to_string(), "see above", Exit::Failed),
    };
    for account in known.iter().filter(|known| config.accounts.iter().all(|ours| ours.name != known.name)) {
        findings.bad(
            &format!(
                "account {} is in the database, but not in the configuration: its rows are no longer updated",
                account.name
            ),
            &format!("configure it again, or remove it: cdr-sync account forget {}", account.name),
            Exit::Failed,
        );
    }
    for pair in store.shared_calls().await.unwrap_or_default() {
        findings.bad(
            &format!(
                "accounts {} and {} share calls: {} of their {} newest rows are in both",
                pair.account, pair.other, pair.shared, pair.sampled
            ),
            "charts over both count these calls twice: leave one account out, or narrow what it reads",
            Exit::Failed,
        );
    }
}

/// Compares what the account reads with the scope in the ledger.
pub(super) async fn scope(account: &AccountConfig, store: Option<&Store>, findings: &mut Findings) {
    let Some(store) = store else { return };
    let wanted = setup::scope(account);
    match store.stored_scope(&account.name).await {
        Ok(Some(stored)) if stored != wanted => findings.note(&format!(
            "account {}: what it reads has changed, so the next start reads everything again (before: {stored}; now: {wanted})",
            account.name
        )),
        Ok(_) => {}
        Err(error) => findings.bad(&format!("account {}: {error}", account.name), "see above", Exit::Failed),
    }
}
