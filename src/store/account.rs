//! The accounts: opened with their scope at a start, and shown by `status`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::action::{self, ActionKind};
use super::pause::{self, Pause};
use super::{Store, StoreError, pushed, scope, sql, sql_as, sql_value};
use crate::window::Window;

/// Where history begins, and what decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The built-in default: applies at the first start only.
    Default(DateTime<Utc>),
    /// From the configuration: always applies, earlier or later than before.
    Configured(DateTime<Utc>),
}

impl Start {
    fn instant(self) -> DateTime<Utc> {
        match self {
            Start::Default(instant) | Start::Configured(instant) => instant,
        }
    }
}

/// An account as it was found at a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// How far back history is to be filled.
    pub history_start: DateTime<Utc>,
    /// The scope before and now, when it changed: everything will be read again.
    pub scope_changed: Option<(Value, Value)>,
    /// `true` if the ledger did not know the account.
    pub first: bool,
}

/// What `status` shows of an account. No secret, no personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountStatus {
    /// The account's name in the configuration.
    pub name: String,
    /// How far back history is to be filled.
    pub history_start: DateTime<Utc>,
    /// The span from `history_from` to `synced_until`.
    pub cursor: Option<Window>,
    /// The vendor's horizon: older calls are no longer returned.
    pub horizon: Option<DateTime<Utc>>,
    /// Start of the last read that was stored.
    pub last_success_at: Option<DateTime<Utc>>,
    /// What last went wrong, and when.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// Until when no requests are made.
    pub paused_until: Option<DateTime<Utc>>,
    /// The pause that an operator asked for.
    pub pause: Option<Pause>,
    /// Number of open gaps: spans that could not be read in full.
    pub gaps: i64,
    /// Number of open rejected records, those that could not be stored, without those that an operator has acknowledged.
    pub rejected: i64,
    /// Rows that the last complete reads lacked.
    pub missing: i64,
    /// Those of them that went missing with suspiciously many others.
    pub suspicious: i64,
    /// Name of the process that leads, while its lease holds.
    pub leader: Option<String>,
}

impl Store {
    /// Opens an account with its current scope.
    ///
    /// A changed scope empties coverage, gaps, doubts and what was learned, all in one transaction.
    pub async fn open_account(
        &self,
        name: &str,
        scope: &Value,
        start: Start,
        now: DateTime<Utc>,
    ) -> Result<Opened, StoreError> {
        self.in_time(async {
        let mut tx = self.begin().await?;
        let first: bool = sql_value(
            "with new as (
                 insert into cdr_sync.account (name, scope, scope_since, history_start) values ($1, $2, $3, $4)
                 on conflict (name) do nothing returning 1
             ), cursor as (
                 insert into cdr_sync.cursor (account) values ($1) on conflict (account) do nothing
             )
             select exists (select from new)",
        )
        .bind(name)
        .bind(scope)
        .bind(now)
        .bind(start.instant())
        .fetch_one(&mut *tx)
        .await?;
        // The same lock as every commit: none runs while the scope changes.
        sql("select from cdr_sync.cursor where account = $1 for update").bind(name).execute(&mut *tx).await?;
        let scope_changed = scope::change(&mut tx, name, scope, now).await?;
        let configured = matches!(start, Start::Configured(_)).then_some(start.instant());
        let history_start: DateTime<Utc> = sql_value(
            // A first start under a fast clock set it too late; the default only ever grows.
            "with wanted as (
                 select case when $2 is not null then $2
                             when start > $4 or start - $3 <= interval '31 days' then least(start, $3)
                             else start end as start
                 from (select coalesce(wanted_start, history_start) as start
                       from cdr_sync.account where name = $1) as before
             )
             update cdr_sync.account
             set wanted_start = wanted.start, history_start = greatest(wanted.start, retained_from)
             from wanted where name = $1
             returning history_start",
        )
        .bind(name)
        .bind(configured)
        .bind(start.instant())
        .bind(now)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Opened { history_start, scope_changed, first })
        })
        .await
    }

    /// The scope in the ledger; changes nothing. `None` if the ledger does not know the account.
    pub async fn stored_scope(&self, name: &str) -> Result<Option<Value>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let scope = sql_value("select scope from cdr_sync.account where name = $1")
                .bind(name)
                .fetch_optional(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(scope)
        })
        .await
    }

    /// Records the last error, and until when no requests are made. `error` must hold no secret and no personal data.
    pub async fn note_error(
        &self,
        name: &str,
        error: &str,
        paused_until: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
        let mut tx = self.begin().await?;
        // A success recorded in the future, under a clock that was set back since, would hide the error.
        sql("update cdr_sync.account
             set last_error = $2, last_error_at = $3, paused_until = $4, last_success_at = case when last_success_at > $3 then $3 else last_success_at end
             where name = $1")
            .bind(name)
            .bind(error.replace('\0', "\u{fffd}"))
            .bind(at)
            .bind(paused_until)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
        })
        .await
    }

    /// Ends the account's wait at an operator's request. Returns when it would have ended.
    pub async fn resume_account(&self, name: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let until: Option<Option<DateTime<Utc>>> = sql_value(
                "update cdr_sync.account a set paused_until = null
             from (select name, paused_until from cdr_sync.account where name = $1 for update) as before
             where a.name = before.name returning before.paused_until",
            )
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(until.flatten())
        })
        .await
    }

    /// Until when the account waits after an error.
    pub(crate) async fn waits_until(&self, name: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let until: Option<Option<DateTime<Utc>>> =
                sql_value("select paused_until from cdr_sync.account where name = $1")
                    .bind(name)
                    .fetch_optional(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(until.flatten())
        })
        .await
    }

    /// Every account that the ledger knows, by name.
    pub async fn status(&self) -> Result<Vec<AccountStatus>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let accounts = statuses(&mut tx).await?;
            tx.commit().await?;
            Ok(accounts)
        })
        .await
    }

    /// How many rows of `voicenter.cdr` an account has, removed ones included.
    pub async fn count_rows(&self, name: &str) -> Result<i64, StoreError> {
        self.at_length(async |mut tx| {
            let rows = sql_value("select count(*) from voicenter.cdr where account = $1")
                .bind(name)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
    }

    /// Returns `true` if rows exist under a name, what was made of them, opening hours, or reference data. A forgotten account may have left
    /// them.
    pub async fn has_rows(&self, name: &str) -> Result<bool, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let found = sql_value(
                "select exists (select from voicenter.cdr where account = $1)
                 or exists (select from voicenter.cdr_history where account = $1)
                 or exists (select from voicenter.calls where account = $1)
                 or exists (select from voicenter.cdr_push where account = $1)
                 or exists (select from voicenter_ai.call_ai where account = $1)
                 or exists (select from voicenter.opening_hours where account = $1)
                 or exists (select from voicenter.numbers where account = $1)
                 or exists (select from voicenter.extension where account = $1)
                 or exists (select from voicenter.queue where account = $1)
                 or exists (select from cdr_sync.reporting where account = $1)",
            )
            .bind(name)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    /// Returns `true` if `span` has stored calls that are not removed, apart from those of an earlier scope.
    pub async fn has_calls(&self, name: &str, span: Window) -> Result<bool, StoreError> {
        self.in_time(async {
        let mut tx = self.begin().await?;
        let found = sql_value(
            "select exists (select from voicenter.cdr c
                            where account = $1 and started_at >= $2 and started_at < $3 and removed_at is null
                              and not exists (select from cdr_sync.unscoped u
                                              where u.account = c.account and u.span @> c.started_at and c.first_seen_at < u.since)
                              and not exists (select from cdr_sync.earlier_scope e
                                              where (e.account, e.call_id, e.type) = (c.account, c.call_id, c.type)))",
        )
        .bind(name)
        .bind(span.from())
        .bind(span.to())
        .fetch_one(&mut *tx)
        .await?;
tx.commit().await?;
        Ok(found)
        })
        .await
    }

    /// Renames an account in all tables. Fails with [`StoreError::Data`] if the new name is in use. Notifications may have come
    /// under both names all the same, and what is made of them: then that of the new name counts, of an analysis the newer parts.
    pub async fn rename_account(&self, old: &str, new: &str) -> Result<(), StoreError> {
        self.at_length(async |mut tx| {
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(old)
                .execute(&mut *tx)
                .await?;
            for name in [old, new] {
                pushed::lock_waiting(&mut tx, name).await?;
            }
            let renamed = sql("update cdr_sync.account set name = $2 where name = $1")
                .bind(old)
                .bind(new)
                .execute(&mut *tx)
                .await?;
            if renamed.rows_affected() == 0 {
                return Err(StoreError::UnknownAccount(old.to_owned()));
            }
            for statement in RENAME {
                sql(statement).bind(old).bind(new).execute(&mut *tx).await?;
            }
            action::note(&mut tx, old, ActionKind::Rename, Some(&format!("to {new}"))).await?;
            tx.commit().await
        })
        .await
    }

    /// Deletes an account's ledger; with `delete` also its rows, which may be all that is left of an account forgotten
    /// earlier. Returns how many rows of `voicenter.cdr` were deleted.
    pub async fn forget_account(&self, name: &str, delete: bool) -> Result<u64, StoreError> {
        self.at_length(async |mut tx| {
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            pushed::lock_waiting(&mut tx, name).await?;
            // Whoever folds its calls holds this while doing so.
            sql("select from cdr_sync.reporting where account = $1 for update")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            sql("delete from cdr_sync.account where name = $1").bind(name).execute(&mut *tx).await?;
            for statement in FORGET {
                sql(statement).bind(name).execute(&mut *tx).await?;
            }
            let mut rows = 0;
            if delete {
                for statement in DELETE {
                    sql(statement).bind(name).execute(&mut *tx).await?;
                }
                rows = sql("delete from voicenter.cdr where account = $1")
                    .bind(name)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
            }
            let detail = delete.then(|| format!("with its {rows} rows"));
            action::note(&mut tx, name, ActionKind::Forget, detail.as_deref()).await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
    }
}

/// The status of every account, by name: each table is read once, however many accounts there are.
pub(super) async fn statuses(conn: &mut PgConnection) -> Result<Vec<AccountStatus>, StoreError> {
    let rows: Vec<StatusRow> = sql_as(
        "select a.name, a.history_start, a.horizon, a.last_success_at, a.last_error, a.last_error_at, a.paused_until,
                a.pause_since, a.pause_by, a.pause_reason, c.history_from, c.synced_until, coalesce(g.gaps, 0) as gaps, coalesce(r.rejected, 0) as rejected,
                coalesce(m.missing, 0) as missing, coalesce(m.suspicious, 0) as suspicious, l.holder_name as leader
         from cdr_sync.account a
         left join cdr_sync.cursor c on c.account = a.name
         left join (
             select account, count(*) as gaps from cdr_sync.gap where closed_at is null group by account
         ) g on g.account = a.name
         left join (
             select account, count(*) as rejected from cdr_sync.rejected
             where closed_at is null and acknowledged_at is null
             group by account
         ) r on r.account = a.name
         left join (
             select account, count(*) as missing, count(*) filter (where suspicious) as suspicious
             from cdr_sync.missing group by account
         ) m on m.account = a.name
         left join cdr_sync.lease l on l.account = a.name and l.expires_at > clock_timestamp()
         order by a.name",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(AccountStatus::from).collect())
}

// `cdr_sync.lacking`, `twin`, `day`, `unscoped`, `settling`, `late_hour`, `hour_count` and `lateness` follow
// `cdr_sync.account`, here and when an account is forgotten; what is made of its rows, its opening hours, numbers, notifications
// and lists, here (the functions cdr_sync.follow_account…).
const RENAME: [&str; 13] = [
    "update cdr_sync.cursor set account = $2, fence = fence + 1 where account = $1",
    "update cdr_sync.coverage set account = $2 where account = $1",
    "update cdr_sync.window_read set account = $2 where account = $1",
    "update cdr_sync.gap set account = $2 where account = $1",
    "update cdr_sync.rejected set account = $2 where account = $1",
    "update cdr_sync.missing set account = $2 where account = $1",
    "update cdr_sync.earlier_scope set account = $2 where account = $1",
    // Whoever renames leads it; under the new name nobody does yet.
    "delete from cdr_sync.lease where account in ($1, $2)",
    "update cdr_sync.request set account = $2 where account = $1",
    // Its trouble is noted again under the new name.
    "delete from cdr_sync.notice where account in ($1, $2)",
    // The owner of the tables may have no right in that schema.
    "select cdr_sync.move_analyses($1, $2)",
    "update voicenter.cdr_history set account = $2 where account = $1",
    "update voicenter.cdr set account = $2 where account = $1",
];

const FORGET: [&str; 13] = [
    "delete from cdr_sync.cursor where account = $1",
    "delete from cdr_sync.coverage where account = $1",
    "delete from cdr_sync.window_read where account = $1",
    "delete from cdr_sync.gap where account = $1",
    "delete from cdr_sync.rejected where account = $1",
    "delete from cdr_sync.missing where account = $1",
    "delete from cdr_sync.earlier_scope where account = $1",
    "delete from cdr_sync.lease where account = $1",
    "delete from cdr_sync.request where account = $1",
    "delete from cdr_sync.notice where account = $1",
    "delete from cdr_sync.push where account = $1",
    "delete from cdr_sync.push_uptime where account = $1",
    "delete from cdr_sync.reference_list where account = $1",
];

// What is made of an account's rows goes with them, and what an operator wrote for it. What was forgotten on demand stays so
// (cdr_sync.forgotten), also if the account comes back.
const DELETE: [&str; 23] = [
    "delete from voicenter_ai.call_ai_part where account = $1",
    "delete from voicenter_ai.call_ai_answer where account = $1",
    "delete from voicenter_ai.call_ai_sentence where account = $1",
    "delete from voicenter_ai.call_transcript where account = $1",
    "delete from voicenter_ai.call_ai where account = $1",
    "delete from voicenter.cdr_history where account = $1",
    "delete from voicenter.cdr_push where account = $1",
    "delete from voicenter.calls where account = $1",
    "delete from voicenter.removed_calls where account = $1",
    "delete from voicenter.queue_visits where account = $1",
    "delete from voicenter.calls_15min where account = $1",
    "delete from voicenter.queue_15min where account = $1",
    "delete from voicenter.queue_1day where account = $1",
    "delete from voicenter.agent_15min where account = $1",
    "delete from voicenter.agent_1day where account = $1",
    "delete from voicenter.queues where account = $1",
    "delete from voicenter.opening_hours where account = $1",
    "delete from voicenter.numbers where account = $1",
    "delete from voicenter.extension where account = $1",
    "delete from voicenter.queue where account = $1",
    "delete from cdr_sync.transfer where account = $1",
    "delete from cdr_sync.number where account = $1",
    "delete from cdr_sync.reporting where account = $1",
];

#[derive(FromRow)]
struct StatusRow {
    name: String,
    history_start: DateTime<Utc>,
    horizon: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    last_error_at: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    pause_since: Option<DateTime<Utc>>,
    pause_by: Option<String>,
    pause_reason: Option<String>,
    history_from: Option<DateTime<Utc>>,
    synced_until: Option<DateTime<Utc>>,
    gaps: i64,
    rejected: i64,
    missing: i64,
    suspicious: i64,
    leader: Option<String>,
}

impl From<StatusRow> for AccountStatus {
    fn from(row: StatusRow) -> Self {
        Self {
            name: row.name,
            history_start: row.history_start,
            cursor: row.history_from.zip(row.synced_until).and_then(|(from, until)| Window::new(from, until)),
            horizon: row.horizon,
            last_success_at: row.last_success_at,
            last_error: row.last_error.zip(row.last_error_at),
            paused_until: row.paused_until,
            pause: pause::of_row((row.pause_since, row.pause_by, row.pause_reason)),
            gaps: row.gaps,
            rejected: row.rejected,
            missing: row.missing,
            suspicious: row.suspicious,
            leader: row.leader,
        }
    }
}
