//! `check` of what the receiver of CDR notifications got.

use chrono::{DateTime, Utc};

use super::{CliError, Findings};
use crate::cli::pushes::in_words;
use crate::health::push_problems;
use crate::store::Store;

/// Says how the notifications of an account fare, and what is wrong with them.
pub(super) async fn check(
    account: &str,
    store: &Store,
    now: DateTime<Utc>,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let known = store.push_overview(&[account.to_owned()]).await?;
    let Some(pushes) = known.first() else {
        let advice = "enter https://ADDRESS/push/ACCOUNT/KEY in Voicenter's cPanel, under Integrations → CDR Notification, as POST-JSON";
        findings.warn(&format!("account {account}: no CDR notification has come yet"), advice);
        return Ok(());
    };
    let figures = store.push_figures(account, now).await?;
    findings.good(&format!("account {account}: {}", in_words(pushes, &figures, now)));
    for problem in push_problems(pushes, now) {
        findings.warn(&format!("account {account}: {}", problem.text), &problem.advice);
    }
    Ok(())
}
