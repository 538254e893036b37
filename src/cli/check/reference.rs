//! `check` of the lists of reference data.

use super::{CliError, Findings};
use crate::config::{AccountConfig, Config};
use crate::setup::{self, SetupError};

/// Tries each list that is configured. What is wrong with one is to be considered, but keeps no call from being stored.
pub(super) async fn lists(
    config: &Config,
    account: &AccountConfig,
    findings: &mut Findings,
) -> Result<(), CliError> {
    for (kind, client) in
        setup::list_clients(config, account, &setup::list_resources()).map_err(SetupError::from)?
    {
        let (name, list, key) = (&account.name, kind.as_str(), kind.url_key());
        match client.list(kind).await {
            Ok(found) if found.entries.is_empty() => {
                let advice = format!(
                    "a wrong code is answered like this; if the account has none, turn this list off: {key} = \"\""
                );
                findings.warn(&format!("account {name}: the list of {list} is empty"), &advice);
            }
            Ok(found) if found.unusable > 0 => {
                let line = format!(
                    "account {name}: {} {list} are listed, and {} entries without an id",
                    found.entries.len(),
                    found.unusable
                );
                findings.warn(&line, "as long as there are such entries, no row is closed");
            }
            Ok(found) => findings.good(&format!("account {name}: {} {list} are listed", found.entries.len())),
            Err(error) => {
                findings.warn(&format!("account {name}: no list of {list}: {error}"), error.advice());
            }
        }
    }
    Ok(())
}
