//! One request over HTTP, and the judgement of its response: the body first, then the status.

mod call_history;
mod connections;
mod decoding;
mod list;
mod response;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use super::Answer;
use super::decode::{self, BadBody, Envelope, Keep, decode_keeping};
use super::error::{ApiError, of_number};
use super::question::{Method, Question};
use super::said::{explaining, printable};
use super::wire::{self, DateForm};
use crate::answer_memory::{AccountMemory, AnswerMemory, ReservedMemory};
pub use call_history::HistoryError;
use connections::HttpConnections;
use decoding::on_another_thread;
pub use list::ListError;
use response::RawResponse;
pub use settings::{ClientError, ClientSettings, Credential};

/// The API as one account sees it. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    memory: AccountMemory,
    settings: ClientSettings,
    bearer: Option<HeaderValue>,
    account: Arc<str>,
    keeps_items: bool,
    warned: Arc<Mutex<BTreeMap<String, Instant>>>,
}

/// How often a log line about the same oddity of answers is repeated; each poll may show it again.
const WARNED_EVERY: Duration = Duration::from_secs(3600);

/// A body of this size is decoded on another thread, because that takes milliseconds.
const LARGE: usize = 256 << 10;
/// How much more than it needs at once a growing body reserves.
const RESERVED_AHEAD: u64 = 256 << 10;

/// Installs ring as the cryptography of every TLS connection of this process.
pub fn install_crypto() {
    static PROVIDER: Once = Once::new();
    // This fails only if one is installed already, which is fine as well.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// What the clients of one process share: connections and the memory for answers.
#[derive(Clone, Debug)]
pub struct ClientResources {
    connections: HttpConnections,
    memory: AnswerMemory,
}

impl ClientResources {
    /// Resources for clients whose answers are at most `largest` bytes each.
    pub fn for_answers_of(largest: u64) -> Self {
        Self { connections: HttpConnections::default(), memory: AnswerMemory::for_answers_of(largest) }
    }
}

impl Client {
    /// Creates a client that shares nothing.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let shared = ClientResources::for_answers_of(settings.max_response_bytes);
        Self::sharing(settings, &shared)
    }

    /// Creates a client for one account of several.
    pub fn sharing(settings: ClientSettings, shared: &ClientResources) -> Result<Self, ClientError> {
        let mut bearer = None;
        if let Credential::Token(token) = &settings.credential {
            let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| ClientError::Token)?;
            header.set_sensitive(true);
            bearer = Some(header);
        }
        Ok(Self {
            http: shared.connections.for_settings(&settings)?,
            memory: shared.memory.account(),
            settings,
            bearer,
            account: Arc::from(""),
            keeps_items: false,
            warned: Arc::default(),
        })
    }

    /// The same client, named after this account in log lines.
    pub fn named(self, account: &str) -> Self {
        Self { account: Arc::from(account), ..self }
    }

    /// The same client, whose answers also keep their unchanged items, for showing them.
    pub fn keeping_items(self) -> Self {
        Self { keeps_items: true, ..self }
    }

    /// How questions are sent: POST or GET.
    pub fn method(&self) -> Method {
        self.settings.method
    }

    /// A fingerprint of the credential, by which the shared budget is kept. It reveals nothing without `salt`.
    pub fn credential_fingerprint(&self, salt: &[u8]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        hasher.update(self.settings.credential.secret().as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// This account's part of the memory for answers.
    pub fn memory(&self) -> &AccountMemory {
        &self.memory
    }

    /// Asks a question and returns the decoded answer.
    ///
    /// # Errors
    ///
    /// The action of each [`ApiError`] says what to do next.
    pub async fn ask(&self, question: &Question) -> Result<Answer, ApiError> {
        self.ask_within(question, self.memory.nothing()).await
    }

    /// Asks a question whose answer starts with `memory` reserved for it.
    pub async fn ask_within(&self, question: &Question, memory: ReservedMemory) -> Result<Answer, ApiError> {
        let (came, memory) = self.send(question, memory).await?;
        let DecodedBody { came, memory, envelope } = self.decode(came, memory).await;
        let envelope = envelope.map_err(|bad| self.unreadable(&came, bad))?;
        if let Some(error) = self.refusal(&envelope, &came).or_else(|| contradiction(&envelope, &came)) {
            return Err(error.dated(came.server_date));
        }
        self.report(&envelope, &came);
        let exact_bounds = wire::is_exact(question, self.date_form());
        Ok(answer(envelope, &came, exact_bounds, memory))
    }

    /// `api.timezone`: the zone of zoneless dates and bounds.
    pub fn timezone(&self) -> chrono_tz::Tz {
        self.settings.timezone
    }

    /// Returns `true` if the bounds of `question` are sent as they are: a clock change of a zoned API widens them.
    pub fn sends_exactly(&self, question: &Question) -> bool {
        wire::is_exact(question, self.date_form())
    }

    /// Returns the API's own HTML page for a question with `Format::Html`.
    pub async fn ask_html(&self, question: &Question) -> Result<String, ApiError> {
        let (came, memory) = self.send(question, self.memory.nothing()).await?;
        let DecodedBody { came, envelope, memory: _held } = self.decode(came, memory).await;
        if let Ok(envelope) = &envelope
            && let Some(error) = self.refusal(envelope, &came)
        {
            return Err(error);
        }
        if came.status >= 400 {
            return Err(self.unreadable(&came, BadBody::Html));
        }
        Ok(decode::page(&came.body, came.charset()))
    }

    /// Decodes a body; a large one on another thread, because probes must be answered meanwhile.
    async fn decode(&self, came: RawResponse, memory: ReservedMemory) -> DecodedBody {
        let keep = if self.keeps_items { Keep::Items } else { Keep::Records };
        let zone = self.settings.timezone;
        if came.body.len() < LARGE {
            return DecodedBody::from(came, memory, zone, keep);
        }
        on_another_thread(&self.memory, move || DecodedBody::from(came, memory, zone, keep)).await
    }

    /// The error that the API itself names. It takes precedence over any status.
    fn refusal(&self, envelope: &Envelope, came: &RawResponse) -> Option<ApiError> {
        of_number(
            envelope.error_number?,
            explaining(&self.scrub(&envelope.error_description)),
            came.retry_after,
        )
    }

    /// Logs what was accepted although it is not as it should be.
    fn report(&self, envelope: &Envelope, came: &RawResponse) {
        let account = &*self.account;
        if envelope.invalid_bytes > 0 && self.warns_of("invalid text") {
            tracing::warn!(
                event = "invalid_text",
                account,
                bytes = envelope.invalid_bytes,
                charset = came
                    .charset()
                    .map(|charset| self.scrub(charset).replace(|char: char| !char.is_ascii_graphic(), "")),
                "bytes that are invalid in the answer's charset were replaced by U+FFFD"
            );
        }
        for (field, count) in envelope.unfit.iter().filter(|(field, _)| self.warns_of(field)) {
            tracing::warn!(
                event = "unfit_values",
                account,
                field,
                count,
                "values do not fit into the field's column: they are kept in extra, and the column is NULL"
            );
        }
    }

    /// Returns `true` if it is time to log this warning again.
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
        let request = match self.settings.method {
            Method::Post => {
                let body = wire::body(question, self.date_form(), code).to_string();
                self.http.post(self.settings.url.clone()).header(CONTENT_TYPE, "application/json").body(body)
            }
            Method::Get => {
                let mut url = self.settings.url.clone();
                url.query_pairs_mut().extend_pairs(wire::query(question, self.date_form(), code));
                self.http.get(url)
            }
        };
        self.signed(request)
    }

    /// With the token, where that is the credential.
    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }

    async fn send(
        &self,
        question: &Question,
        memory: ReservedMemory,
    ) -> Result<(RawResponse, ReservedMemory), ApiError> {
        self.send_request(self.request(question), memory).await
    }

    async fn send_request(
        &self,
        request: reqwest::RequestBuilder,
        mut memory: ReservedMemory,
    ) -> Result<(RawResponse, ReservedMemory), ApiError> {
        let timeout = self.settings.timeout;
        let mut deadline = Deadline { at: Instant::now() + timeout, patience: timeout };
        let response = timeout_at(deadline.at, request.send()).await.map_err(|_| timed_out())?;
        let mut response = response.map_err(|error| self.transport(error))?;
        if response.status().is_redirection() {
            return Err(ApiError::Redirected);
        }
        let mut came = RawResponse::head(&response);
        let received = self.receive(&mut response, &mut came.body, &mut memory, &mut deadline).await;
        let bytes = came.body.len() as u64;
        match &received {
            Ok(()) => self.memory.note_size(bytes),
            // The next attempt waits for this much before it asks.
            Err(ApiError::NoMemory { received }) => {
                self.memory.note_wanted(received.saturating_mul(2).min(self.settings.max_response_bytes));
            }
            Err(_) => self.memory.note_no_size(),
        }
        received?;
        memory.shrink_to(bytes);
        Ok((came, memory))
    }

    async fn receive(
        &self,
        response: &mut reqwest::Response,
        body: &mut Vec<u8>,
        memory: &mut ReservedMemory,
        deadline: &mut Deadline,
    ) -> Result<(), ApiError> {
        let limit = self.settings.max_response_bytes;
        loop {
            let chunk = match timeout_at(deadline.at, response.chunk()).await.map_err(|_| timed_out())? {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(()),
                Err(error) if error.is_timeout() => return Err(self.transport(error)),
                Err(error) => {
                    return Err(ApiError::CutBody { received: body.len(), what: self.words_of(error) });
                }
            };
            let bytes = (body.len() + chunk.len()) as u64;
            if bytes > limit {
                return Err(ApiError::TooLarge { limit });
            }
            if bytes > memory.bytes() {
                self.reserve((bytes + RESERVED_AHEAD).min(limit), memory, deadline).await?;
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Reserves memory while an answer arrives. The server has to wait meanwhile, which is not its fault, but not
    /// without limit.
    async fn reserve(
        &self,
        bytes: u64,
        memory: &mut ReservedMemory,
        deadline: &mut Deadline,
    ) -> Result<(), ApiError> {
        if memory.grows_without_waiting(bytes) {
            return Ok(());
        }
        let began = Instant::now();
        if timeout(deadline.patience, memory.grow_to(bytes)).await.is_err() {
            return Err(ApiError::NoMemory { received: bytes });
        }
        deadline.at += began.elapsed();
        deadline.patience = deadline.patience.saturating_sub(began.elapsed());
        Ok(())
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
        // Without its URL, because that of a GET contains the code.
        let error = error.without_url();
        let mut text = if timed_out { "timed out".to_owned() } else { error.to_string() };
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.scrub(&text)
    }

    fn unreadable(&self, came: &RawResponse, bad: BadBody) -> ApiError {
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

    /// Removes what a server may echo of the request: the credential, or phone numbers that were searched for. Its
    /// text goes into logs and onto the page, so no number as long as a phone number stays. (An IP address has
    /// none.)
    fn scrub(&self, text: &str) -> String {
        let secret = self.settings.credential.secret();
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let escaped = serde_json::Value::from(secret).to_string();
        let forms = [secret, &encoded, escaped.trim_matches('"')];
        let hide =
            |text: String, form: &&str| if form.is_empty() { text } else { text.replace(*form, "***") };
        // Control characters go first: an invisible character must not hide the credential from this search.
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

/// An error for an answer that reports none but has a contradicting status: it may be a failure that looks like "no
/// calls".
fn contradiction(envelope: &Envelope, came: &RawResponse) -> Option<ApiError> {
    let beside = match envelope.error_number {
        Some(number) => format!("ERROR_NUMBER {number} and {} records", envelope.listed),
        None => format!("{} records", envelope.listed),
    };
    let (status, sign) = match (came.status, envelope.status_code) {
        // 202 and 206 mean that the answer is not there yet, or not complete.
        (status @ (202 | 206 | 400..), _) => (i64::from(status), format!("HTTP {status}")),
        (_, Some(code)) if !(0..400).contains(&code) || matches!(code, 202 | 206) => {
            (code, format!("STATUS_CODE {code}"))
        }
        _ => return None,
    };
    let signs = format!("{sign} with {beside}");
    Some(ApiError::Contradictory { status, signs, retry_after: came.retry_after })
}

/// When an answer is late, and how much longer than that it may wait for memory.
struct Deadline {
    at: Instant,
    patience: Duration,
}

/// A decoded body, and the memory that it occupies in either form.
struct DecodedBody {
    came: RawResponse,
    memory: ReservedMemory,
    envelope: Result<Envelope, BadBody>,
}

impl DecodedBody {
    fn from(mut came: RawResponse, memory: ReservedMemory, zone: Tz, keep: Keep) -> Self {
        let envelope = decode_keeping(&came.body, came.charset(), zone, keep);
        came.size = came.body.len();
        if envelope.is_ok() && keep == Keep::Records {
            came.body = Vec::new();
        }
        Self { came, memory, envelope }
    }
}

fn timed_out() -> ApiError {
    ApiError::TimedOut("timed out".to_owned())
}

fn answer(envelope: Envelope, came: &RawResponse, exact_bounds: bool, memory: ReservedMemory) -> Answer {
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
        zones: envelope.zones.evidence(),
        invalid_bytes: envelope.invalid_bytes,
        items: envelope.items,
        exact_bounds,
        memory: Arc::new(memory),
    }
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
