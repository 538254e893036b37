//! Lists of reference data: rows of `voicenter.extension` and `voicenter.queue`, and what is known of each list.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, PgConnection};

use super::{Store, StoreError, sql, sql_as, sql_value};
use crate::reference::{Comparison, Doubt, KnownRows, List, ListKind, NewRow, OpenRow, Values, compare};

/// What the ledger knows of a list. No secret, no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListState {
    /// Which list.
    pub list: ListKind,
    /// When it was last requested.
    pub asked_at: Option<DateTime<Utc>>,
    /// When the last list was requested that was believed.
    pub read_at: Option<DateTime<Utc>>,
    /// Number of rows whose interval was open then.
    pub rows: i32,
    /// Why the last one was not.
    pub problem: Option<String>,
}

/// By what it is decided when a list is requested again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSchedule {
    /// When it was last requested.
    pub asked_at: Option<DateTime<Utc>>,
    /// `true` if the last one did not come or was not believed.
    pub has_problem: bool,
    /// `true` if an operator has paused the account.
    pub is_paused: bool,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowedList {
    /// Number of intervals that began.
    pub opened: usize,
    /// Number of intervals that ended.
    pub closed: usize,
    /// Number of rows whose interval is open.
    pub rows: usize,
    /// Number of ids that came several times with different values.
    pub ambiguous: usize,
    /// Why it changed nothing, if it was not believed.
    pub doubt: Option<Doubt>,
}

impl Store {
    /// Compares a list that was requested at `read_at` with what is stored, and opens and closes intervals. `None` if the ledger
    /// does not know the account.
    pub async fn follow_list(
        &self,
        account: &str,
        kind: ListKind,
        list: &List,
        read_at: DateTime<Utc>,
    ) -> Result<Option<FollowedList>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            // By both clocks: one that is fast opens no interval that the next list could not close.
            let Some(begins_at) = lock(&mut tx, account, kind, read_at.trunc_subsecs(6)).await? else {
                tx.commit().await?;
                return Ok(None);
            };
            let known = known(&mut tx, account, kind).await?;
            let mut comparison = compare(&known, list, begins_at);
            let is_plainly_empty = list.entries.is_empty() && list.unusable == 0 && known.newest.is_none();
            if kind == ListKind::Queues && is_plainly_empty && lists_extensions(&mut tx, account).await? {
                // Its code is right, and no queue was ever known: there is nothing to be kept.
                comparison.doubt = None;
            }
            store(&mut tx, account, kind, &comparison, begins_at).await?;
            let rows = comparison.rows_after(&known);
            sql("update cdr_sync.reference_list
                 set asked_at = $3, problem = $4, rows = $5, read_at = case when $4::text is null then $3 else read_at end
                 where account = $1 and list = $2")
            .bind(account)
            .bind(kind.as_str())
            .bind(read_at)
            .bind(comparison.doubt.map(|doubt| doubt.to_string()))
            .bind(i32::try_from(rows).unwrap_or(i32::MAX))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(Some(FollowedList {
                opened: comparison.open.len(),
                closed: comparison.close.len(),
                rows,
                ambiguous: comparison.ambiguous,
                doubt: comparison.doubt,
            }))
        })
        .await
    }

    /// Notes that a list did not come. `problem` must hold no secret and no personal data.
    pub async fn note_list_failure(
        &self,
        account: &str,
        kind: ListKind,
        problem: &str,
        asked_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            if lock(&mut tx, account, kind, asked_at).await?.is_some() {
                sql("update cdr_sync.reference_list set asked_at = $3, problem = $4 where account = $1 and list = $2")
                    .bind(account)
                    .bind(kind.as_str())
                    .bind(asked_at)
                    .bind(problem.replace('\0', "\u{fffd}"))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        })
        .await
    }

    /// By what it is decided when a list is requested again. An account that the ledger does not know counts as paused.
    pub async fn list_schedule(&self, account: &str, kind: ListKind) -> Result<ListSchedule, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let row: Option<(Option<DateTime<Utc>>, bool, bool)> = sql_as(
                "select l.asked_at, l.problem is not null, a.pause_since is not null
                 from cdr_sync.account a
                 left join cdr_sync.reference_list l on l.account = a.name and l.list = $2
                 where a.name = $1",
            )
            .bind(account)
            .bind(kind.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            let (asked_at, has_problem, is_paused) = row.unwrap_or((None, false, true));
            Ok(ListSchedule { asked_at, has_problem, is_paused })
        })
        .await
    }
}

/// What is known of every list of every account.
pub(super) async fn all_states(conn: &mut PgConnection) -> Result<Vec<(String, ListState)>, StoreError> {
    let rows: Vec<StateRow> = sql_as(
        "select account, list, asked_at, read_at, rows, problem from cdr_sync.reference_list order by account, list",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(StateRow::state).collect())
}

#[derive(FromRow)]
struct StateRow {
    account: String,
    list: String,
    asked_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    rows: i32,
    problem: Option<String>,
}

impl StateRow {
    /// `None` for a list that only a newer program knows.
    fn state(self) -> Option<(String, ListState)> {
        let list = ListKind::ALL.into_iter().find(|kind| kind.as_str() == self.list)?;
        let Self { account, asked_at, read_at, rows, problem, .. } = self;
        Some((account, ListState { list, asked_at, read_at, rows, problem }))
    }
}

/// Keeps others from the list until the end of the transaction. Returns `at`, or the database's time if that is earlier; `None`
/// if the account is not known, which also whoever forgets it waits for.
async fn lock(
    conn: &mut PgConnection,
    account: &str,
    kind: ListKind,
    at: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sql("select from cdr_sync.account where name = $1 for key share")
        .bind(account)
        .execute(&mut *conn)
        .await?;
    let at: Option<DateTime<Utc>> = sql_value(
        "insert into cdr_sync.reference_list as l (account, list)
         select a.name, $2 from cdr_sync.account a where a.name = $1
         on conflict (account, list) do update set list = excluded.list
         returning least($3, clock_timestamp())",
    )
    .bind(account)
    .bind(kind.as_str())
    .bind(at)
    .fetch_optional(conn)
    .await?;
    Ok(at)
}

/// Returns `true` if the last list of extensions was believed. An empty one never is.
async fn lists_extensions(conn: &mut PgConnection, account: &str) -> Result<bool, StoreError> {
    let lists = sql_value(
        "select exists (select from cdr_sync.reference_list
                        where account = $1 and list = 'extensions' and read_at is not null and problem is null)",
    );
    Ok(lists.bind(account).fetch_one(conn).await?)
}

async fn known(conn: &mut PgConnection, account: &str, kind: ListKind) -> Result<KnownRows, StoreError> {
    let open = match kind {
        ListKind::Extensions => sql_as(
            "select extension, to_jsonb(e), extra from voicenter.extension e where account = $1 and valid_to is null",
        ),
        ListKind::Queues => sql_as(
            "select queue_id, to_jsonb(q), extra from voicenter.queue q where account = $1 and valid_to is null",
        ),
    };
    let open: Vec<(String, Value, Option<Value>)> = open.bind(account).fetch_all(&mut *conn).await?;
    let newest = match kind {
        ListKind::Extensions => sql_value(
            "select greatest(max(valid_from), max(valid_to)) from voicenter.extension where account = $1",
        ),
        ListKind::Queues => sql_value(
            "select greatest(max(valid_from), max(valid_to)) from voicenter.queue where account = $1",
        ),
    };
    let newest: Option<DateTime<Utc>> = newest.bind(account).fetch_one(conn).await?;
    let row = |(id, values, extra): (String, Value, Option<Value>)| {
        let value = |column: &'static str| {
            let text = match values.get(column) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            };
            (column, text)
        };
        let values: Values = kind.columns().map(value).collect();
        let extra = match extra {
            Some(Value::Object(extra)) => extra,
            _ => Map::new(),
        };
        (id, OpenRow { values, extra })
    };
    Ok(KnownRows { open: open.into_iter().map(row).collect(), newest })
}

async fn store(
    conn: &mut PgConnection,
    account: &str,
    kind: ListKind,
    comparison: &Comparison,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if !comparison.close.is_empty() {
        let close = match kind {
            ListKind::Extensions => sql("update voicenter.extension set valid_to = $3
                 where account = $1 and extension = any ($2) and valid_to is null"),
            ListKind::Queues => sql(
                "update voicenter.queue set valid_to = $3 where account = $1 and queue_id = any ($2) and valid_to is null",
            ),
        };
        let ids: Vec<&String> = comparison.close.iter().collect();
        close.bind(account).bind(ids).bind(at).execute(&mut *conn).await?;
    }
    if !comparison.open.is_empty() {
        let open = match kind {
            ListKind::Extensions => sql(
                "insert into voicenter.extension (account, extension, valid_from, name, speed_dial, department_id,
                                                  department_name, user_name, user_email, extra)
                 select $1, r.id, $3, r.name, r.speed_dial, r.department_id, r.department_name, r.user_name, r.user_email,
                        nullif(r.extra, '{}')
                 from jsonb_to_recordset($2) r (id text, name text, speed_dial text, department_id text,
                                                department_name text, user_name text, user_email text, extra jsonb)",
            ),
            ListKind::Queues => sql(
                "insert into voicenter.queue (account, queue_id, valid_from, name, weight, extra)
                 select $1, r.id, $3, r.name, r.weight, nullif(r.extra, '{}')
                 from jsonb_to_recordset($2) r (id text, name text, weight int, extra jsonb)",
            ),
        };
        let rows: Value = comparison.open.iter().map(as_json).collect();
        open.bind(account).bind(rows).bind(at).execute(&mut *conn).await?;
    }
    if !comparison.extra.is_empty() {
        let change = match kind {
            ListKind::Extensions => {
                sql("update voicenter.extension e set extra = nullif(r.value, '{}') from jsonb_each($2) r
                 where e.account = $1 and e.extension = r.key and e.valid_to is null")
            }
            ListKind::Queues => {
                sql("update voicenter.queue q set extra = nullif(r.value, '{}') from jsonb_each($2) r
                 where q.account = $1 and q.queue_id = r.key and q.valid_to is null")
            }
        };
        let extra: Map<String, Value> =
            comparison.extra.iter().map(|(id, extra)| (id.clone(), Value::Object(extra.clone()))).collect();
        change.bind(account).bind(Value::Object(extra)).execute(conn).await?;
    }
    Ok(())
}

fn as_json(new: &NewRow) -> Value {
    let mut row: Map<String, Value> =
        new.row.values.iter().map(|(column, value)| ((*column).to_owned(), json!(value))).collect();
    row.insert("id".to_owned(), json!(new.id));
    row.insert("extra".to_owned(), Value::Object(new.row.extra.clone()));
    Value::Object(row)
}
