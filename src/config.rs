//! The configuration: the meaning of every key, and the source of its value.
//!
//! Layers, later wins: built-in defaults, `config/default.toml`, the file named by `--config` or
//! `CDR_SYNC_CONFIG`, environment. All problems are reported at once, each with its key, value, source and what to do.

mod account;
mod ai;
mod changes;
mod database_url;
mod error;
mod kind;
mod layer;
mod lines;
mod notify;
mod push;
mod reader;
mod recording;
mod reference;
mod reference_data;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use account::AccountConfig;
pub use ai::AiConfig;
pub use error::{ConfigError, ConfigProblem};
pub use notify::{MailConfig, NotifyConfig, WebhookForm};
pub use push::PushConfig;
pub use reader::Effective;
pub use recording::RecordingConfig;
pub use reference::reference;
pub use reference_data::ReferenceConfig;

pub use crate::phone_number::Country;
pub use crate::plan::ledger::HistoryStart;
pub use crate::store::Pooler;
pub use crate::voicenter::{Credential, IdentityCriteria, Method};

use reader::{Reader, Section};

/// The vendor's current address of the API (docs/voicenter-api.md#generations).
pub const CURRENT_API_URL: &str = "https://api.voicenter.com/hub/cdr/";

/// The whole configuration, after all checks.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database to write to (`[database]`).
    pub database: DatabaseConfig,
    /// Voicenter's API and its limits (`[api]`).
    pub api: ApiConfig,
    /// What is read, and when (`[sync]`).
    pub sync: SyncConfig,
    /// How calls are counted for readers (`[reporting]`).
    pub reporting: ReportingConfig,
    /// How long history is kept (`[retention]`).
    pub retention: RetentionConfig,
    /// Page, probes and metrics (`[http]`).
    pub http: HttpConfig,
    /// Who is told of trouble (`[notify]`).
    pub notify: NotifyConfig,
    /// The receiver of CDR notifications (`[push]`).
    pub push: PushConfig,
    /// Where links to recordings may lead (`[recording]`).
    pub recording: RecordingConfig,
    /// Analyses that are asked for call by call (`[ai]`).
    pub ai: AiConfig,
    /// Lists of extensions and queues (`[reference]`).
    pub reference: ReferenceConfig,
    /// Format and level of the log (`[log]`).
    pub log: LogConfig,
    /// `[[accounts]]`; empty if none is configured, which is enough for some commands.
    pub accounts: Vec<AccountConfig>,
    effective: Vec<Effective>,
}

/// `[database]`: address and connections of PostgreSQL.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `database.url`; absent when none is configured.
    pub url: Option<SecretString>,
    /// Unsupported parameters of the address, which are ignored.
    pub ignored_parameters: Vec<String>,
    /// `database.max_connections`: the sync's connections at any time.
    pub max_connections: u32,
    /// `database.pooler`: the pooler in front of PostgreSQL, if any.
    pub pooler: Pooler,
}

/// `[api]`: where and how requests are sent.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// `api.url`, for accounts without their own.
    pub url: Url,
    /// `api.method`: the HTTP method of requests.
    pub method: Method,
    /// `api.timezone`, for accounts without their own.
    pub timezone: Tz,
    /// `api.granularity`: a second or a minute.
    pub granularity: TimeDelta,
    /// `api.record_limit`: an answer with this many records counts as cut.
    pub record_limit: u32,
    /// `api.requests_per_minute`, for accounts without their own.
    pub requests_per_minute: u32,
    /// `api.burst`: requests that may be sent at once.
    pub burst: u32,
    /// `api.timeout`: the longest time for one request.
    pub timeout: Duration,
    /// `api.max_response_bytes`: the window of a larger answer is split.
    pub max_response_bytes: u64,
    /// `api.backoff_min`: the first wait after a failure.
    pub backoff_min: Duration,
    /// `api.backoff_max`: the longest wait after repeated failures.
    pub backoff_max: Duration,
}

/// `[sync]`: what is read, and when.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// `sync.poll_interval`: time between polls for the newest calls.
    pub poll_interval: TimeDelta,
    /// `sync.start`, for accounts without their own.
    pub start: HistoryStart,
    /// `sync.lookback`: everything younger is read again every few minutes.
    pub lookback: TimeDelta,
    /// `sync.reconcile`: the ages at which everything is read again, ascending.
    pub reconcile: Vec<TimeDelta>,
    /// `sync.removal_after`: how long a record must be missing before it counts as removed.
    pub removal_after: TimeDelta,
    /// `sync.max_window`: the longest span of one request.
    pub max_window: TimeDelta,
    /// `sync.min_window`: the shortest span of one request; the granularity unless configured.
    pub min_window: TimeDelta,
    /// `sync.ignored_changes`: API fields whose changes alone do not rewrite a row.
    pub ignored_changes: Vec<String>,
    /// `sync.history`: `true` if replaced versions of rows are kept.
    pub history: bool,
}

/// `[reporting]`: how calls are counted for readers.
#[derive(Clone, Copy, Debug)]
pub struct ReportingConfig {
    /// `reporting.timezone`: the zone of days and hours, for accounts without their own.
    pub timezone: Tz,
    /// `reporting.country`: the country of numbers that name none, for accounts without their own.
    pub country: Country,
}

/// `[retention]`: how long old data is kept.
#[derive(Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// `retention.calls`: how long calls are kept; without it, they are never deleted.
    pub calls: Option<TimeDelta>,
    /// `retention.history`: how long replaced versions are kept; without it, they are never deleted.
    pub history: Option<TimeDelta>,
}

/// `[http]`: where page, probes and metrics are served.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `http.listen`; `None` when it is turned off.
    pub listen: Option<SocketAddr>,
    /// `http.hosts`: host names under which the page is served, in lower case.
    pub hosts: Vec<String>,
}

/// `[log]`: format and level of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `log.format`; `None`: pretty on a terminal, otherwise JSON.
    pub format: Option<LogFormat>,
    /// `log.level`: a level, and levels for parts of the program (`info,cdr_sync=debug`).
    pub level: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Readable text, with colours on a terminal.
    Pretty,
}

/// The sources that a configuration is read from.
#[derive(Clone, Debug)]
pub struct Sources<E> {
    /// The file named by `--config`; without it, `CDR_SYNC_CONFIG` in `env` names one.
    pub file: Option<PathBuf>,
    /// Environment variables as pairs of name and value.
    pub env: E,
    /// The directory that relative paths start from.
    pub working_dir: PathBuf,
}

impl Sources<Vec<(String, String)>> {
    /// This process's environment and working directory.
    pub fn of_this_process(file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, env: env.collect(), working_dir: PathBuf::from(".") }
    }
}

impl Config {
    /// Reads and checks all layers.
    ///
    /// # Errors
    /// All problems, each with its key, value, source, and what was expected.
    pub fn load<E: IntoIterator<Item = (String, String)>>(sources: Sources<E>) -> Result<Self, ConfigError> {
        let env: BTreeMap<String, String> = sources.env.into_iter().collect();
        let (tree, problems) = layer::merge(sources.file, &env, &sources.working_dir);
        let mut reader = Reader::new(problems);
        let mut root = reader.root(tree);
        let database = database(root.section("database"));
        let api = api(root.section("api"));
        let granularity = api.as_ref().map_or(TimeDelta::seconds(1), |api| api.granularity);
        let sync = sync(root.section("sync"), granularity);
        let reporting = reporting(root.section("reporting"));
        let retention = retention(root.section("retention"));
        let http = http(root.section("http"));
        let notify = notify::read(root.section("notify"));
        let push = push::read(root.section("push"));
        let recording = recording::read(root.section("recording"));
        let reference = reference_data::read(root.section("reference"));
        let ai = ai::read(root.section("ai"));
        let log = log(root.section("log"));
        let accounts = account::read(&mut root, api.as_ref(), sync.as_ref(), reporting);
        root.leave();
        reader.refuse_near_misses(env.keys());
        let effective = reader.effective();
        let parts = (|| {
            Some((
                database?, api?, sync?, reporting?, http?, notify?, push?, recording?, reference?, ai?, log?,
                accounts?,
            ))
        })();
        if let Some((_, api, sync, _, _, _, _, _, _, _, _, accounts)) = &parts {
            validate::check(&mut reader, api, sync, retention, accounts);
        }
        match (reader.into_problems(), parts) {
            (
                problems,
                Some((
                    database,
                    api,
                    sync,
                    reporting,
                    http,
                    notify,
                    push,
                    recording,
                    reference,
                    ai,
                    log,
                    accounts,
                )),
            ) if problems.is_empty() => Ok(Config {
                database,
                api,
                sync,
                reporting,
                retention,
                http,
                notify,
                push,
                recording,
                reference,
                ai,
                log,
                accounts,
                effective,
            }),
            (problems, _) => Err(ConfigError::new(problems)),
        }
    }

    /// The database's address, or an error with advice how to configure it.
    pub fn require_database(&self) -> Result<&SecretString, ConfigError> {
        self.database.url.as_ref().ok_or_else(|| {
            ConfigError::new(vec![ConfigProblem::missing(
                "database.url",
                "set DATABASE_URL, for example postgres://user:password@host/database",
            )])
        })
    }

    /// The accounts, or an error with advice how to configure one.
    pub fn require_accounts(&self) -> Result<&[AccountConfig], ConfigError> {
        if self.accounts.is_empty() {
            return Err(ConfigError::new(vec![ConfigProblem::missing(
                "accounts",
                "set VOICENTER_CODE or VOICENTER_TOKEN, or write an [[accounts]] table",
            )]));
        }
        Ok(&self.accounts)
    }

    /// Every key with its effective value, in TOML, secrets masked, each with its source.
    pub fn masked_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for value in &self.effective {
            let (table, key) = value.key.rsplit_once('.').unwrap_or(("", &value.key));
            if table != section {
                section = table;
                let gap = if text.is_empty() { "" } else { "\n" };
                let heading = match table.split_once('[') {
                    Some((array, _)) => format!("[[{array}]]"),
                    None => format!("[{table}]"),
                };
                let _ = writeln!(text, "{gap}{heading}");
            }
            let _ = match &value.toml {
                Some(toml) => writeln!(text, "{key} = {toml} # {}", value.origin),
                None => writeln!(text, "# {key} is not set"),
            };
        }
        text
    }

    /// Every key with its effective value and its source.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }
}

fn database(mut section: Section<'_>) -> Option<DatabaseConfig> {
    let read = section.secret("url").map(|url| database_url::read(url.expose_secret()));
    let (url, ignored_parameters) = match read {
        None => (None, Vec::new()),
        Some(Ok(read)) => (Some(read.url), read.ignored),
        Some(Err(message)) => {
            let source = Some(section.origin("database.url"));
            section.problem(ConfigProblem { key: "database.url".to_owned(), value: None, source, message });
            (None, Vec::new())
        }
    };
    let max_connections = section.value("max_connections", kind::POSITIVE, "5");
    let pooler = section.value("pooler", kind::POOLER, "none");
    section.leave();
    Some(DatabaseConfig { url, ignored_parameters, max_connections: max_connections?, pooler: pooler? })
}

fn api(mut section: Section<'_>) -> Option<ApiConfig> {
    let url = section.value("url", kind::URL, CURRENT_API_URL);
    let method = section.value("method", kind::METHOD, "post");
    let timezone = section.value("timezone", kind::TIMEZONE, "UTC");
    let granularity = section.value("granularity", kind::GRANULARITY, "1s");
    let record_limit = section.value("record_limit", kind::POSITIVE, "10000");
    let requests_per_minute = section.value("requests_per_minute", kind::POSITIVE, "30");
    let burst = section.value("burst", kind::POSITIVE, "2");
    let timeout = section.value("timeout", kind::WAIT, "60s");
    let max_response_bytes = section.value("max_response_bytes", kind::SIZE, "256MiB");
    let backoff_min = section.value("backoff_min", kind::WAIT, "5s");
    let backoff_max = section.value("backoff_max", kind::WAIT, "5m");
    section.leave();
    Some(ApiConfig {
        url: url?,
        method: method?,
        timezone: timezone?,
        granularity: granularity?,
        record_limit: record_limit?,
        requests_per_minute: requests_per_minute?,
        burst: burst?,
        timeout: timeout?,
        max_response_bytes: max_response_bytes?,
        backoff_min: backoff_min?,
        backoff_max: backoff_max?,
    })
}

fn sync(mut section: Section<'_>, granularity: TimeDelta) -> Option<SyncConfig> {
    let unit = if granularity == TimeDelta::minutes(1) { "1m" } else { "1s" };
    let poll_interval = section.value("poll_interval", kind::DURATION, "60s");
    let start = section.optional("start", kind::INSTANT);
    let lookback = section.value("lookback", kind::DURATION, "3h");
    let reconcile = section.list("reconcile", kind::DURATION, &["1d", "7d", "30d"]);
    let removal_after = section.value("removal_after", kind::DURATION, "10m");
    let max_window = section.value("max_window", kind::DURATION, "31d");
    let min_window = section.value("min_window", kind::DURATION, unit);
    let ignored_changes = section.list("ignored_changes", kind::TEXT, &[]);
    let history = section.value("history", kind::BOOLEAN, "true");
    section.leave();
    Some(SyncConfig {
        poll_interval: poll_interval?,
        start: start.map_or(HistoryStart::Default, HistoryStart::At),
        lookback: lookback?,
        reconcile: reconcile?,
        removal_after: removal_after?,
        max_window: max_window?,
        min_window: min_window?,
        ignored_changes: ignored_changes?,
        history: history?,
    })
}

fn reporting(mut section: Section<'_>) -> Option<ReportingConfig> {
    let timezone = section.value("timezone", kind::TIMEZONE, "Asia/Jerusalem");
    let country = section.value("country", kind::COUNTRY, "IL");
    section.leave();
    Some(ReportingConfig { timezone: timezone?, country: country? })
}

fn retention(mut section: Section<'_>) -> RetentionConfig {
    let calls = section.optional("calls", kind::DURATION);
    let history = section.optional("history", kind::DURATION);
    section.leave();
    RetentionConfig { calls, history }
}

fn http(mut section: Section<'_>) -> Option<HttpConfig> {
    let listen = section.value("listen", kind::LISTEN, "127.0.0.1:8080");
    let hosts = section.list("hosts", kind::HOST, &[]);
    section.leave();
    Some(HttpConfig { listen: listen?, hosts: hosts? })
}

fn log(mut section: Section<'_>) -> Option<LogConfig> {
    let format = section.optional("format", kind::LOG_FORMAT);
    let level = section.value("level", kind::LOG_LEVEL, "info");
    section.leave();
    Some(LogConfig { format, level: level? })
}
