//! Whether the library that sorts text has changed since the database's indexes were built: an index on text then may miss rows
//! that are there, and a unique key may be stored twice.

use sqlx::FromRow;

use super::{Store, StoreError, sql_as, sql_value};

/// PostgreSQL records the version of a database's collation since this version.
const RECORDED_SINCE: i32 = 150_000;

/// A collation's version that is no longer the one with which the database was built.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CollationChange {
    /// The database's name, quoted for SQL where it must be.
    pub database: String,
    /// The version that the database was created with, or last refreshed to.
    pub recorded: String,
    /// The version that the server's library has now.
    pub present: String,
}

impl Store {
    /// Compares the recorded version of the database's collation with the present one; `None` if they are the same, or none was
    /// recorded (a collation without versions such as C, or a server before PostgreSQL 15).
    pub async fn changed_collation(&self) -> Result<Option<CollationChange>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let version: i32 =
                sql_value("select current_setting('server_version_num')::int").fetch_one(&mut *tx).await?;
            // Older servers have neither the column nor the function.
            let changed = match version >= RECORDED_SINCE {
                true => {
                    let compared = sql_as(
                        "select quote_ident(datname) as database, datcollversion as recorded,
                                pg_database_collation_actual_version(oid) as present
                         from pg_catalog.pg_database
                         where datname = current_database() and datcollversion <> pg_database_collation_actual_version(oid)",
                    );
                    compared.fetch_optional(&mut *tx).await?
                }
                false => None,
            };
            tx.commit().await?;
            Ok(changed)
        })
        .await
    }
}
