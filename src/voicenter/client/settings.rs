//! How the API is reached and opened.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::super::question::{Granularity, Method};

/// What opens the API.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `code`, in the body or the query; the caller's address must be whitelisted.
    Code(SecretString),
    /// `Authorization: Bearer`.
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
    /// `api.url`.
    pub url: Url,
    /// What opens it.
    pub credential: Credential,
    /// `api.method`.
    pub method: Method,
    /// `api.timezone`.
    pub timezone: Tz,
    /// `api.granularity`.
    pub granularity: Granularity,
    /// `api.timeout`, for a whole request.
    pub timeout: Duration,
    /// `api.max_response_bytes`, decompressed.
    pub max_response_bytes: u64,
    /// A private CA's certificates in PEM. Whether the system's are trusted besides is up to SSL_CERT_FILE and SSL_CERT_DIR,
    /// which the system's store goes by too.
    pub ca_file: Option<PathBuf>,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CA file cannot be read or holds no certificate.
    #[error("the CA file {path} cannot be used: {reason}")]
    CaFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The token cannot stand in a header.
    #[error("the token holds characters that cannot stand in an HTTP header")]
    Token,
    /// TLS or the proxy could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}
