//! `[ai]`: analyses that are asked for call by call.

use chrono::TimeDelta;
use url::Url;

use super::error::ConfigProblem;
use super::kind;
use super::reader::Section;
use crate::call_history::HistoryRules;

/// More than anybody has.
const MOST_REQUESTS: u32 = 100_000;

/// Analyses that are asked for call by call, with the token of each account (`accounts.ai_token`).
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `ai.url`: the address of GetCallHistory, without a CallID.
    pub url: Url,
    /// `ai.requests_per_week`: the most requests of an account in a week.
    pub requests_per_week: u32,
    /// `ai.after`: how long a notification has time to bring it.
    pub after: TimeDelta,
    /// `ai.back`: older calls are not asked for.
    pub back: TimeDelta,
    /// `ai.min_seconds`: shorter calls are not asked for, where the call log does not say whether there is an analysis.
    pub min_seconds: u32,
}

impl AiConfig {
    /// Which calls are asked for.
    pub(crate) fn rules(&self) -> HistoryRules {
        let min_seconds = i32::try_from(self.min_seconds).unwrap_or(i32::MAX);
        HistoryRules { after: self.after, back: self.back, min_seconds }
    }
}

pub(super) fn read(mut section: Section<'_>) -> Option<AiConfig> {
    let url = section.value("url", kind::URL, "https://api-manager.voicenter.co/api-manager-v1/Call/History");
    let requests_per_week = section.value("requests_per_week", kind::POSITIVE, "300");
    let after = section.value("after", kind::DURATION, "6h");
    let back = section.value("back", kind::DURATION, "7d");
    let min_seconds = section.value("min_seconds", kind::POSITIVE, "30");
    let mut refuse = |name: &str, value: String, message: &str| {
        let key = section.key(name);
        let source = Some(section.origin(&key));
        section.problem(ConfigProblem { key, value: Some(value), source, message: message.to_owned() });
    };
    if let Some(most) = requests_per_week.filter(|most| *most > MOST_REQUESTS) {
        refuse("requests_per_week", most.to_string(), "expected at most 100000");
    }
    if let (Some(after), Some(back)) = (after, back)
        && after >= back
    {
        let message = "expected more than ai.after: no call would ever be asked for";
        refuse("back", format!("{}s", back.num_seconds()), message);
    }
    section.leave();
    Some(AiConfig {
        url: url?,
        requests_per_week: requests_per_week?,
        after: after?,
        back: back?,
        min_seconds: min_seconds?,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Sources};

    fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| (format!("CDR_SYNC__{name}"), (*value).to_owned()));
        Config::load(Sources { file: None, env, working_dir: "/nonexistent".into() })
    }

    #[test]
    fn an_account_asks_if_it_has_a_token_for_it() {
        let config =
            load(&[("ACCOUNTS__0__CODE", "c"), ("ACCOUNTS__0__AI_TOKEN", "a very secret token")]).unwrap();
        assert!(config.accounts[0].ai_token.is_some());
        assert_eq!((config.ai.requests_per_week, config.ai.after.num_hours()), (300, 6));
        assert!(!format!("{config:?}{}", config.masked_toml()).contains("very secret"));
        assert!(load(&[("ACCOUNTS__0__CODE", "c")]).unwrap().accounts[0].ai_token.is_none());
    }

    #[test]
    fn what_would_ask_for_nothing_or_for_everything_is_refused() {
        let said = |name, value| load(&[(name, value)]).unwrap_err().to_string();
        assert!(said("AI__BACK", "1h").contains("ai.back") && said("AI__BACK", "1h").contains("ai.after"));
        assert!(said("AI__REQUESTS_PER_WEEK", "100001").contains("at most 100000"));
        assert!(said("AI__REQUESTS_PER_WEEK", "0").contains("ai.requests_per_week"));
    }
}
