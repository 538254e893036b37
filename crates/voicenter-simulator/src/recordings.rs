//! The recording host: what the links in RecordURL lead to, on the address of the API.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, header};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use futures_util::stream;

use super::random::Random;
use super::record::Record;

/// Where the links of generated records lead without a recording host: nowhere.
pub(crate) const NOWHERE: &str = "https://cpanel.example/CallsHistory/PlayRecord/";
/// Where they lead with one.
const PATH: &str = "/CallsHistory/PlayRecord/";
/// Where no client from outside belongs.
const PRIVATE_PATH: &str = "/private/";
/// The bytes that are sent of a truncated recording.
const TRUNCATED: usize = 1_000;
/// How long after the first request a recording that comes later is there.
const LATER: TimeDelta = TimeDelta::minutes(5);

/// What a link to a recording is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum RecordingAnswer {
    /// The recording, as MP3.
    #[default]
    Audio,
    /// A login page with HTTP 200.
    LoginPage,
    /// Cloudflare's challenge with HTTP 403.
    Cloudflare,
    /// HTTP 401.
    Unauthorized,
    /// HTTP 404.
    NotFound,
    /// HTTP 429 with `Retry-After: 120`.
    RateLimited,
    /// The whole Content-Length, but the connection closes after 1,000 bytes.
    Truncated,
    /// HTTP 404 until five minutes (by the simulated clock) after the first request for that link.
    Later,
    /// HTTP 302 to another link of this host, which has the recording.
    Redirect,
    /// HTTP 302 to `http://localhost`, a private address.
    RedirectPrivate,
}

impl RecordingAnswer {
    /// Every answer, in the order of declaration.
    pub fn all() -> &'static [RecordingAnswer] {
        RecordingAnswer::value_variants()
    }

    /// The answer's name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The recording host of a simulator: what it answers, and what it was asked.
#[derive(Debug)]
pub struct Recordings {
    first: RecordingAnswer,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    answer: RecordingAnswer,
    requests: usize,
    private_requests: usize,
    /// When each recording was first asked for.
    asked: HashMap<String, DateTime<Utc>>,
}

impl Recordings {
    pub(crate) fn new(first: RecordingAnswer) -> Self {
        Self { first, board: Mutex::new(Board { answer: first, ..Board::default() }) }
    }

    /// Answers every request like this from now on.
    pub fn answer(&self, answer: RecordingAnswer) {
        self.board().answer = answer;
    }

    /// What requests are answered with.
    pub fn current(&self) -> RecordingAnswer {
        self.board().answer
    }

    /// Number of requests for recordings, whatever the answer.
    pub fn requests(&self) -> usize {
        self.board().requests
    }

    /// Number of requests to the private address that `RedirectPrivate` leads to: a careful client makes none.
    pub fn private_requests(&self) -> usize {
        self.board().private_requests
    }

    /// The recording behind a link; the same link always has the same one.
    pub fn bytes(link: &str) -> Vec<u8> {
        recording(link.rsplit('/').next().unwrap_or_default())
    }

    pub(crate) fn restart(&self) {
        *self.board() = Board { answer: self.first, ..Board::default() };
    }

    /// The answer to a request for `path`; `None` if that is no recording. `port` is the host's own.
    pub(crate) fn reply(&self, path: &str, at: DateTime<Utc>, port: u16) -> Option<Response<Body>> {
        if path.starts_with(PRIVATE_PATH) {
            self.board().private_requests += 1;
            return Some(page(200, "text/plain", "what nobody outside may see"));
        }
        let name = path.strip_prefix(PATH)?;
        let answer = self.take(name, at);
        let mut reply = match answer {
            RecordingAnswer::Audio => whole(name),
            RecordingAnswer::LoginPage => page(200, "text/html; charset=utf-8", LOGIN),
            RecordingAnswer::Cloudflare => page(403, "text/html; charset=UTF-8", CHALLENGE),
            RecordingAnswer::Unauthorized => page(401, "text/plain", "Unauthorized"),
            RecordingAnswer::NotFound | RecordingAnswer::Later => page(404, "text/plain", "Not found"),
            RecordingAnswer::RateLimited => page(429, "text/plain", "Too many requests"),
            RecordingAnswer::Truncated => truncated(name),
            RecordingAnswer::Redirect | RecordingAnswer::RedirectPrivate => page(302, "text/plain", ""),
        };
        let location = match answer {
            // The other link always has the recording: a redirect to a redirect would never end.
            RecordingAnswer::Redirect => format!("{PATH}{MOVED}{name}"),
            RecordingAnswer::RedirectPrivate => format!("http://localhost:{port}{PRIVATE_PATH}"),
            _ => String::new(),
        };
        let more = match answer {
            RecordingAnswer::Cloudflare => Some((header::SERVER, "cloudflare".to_owned())),
            RecordingAnswer::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())),
            RecordingAnswer::RateLimited => Some((header::RETRY_AFTER, "120".to_owned())),
            RecordingAnswer::Redirect | RecordingAnswer::RedirectPrivate => {
                Some((header::LOCATION, location))
            }
            _ => None,
        };
        if let Some((name, Ok(value))) = more.map(|(name, value)| (name, value.parse())) {
            reply.headers_mut().insert(name, value);
        }
        // The link may hold a phone number.
        let status = reply.status().as_u16();
        tracing::info!(target: crate::LOG, answer = answer.name(), status, "recording request");
        Some(reply)
    }

    /// Counts a request, and decides how to answer it.
    fn take(&self, name: &str, at: DateTime<Utc>) -> RecordingAnswer {
        let mut board = self.board();
        board.requests += 1;
        let first = *board.asked.entry(name.to_owned()).or_insert(at);
        match board.answer {
            RecordingAnswer::Later if at >= first + LATER => RecordingAnswer::Audio,
            RecordingAnswer::Redirect if name.starts_with(MOVED) => RecordingAnswer::Audio,
            answer => answer,
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins the names that `Redirect` leads to.
const MOVED: &str = "moved-";

const LOGIN: &str = "<!DOCTYPE html>\n<html><head><title>Voicenter - Login</title></head>\n<body><form \
                     action=\"/Login\" method=\"post\"><input name=\"UserName\"><input type=\"password\" \
                     name=\"Password\"><button>Login</button></form></body></html>\n";

const CHALLENGE: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>Just a moment...</title></head>\
                         <body><script src=\"/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1\">\
                         </script></body></html>\n";

/// Lets the link of a generated record lead to the host at `base`. Like real ones, some hold the caller's number.
pub(crate) fn lead(record: &mut Record, base: &str) {
    let Some(name) = record.record_url.strip_prefix(NOWHERE) else { return };
    let number = &record.caller_number;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    record.record_url = match name.strip_suffix(".mp3").filter(|_| is_number) {
        Some(stem) => format!("{base}{PATH}{stem}-{number}.mp3"),
        None => format!("{base}{PATH}{name}"),
    };
}

/// Some kilobytes that begin like an MP3: with a tag, or with a frame.
fn recording(name: &str) -> Vec<u8> {
    let name = name.strip_prefix(MOVED).unwrap_or(name);
    let parts: Vec<u64> = name.bytes().map(u64::from).collect();
    let mut random = Random::of(&parts);
    let mut bytes = match random.chance(0.5) {
        true => b"ID3\x03\0\0\0\0\0\0".to_vec(),
        false => Vec::new(),
    };
    for _ in 0..random.between(24, 240) {
        bytes.extend([0xFF, 0xFB, 0x50, 0xC4]);
        bytes.extend((0..52).flat_map(|_| random.next().to_le_bytes()).take(413));
    }
    bytes
}

fn page(status: u16, content_type: &'static str, body: &'static str) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.body(Body::from(body)).unwrap_or_default()
}

fn whole(name: &str) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_TYPE, "audio/mpeg");
    response.body(Body::from(recording(name))).unwrap_or_default()
}

fn truncated(name: &str) -> Response<Body> {
    let bytes = recording(name);
    let length = bytes.len();
    let part = Bytes::copy_from_slice(bytes.get(..TRUNCATED).unwrap_or_default());
    let parts = stream::unfold(Some(part), |part| async {
        match part {
            Some(part) => Some((Ok(part), None)),
            None => {
                // Time for the part to be sent; otherwise the client would see no body at all.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None))
            }
        }
    });
    let response =
        Response::builder().header(header::CONTENT_TYPE, "audio/mpeg").header(header::CONTENT_LENGTH, length);
    response.body(Body::from_stream(parts)).unwrap_or_default()
}
