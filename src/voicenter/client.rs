//! One request over HTTP, and the judgement of what comes back: the body first, then the status.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, SERVER};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::Answer;
use super::decode::{self, BadBody, Envelope, Keep, decode_keeping};
use super::error::{ApiError, of_number};
use super::question::{Granularity, Method, Question};
use super::said::{explaining, printable};
use super::wire::{self, DateForm};

/// What opens the API.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `code`, in the body or the query; the caller's address must be whitelisted.
    Code(SecretString),
    /// `Authorization: Bearer`.
    Token(SecretString),
}

impl Credential {
    fn secret(&self) -> &str {
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

/// The API as one account sees it. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: ClientSettings,
    account: Arc<str>,
    keeps_items: bool,
    warned: Arc<Mutex<BTreeMap<String, Instant>>>,
}

/// The same oddity of the answers is warned of this often; each poll may show it again.
const WARNED_EVERY: Duration = Duration::from_secs(3600);

/// Makes ring the cryptography of every TLS connection of this process.
pub fn install_crypto() {
    static PROVIDER: Once = Once::new();
    // Fails only if one is installed already, which does as well.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Client {
    /// A client for one account.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        install_crypto();
        let mut headers = HeaderMap::new();
        if let Credential::Token(token) = &settings.credential {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| ClientError::Token)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("cdr-sync/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            // Shorter than the whole, so that a host that cannot be reached is not taken for one that answers slowly.
            .connect_timeout((settings.timeout / 10 * 9).min(Duration::from_secs(15)))
            // A redirect is a request that nobody budgeted, and could carry the credential elsewhere.
            .redirect(Policy::none())
            .referer(false);
        if is_loopback(&settings.url) {
            // What a proxy calls by these names is the proxy's own host.
            builder = builder.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        let http = builder.build().map_err(|error| ClientError::Setup(error.without_url().to_string()))?;
        Ok(Self { http, settings, account: Arc::from(""), keeps_items: false, warned: Arc::default() })
    }

    /// The same client, speaking of itself in log lines as this account's.
    pub fn named(self, account: &str) -> Self {
        Self { account: Arc::from(account), ..self }
    }

    /// The same client, whose answers hold their items as they came, too: for showing them.
    pub fn keeping_items(self) -> Self {
        Self { keeps_items: true, ..self }
    }

    /// How questions are sent.
    pub fn method(&self) -> Method {
        self.settings.method
    }

    /// A fingerprint of the credential: what the shared budget is kept by. It tells nothing without `salt`.
    pub fn credential_fingerprint(&self, salt: &[u8]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        hasher.update(self.settings.credential.secret().as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Asks a question.
    ///
    /// # Errors
    /// Each [`ApiError`] says by its action what to do next.
    pub async fn ask(&self, question: &Question) -> Result<Answer, ApiError> {
        let came = self.send(question).await?;
        let envelope = match self.decode(&came) {
            Ok(envelope) => envelope,
            Err(bad) => return Err(self.unreadable(&came, bad)),
        };
        if let Some(error) = self.refusal(&envelope, &came).or_else(|| contradiction(&envelope, &came)) {
            return Err(error.dated(came.server_date));
        }
        self.report(&envelope, &came);
        let exact_bounds = wire::is_exact(question, self.date_form());
        Ok(answer(envelope, &came, exact_bounds))
    }

    /// `api.timezone`.
    pub fn timezone(&self) -> chrono_tz::Tz {
        self.settings.timezone
    }

    /// Whether the bounds of `question` go out as they are: a clock change of a zoned API widens them.
    pub fn sends_exactly(&self, question: &Question) -> bool {
        wire::is_exact(question, self.date_form())
    }

    /// The API's own HTML page for a question with `Format::Html`.
    pub async fn ask_html(&self, question: &Question) -> Result<String, ApiError> {
        let came = self.send(question).await?;
        if let Ok(envelope) = self.decode(&came)
            && let Some(error) = self.refusal(&envelope, &came)
        {
            return Err(error);
        }
        if came.status >= 400 {
            return Err(self.unreadable(&came, BadBody::Html));
        }
        Ok(decode::page(&came.body, came.charset()))
    }

    fn decode(&self, came: &Came) -> Result<Envelope, BadBody> {
        let keep = if self.keeps_items { Keep::Items } else { Keep::Records };
        decode_keeping(&came.body, came.charset(), self.settings.timezone, keep)
    }

    /// The error that the API itself names: it counts before any status.
    fn refusal(&self, envelope: &Envelope, came: &Came) -> Option<ApiError> {
        of_number(
            envelope.error_number?,
            explaining(&self.scrub(&envelope.error_description)),
            came.retry_after,
        )
    }

    /// What was taken, but not as it should be.
    fn report(&self, envelope: &Envelope, came: &Came) {
        let account = &*self.account;
        if envelope.invalid_bytes > 0 && self.warns_of("invalid text") {
            tracing::warn!(
                event = "invalid_text",
                account,
                bytes = envelope.invalid_bytes,
                charset = came
                    .charset()
                    .map(|charset| self.scrub(charset).replace(|char: char| !char.is_ascii_graphic(), "")),
                "bytes that mean nothing in the answer's charset: a replacement character stands in their place"
            );
        }
        for (field, count) in envelope.unfit.iter().filter(|(field, _)| self.warns_of(field)) {
            tracing::warn!(
                event = "unfit_values",
                account,
                field,
                count,
                "values that the field's column cannot hold: they are kept in extra, the column is NULL"
            );
        }
    }

    /// Returns `true` if it is time to warn of this.
    fn warns_of(&self, what: &str) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = warned.get(what).is_none_or(|at| at.elapsed() >= WARNED_EVERY);
        if due {
            warned.insert(what.to_owned(), Instant::now());
        }
        due
    }

    fn date_form(&self) -> DateForm {
        DateForm { zone: self.settings.timezone, granularity: self.settings.granularity }
    }

    fn request(&self, question: &Question) -> reqwest::RequestBuilder {
        let code = match &self.settings.credential {
            Credential::Code(code) => Some(code.expose_secret()),
            Credential::Token(_) => None,
        };
        match self.settings.method {
            Method::Post => {
                let body = wire::body(question, self.date_form(), code).to_string();
                self.http.post(self.settings.url.clone()).header(CONTENT_TYPE, "application/json").body(body)
            }
            Method::Get => {
                let mut url = self.settings.url.clone();
                url.query_pairs_mut().extend_pairs(wire::query(question, self.date_form(), code));
                self.http.get(url)
            }
        }
    }

    async fn send(&self, question: &Question) -> Result<Came, ApiError> {
        let mut response = self.request(question).send().await.map_err(|error| self.transport(error))?;
        if response.status().is_redirection() {
            return Err(ApiError::Redirected);
        }
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let server_date = header(DATE).and_then(http_date);
        let retry_after = header(RETRY_AFTER).and_then(|text| retry_after(text, server_date));
        let content_type = header(CONTENT_TYPE).map(str::to_owned);
        let server = header(SERVER).map(str::to_owned);
        let limit = self.settings.max_response_bytes;
        let mut body = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(self.transport(error)),
                Err(error) => {
                    return Err(ApiError::CutBody { received: body.len(), what: self.words_of(error) });
                }
            };
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(ApiError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Came { status, server_date, retry_after, content_type, server, body })
    }

    fn transport(&self, error: reqwest::Error) -> ApiError {
        if error.is_timeout() && !error.is_connect() {
            return ApiError::TimedOut(self.words_of(error));
        }
        let connected = !error.is_connect();
        let words = self.words_of(error);
        if connected { ApiError::Transport(words) } else { ApiError::NoConnection(words) }
    }

    fn words_of(&self, error: reqwest::Error) -> String {
        let timed_out = error.is_timeout();
        // Without its URL: a GET's holds the code.
        let error = error.without_url();
        let mut text = if timed_out { "timed out".to_owned() } else { error.to_string() };
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.scrub(&text)
    }

    fn unreadable(&self, came: &Came, bad: BadBody) -> ApiError {
        match came.status {
            429 => ApiError::RateLimited { description: "HTTP 429".into(), retry_after: came.retry_after },
            status @ (401 | 403 | 407 | 451) => {
                ApiError::Blocked { status, what: self.scrub(&came.kind_of_body(bad)) }
            }
            200..300 if bad == BadBody::Cut => {
                ApiError::CutBody { received: came.body.len(), what: bad.to_string() }
            }
            status => ApiError::Unreadable {
                status,
                what: self.scrub(&came.kind_of_body(bad)),
                retry_after: came.retry_after,
            },
        }
    }

    /// A server may echo what it was sent: the credential, or phones that were searched for. What it says goes into logs and
    /// onto the page, so no number as long as a phone's stays. An address has none.
    fn scrub(&self, text: &str) -> String {
        let secret = self.settings.credential.secret();
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let escaped = serde_json::Value::from(secret).to_string();
        let forms = [secret, &encoded, escaped.trim_matches('"')];
        let hide =
            |text: String, form: &&str| if form.is_empty() { text } else { text.replace(*form, "***") };
        // Printable first: a character that nobody sees must not hide the credential from us.
        without_long_numbers(&forms.iter().fold(printable(text), hide)).chars().take(300).collect()
    }
}

/// `text` with every run of six or more digits replaced.
fn without_long_numbers(text: &str) -> String {
    let (mut kept, mut run) = (String::new(), String::new());
    for char in text.chars().map(Some).chain([None]) {
        match char {
            Some(digit) if digit.is_numeric() => run.push(digit),
            other => {
                kept.push_str(if run.chars().count() < 6 { &run } else { "…" });
                run.clear();
                kept.extend(other);
            }
        }
    }
    kept
}

/// What came over the wire.
struct Came {
    status: u16,
    server_date: Option<DateTime<Utc>>,
    retry_after: Option<Duration>,
    content_type: Option<String>,
    server: Option<String>,
    body: Vec<u8>,
}

/// A page's title and a short text say what stood in the way; more of a body may hold anything.
const LONGEST_QUOTE: usize = 120;

impl Came {
    /// `charset` of the Content-Type.
    fn charset(&self) -> Option<&str> {
        let parameters = self.content_type.as_deref()?.split(';').skip(1);
        let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
        let (_, charset) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
        Some(charset.trim().trim_matches(['"', '\'']))
    }

    /// What a body that is none of the API's is, in words for the operator.
    fn kind_of_body(&self, bad: BadBody) -> String {
        let text = String::from_utf8_lossy(self.body.get(..4096).unwrap_or(&self.body));
        let quoted = match bad {
            BadBody::Html => title(&text),
            BadBody::NotJson if self.status >= 400 && !text.trim_start().starts_with(['{', '[']) => {
                Some(&*text)
            }
            _ => None,
        };
        let quoted = quoted.map(explaining);
        let quoted = quoted.filter(|text| !text.is_empty() && text.chars().count() <= LONGEST_QUOTE);
        let server = self.server.as_deref().filter(|_| self.status >= 400).map(explaining);
        let by = server.filter(|server| server != "…").map(|server| format!(" of {server}"));
        format!(
            "{bad}{}{}",
            by.unwrap_or_default(),
            quoted.map(|text| format!(", \"{text}\"")).unwrap_or_default()
        )
    }
}

/// The title of an HTML page.
fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let from = open + lower.get(open..)?.find('>')? + 1;
    let length = lower.get(from..)?.find("</title")?;
    page.get(from..from + length)
}

/// An answer without an error that its status belies. It may be a failure in the clothes of "no calls".
fn contradiction(envelope: &Envelope, came: &Came) -> Option<ApiError> {
    let beside = match envelope.error_number {
        Some(number) => format!("ERROR_NUMBER {number} and {} records", envelope.listed),
        None => format!("{} records", envelope.listed),
    };
    let (status, sign) = match (came.status, envelope.status_code) {
        // 202 and 206 are for answers that are not there yet, or not whole.
        (status @ (202 | 206 | 400..), _) => (i64::from(status), format!("HTTP {status}")),
        (_, Some(code)) if !(0..400).contains(&code) || matches!(code, 202 | 206) => {
            (code, format!("STATUS_CODE {code}"))
        }
        _ => return None,
    };
    let signs = format!("{sign} beside {beside}");
    Some(ApiError::Contradictory { status, signs, retry_after: came.retry_after })
}

fn answer(envelope: Envelope, came: &Came, exact_bounds: bool) -> Answer {
    Answer {
        records: envelope.records,
        rejected: envelope.rejected,
        columns: envelope.columns,
        other_fields: envelope.other_fields,
        listed: envelope.listed,
        total_hits: envelope.total_hits,
        return_hits: envelope.return_hits,
        server_date: came.server_date,
        precision: envelope.precision,
        zoneless: envelope.zoneless,
        second_dates: envelope.second_dates,
        zones: envelope.zones.evidence(),
        unfit: envelope.unfit,
        invalid_bytes: envelope.invalid_bytes,
        items: envelope.items,
        exact_bounds,
        bytes: came.body.len(),
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |reason: String| ClientError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates =
        reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("it holds no certificate".into())) } else { Ok(certificates) }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// Seconds, or a date; a date counts from the server's own.
fn retry_after(text: &str, server_date: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    (http_date(text)? - server_date?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_phone_number_that_a_server_echoes_is_passed_on() {
        let said =
            without_long_numbers("no permission for 972501234567 (050-1234567), error 17, IP 192.0.2.117");
        assert_eq!(said, "no permission for … (050-…), error 17, IP 192.0.2.117");
    }
}
