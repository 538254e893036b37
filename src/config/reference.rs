//! The reference of every key of the configuration: `cdr-sync config --reference`, which docs/configuration.md holds.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::reader::{Effective, variable_of};
use super::{Config, ConfigError, Sources};

/// Every key: how its value is written, and what it does. Defaults are not here: they are the code's own.
const KEYS: [(&str, &str, &str); 72] = [
    (
        "database.url",
        "address",
        "The database: `postgres://user:password@host/database`. A secret; PostgreSQL 13 or newer, UTF8.",
    ),
    ("database.max_connections", "number", "The most connections that syncing uses at any time."),
    (
        "database.pooler",
        "`none`, `transaction`",
        "`transaction` behind a transaction pooler such as PgBouncer.",
    ),
    ("api.url", "address", "The API, for accounts without their own."),
    ("api.method", "`post`, `get`", "`get` sends all parameters in the query of the address."),
    (
        "api.timezone",
        "time zone",
        "The zone of dates without one, in answers and in requests. An account stops if what the API sends contradicts it.",
    ),
    ("api.granularity", "`1s`, `1m`", "With `1m`, dates are sent without seconds."),
    (
        "api.record_limit",
        "number",
        "An answer with this many records counts as cut. A lower limit of the server is noticed.",
    ),
    (
        "api.requests_per_minute",
        "number",
        "The most requests with one credential in any 60 seconds, `burst` included, of all processes on one database.",
    ),
    ("api.burst", "number", "How many requests may be sent at once."),
    ("api.timeout", "duration", "The longest time for one request."),
    ("api.max_response_bytes", "size", "The window of a larger answer is split."),
    ("api.backoff_min", "duration", "The first wait after a failure …"),
    ("api.backoff_max", "duration", "… and the longest, after repeated ones."),
    ("sync.poll_interval", "duration", "The time between polls for the newest calls."),
    (
        "sync.start",
        "time",
        "How far back history is filled; without it, 30 days before the first start, which the database then remembers.",
    ),
    (
        "sync.lookback",
        "duration",
        "Every instant younger than this is read again at least every 10 minutes, the newest 15 minutes at every poll.",
    ),
    ("sync.reconcile", "list of durations", "The ages at which every stretch is read again in full."),
    (
        "sync.removal_after",
        "duration",
        "A record counts as removed when it is missing from two complete reads at least this far apart.",
    ),
    ("sync.max_window", "duration", "The longest span of one request."),
    ("sync.min_window", "duration", "The shortest span of one request; `1m` if that is the granularity."),
    (
        "sync.ignored_changes",
        "list of texts",
        "Fields, by their names in the API, whose changes alone do not cause a row to be written again.",
    ),
    (
        "sync.history",
        "`true`, `false`",
        "Whether replaced versions of rows are kept in `voicenter.cdr_history`.",
    ),
    (
        "reporting.timezone",
        "time zone",
        "The zone of the days and hours in the reader tables, for accounts without their own.",
    ),
    (
        "reporting.country",
        "two letters",
        "The country (ISO 3166) of phone numbers that name none, for accounts without their own.",
    ),
    (
        "retention.calls",
        "duration",
        "How long calls are kept; without it, for ever. Older ones are deleted with all that is made of them, and not asked for.",
    ),
    ("retention.history", "duration", "How long replaced versions of rows are kept; without it, for ever."),
    (
        "http.listen",
        "address and port",
        "Where page, metrics and probes are served; nothing (`\"\"`) turns them off. In the image `0.0.0.0:8080`.",
    ),
    (
        "http.hosts",
        "list of names",
        "Names by which the page may be addressed, besides IP addresses and `localhost`.",
    ),
    (
        "notify.webhook",
        "address",
        "Where notices of trouble and of its end are posted to: `https://…`. A secret.",
    ),
    (
        "notify.webhook_form",
        "`json`, `text`, `teams`",
        "What is posted: every detail for programs; `{\"text\": …}` for Slack, Mattermost and Google Chat; a card for Microsoft Teams.",
    ),
    (
        "notify.smtp",
        "address",
        "The mail server: `smtps://user:password@host`, or `smtp://user:password@host:587` with STARTTLS (`?tls=none` for one without encryption: on this host, or without a password). A secret.",
    ),
    ("notify.mail_from", "mail address", "The sender of notices."),
    ("notify.mail_to", "list of mail addresses", "Who gets notices."),
    (
        "notify.after",
        "duration",
        "How long trouble must last before anybody is told, and be over before that is told.",
    ),
    ("notify.repeat", "duration", "Trouble that lasts is told again after this time; without it, once."),
    (
        "push.listen",
        "address and port",
        "Where CDR notifications are received, at `/push/ACCOUNT/KEY`; nothing (`\"\"`): nowhere. A change needs a restart.",
    ),
    (
        "push.keys",
        "list of hashes",
        "The valid keys, each as `sha256:…`, the second line of `cdr-sync push key`. Several during a rotation, at most 4.",
    ),
    (
        "push.allow_from",
        "list of networks",
        "The only addresses that may send, as `203.0.113.0/24` or one address; empty: whoever has a key.",
    ),
    (
        "push.trusted_proxies",
        "list of networks",
        "Proxies whose `X-Forwarded-For` is believed: the last address in it that is none of theirs is the sender's.",
    ),
    (
        "push.spool",
        "directory",
        "Where notifications are kept while the database cannot take them; without it, Voicenter is asked to repeat them.",
    ),
    ("push.spool_max_bytes", "size", "How much room they may take there."),
    (
        "push.keep",
        "duration",
        "How long the bodies of notifications are kept once they were applied; until then they are never deleted.",
    ),
    (
        "push.timezone",
        "time zone",
        "The zone of the wall clock by which notifications and CallIDs tell the time.",
    ),
    (
        "push.time_base",
        "`auto`, `local`, `utc`",
        "What `time` in notifications is counted from: the wall clock written as if it were UTC, or the epoch. `auto`: each record shows it. It matters only until the pull brings the record.",
    ),
    (
        "push.confirm_after",
        "duration",
        "How long the pull has time to bring a record that was pushed, before it is asked for it by CallID; then once more after a day.",
    ),
    (
        "recording.hosts",
        "list of names",
        "Hosts that links to recordings may lead to, besides those of Voicenter and S3; `*.example.org` for every host below it. These may have private addresses and any port.",
    ),
    (
        "reference.enabled",
        "`true`, `false`",
        "Whether the lists of extensions (with departments, users and their e-mail addresses) and queues are read into `voicenter.extension` and `voicenter.queue`.",
    ),
    ("reference.extensions_url", "address", "Where extensions are listed; nothing (`\"\"`): nowhere."),
    ("reference.queues_url", "address", "Where queues are listed; nothing (`\"\"`): nowhere."),
    (
        "reference.every",
        "duration",
        "The time between two requests for a list, at least `1m`. They do not count towards `api.requests_per_minute`.",
    ),
    (
        "ai.url",
        "address",
        "Where the analysis of a call is asked for, for accounts with `accounts.ai_token`.",
    ),
    (
        "ai.requests_per_week",
        "number",
        "The most of these requests for an account in a week. Voicenter rations them, 400 a week at one customer; what you leave is for others who ask with the token.",
    ),
    (
        "ai.after",
        "duration",
        "How long a notification has time to bring the analysis before it is asked for.",
    ),
    ("ai.back", "duration", "Calls that began longer ago are not asked for."),
    (
        "ai.min_seconds",
        "number",
        "Where the call log does not say whether a call has an analysis (`AiExists`): answered calls of this many seconds and more are asked for.",
    ),
    (
        "log.format",
        "`json`, `pretty`",
        "The form of log lines; without it, `pretty` on a terminal and `json` elsewhere.",
    ),
    (
        "log.level",
        "level",
        "`off`, `error`, `warn`, `info`, `debug` or `trace`; levels for parts may follow: `info,cdr_sync=debug`. `RUST_LOG` wins, then `-v` and `-q`.",
    ),
    (
        "accounts.name",
        "text",
        "The account's name: the column `account` of every row. Needed if there are several.",
    ),
    ("accounts.code", "text", "The credential: a code …"),
    ("accounts.token", "text", "… or a bearer token. Secrets; an account has one of the two."),
    (
        "accounts.ai_token",
        "text",
        "A secret: the bearer token of GetCallHistory. With it, analyses of calls whose notification did not bring one are asked for.",
    ),
    ("accounts.url", "address", "Instead of `api.url`."),
    ("accounts.timezone", "time zone", "Instead of `api.timezone`."),
    ("accounts.reporting_timezone", "time zone", "Instead of `reporting.timezone`."),
    ("accounts.reporting_country", "two letters", "Instead of `reporting.country`."),
    ("accounts.start", "time", "Instead of `sync.start`."),
    ("accounts.phones", "list of texts", "Only calls of these phone numbers, with country code; empty: all."),
    ("accounts.extensions", "list of texts", "Only calls of these extensions (SIP names); empty: all."),
    (
        "accounts.identity_criteria",
        "`Account`, `Hierarchical`, `Department`, `User`",
        "Whose calls are asked for; without it, the API decides.",
    ),
    ("accounts.cdr_types", "list of numbers", "Only these types of CDR; empty: all."),
    ("accounts.requests_per_minute", "number", "Instead of `api.requests_per_minute`."),
];

const HEAD: &str = "\
# Configuration

Every key, as `cdr-sync config --reference` prints it; `cdr-sync config` prints the values in effect and where each comes from.
[config/example.toml](../config/example.toml) is a file to start from.

Layers, later ones win: these defaults, `config/default.toml` in the working directory, the file named by `--config` or
`CDR_SYNC_CONFIG`, the environment. Each key has a variable. For a single account there are short ones:
`DATABASE_URL`, `VOICENTER_CODE`, `VOICENTER_TOKEN`, `VOICENTER_AI_TOKEN`, `VOICENTER_URL`. Any secret can stand in a file of its own: add `_FILE` to its
variable, or `_file` to its key (`code_file = \"/run/secrets/code\"`); a changed file is noticed within 30 seconds.

| written as | for example |
|---|---|
| duration | `30s`, `15m`, `3h`, `7d` |
| time | `2026-11-01` (midnight UTC), `2026-11-01T08:00:00+02:00` |
| time zone | an IANA name: `Asia/Jerusalem` |
| size | `256MiB` |
| list | in a file `[\"a\", \"b\"]`, in a variable `a,b` |
";

/// The reference in Markdown.
///
/// # Errors
/// If the built-in defaults are not valid, which a test rules out.
pub fn reference() -> Result<String, ConfigError> {
    let mut text = HEAD.to_owned();
    let mut table = String::new();
    for (key, default) in defaults()? {
        let (path, name) = key.rsplit_once('.').unwrap_or_default();
        if path != table {
            path.clone_into(&mut table);
            let heading = match path.split_once('[') {
                Some((array, _)) => format!("[[{array}]]"),
                None => format!("[{path}]"),
            };
            let _ = write!(
                text,
                "\n## {heading}\n\n| key | default | value | meaning | variable |\n|---|---|---|---|---|\n"
            );
        }
        let (value, meaning) = explained(&key).unwrap_or_default();
        let default = default.map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(text, "| `{name}` | {default} | {value} | {meaning} | `{}` |", variable_of(&key));
    }
    Ok(text)
}

fn explained(key: &str) -> Option<(&'static str, &'static str)> {
    let key = key.replace("[0]", "");
    KEYS.iter().find(|(known, ..)| *known == key).map(|(_, value, meaning)| (*value, *meaning))
}

/// Every key with its built-in default in TOML, of a configuration that sets nothing but what it must.
fn defaults() -> Result<Vec<(String, Option<String>)>, ConfigError> {
    let code = ("VOICENTER_CODE".to_owned(), "code".to_owned());
    // No file can be there.
    let nowhere = PathBuf::from("/dev/null");
    let config = Config::load(Sources { file: None, env: vec![code], working_dir: nowhere })?;
    let set = |value: &Effective| (value.origin == "default").then(|| value.toml.clone()).flatten();
    Ok(config.effective().iter().map(|value| (value.key.clone(), set(value))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_explained_and_nothing_else() {
        let keys: BTreeSet<String> =
            defaults().unwrap().into_iter().map(|(key, _)| key.replace("[0]", "")).collect();
        let explained: BTreeSet<String> = KEYS.iter().map(|(key, ..)| (*key).to_owned()).collect();
        assert_eq!(keys, explained);
        assert_eq!(KEYS.len(), explained.len());
    }
}
