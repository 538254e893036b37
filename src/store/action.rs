//! What operators do to accounts, written down with whoever does it.

use sqlx::PgConnection;

use super::lease::host_name;
use super::{Store, StoreError, sql};

/// A kind of action, as `cdr_sync.action` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionKind {
    Pause,
    Resume,
    Rename,
    Forget,
    Acknowledge,
    ReadAgain,
    ForgetCall,
    ForgetNumber,
}

impl ActionKind {
    const fn as_str(self) -> &'static str {
        match self {
            ActionKind::Pause => "pause",
            ActionKind::Resume => "resume",
            ActionKind::Rename => "rename",
            ActionKind::Forget => "forget",
            ActionKind::Acknowledge => "acknowledge",
            ActionKind::ReadAgain => "read again",
            ActionKind::ForgetCall => "forget call",
            ActionKind::ForgetNumber => "forget number",
        }
    }
}

impl Store {
    /// Writes down what somebody does with this program to an account.
    pub(crate) async fn note_action(
        &self,
        account: &str,
        kind: ActionKind,
        detail: &str,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            note(&mut tx, account, kind, Some(detail)).await?;
            tx.commit().await
        })
        .await
    }
}

pub(super) async fn note(
    conn: &mut PgConnection,
    account: &str,
    kind: ActionKind,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    sql("insert into cdr_sync.action (account, what, detail, by_whom) values ($1, $2, $3, $4)")
        .bind(account)
        .bind(kind.as_str())
        .bind(detail.map(storable))
        .bind(operator())
        .execute(conn)
        .await?;
    Ok(())
}

/// PostgreSQL's text cannot hold NUL, and nobody reads pages of it.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}").chars().take(1_000).collect()
}

/// Who runs this program: user and host. With sudo, whoever ran that.
pub(super) fn operator() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let user = user.unwrap_or_else(|| format!("user {uid}"));
    let user = match std::env::var("SUDO_USER") {
        Ok(before) if uid.is_root() && !before.is_empty() => before,
        _ => user,
    };
    storable(&format!("{user} on {}", host_name()))
}
