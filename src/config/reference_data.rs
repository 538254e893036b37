//! `[reference]`: lists of extensions and queues.

use std::time::Duration;

use url::Url;

use super::error::ConfigProblem;
use super::kind;
use super::reader::Section;
use crate::reference::ListKind;

/// More often than this is no use: the vendor asks to keep lists for 15 to 30 minutes.
const MOST_OFTEN: Duration = Duration::from_secs(60);

/// Lists of extensions and queues.
#[derive(Clone, Debug)]
pub struct ReferenceConfig {
    /// `reference.enabled`: `true` if the lists are read.
    pub enabled: bool,
    /// `reference.extensions_url`; `None` if that list is turned off.
    pub extensions_url: Option<Url>,
    /// `reference.queues_url`; `None` if that list is turned off.
    pub queues_url: Option<Url>,
    /// `reference.every`: the time between two requests for a list.
    pub every: Duration,
}

impl ReferenceConfig {
    /// The lists that are read, and their addresses.
    pub fn lists(&self) -> impl Iterator<Item = (ListKind, &Url)> {
        let urls = [(ListKind::Extensions, &self.extensions_url), (ListKind::Queues, &self.queues_url)];
        let enabled = self.enabled;
        urls.into_iter().filter_map(move |(kind, url)| Some((kind, url.as_ref().filter(|_| enabled)?)))
    }
}

pub(super) fn read(mut section: Section<'_>) -> Option<ReferenceConfig> {
    let enabled = section.value("enabled", kind::BOOLEAN, "false");
    let extensions_url = section.value(
        "extensions_url",
        kind::URL_OR_NOTHING,
        "https://monitor.voicenter.co.il/Comet/api/GetExtensions",
    );
    let queues_url = section.value(
        "queues_url",
        kind::URL_OR_NOTHING,
        "https://monapisec.voicenter.co.il/comet/API/GetQueuesCallers",
    );
    let every = section.value("every", kind::WAIT, "30m");
    if let Some(every) = every.filter(|every| *every < MOST_OFTEN) {
        let key = section.key("every");
        let source = Some(section.origin(&key));
        let message = "expected at least 1m: lists change seldom".to_owned();
        section.problem(ConfigProblem { key, value: Some(format!("{}s", every.as_secs())), source, message });
    }
    section.leave();
    Some(ReferenceConfig {
        enabled: enabled?,
        extensions_url: extensions_url?,
        queues_url: queues_url?,
        every: every?,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Sources};
    use crate::reference::ListKind;

    fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env =
            env.iter().map(|(name, value)| (format!("CDR_SYNC__REFERENCE__{name}"), (*value).to_owned()));
        Config::load(Sources { file: None, env, working_dir: "/nonexistent".into() })
    }

    #[test]
    fn it_is_off_unless_enabled() {
        let reference = load(&[]).unwrap().reference;
        assert_eq!(reference.lists().count(), 0);
        assert_eq!(reference.every.as_secs(), 1800);
        let reference = load(&[("ENABLED", "true")]).unwrap().reference;
        let hosts: Vec<_> = reference.lists().map(|(kind, url)| (kind, url.host_str().unwrap())).collect();
        assert_eq!(
            hosts,
            [
                (ListKind::Extensions, "monitor.voicenter.co.il"),
                (ListKind::Queues, "monapisec.voicenter.co.il")
            ]
        );
    }

    #[test]
    fn each_list_can_be_turned_off() {
        let reference = load(&[("ENABLED", "true"), ("QUEUES_URL", "")]).unwrap().reference;
        assert_eq!(reference.lists().map(|(kind, _)| kind).collect::<Vec<_>>(), [ListKind::Extensions]);
    }

    #[test]
    fn a_code_does_not_belong_into_an_address_nor_is_a_list_read_all_the_time() {
        let said = load(&[("EXTENSIONS_URL", "https://x.example/?code=secret")]).unwrap_err().to_string();
        assert!(said.contains("reference.extensions_url") && said.contains("without user"), "{said}");
        let said = load(&[("EVERY", "10s")]).unwrap_err().to_string();
        assert!(said.contains("reference.every") && said.contains("at least 1m"), "{said}");
    }
}
