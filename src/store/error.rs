//! What can go wrong with the database, and what to do about it.

mod tls;

use thiserror::Error;

/// A failed call to the store. Holds neither a password nor a record's values, also in its `Debug`.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// `database.url` is not a PostgreSQL URL.
    #[error("database.url cannot be read: write it as postgres://user:password@host:port/database")]
    Url,
    /// The database cannot be reached or cannot serve at present: wait, then do the same again.
    #[error("the database is unreachable ({0}): check that it runs and accepts connections")]
    Away(String),
    /// The server answers but does not admit this program: wait, since its administrator may change that.
    #[error("the database does not let cdr-sync in ({reason}): {advice}")]
    NotAdmitted {
        /// The server's own reason: SQLSTATE and message.
        reason: String,
        /// What the operator should change.
        advice: &'static str,
    },
    /// TLS to the database failed, usually because of its certificate: wait, since it may be renewed.
    #[error("TLS to the database failed ({reason}): {advice}")]
    Tls {
        /// What is wrong with TLS or the certificate.
        reason: String,
        /// What the operator should change.
        advice: &'static str,
    },
    /// This database cannot hold the mirror as it is: nothing was changed in it.
    #[error("{what}: {advice}")]
    Environment {
        /// What is in the way.
        what: String,
        /// What the operator should change.
        advice: String,
    },
    /// Another process has taken over the account: stop writing for it.
    #[error("another process leads this account now: stopped writing for it")]
    Fenced,
    /// The database has lost commits that it had acknowledged, as after a failover or a restored backup: plans based on
    /// them are void, and the ledger must be read again.
    #[error("the database has lost its last commits, or was restored: continuing from what it has")]
    CommitsLost,
    /// Stored rows are missing from the table: the ledger no longer counts their days as read.
    #[error("rows were deleted from voicenter.cdr by somebody else: their days are read again")]
    RowsLost,
    /// A statement ran into `statement_timeout`: a smaller batch may finish in time.
    #[error("the database is too slow ({0}): look for slow storage, triggers and locks")]
    TooSlow(String),
    /// PostgreSQL refused values (SQLSTATE class 22, 23 or 54).
    #[error("PostgreSQL refused the data (SQLSTATE {code}): see cdr_sync.rejected, or report this as a bug")]
    Data {
        /// The SQLSTATE, which unlike the message quotes no value.
        code: String,
    },
    /// The schema does not fit this program.
    #[error("migration {name}: {what}")]
    Migration {
        /// The migration's name, such as `0001_schema`.
        name: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// The account was never opened in this database.
    #[error(
        "account {0:?} is not in the ledger: start `cdr-sync run` or `sync` with it in the configuration first"
    )]
    UnknownAccount(String),
    /// Any other refusal: a missing right, a missing table, a bug in this program.
    #[error(
        "PostgreSQL refused a statement ({code}: {message}); to fix a missing right or table, run `cdr-sync check` and \
         `cdr-sync migrate`"
    )]
    Refused {
        /// The SQLSTATE, or `client` when the driver refused.
        code: String,
        /// The message of PostgreSQL or of the driver.
        message: String,
    },
}

impl StoreError {
    /// The server answers but accepts no writes.
    pub(super) fn read_only() -> Self {
        not_admitted("25006", "it is read-only at present", READ_ONLY)
    }

    /// No answer arrived within `patience`.
    pub(crate) fn silent(patience: std::time::Duration) -> Self {
        StoreError::Away(format!("no answer within {} s", patience.as_secs_f32()))
    }

    /// Returns `true` if the same call may succeed later: wait and repeat it.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StoreError::Away(_) | StoreError::NotAdmitted { .. } | StoreError::Tls { .. })
    }

    /// The server would accept another connection, but all that are configured are in use.
    pub(super) fn busy() -> Self {
        StoreError::Away("all connections (database.max_connections) are busy".into())
    }

    /// Returns `true` if the server allows no more connections.
    pub(super) fn is_crowded(&self) -> bool {
        matches!(self, StoreError::NotAdmitted { advice, .. } if *advice == CONNECTIONS)
    }

    /// Returns `true` if the ledger must be loaded again because it is not what the leader knows.
    pub fn is_stale(&self) -> bool {
        matches!(self, StoreError::CommitsLost | StoreError::RowsLost)
    }

    /// Returns `true` if a smaller batch may finish in time.
    pub fn is_too_slow(&self) -> bool {
        matches!(self, StoreError::TooSlow(_))
    }

    /// Returns `true` if a conflict with another transaction ended this one, so that it can be run again at once.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, StoreError::Refused { code, .. } if code == "40001" || code == "40P01")
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let Some(tls) = tls::fault(&error) {
            return tls;
        }
        match error {
            E::Database(fault) => {
                let code = fault.code().unwrap_or_default().into_owned();
                from_sqlstate(code, fault.message())
            }
            E::Io(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::Protocol(_)
            | E::BeginFailed => StoreError::Away(error.to_string()),
            // The driver's messages about encoding and decoding can quote values.
            E::ColumnDecode { source, .. } if source.is::<StoreError>() => {
                source.downcast().map_or_else(|source| StoreError::Away(source.to_string()), |ours| *ours)
            }
            E::Encode(_) | E::Decode(_) | E::ColumnDecode { .. } => StoreError::Refused {
                code: "client".into(),
                message: "a value could not be converted".into(),
            },
            other => StoreError::Refused { code: "client".into(), message: other.to_string() },
        }
    }
}

const LOGIN: &str = "check the user and password in database.url, and pg_hba.conf";
const CONNECTIONS: &str = "raise the limit (alter role ... connection limit, max_connections of the server or pooler), close other \
                           connections, or lower database.max_connections";
pub(super) const READ_ONLY: &str = "point database.url at the primary; if it is not a standby, reset \
                                     default_transaction_read_only of the role or database";
const POOLER: &str =
    "a transaction pooler such as PgBouncer is in front of PostgreSQL: set database.pooler = \"transaction\"";
const POOL_MODE: &str =
    "have the pooler pool by transaction or session, and set database.pooler = \"transaction\"";
/// Messages of PgBouncer under a code that covers any protocol violation, with the advice for each.
const POOLER_TEXTS: [(&str, &str); 3] = [
    ("unsupported startup parameter", POOLER),
    ("statement pooling mode", POOL_MODE),
    ("no more connections allowed", CONNECTIONS),
];

fn not_admitted(code: &str, message: &str, advice: &'static str) -> StoreError {
    StoreError::NotAdmitted { reason: format!("{code}: {message}"), advice }
}

fn from_pooler(code: &str, message: &str) -> Option<StoreError> {
    let said = |text: &str| code == "08P01" && message.contains(text);
    let (_, advice) = POOLER_TEXTS.into_iter().find(|(text, _)| said(text))?;
    Some(not_admitted(code, message, advice))
}

/// Sorts PostgreSQL's error codes (appendix A of its manual) by what they call for.
fn from_sqlstate(code: String, message: &str) -> StoreError {
    if let Some(pooler) = from_pooler(&code, message) {
        return pooler;
    }
    let class = code.get(..2).unwrap_or_default();
    match class {
        // These messages quote the value, which may be a phone number, so only the code is kept.
        "22" | "23" | "54" => StoreError::Data { code },
        "28" => not_admitted(&code, message, LOGIN),
        _ if code == "3D000" => {
            not_admitted(&code, message, "create the database, or check its name in database.url")
        }
        _ if code == "53300" => not_admitted(&code, message, CONNECTIONS),
        _ if code == "25006" => not_admitted(&code, message, READ_ONLY),
        "57" if code == "57014" => StoreError::TooSlow(format!("{code}: {message}")),
        // Connection errors, exhausted resources, an operator's shutdown, system errors, a lock timeout, an idle
        // transaction ended.
        "08" | "53" | "57" | "58" => StoreError::Away(format!("{code}: {message}")),
        _ if matches!(code.as_str(), "55P03" | "25P03" | "25P04") => {
            StoreError::Away(format!("{code}: {message}"))
        }
        _ => StoreError::Refused { code, message: message.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_sorted_by_what_they_call_for() {
        assert!(from_sqlstate("57P01".into(), "terminating").is_unavailable());
        assert!(from_sqlstate("55P03".into(), "lock timeout").is_unavailable());
        assert!(from_sqlstate("53300".into(), "too many connections").is_unavailable());
        assert!(from_sqlstate("40P01".into(), "deadlock").is_conflict());
        assert!(!from_sqlstate("42P01".into(), "no table").is_unavailable());
    }

    #[test]
    fn who_is_not_let_in_waits_and_says_why() {
        for (code, message, advice) in [
            ("28P01", "password authentication failed", "password"),
            ("28000", "no pg_hba.conf entry", "pg_hba.conf"),
            ("3D000", "database \"calls\" does not exist", "create the database"),
            ("53300", "too many connections for role \"cdr\"", "database.max_connections"),
            ("25006", "cannot execute INSERT in a read-only transaction", "primary"),
            (
                "08P01",
                "unsupported startup parameter: extra_float_digits",
                "database.pooler = \"transaction\"",
            ),
        ] {
            let error = from_sqlstate(code.into(), message);
            assert!(error.is_unavailable(), "{code}");
            let text = error.to_string();
            assert!(text.contains(message) && text.contains(advice), "{text}");
        }
    }

    #[test]
    fn a_refused_value_is_not_quoted() {
        let error = from_sqlstate("22P02".into(), "invalid input syntax for type integer: \"0501234567\"");
        assert!(!format!("{error} {error:?}").contains("0501234567"));
        assert_eq!(error, StoreError::Data { code: "22P02".into() });
    }
}
