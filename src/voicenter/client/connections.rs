//! Connections to the API, shared by accounts: each set of the system's trusted certificates occupies more than a
//! megabyte.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use url::{Host, Url};

use super::{ClientError, ClientSettings, install_crypto};

/// Idle connections kept to one host: many accounts take turns on a few.
const IDLE: usize = 32;

/// The connections of one configuration. They contain nothing of an account; a new configuration reads its
/// certificates again.
#[derive(Clone, Debug, Default)]
pub(super) struct HttpConnections {
    made: Arc<Mutex<Vec<(Key, reqwest::Client)>>>,
}

/// What accounts must have in common to share connections.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    connect_timeout: Duration,
    loopback: bool,
    ca_file: Option<PathBuf>,
}

impl HttpConnections {
    /// Returns the HTTP client that connects as these settings require.
    pub(super) fn for_settings(&self, settings: &ClientSettings) -> Result<reqwest::Client, ClientError> {
        let key = Key {
            // Shorter than the whole timeout, so that an unreachable host is not taken for one that answers slowly.
            connect_timeout: (settings.timeout / 10 * 9).min(Duration::from_secs(15)),
            loopback: is_loopback(&settings.url),
            ca_file: settings.ca_file.clone(),
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, http)) = made.iter().find(|(other, _)| *other == key) {
            return Ok(http.clone());
        }
        let http = connect(&key)?;
        made.push((key, http.clone()));
        Ok(http)
    }
}

fn connect(key: &Key) -> Result<reqwest::Client, ClientError> {
    install_crypto();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cdr-sync/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(key.connect_timeout)
        .pool_max_idle_per_host(IDLE)
        // A redirect is a request that no budget covers, and it could carry the credential elsewhere.
        .redirect(Policy::none())
        .referer(false);
    if key.loopback {
        // To a proxy these names mean the proxy's own host.
        builder = builder.no_proxy();
    }
    if let Some(path) = &key.ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|error| ClientError::Setup(error.without_url().to_string()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |reason: String| ClientError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates =
        reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("it contains no certificate".into())) } else { Ok(certificates) }
}
