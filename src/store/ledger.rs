//! What is remembered of an account between reads: coverage, gaps, rows in doubt, what was learned.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::change::Claim;
use super::commit_count::CommitCount;
use super::gap::{self, OpenGap};
use super::recheck;
use super::{Store, StoreError, coverage, sql, sql_as, sql_value};
use crate::plan::ledger::Recheck;
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch, cursor};
use crate::window::lacking::Lacking;

/// Everything that the planner starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLedger {
    /// How far back history is to be filled.
    pub history_start: DateTime<Utc>,
    /// The floor of `retention.calls`: nothing older is kept.
    pub kept_from: Option<DateTime<Utc>>,
    /// Spans that were read completely.
    pub coverage: Coverage,
    /// Spans that could not be read in full.
    pub gaps: Vec<OpenGap>,
    /// What must be read again because rows are missing.
    pub rechecks: Vec<Recheck>,
    /// What was learned of the API, as JSON.
    pub knowledge: Option<Value>,
    /// The vendor's horizon: older calls are no longer returned.
    pub horizon: Option<DateTime<Utc>>,
    /// The current leader's number, raised at each takeover.
    pub fence: i64,
    /// How many commits the ledger has had.
    pub count: CommitCount,
}

#[derive(FromRow)]
struct AccountRow {
    history_start: DateTime<Utc>,
    retained_from: Option<DateTime<Utc>>,
    knowledge: Option<Value>,
    horizon: Option<DateTime<Utc>>,
    fence: i64,
    commits: i64,
}

/// What a commit reads when it has locked the account.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Locked {
    /// Greater than any `updated_at` given out before.
    pub stamp: DateTime<Utc>,
    pub horizon: Option<DateTime<Utc>>,
    /// The floor of `retention.calls`.
    pub kept_from: Option<DateTime<Utc>>,
    /// How many commits the account has had.
    pub commits: i64,
    /// Some rows stored under an earlier scope have not been read since.
    pub unscoped: bool,
    /// What `statement_timeout` is, for steps that change it for themselves.
    pub statement_timeout: String,
}

impl Store {
    /// Marks what version 0.1 read as possibly lacking fields: it asked some servers for fewer fields than they have,
    /// part of the time or always, and its coverage does not show where. Returns `true` if it was the last writer.
    ///
    /// Done here and not in a migration, because a rollback to 0.1 may have written since.
    pub async fn doubt_fields(&self, account: &str) -> Result<bool, StoreError> {
        if !self.is_doubtful(account).await? {
            return Ok(false);
        }
        self.at_length(async |mut tx| {
        sqlx::raw_sql("set local lock_timeout = '10s'").execute(&mut *tx).await?;
        sql("select from cdr_sync.cursor where account = $1 for update")
            .bind(account)
            .execute(&mut *tx)
            .await?;
        let generation: Option<String> = sql_value(
            "select coalesce(knowledge ->> 'generation', '') from cdr_sync.account where name = $1 and knowledge ? 'generation'",
        )
        .bind(account)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(generation) = generation else {
            tx.commit().await?;
            return Ok(false);
        };
        let stored = coverage::read(&mut tx, account).await?;
        let before = stored.combined();
        let doubted = match (generation.as_str(), before.span()) {
            ("v01", all) => all,
            // Its newer form asked for all fields; where no record has one, the older form may have been in use.
            _ => bare_rows(&mut tx, account).await?,
        };
        let mut after = before.clone();
        for stretch in before.stretches() {
            if let Some(window) = doubted.and_then(|doubted| doubted.intersect(&stretch.window)) {
                after.claim_lacking(window, stretch.reread_age, Lacking::ALL);
            }
        }
        stored.write(&mut tx, account, &after).await?;
        sql("update cdr_sync.account set knowledge = knowledge - 'generation' where name = $1")
            .bind(account)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
        })
        .await
    }

    /// Returns `true` if version 0.1 was the last to write.
    async fn is_doubtful(&self, account: &str) -> Result<bool, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let is_doubtful: bool = sql_value(
                "select exists (select from cdr_sync.account where name = $1 and knowledge ? 'generation')",
            )
            .bind(account)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(is_doubtful)
        })
        .await
    }

    /// Loads the account's ledger in one snapshot. Fails with [`StoreError::UnknownAccount`] before the account was
    /// opened.
    pub async fn load(&self, account: &str) -> Result<StoredLedger, StoreError> {
        self.in_time(async {
            let mut tx = self.begin_of_one_moment().await?;
            let facts: Option<AccountRow> = sql_as(
                "select a.history_start, a.retained_from, a.knowledge, a.horizon, c.fence, c.commits
             from cdr_sync.account a join cdr_sync.cursor c on c.account = a.name where a.name = $1",
            )
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            let facts = facts.ok_or_else(|| StoreError::UnknownAccount(account.to_owned()))?;
            let coverage = coverage::read(&mut tx, account).await?.combined();
            let gaps = gap::open(&mut tx, account).await?;
            let rechecks = recheck::rechecks(&mut tx, account).await?;
            tx.commit().await?;
            Ok(StoredLedger {
                history_start: facts.history_start,
                kept_from: facts.retained_from,
                coverage,
                gaps,
                rechecks,
                knowledge: facts.knowledge,
                horizon: facts.horizon,
                fence: facts.fence,
                count: CommitCount::after(facts.commits),
            })
        })
        .await
    }
}

/// Locks the account for this transaction if `fence` is still its leader's number and its last commit is one that the
/// leader knows: a database can lose acknowledged commits, and plans based on them are void.
pub(super) async fn lock(
    conn: &mut PgConnection,
    account: &str,
    fence: i64,
    count: &CommitCount,
) -> Result<Locked, StoreError> {
    // Materialized: the clock is read when the lock is held, not while waiting for it.
    let locked: Option<Locked> = sql_as(
        "with locked as materialized (
             select updated_at, commits
             from cdr_sync.cursor where account = $1 and fence = $2 for update
         )
         select greatest(clock_timestamp(), updated_at + interval '1 microsecond') as stamp, commits,
                (select horizon from cdr_sync.account where name = $1) as horizon,
                (select retained_from from cdr_sync.account where name = $1) as kept_from,
                exists (select from cdr_sync.unscoped where account = $1) as unscoped,
                current_setting('statement_timeout') as statement_timeout
         from locked",
    )
    .bind(account)
    .bind(fence)
    .fetch_optional(conn)
    .await?;
    let locked = locked.ok_or(StoreError::Fenced)?;
    if !count.admits(locked.commits) {
        return Err(StoreError::CommitsLost);
    }
    Ok(locked)
}

/// Counts a commit that leaves the rest of the ledger as it is.
pub(super) async fn touch_cursor(
    conn: &mut PgConnection,
    account: &str,
    locked: &Locked,
) -> Result<(), StoreError> {
    sql("update cdr_sync.cursor set commits = $2, updated_at = $3 where account = $1")
        .bind(account)
        .bind(locked.commits + 1)
        .bind(locked.stamp)
        .execute(conn)
        .await?;
    Ok(())
}

/// The span of the rows that have none of the fields that only some servers send.
async fn bare_rows(conn: &mut PgConnection, account: &str) -> Result<Option<Window>, StoreError> {
    let (first, last): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = sql_as(
        "select min(started_at), max(started_at) from voicenter.cdr
         where account = $1 and removed_at is null and cdr_type is null and user_id is null and user_name is null",
    )
    .bind(account)
    .fetch_one(conn)
    .await?;
    let after = last.map(|last| last + chrono::TimeDelta::seconds(1));
    Ok(first.zip(after).and_then(|(first, after)| Window::new(first, after)))
}

/// Lowers re-read ages, adds claims, then withdraws windows and what is not kept, and writes the difference. Returns the
/// coverage before the claims, and after all.
pub(super) async fn write_coverage(
    conn: &mut PgConnection,
    account: &str,
    lowered: &[Stretch],
    claims: &[Claim],
    uncover: &[Window],
    kept_from: Option<DateTime<Utc>>,
) -> Result<(Coverage, Coverage), StoreError> {
    let stored = coverage::read(conn, account).await?;
    let mut after = stored.combined();
    for stretch in lowered {
        after.lower(stretch.window, stretch.reread_age);
    }
    let before = after.clone();
    for claim in claims {
        after.claim_lacking(claim.window, claim.reread_age, claim.lacking);
    }
    for window in uncover {
        after.uncover(*window);
    }
    if let Some(floor) = kept_from {
        after.forget_before(floor);
    }
    stored.write(conn, account, &after).await?;
    Ok((before, after))
}

/// Derives the cursor from coverage and the open gaps, and counts the commit.
pub(super) async fn write_cursor(
    conn: &mut PgConnection,
    account: &str,
    coverage: &Coverage,
    locked: &Locked,
    updated_at: Option<DateTime<Utc>>,
) -> Result<Option<Window>, StoreError> {
    let gaps: Vec<Window> = gap::open(conn, account).await?.iter().map(|gap| gap.window).collect();
    let cursor = cursor(coverage, &gaps);
    sql("update cdr_sync.cursor
         set history_from = $2, synced_until = $3, updated_at = coalesce($4, updated_at), commits = $5
         where account = $1")
    .bind(account)
    .bind(cursor.map(|window| window.from()))
    .bind(cursor.map(|window| window.to()))
    .bind(updated_at)
    .bind(locked.commits + 1)
    .execute(conn)
    .await?;
    Ok(cursor)
}
