//! How the API is reached, and with which credential.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::super::question::{Granularity, Method};

/// The credential that the API requires.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The key `code`, in the body or the query; the caller's address must be whitelisted.
    Code(SecretString),
    /// A bearer token in the header `Authorization`.
    Token(SecretString),
}

impl Credential {
    pub(super) fn secret(&self) -> &str {
        match self {
            Credential::Code(secret) | Credential::Token(secret) => secret.expose_secret(),
        }
    }
}

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `api.url`: the address of the call-log API.
    pub url: Url,
    /// The credential of the account.
    pub credential: Credential,
    /// `api.method`: how requests are sent.
    pub method: Method,
    /// `api.timezone`: the zone of zoneless dates and bounds.
    pub timezone: Tz,
    /// `api.granularity`: the precision of the bounds.
    pub granularity: Granularity,
    /// `api.timeout`: the time limit for a whole request.
    pub timeout: Duration,
    /// `api.max_response_bytes`: the limit for an answer after decompression.
    pub max_response_bytes: u64,
    /// Certificates of a private CA in PEM. SSL_CERT_FILE and SSL_CERT_DIR, which the system's store respects,
    /// decide whether the system's certificates are trusted as well.
    pub ca_file: Option<PathBuf>,
}

/// Why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CA file cannot be read or holds no certificate.
    #[error("the CA file {path} cannot be used: {reason}")]
    CaFile {
        /// The path of the file, as configured.
        path: String,
        /// What went wrong with it.
        reason: String,
    },
    /// The token contains characters that a header must not contain.
    #[error("the token contains characters that are not allowed in an HTTP header")]
    Token,
    /// TLS or the proxy could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}
