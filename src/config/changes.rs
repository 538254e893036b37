//! Compares a configuration with one that was read later.

use std::collections::BTreeSet;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{AccountConfig, Config, Credential, layer};

/// Keys that need a restart: addresses are bound and the log's format chosen at the start.
const AT_START: [&str; 4] = ["http.listen", "log.format", "log.level", "push.listen"];

impl Config {
    /// The keys whose values differ in `new`, by name.
    pub(crate) fn changed_keys(&self, new: &Config) -> BTreeSet<String> {
        let values = |config: &Config| -> BTreeSet<(String, Option<String>)> {
            config.effective.iter().map(|value| (value.key.clone(), value.toml.clone())).collect()
        };
        let mut changed: BTreeSet<String> =
            values(self).symmetric_difference(&values(new)).map(|(key, _)| key.clone()).collect();
        changed.extend(self.changed_secrets(new));
        changed
    }

    /// The same for secrets, which are masked and cannot be compared by what is shown.
    pub(crate) fn changed_secrets(&self, new: &Config) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        let url = |config: &Config| config.database.url.as_ref().map(|url| url.expose_secret().to_owned());
        if url(self) != url(new) {
            changed.insert("database.url".to_owned());
        }
        type Address = fn(&Config) -> Option<&SecretString>;
        let notify: [(&str, Address); 2] = [
            ("notify.webhook", |config| config.notify.webhook.as_ref()),
            ("notify.smtp", |config| config.notify.mail.as_ref().map(|mail| &mail.server)),
        ];
        for (key, address) in notify {
            let text = |config| address(config).map(|secret| secret.expose_secret().to_owned());
            if text(self) != text(new) {
                changed.insert(key.to_owned());
            }
        }
        for (index, (old, new)) in self.accounts.iter().zip(&new.accounts).enumerate() {
            let (key, old, new) = match (&old.credential, &new.credential) {
                (Credential::Code(old), Credential::Code(new)) => ("code", old, new),
                (Credential::Token(old), Credential::Token(new)) => ("token", old, new),
                (Credential::Code(old), Credential::Token(new)) => ("token", old, new),
                (Credential::Token(old), Credential::Code(new)) => ("code", old, new),
            };
            if old.expose_secret() != new.expose_secret() {
                changed.insert(format!("accounts[{index}].{key}"));
            }
        }
        for (index, (old, new)) in self.accounts.iter().zip(&new.accounts).enumerate() {
            let token = |account: &AccountConfig| {
                account.ai_token.as_ref().map(|token| token.expose_secret().to_owned())
            };
            if token(old) != token(new) {
                changed.insert(format!("accounts[{index}].ai_token"));
            }
        }
        changed
    }

    /// Those of `keys` that need a restart.
    pub(crate) fn needing_restart(keys: &BTreeSet<String>) -> Vec<&str> {
        AT_START.into_iter().filter(|key| keys.contains(*key)).collect()
    }

    /// The files that secrets were read from.
    pub(crate) fn secret_files(&self) -> BTreeSet<PathBuf> {
        let named = |origin: &str| layer::secret_file_of(origin).map(PathBuf::from);
        self.effective.iter().filter_map(|value| named(&value.origin)).collect()
    }
}
