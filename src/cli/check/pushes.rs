//! `check` of what the receiver of CDR notifications got.

use chrono::{DateTime, Utc};

use super::Findings;
use crate::cli::pushes::in_words;
use crate::health::push_problems;
use crate::store::push_figures::{PushFigures, PushOverview};
use crate::store::{Store, StoreError};

/// Says how the notifications of an account fare, and what is wrong with them.
pub(super) async fn check(account: &str, store: &Store, now: DateTime<Utc>, findings: &mut Findings) {
    match found(account, store, now).await {
        Ok(Some((pushes, figures))) => {
            findings.good(&format!("account {account}: {}", in_words(&pushes, &figures, now)));
            for problem in push_problems(&pushes, now) {
                findings.warn(&format!("account {account}: {}", problem.text), &problem.advice);
            }
        }
        Ok(None) => {
            let advice = "enter https://ADDRESS/push/ACCOUNT/KEY in Voicenter's cPanel, under Integrations → CDR Notification, as POST-JSON";
            findings.warn(&format!("account {account}: no CDR notification has come yet"), advice);
        }
        Err(error) => {
            let line = format!("account {account}: how CDR notifications fare could not be read: {error}");
            findings.warn(&line, "if it lasts, the database is too slow, or the role lacks rights");
        }
    }
}

async fn found(
    account: &str,
    store: &Store,
    now: DateTime<Utc>,
) -> Result<Option<(PushOverview, PushFigures)>, StoreError> {
    let Some(pushes) = store.push_overview(&[account.to_owned()]).await?.pop() else { return Ok(None) };
    Ok(Some((pushes, store.push_figures(account, now).await?)))
}
