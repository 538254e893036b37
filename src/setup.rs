//! Builds what commands work with from the configuration: the database, clients of the API, and accounts.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use url::Url;

use crate::config::{AccountConfig, Config, ConfigError};
use crate::plan::PlanSettings;
use crate::rate_limit::{Backoff, RateLimiter};
use crate::read::ReadingSettings;
use crate::read::partition::FilterPartition;
use crate::read::verdict::AnswerLimits;
use crate::reference::ListKind;
use crate::store::{DatabaseSettings, Store, StoreError};
use crate::sync::{Account, PushAsking};
use crate::voicenter::{
    Client, ClientError, ClientResources, ClientSettings, Credential, Filter, Granularity, IdentityCriteria,
};

/// The CdrTypes of docs/voicenter-api.md#types, by which an overloaded second is divided if none are configured.
const CDR_TYPES: [i32; 15] = [1, 4, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23];

/// Why something could not be built from the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Something is missing in the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client of the API cannot be built.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The database cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the configured database without connecting to it yet.
pub fn open_store(config: &Config) -> Result<Store, SetupError> {
    Ok(Store::open(&database_settings(config)?)?)
}

/// The configured database for a daemon: page and notifications must not wait for the sync's commits, nor take its connections.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) sync: Store,
    /// For page, probes and metrics.
    pub(crate) page: Store,
    /// For CDR notifications.
    pub(crate) push: Store,
}

impl Stores {
    /// Opens it without connecting to it yet. If only one connection is allowed, all share it.
    pub(crate) fn open(config: &Config) -> Result<Self, SetupError> {
        let sync = open_store(config)?;
        if config.database.max_connections == 1 {
            return Ok(Self { page: sync.clone(), push: sync.clone(), sync });
        }
        // One reads the ledger, one what only the page draws, and one answers probes.
        let page = sync.beside(3, Duration::from_secs(30));
        let push = match config.push.listen {
            Some(_) => sync.beside(4, Duration::from_secs(120)),
            None => page.clone(),
        };
        Ok(Self { sync, page, push })
    }
}

/// Checks that clients for all accounts can be built, before anything is changed.
pub(crate) fn validate(config: &Config) -> Result<(), SetupError> {
    config.require_database()?;
    let (shared, lists, histories) = (shared(config), list_resources(), history_resources());
    for account in config.require_accounts()? {
        client_sharing(config, account, &shared)?;
        list_clients(config, account, &lists)?;
        history_client(config, account, &histories)?;
    }
    Ok(())
}

/// Builds the accounts. The database must be migrated, since the salt of the credentials' fingerprints is in it.
pub async fn accounts(config: &Config, store: &Store) -> Result<Vec<Account>, SetupError> {
    let salt = store.salt().await?;
    let shared = shared(config);
    let accounts = config.require_accounts()?.iter();
    accounts.map(|account| build_account(config, account, store, &salt, &shared)).collect()
}

fn database_settings(config: &Config) -> Result<DatabaseSettings, SetupError> {
    let mut settings = DatabaseSettings::new(config.require_database()?.clone());
    settings.max_connections = config.database.max_connections;
    settings.pooler = config.database.pooler;
    Ok(settings)
}

/// What all clients share: connections with their certificates, and the memory for answers.
fn shared(config: &Config) -> ClientResources {
    ClientResources::for_answers_of(config.api.max_response_bytes)
}

/// A client for `account`, for a command that asks for one account only.
pub(crate) fn client(config: &Config, account: &AccountConfig) -> Result<Client, ClientError> {
    client_sharing(config, account, &shared(config))
}

/// The largest list: some 50,000 entries.
const LARGEST_LIST: u64 = 16 << 20;

/// A client for each list of reference data of `account`. They share nothing with those that ask for calls.
pub(crate) fn list_clients(
    config: &Config,
    account: &AccountConfig,
    shared: &ClientResources,
) -> Result<Vec<(ListKind, Client)>, ClientError> {
    let client = |(kind, url): (ListKind, &Url)| {
        let settings = client_settings(config, account);
        let settings = ClientSettings { url: url.clone(), max_response_bytes: LARGEST_LIST, ..settings };
        Ok((kind, Client::sharing(settings, shared)?.named(&account.name)))
    };
    config.reference.lists().map(client).collect()
}

/// What the clients of [`list_clients`] share.
pub(crate) fn list_resources() -> ClientResources {
    ClientResources::for_answers_of(LARGEST_LIST)
}

/// The largest analysis of a call: one of an hour has some hundred kilobytes.
const LARGEST_HISTORY: u64 = 8 << 20;

/// A client for the analyses of the calls of `account`, with a token and connections of its own; `None` without a token.
pub(crate) fn history_client(
    config: &Config,
    account: &AccountConfig,
    shared: &ClientResources,
) -> Result<Option<Client>, ClientError> {
    let Some(token) = &account.ai_token else { return Ok(None) };
    let settings = ClientSettings {
        url: config.ai.url.clone(),
        credential: Credential::Token(token.clone()),
        max_response_bytes: LARGEST_HISTORY,
        ..client_settings(config, account)
    };
    Ok(Some(Client::sharing(settings, shared)?.named(&account.name)))
}

/// What the clients of [`history_client`] share.
pub(crate) fn history_resources() -> ClientResources {
    ClientResources::for_answers_of(LARGEST_HISTORY)
}

fn client_sharing(
    config: &Config,
    account: &AccountConfig,
    shared: &ClientResources,
) -> Result<Client, ClientError> {
    Ok(Client::sharing(client_settings(config, account), shared)?.named(&account.name))
}

fn client_settings(config: &Config, account: &AccountConfig) -> ClientSettings {
    ClientSettings {
        url: account.url.clone(),
        credential: account.credential.clone(),
        method: config.api.method,
        timezone: account.timezone,
        granularity: granularity(config),
        timeout: config.api.timeout,
        max_response_bytes: config.api.max_response_bytes,
        // The system's certificates, or those in SSL_CERT_FILE.
        ca_file: std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(Into::into),
    }
}

fn granularity(config: &Config) -> Granularity {
    if config.api.granularity == TimeDelta::minutes(1) { Granularity::Minute } else { Granularity::Second }
}

/// The filter in every request of `account`.
pub(crate) fn filter(account: &AccountConfig) -> Filter {
    Filter {
        phones: account.phones.clone(),
        extensions: account.extensions.clone(),
        identity: account.identity_criteria,
        cdr_types: account.cdr_types.clone(),
        ..Filter::default()
    }
}

fn build_account(
    config: &Config,
    account: &AccountConfig,
    store: &Store,
    salt: &[u8],
    shared: &ClientResources,
) -> Result<Account, SetupError> {
    let client = client_sharing(config, account, shared)?;
    let fingerprint = client.credential_fingerprint(salt);
    Ok(Account {
        name: account.name.clone(),
        rate_limit: RateLimiter::new(
            store.clone(),
            fingerprint,
            account.requests_per_minute,
            config.api.burst,
        ),
        client,
        scope: scope(account),
        filter: filter(account),
        reporting_timezone: account.reporting_timezone,
        reporting_country: account.reporting_country,
        start: account.start,
        retention: config.retention.calls,
        settings: settings(config, account),
        removal_after: config.sync.removal_after,
        ignored_changes: config.sync.ignored_changes.iter().map(|field| field.to_lowercase()).collect(),
        history: config.sync.history,
        push: config
            .push
            .listen
            .map(|_| PushAsking { zone: config.push.timezone, confirm_after: config.push.confirm_after }),
        timeout: config.api.timeout,
        backoff: Backoff { min: config.api.backoff_min, max: config.api.backoff_max },
    })
}

/// Identifies what an account reads. If it changes, everything is read again.
pub(crate) fn scope(account: &AccountConfig) -> Value {
    json!({
        "url": account.url.as_str(),
        "timezone": account.timezone.name(),
        "identity_criteria": account.identity_criteria.map(IdentityCriteria::as_str),
        "phones": account.phones,
        "extensions": account.extensions,
        "cdr_types": account.cdr_types,
    })
}

fn settings(config: &Config, account: &AccountConfig) -> PlanSettings {
    let cdr_types = if account.cdr_types.is_empty() { CDR_TYPES.to_vec() } else { account.cdr_types.clone() };
    PlanSettings {
        reading: ReadingSettings {
            limits: AnswerLimits { records: config.api.record_limit as usize, ..AnswerLimits::default() },
            granularity: config.api.granularity,
            min_window: config.sync.min_window,
            partition: FilterPartition {
                cdr_types,
                phones: account.phones.clone(),
                extensions: account.extensions.clone(),
            },
            ..ReadingSettings::default()
        },
        poll_interval: config.sync.poll_interval,
        lookback: config.sync.lookback,
        reconcile: config.sync.reconcile.clone(),
        max_window: config.sync.max_window,
        ..PlanSettings::default()
    }
}
