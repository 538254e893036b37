//! Migrations: forward only, each applied once, safe if several processes start at once.

use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use super::{Store, StoreError, Tx, sql_as, sql_value};

/// The migrations of this program, in order. One that was released is never edited.
const MIGRATIONS: [(&str, &str); 25] = [
    ("0001_schema", include_str!("../../migrations/0001_schema.sql")),
    ("0002_readers", include_str!("../../migrations/0002_readers.sql")),
    ("0003_coverage_lacking", include_str!("../../migrations/0003_coverage_lacking.sql")),
    ("0004_twins", include_str!("../../migrations/0004_twins.sql")),
    ("0005_adaptive_rate", include_str!("../../migrations/0005_adaptive_rate.sql")),
    ("0006_lacking", include_str!("../../migrations/0006_lacking.sql")),
    ("0007_commits", include_str!("../../migrations/0007_commits.sql")),
    ("0008_calls", include_str!("../../migrations/0008_calls.sql")),
    ("0009_folding_within_limits", include_str!("../../migrations/0009_folding_within_limits.sql")),
    ("0010_hours", include_str!("../../migrations/0010_hours.sql")),
    ("0011_customers", include_str!("../../migrations/0011_customers.sql")),
    (
        "0012_queues_and_agents_by_quarter",
        include_str!("../../migrations/0012_queues_and_agents_by_quarter.sql"),
    ),
    ("0013_dates", include_str!("../../migrations/0013_dates.sql")),
    ("0014_retention", include_str!("../../migrations/0014_retention.sql")),
    ("0015_folding_by_lookups", include_str!("../../migrations/0015_folding_by_lookups.sql")),
    ("0016_legs_menus_agents", include_str!("../../migrations/0016_legs_menus_agents.sql")),
    ("0017_queues_and_agents_by_day", include_str!("../../migrations/0017_queues_and_agents_by_day.sql")),
    ("0018_pauses_and_actions", include_str!("../../migrations/0018_pauses_and_actions.sql")),
    ("0019_numbers_within_accounts", include_str!("../../migrations/0019_numbers_within_accounts.sql")),
    ("0020_push_inbox", include_str!("../../migrations/0020_push_inbox.sql")),
    ("0021_push_join", include_str!("../../migrations/0021_push_join.sql")),
    ("0022_ai", include_str!("../../migrations/0022_ai.sql")),
    ("0023_reference", include_str!("../../migrations/0023_reference.sql")),
    ("0024_after_pushes", include_str!("../../migrations/0024_after_pushes.sql")),
    ("0025_call_history", include_str!("../../migrations/0025_call_history.sql")),
];

/// Key of an advisory lock: any number that no other program on the database uses.
const LOCK: i64 = 0x0063_6472_5f73_796e;

const BOOTSTRAP: &str = "
create schema if not exists cdr_sync;
create table cdr_sync.migration (
    name       text        primary key,
    checksum   text        not null,
    applied_at timestamptz not null default clock_timestamp()
)";

/// Every commit locks a row of the first table before anything else, and whoever folds calls one of the second: so what is
/// running ends before anything is changed, and the next one waits. Migrations take the same locks in another order.
const KEEP_COMMITS_OUT: &str = "
do $$ begin
    if to_regclass('cdr_sync.cursor') is not null then lock table cdr_sync.cursor in exclusive mode; end if;
    if to_regclass('cdr_sync.reporting') is not null then lock table cdr_sync.reporting in exclusive mode; end if;
end $$";

/// How long a migration waits for those who read or write a table that it changes: everybody else waits behind it.
const LOCKS_WITHIN: &str = "set local lock_timeout = '5s'";

/// What a migration says is for whoever runs it, unlike what the rest of PostgreSQL has to say to it.
const SAYS: &str = "set local client_min_messages = notice";

/// Whatever a migration made belongs to whoever the tables belong to: a member of that role may have run it, or a superuser,
/// and the views of one owner could not read the tables of the other.
const BELONGS_TO_THE_SAME: &str = "
do $$
declare
    owner constant oid := (select relowner from pg_catalog.pg_class where oid = 'voicenter.cdr'::regclass);
    ours record;
begin
    for ours in
        select o.kind, o.name from (
            select case c.relkind when 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as name
            from pg_catalog.pg_class c
            where c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace, 'voicenter_ai'::regnamespace)
              and c.relkind in ('r', 'p', 'v')
              and pg_catalog.pg_get_userbyid(c.relowner) = current_user and c.relowner <> owner
            union all
            select 'function', p.oid::regprocedure::text
            from pg_catalog.pg_proc p
            where p.pronamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace)
              and pg_catalog.pg_get_userbyid(p.proowner) = current_user and p.proowner <> owner
            union all
            select 'schema', n.nspname
            from pg_catalog.pg_namespace n
            where n.nspname = 'voicenter_ai' and pg_catalog.pg_get_userbyid(n.nspowner) = current_user and n.nspowner <> owner
        ) o (kind, name)
        -- Tables go only to whoever may create in their schema.
        order by o.kind <> 'schema'
    loop
        begin
            execute pg_catalog.format('alter %s %s owner to %I', ours.kind, ours.name, pg_catalog.pg_get_userbyid(owner));
        exception when insufficient_privilege then
            -- That role may not own it, or may not be given anything: it stays as it was made.
            if ours.kind = 'schema' then
                execute pg_catalog.format('grant usage, create on schema %s to %I', ours.name, pg_catalog.pg_get_userbyid(owner));
            end if;
        end;
    end loop;
end $$";

/// Default privileges of the database or of a schema give others rights on whatever a migration makes. Notifications and what AI
/// makes of calls are not for everybody, nor for those who read calls, however they came by such a right.
const KEEPS_APART: &str = "
do $$
declare
    relation regclass;
    reader text;
begin
    for relation in
        select c.oid from pg_catalog.pg_class c
        where c.relkind in ('r', 'p', 'v') and pg_has_role(c.relowner, 'usage')
          and (c.relnamespace = 'voicenter_ai'::regnamespace
               or c.oid in ('cdr_sync.push'::regclass, 'cdr_sync.forgotten'::regclass))
    loop
        execute pg_catalog.format('revoke all on %s from public', relation);
        for reader in select 'voicenter_reader' from pg_catalog.pg_roles where rolname = 'voicenter_reader' loop
            execute pg_catalog.format('revoke all on %s from %I', relation, reader);
        end loop;
    end loop;
    if pg_has_role((select nspowner from pg_catalog.pg_namespace where nspname = 'voicenter_ai'), 'usage') then
        revoke all on schema voicenter_ai from public;
        for reader in select 'voicenter_reader' from pg_catalog.pg_roles where rolname = 'voicenter_reader' loop
            execute pg_catalog.format('revoke all on schema voicenter_ai from %I', reader);
        end loop;
    end if;
end $$";

/// How many migrations run in this process.
static MIGRATING: AtomicU32 = AtomicU32::new(0);

/// Returns `true` while what PostgreSQL says is said to a migration. At other times it speaks of what operators know, such as at
/// every new connection that a library has changed, or what somebody's trigger says of a call.
pub(crate) fn is_migrating() -> bool {
    MIGRATING.load(Ordering::Relaxed) > 0
}

/// What PostgreSQL says is heard until it is dropped.
pub(crate) struct Heard;

impl Heard {
    pub(crate) fn begin() -> Self {
        MIGRATING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        MIGRATING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the database's schema compares with this program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// Migrations still to be applied, in order.
    pub pending: Vec<&'static str>,
    /// Migrations of a newer program: accepted, since each works with the version before it.
    pub newer: Vec<String>,
}

impl Store {
    /// Migrates the schema to this version. Several processes may do so at once; one applies, the others wait.
    ///
    /// Fails with [`StoreError::Migration`] if an applied migration differs from the one in this program, and with
    /// [`StoreError::Environment`] or [`StoreError::NotAdmitted`] if the database is not fit to be written to; it is
    /// then left as it was.
    pub async fn migrate(&self) -> Result<SchemaState, StoreError> {
        if let Some(obstacle) = self.environment().await?.obstacles().into_iter().next() {
            return Err(obstacle.into());
        }
        let state = self.schema_state().await?;
        if state.pending.is_empty() {
            return Ok(state);
        }
        let _heard = Heard::begin();
        // Building an index on a large table may take very long.
        self.at_length(async |mut tx| {
            sqlx::query("select pg_advisory_xact_lock($1)")
                .persistent(false)
                .bind(LOCK)
                .execute(&mut *tx)
                .await?;
            let state = compare(&applied(&mut tx).await?, &MIGRATIONS)?;
            if !state.pending.is_empty() {
                sqlx::raw_sql(KEEP_COMMITS_OUT).execute(&mut *tx).await?;
                sqlx::raw_sql(LOCKS_WITHIN).execute(&mut *tx).await?;
                sqlx::raw_sql(SAYS).execute(&mut *tx).await?;
            }
            for (name, text) in MIGRATIONS.iter().filter(|(name, _)| state.pending.contains(name)) {
                apply(&mut tx, name, text).await?;
            }
            if !state.pending.is_empty() {
                sqlx::raw_sql(BELONGS_TO_THE_SAME).execute(&mut *tx).await?;
                sqlx::raw_sql(KEEPS_APART).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(state)
        })
        .await
    }

    /// What [`Store::migrate`] would do; changes nothing.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let applied = applied(&mut tx).await?;
            tx.commit().await?;
            compare(&applied, &MIGRATIONS)
        })
        .await
    }
}

/// Name and checksum of what was applied; empty on a new database.
async fn applied(tx: &mut Tx) -> Result<Vec<(String, String)>, StoreError> {
    let known: bool =
        sql_value("select to_regclass('cdr_sync.migration') is not null").fetch_one(&mut **tx).await?;
    if !known {
        return Ok(Vec::new());
    }
    Ok(sql_as("select name, checksum from cdr_sync.migration order by name").fetch_all(&mut **tx).await?)
}

async fn apply(tx: &mut Tx, name: &'static str, text: &'static str) -> Result<(), StoreError> {
    let named = |error: StoreError| match error {
        StoreError::Away(why) if why.starts_with("55P03") => StoreError::Away(format!(
            "migration {name} changes a table that somebody uses: end long queries and open transactions on it; {why}"
        )),
        away if away.is_unavailable() => away,
        conflict if conflict.is_conflict() => StoreError::Away(conflict.to_string()),
        other => StoreError::Migration { name: name.into(), what: other.to_string() },
    };
    if applied(tx).await?.is_empty() {
        sqlx::raw_sql(BOOTSTRAP).execute(&mut **tx).await.map_err(|e| named(e.into()))?;
    }
    sqlx::raw_sql(text).execute(&mut **tx).await.map_err(|e| named(e.into()))?;
    sqlx::query("insert into cdr_sync.migration (name, checksum) values ($1, $2)")
        .persistent(false)
        .bind(name)
        .bind(checksum(text))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn compare(
    applied: &[(String, String)],
    ours: &[(&'static str, &'static str)],
) -> Result<SchemaState, StoreError> {
    let mut state = SchemaState::default();
    for (name, text) in ours {
        match applied.iter().find(|(applied, _)| applied == name) {
            None => state.pending.push(name),
            Some((_, sum)) if *sum == checksum(text) => {}
            Some(_) => {
                return Err(StoreError::Migration {
                    name: (*name).into(),
                    what: "the database was migrated with a different text of it: run the released program, or start \
                           on a new database"
                        .into(),
                });
            }
        }
    }
    state.newer = applied
        .iter()
        .filter(|(name, _)| ours.iter().all(|(known, _)| known != name))
        .map(|(name, _)| name.clone())
        .collect();
    Ok(state)
}

fn checksum(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [(&str, &str); 2] = [("0001_a", "select 1"), ("0002_b", "select 2")];

    fn applied(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(name, text)| ((*name).into(), checksum(text))).collect()
    }

    #[test]
    fn what_is_not_applied_is_pending_in_order() {
        assert_eq!(compare(&[], &OURS).unwrap().pending, ["0001_a", "0002_b"]);
        assert_eq!(compare(&applied(&OURS[..1]), &OURS).unwrap().pending, ["0002_b"]);
    }

    #[test]
    fn a_database_of_a_newer_program_is_accepted() {
        let state = compare(&applied(&[OURS[0], OURS[1], ("0003_c", "select 3")]), &OURS).unwrap();
        assert_eq!(state, SchemaState { pending: vec![], newer: vec!["0003_c".into()] });
    }

    #[test]
    fn an_edited_migration_is_an_error_that_names_it() {
        let error = compare(&applied(&[("0001_a", "select 7")]), &OURS).unwrap_err();
        assert!(error.to_string().contains("0001_a"), "{error}");
    }
}
