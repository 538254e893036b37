//! `[recording]`: where links to recordings may lead.

use super::kind;
use super::reader::Section;

/// Where links to recordings may lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// `recording.hosts`: hosts besides those of Voicenter and S3, in lower case; `*.` before a name means every host below it.
    pub hosts: Vec<String>,
}

pub(super) fn read(mut section: Section<'_>) -> Option<RecordingConfig> {
    let hosts = section.list("hosts", kind::HOSTS, &[]);
    section.leave();
    Some(RecordingConfig { hosts: hosts? })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Sources};

    fn hosts(value: &str) -> Result<Vec<String>, ConfigError> {
        let env = [("CDR_SYNC__RECORDING__HOSTS".to_owned(), value.to_owned())];
        let config = Config::load(Sources { file: None, env, working_dir: "/nonexistent".into() });
        config.map(|config| config.recording.hosts)
    }

    #[test]
    fn hosts_are_names_and_may_stand_for_all_below_them() {
        assert_eq!(hosts("").unwrap(), [""; 0]);
        let read = hosts("Recordings.example.com, *.example.org, 10.0.0.7").unwrap();
        assert_eq!(read, ["recordings.example.com", "*.example.org", "10.0.0.7"]);
        for wrong in ["*", "*.", "*.com", "https://example.com", "a*.example.com", "example.com:443"] {
            let said = hosts(wrong).unwrap_err().to_string();
            assert!(said.contains("recording.hosts") && said.contains("*.example.org"), "{wrong}: {said}");
        }
    }
}
