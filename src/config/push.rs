//! `[push]`: the receiver of CDR notifications.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use chrono_tz::Tz;
use ipnet::IpNet;

use super::error::ConfigProblem;
use super::kind;
use super::reader::Section;
use crate::push::{KeyHash, TimeBase};

/// One in use, one that replaces it, and one more for whoever forgets to remove the last.
const MOST_KEYS: usize = 4;

/// The receiver of CDR notifications.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// `push.listen`: where notifications are received; `None` when it is turned off.
    pub listen: Option<SocketAddr>,
    /// `push.keys`: the hashes of the valid keys, at least one where it listens.
    pub keys: Vec<KeyHash>,
    /// `push.allow_from`: the only senders; empty: everybody with a key.
    pub allow_from: Vec<IpNet>,
    /// `push.trusted_proxies`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `push.spool`: where notifications are kept while the database cannot take them.
    pub spool: Option<PathBuf>,
    /// `push.spool_max_bytes`: how much room they may take there.
    pub spool_max_bytes: u64,
    /// `push.keep`: how long the bodies of notifications are kept once they were applied.
    pub keep: TimeDelta,
    /// `push.timezone`: the zone of the wall clock that pushes and CallIDs tell the time by.
    pub timezone: Tz,
    /// `push.time_base`: what their time is counted from; `None` if each record shows it.
    pub time_base: Option<TimeBase>,
    /// `push.confirm_after`: how long the pull has time to bring a pushed record before it is asked for it.
    pub confirm_after: TimeDelta,
}

pub(super) fn read(mut section: Section<'_>) -> Option<PushConfig> {
    let listen = section.value("listen", kind::LISTEN, "");
    let keys = section.unquoted_list("keys", kind::KEY_HASH, &[]);
    let allow_from = section.list("allow_from", kind::NETWORK, &[]);
    let trusted_proxies = section.list("trusted_proxies", kind::NETWORK, &[]);
    let spool = section.optional("spool", kind::DIRECTORY);
    let spool_max_bytes = section.value("spool_max_bytes", kind::SIZE, "256MiB");
    let keep = section.value("keep", kind::DURATION, "30d");
    let timezone = section.value("timezone", kind::TIMEZONE, "Asia/Jerusalem");
    let time_base = section.value("time_base", kind::TIME_BASE, "auto");
    let confirm_after = section.value("confirm_after", kind::DURATION, "2h");
    if let (Some(Some(_)), Some(keys)) = (&listen, &keys) {
        check_number(&mut section, keys.len());
    }
    section.leave();
    Some(PushConfig {
        listen: listen?,
        keys: keys?,
        allow_from: allow_from?,
        trusted_proxies: trusted_proxies?,
        spool,
        spool_max_bytes: spool_max_bytes?,
        keep: keep?,
        timezone: timezone?,
        time_base: time_base?,
        confirm_after: confirm_after?,
    })
}

fn check_number(section: &mut Section<'_>, keys: usize) {
    let key = section.key("keys");
    if keys == 0 {
        let advice = "push.listen needs a key: cdr-sync push key makes one, and its second line belongs here";
        section.problem(ConfigProblem::missing(&key, advice));
    } else if keys > MOST_KEYS {
        let source = Some(section.origin(&key));
        let message = format!("expected at most {MOST_KEYS} keys: remove those that are no longer used");
        section.problem(ConfigProblem { key, value: None, source, message });
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Sources};
    use crate::push::KeyHash;

    fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| (format!("CDR_SYNC__PUSH__{name}"), (*value).to_owned()));
        Config::load(Sources { file: None, env, working_dir: "/nonexistent".into() })
    }

    fn problem(env: &[(&str, &str)]) -> String {
        load(env).unwrap_err().to_string()
    }

    #[test]
    fn it_is_off_unless_configured() {
        let push = load(&[]).unwrap().push;
        assert!(push.listen.is_none() && push.keys.is_empty() && push.spool.is_none());
        assert_eq!((push.spool_max_bytes, push.keep.num_days()), (256 << 20, 30));
    }

    #[test]
    fn keys_are_hashes_separated_by_commas() {
        let hashes = ["old", "new"].map(KeyHash::of);
        let keys = hashes.map(|hash| hash.to_string()).join(", ");
        let push = load(&[("LISTEN", "127.0.0.1:8443"), ("KEYS", &keys)]).unwrap().push;
        assert_eq!(push.keys, hashes);
    }

    #[test]
    fn a_key_in_place_of_its_hash_is_not_repeated() {
        let said = problem(&[("LISTEN", "127.0.0.1:8443"), ("KEYS", "c2VjcmV0")]);
        assert!(
            said.contains("push.keys") && said.contains("sha256:") && !said.contains("c2VjcmV0"),
            "{said}"
        );
        let said = problem(&[("KEY", "c2VjcmV0")]);
        assert!(said.contains("did you mean push.keys?") && !said.contains("c2VjcmV0"), "{said}");
    }

    #[test]
    fn who_listens_needs_a_key_and_not_too_many() {
        let said = problem(&[("LISTEN", "127.0.0.1:8443")]);
        assert!(said.contains("push.keys: not configured") && said.contains("cdr-sync push key"), "{said}");
        let five = vec![KeyHash::of("key").to_string(); 5].join(",");
        let said = problem(&[("LISTEN", "127.0.0.1:8443"), ("KEYS", &five)]);
        assert!(said.contains("at most 4"), "{said}");
    }

    #[test]
    fn networks_and_addresses_are_read_and_names_are_refused() {
        let push = load(&[("ALLOW_FROM", "203.0.113.7/24, 2001:db8::1, 192.0.2.1")]).unwrap().push;
        let written: Vec<String> = push.allow_from.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["203.0.113.0/24", "2001:db8::1/128", "192.0.2.1/32"]);
        for wrong in ["example.com", "203.0.113.0/33", "10"] {
            assert!(problem(&[("TRUSTED_PROXIES", wrong)]).contains("expected a list"), "{wrong}");
        }
        assert!(problem(&[("SPOOL", "spool")]).contains("whole path"));
    }
}
