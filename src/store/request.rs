//! Work requested from the leader, by a command or by a line of SQL.

use chrono::{DateTime, Utc};

use sqlx::FromRow;
use sqlx::postgres::types::PgRange;

use super::{Store, StoreError, span, sql, sql_as, sql_value};
use crate::window::Window;

/// Work that is waiting or running.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct WorkRequest {
    /// The request's id in `cdr_sync.request`.
    pub id: i64,
    /// The span to be read again.
    #[sqlx(rename = "span", try_from = "PgRange<DateTime<Utc>>")]
    pub window: Window,
    /// Why it was requested, for people.
    pub reason: String,
}

/// The state of a work request.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct WorkRequestState {
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// Share of the work done, from 0 to 1.
    pub progress: f32,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Store {
    /// Asks the leader to read `window` again. Returns the request's id.
    pub async fn ask(&self, account: &str, window: Window, reason: &str) -> Result<i64, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let id: i64 = sql_value(
                "insert into cdr_sync.request (account, span, reason) values ($1, $2, $3) returning id",
            )
            .bind(account)
            .bind(span(window))
            .bind(reason)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// The account's requests that are not finished, oldest first.
    pub async fn open_requests(&self, account: &str) -> Result<Vec<WorkRequest>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let requests = sql_as(
                "select id, span, reason from cdr_sync.request
             where account = $1 and state in ('waiting', 'running') order by id",
            )
            .bind(account)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(requests)
        })
        .await
    }

    /// Updates a request's state, progress and error: `state` as in [`WorkRequestState`].
    pub async fn set_request(
        &self,
        id: i64,
        state: &WorkRequestState,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("update cdr_sync.request
             set state = $2, progress = $3, error = $4, started_at = coalesce(started_at, $5),
                 finished_at = case when $2 in ('done', 'failed') then $5 end
             where id = $1")
            .bind(id)
            .bind(&state.state)
            .bind(state.progress.clamp(0.0, 1.0))
            .bind(&state.error)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// The state of a request; `None` if there is none with this id.
    pub async fn request_state(&self, id: i64) -> Result<Option<WorkRequestState>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let state = sql_as("select state, progress, error from cdr_sync.request where id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(state)
        })
        .await
    }
}
