//! Work asked of whoever leads an account, as rows of `cdr_sync.request`: by commands, and by anybody who may insert there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::{Store, StoreError, action, sql_value};
use crate::window::Window;

/// The most requests of an account that are taken on at once; the others wait.
const AT_ONCE: i64 = 50;
/// How long a finished request is shown.
const SHOWN_FOR: &str = "1 hour";

/// A row of `cdr_sync.request`.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct WorkRequest {
    /// Its number.
    pub id: i64,
    /// What is to be read again, from here …
    pub from: DateTime<Utc>,
    /// … up to here.
    pub to: DateTime<Utc>,
    /// Why: the command that asks, or any text.
    pub reason: String,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// From 0 to 1.
    pub progress: f32,
    /// Why it failed, or what of it was not kept.
    pub error: Option<String>,
}

impl WorkRequest {
    /// Returns `true` once nobody works on it any more.
    pub fn is_finished(&self) -> bool {
        matches!(self.state.as_str(), "done" | "failed")
    }

    /// What is to be read again.
    pub fn window(&self) -> Option<Window> {
        Window::new(self.from, self.to)
    }
}

/// Anybody may have inserted it: bounds may be included or not, and lie further away than this program counts.
const COLUMNS: &str =
    "r.id, least(greatest(lower(r.span), '0001-01-01Z'::timestamptz), '9998-01-01Z') as \"from\",
    least(greatest(upper(r.span), '0001-01-02Z'::timestamptz), '9999-01-01Z')
        + case when upper_inc(r.span) then interval '1 microsecond' else interval '0' end as \"to\",
    left(r.reason, 200) as reason, r.state, r.progress, left(r.error, 1000) as error";

/// Those of `$3` that are open and that nobody holds a lock on.
const FREE: &str = "select f.id, f.started_at from cdr_sync.request f
    where f.account = $1 and f.id = any ($3) and f.state in ('waiting', 'running')
    order by f.id
    for update skip locked";
/// Who has lost the lead writes nothing.
const LEADS: &str = "exists (select from cdr_sync.cursor c where c.account = $1 and c.fence = $2)";

/// How far a request is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkNote {
    pub(crate) id: i64,
    /// From 0 to 1.
    pub(crate) progress: f32,
    pub(crate) has_ended: bool,
    pub(crate) has_failed: bool,
    /// Why it failed, or what is to be said of it.
    pub(crate) error: Option<String>,
}

impl Store {
    /// Asks whoever leads `account` to read spans again. Returns the numbers of the requests.
    pub async fn ask_for_work(
        &self,
        account: &str,
        windows: &[Window],
        reason: &str,
    ) -> Result<Vec<i64>, StoreError> {
        let (from, to): (Vec<_>, Vec<_>) = windows.iter().map(|window| (window.from(), window.to())).unzip();
        self.soon(async {
            let mut tx = self.begin().await?;
            let ids = sql_value(
                "insert into cdr_sync.request (account, span, reason, asked_by)
                 select $1, tstzrange(w.from_at, w.to_at), $4, $5
                 from unnest($2::timestamptz[], $3::timestamptz[]) w (from_at, to_at)
                 returning id",
            )
            .bind(account)
            .bind(from)
            .bind(to)
            .bind(reason)
            .bind(action::operator())
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(ids)
        })
        .await
    }

    /// How these requests are getting on. Those that somebody has deleted are not among them.
    pub async fn work_requests(&self, account: &str, ids: &[i64]) -> Result<Vec<WorkRequest>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let found = sqlx::query_as(AssertSqlSafe(format!(
                "select {COLUMNS} from cdr_sync.request r where r.account = $1 and r.id = any ($2) order by r.id"
            )))
            .persistent(false)
            .bind(account)
            .bind(ids)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    /// What is open, and what ended within the hour, of each of `accounts`: the newest few.
    pub async fn recent_work(
        &self,
        accounts: &[String],
    ) -> Result<BTreeMap<String, Vec<WorkRequest>>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let found = recent(&mut tx, accounts).await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }

    /// The numbers of what is open of each of `accounts`: the oldest few. Accounts without are left out.
    pub(crate) async fn open_work(
        &self,
        accounts: &[String],
    ) -> Result<BTreeMap<String, BTreeSet<i64>>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "select a.name, r.id
                 from unnest($1::text[]) a (name)
                 cross join lateral (
                     select r.id from cdr_sync.request r
                     where r.account = a.name and r.state in ('waiting', 'running')
                     order by r.id
                     limit $2
                 ) r",
            )
            .persistent(false)
            .bind(accounts)
            .bind(AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            let mut open = BTreeMap::<String, BTreeSet<i64>>::new();
            for (account, id) in rows {
                open.entry(account).or_default().insert(id);
            }
            Ok(open)
        })
        .await
    }

    /// Takes on these requests, of which those are returned that are still open. What another leader had begun starts over.
    pub(crate) async fn take_on_work(
        &self,
        account: &str,
        fence: i64,
        ids: &[i64],
    ) -> Result<Vec<WorkRequest>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let mut taken: Vec<WorkRequest> = sqlx::query_as(AssertSqlSafe(format!(
                "with free as ({FREE}),
                 taken as (
                     update cdr_sync.request r
                     set state = 'running', progress = 0, started_at = coalesce(r.started_at, clock_timestamp())
                     from free f
                     where r.account = $1 and r.id = f.id and {LEADS}
                     returning {COLUMNS}, f.started_at is null as is_new, r.asked_by
                 ),
                 noted as (
                     insert into cdr_sync.action (account, what, detail, by_whom)
                     select $1, 'read again', concat_ws(': ', format('%s to %s', t.\"from\", t.\"to\"), t.reason), t.asked_by
                     from taken t
                     where t.is_new
                 )
                 select * from taken"
            )))
            .persistent(false)
            .bind(account)
            .bind(fence)
            .bind(ids)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            taken.sort_by_key(|request| request.id);
            Ok(taken)
        })
        .await
    }

    /// Writes down how far requests are, and which have ended. Returns those that could be written; whoever holds a lock on one is
    /// not waited for.
    pub(crate) async fn note_work(
        &self,
        account: &str,
        fence: i64,
        notes: &[WorkNote],
    ) -> Result<BTreeSet<i64>, StoreError> {
        let ids: Vec<i64> = notes.iter().map(|note| note.id).collect();
        let progress: Vec<f32> = notes.iter().map(|note| note.progress).collect();
        let ended: Vec<bool> = notes.iter().map(|note| note.has_ended).collect();
        let failed: Vec<bool> = notes.iter().map(|note| note.has_failed).collect();
        let errors: Vec<Option<&str>> = notes.iter().map(|note| note.error.as_deref()).collect();
        self.soon(async {
            let mut tx = self.begin().await?;
            let written: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
                "update cdr_sync.request r
                 set progress = n.progress, error = n.error,
                     state = case when not n.has_ended then r.state when n.has_failed then 'failed' else 'done' end,
                     finished_at = case when n.has_ended then clock_timestamp() end
                 from unnest($3::bigint[], $4::real[], $5::boolean[], $6::boolean[], $7::text[]) n (id, progress, has_ended, has_failed, error)
                 where r.account = $1 and r.id = n.id and r.id in (select free.id from ({FREE}) free) and {LEADS}
                 returning r.id"
            )))
            .persistent(false)
            .bind(account)
            .bind(fence)
            .bind(ids)
            .bind(progress)
            .bind(ended)
            .bind(failed)
            .bind(errors)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(written.into_iter().collect())
        })
        .await
    }
}

#[derive(FromRow)]
struct OfAccount {
    account: String,
    #[sqlx(flatten)]
    request: WorkRequest,
}

pub(super) async fn recent(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<BTreeMap<String, Vec<WorkRequest>>, StoreError> {
    let statement = format!(
        "select a.name as account, r.*
         from unnest($1::text[]) a (name)
         cross join lateral (
             select {COLUMNS} from cdr_sync.request r
             where r.account = a.name and (r.state in ('waiting', 'running') or r.finished_at > clock_timestamp() - interval '{SHOWN_FOR}')
             order by case r.state when 'running' then 0 when 'waiting' then 1 else 2 end,
                 case when r.state in ('waiting', 'running') then r.id else -r.id end
             limit 20
         ) r"
    );
    let rows: Vec<OfAccount> =
        sqlx::query_as(AssertSqlSafe(statement)).persistent(false).bind(accounts).fetch_all(conn).await?;
    let mut found = BTreeMap::<String, Vec<WorkRequest>>::new();
    for row in rows {
        found.entry(row.account).or_default().push(row.request);
    }
    Ok(found)
}
