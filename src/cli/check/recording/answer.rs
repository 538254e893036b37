//! What a link to a recording was answered with, judged by the head and the first bytes of the body. Pure.

use chrono::DateTime;

/// A shorter file holds no conversation.
const SHORTEST: u64 = 256;

/// An answer, as much of it as was received.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) status: u16,
    /// Content-Type.
    pub(super) content_type: Option<String>,
    /// Content-Length.
    pub(super) content_length: Option<u64>,
    /// Retry-After.
    pub(super) retry_after: Option<String>,
    /// Cloudflare says in the head that it is a challenge.
    pub(super) is_challenge: bool,
    /// The first bytes of the body.
    pub(super) body: Vec<u8>,
    pub(super) end: BodyEnd,
}

/// How what was received of a body ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// That was all.
    #[default]
    Whole,
    /// There was more, which was not read.
    MoreToCome,
    /// The connection broke.
    BrokeOff,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordingAnswer {
    /// A recording.
    Audio { format: &'static str, content_type: String, bytes: Option<u64> },
    /// A recording with nothing in it.
    TooShort { bytes: u64 },
    /// The connection broke within the first bytes.
    BrokeOff { received: u64, announced: Option<u64> },
    /// A page that asks for a login.
    LoginPage { status: u16 },
    /// Another page.
    Page { status: u16 },
    /// A page that only browsers get past.
    CloudflareChallenge { status: u16 },
    /// HTTP 401.
    Unauthorized,
    /// HTTP 403 without a challenge.
    Forbidden,
    /// HTTP 404 or 410.
    NotFound { status: u16 },
    /// HTTP 429.
    TooManyRequests { retry_after: Option<String> },
    /// Anything else.
    Other { status: u16, content_type: String },
}

impl RecordingAnswer {
    /// What an answer is. Its body decides: pages come with HTTP 200, too.
    pub(super) fn of(received: &Received) -> Self {
        let status = received.status;
        let text = String::from_utf8_lossy(&received.body).to_lowercase();
        let is_page = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
        let holds = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if received.is_challenge || is_page && status != 200 && holds(&CHALLENGE) {
            return Self::CloudflareChallenge { status };
        }
        match status {
            401 => Self::Unauthorized,
            404 | 410 => Self::NotFound { status },
            429 => Self::TooManyRequests { retry_after: received.retry_after.as_deref().and_then(wait) },
            _ if is_page && holds(&LOGIN) => Self::LoginPage { status },
            403 => Self::Forbidden,
            _ if is_page => Self::Page { status },
            200 | 206 => received.content(),
            _ => Self::Other { status, content_type: received.media_type() },
        }
    }

    /// The answer's name in JSON.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Audio { .. } => "audio",
            Self::TooShort { .. } => "too_short",
            Self::BrokeOff { .. } => "broke_off",
            Self::LoginPage { .. } => "login_page",
            Self::Page { .. } => "page",
            Self::CloudflareChallenge { .. } => "cloudflare_challenge",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Other { .. } => "other",
        }
    }

    /// The answer in a few words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Audio { format, content_type, bytes } => {
                let bytes = bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
                format!("audio ({format}, {content_type}{bytes})")
            }
            Self::TooShort { bytes } => format!("a file of {bytes} bytes, in which there is no conversation"),
            Self::BrokeOff { received, announced } => {
                let of = announced.map(|bytes| format!(" of {bytes}")).unwrap_or_default();
                format!("a truncated file: the connection broke after {received}{of} bytes")
            }
            Self::LoginPage { status } => format!("a login page (HTTP {status})"),
            Self::Page { status } => format!("a web page in place of a recording (HTTP {status})"),
            Self::CloudflareChallenge { status } => format!("a Cloudflare challenge (HTTP {status})"),
            Self::Unauthorized => "unauthorized (HTTP 401)".to_owned(),
            Self::Forbidden => "forbidden (HTTP 403)".to_owned(),
            Self::NotFound { status } => format!("not found (HTTP {status})"),
            Self::TooManyRequests { retry_after: Some(wait) } => {
                format!("too many requests (HTTP 429, Retry-After: {wait})")
            }
            Self::TooManyRequests { retry_after: None } => {
                "too many requests (HTTP 429, without Retry-After)".to_owned()
            }
            Self::Other { status, content_type } => {
                format!("something else: HTTP {status} with {content_type}, which is no audio")
            }
        }
    }

    /// What to do; `None` if all is well.
    pub(super) const fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Audio { .. } => return None,
            Self::TooShort { .. } | Self::BrokeOff { .. } => {
                "try again: if it stays so, ask Voicenter to look into this host's recordings"
            }
            Self::LoginPage { .. } | Self::Page { .. } | Self::Unauthorized | Self::Forbidden => {
                "a program without a login cannot fetch recordings by their links: ask Voicenter how a server may (a token, an address on a list, delivery to S3)"
            }
            Self::CloudflareChallenge { .. } => {
                "only a browser gets past it: ask Voicenter to admit this host's address, or how else a server may fetch recordings"
            }
            Self::NotFound { .. } => {
                "the recording may come later: try again in an hour; if it stays so, ask Voicenter how long recordings are kept"
            }
            Self::TooManyRequests { .. } => {
                "wait at least that long before another try, and ask Voicenter how many requests it allows"
            }
            Self::Other { .. } => "ask Voicenter what this host sends in place of a recording",
        })
    }
}

impl Received {
    /// What a body with HTTP 200 is that is not a page.
    fn content(&self) -> RecordingAnswer {
        let length = self.body.len() as u64;
        let total = match self.end {
            BodyEnd::Whole => Some(length),
            _ => self.content_length,
        };
        if self.end == BodyEnd::BrokeOff {
            return RecordingAnswer::BrokeOff { received: length, announced: self.content_length };
        }
        let content_type = self.media_type();
        match format(&self.body) {
            _ if total.is_some_and(|bytes| bytes < SHORTEST) => {
                RecordingAnswer::TooShort { bytes: total.unwrap_or_default() }
            }
            Some(format) => RecordingAnswer::Audio { format, content_type, bytes: total },
            None => RecordingAnswer::Other { status: self.status, content_type },
        }
    }

    /// The Content-Type without parameters. Anything may be in it, so only what belongs there is shown.
    fn media_type(&self) -> String {
        let essence =
            self.content_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '+' | '.');
        match essence.trim() {
            "" => "no Content-Type".to_owned(),
            text if text.len() <= 60 && text.chars().all(plain) => text.to_ascii_lowercase(),
            _ => "a strange Content-Type".to_owned(),
        }
    }
}

/// Words of Cloudflare's challenges.
const CHALLENGE: [&str; 4] = ["just a moment", "challenge-platform", "cf-chl", "cf_chl"];

/// Words of pages that ask for a login.
const LOGIN: [&str; 6] = ["type=\"password\"", "type='password'", "login", "log in", "sign in", "התחבר"];

/// The format of a file, by its first bytes.
fn format(body: &[u8]) -> Option<&'static str> {
    match body {
        [b'I', b'D', b'3', ..] => Some("MP3"),
        // The beginning of a frame: eleven bits that are set, then a version and a layer that exist.
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x18 != 0x08 && second & 0x06 != 0 => {
            Some("MP3")
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("WAV"),
        [b'O', b'g', b'g', b'S', ..] => Some("Ogg"),
        _ => None,
    }
}

/// Retry-After as it is shown: seconds, or a date. Anything else is nobody's advice.
fn wait(text: &str) -> Option<String> {
    let text = text.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(format!("{seconds} s")),
        Err(_) => DateTime::parse_from_rfc2822(text).ok().map(|until| until.to_rfc3339()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, content_type: &str, body: &[u8]) -> Received {
        Received {
            status,
            content_type: Some(content_type.to_owned()),
            body: body.to_vec(),
            ..Received::default()
        }
    }

    fn of(status: u16, content_type: &str, body: &[u8]) -> RecordingAnswer {
        RecordingAnswer::of(&received(status, content_type, body))
    }

    fn file(begin: &[u8]) -> Vec<u8> {
        let mut bytes = begin.to_vec();
        bytes.resize(1_000, 7);
        bytes
    }

    #[test]
    fn audio_is_known_by_its_first_bytes_whatever_its_type_says() {
        for (begin, format) in [
            (&b"ID3\x03"[..], "MP3"),
            (&[0xFF, 0xFB, 0x50], "MP3"),
            (&[0xFF, 0xE3, 0x50], "MP3"),
            (b"RIFF\0\0\0\0WAVE", "WAV"),
            (b"OggS", "Ogg"),
        ] {
            for content_type in ["audio/mpeg", "application/octet-stream"] {
                let audio = of(200, content_type, &file(begin));
                let expected = RecordingAnswer::Audio {
                    format,
                    content_type: content_type.to_owned(),
                    bytes: Some(1_000),
                };
                assert_eq!(audio, expected, "{begin:?}");
            }
        }
        for begin in [&b"RIFF\0\0\0\0AVI "[..], b"%PDF", b"PK", &[0xFF, 0xD8, 0xFF], &[0xFF, 0xFF, 0, 0][..2]]
        {
            let other = of(200, "audio/mpeg", &file(begin));
            let is_audio = matches!(other, RecordingAnswer::Audio { .. });
            assert_eq!(is_audio, begin == [0xFF, 0xFF], "{begin:?}");
        }
    }

    #[test]
    fn the_size_is_the_one_announced_unless_all_was_read() {
        let mut part = received(200, "audio/mpeg", &file(b"ID3"));
        part.end = BodyEnd::MoreToCome;
        let bytes = |received: &Received| match RecordingAnswer::of(received) {
            RecordingAnswer::Audio { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(bytes(&part), None);
        part.content_length = Some(70_000);
        assert_eq!(bytes(&part), Some(70_000));
        part.content_length = Some(200);
        assert_eq!(RecordingAnswer::of(&part), RecordingAnswer::TooShort { bytes: 200 });
        part.end = BodyEnd::BrokeOff;
        let broken = RecordingAnswer::BrokeOff { received: 1_000, announced: Some(200) };
        assert_eq!(RecordingAnswer::of(&part), broken);
        assert_eq!(of(200, "audio/mpeg", b""), RecordingAnswer::TooShort { bytes: 0 });
    }

    #[test]
    fn pages_are_no_recordings() {
        let login = "\u{feff}\n<html><title>Voicenter - Login</title><input type=\"password\"></html>";
        assert_eq!(of(200, "audio/mpeg", login.as_bytes()), RecordingAnswer::LoginPage { status: 200 });
        assert_eq!(of(403, "text/html", login.as_bytes()), RecordingAnswer::LoginPage { status: 403 });
        assert_eq!(of(200, "text/html", b"<html>Hello</html>"), RecordingAnswer::Page { status: 200 });
        assert_eq!(of(502, "text/html", b"<html>Bad gateway</html>"), RecordingAnswer::Page { status: 502 });
        let challenge =
            b"<!DOCTYPE html><title>Just a moment...</title><script src=/cdn-cgi/challenge-platform>";
        for status in [403, 429, 503] {
            let expected = RecordingAnswer::CloudflareChallenge { status };
            assert_eq!(of(status, "text/html", challenge), expected);
            let by_head = Received { is_challenge: true, ..received(status, "text/html", b"<html>") };
            assert_eq!(RecordingAnswer::of(&by_head), expected);
        }
    }

    #[test]
    fn a_status_says_the_rest() {
        assert_eq!(of(401, "text/plain", b"no"), RecordingAnswer::Unauthorized);
        assert_eq!(of(403, "text/plain", b"no"), RecordingAnswer::Forbidden);
        assert_eq!(of(404, "text/plain", b"no"), RecordingAnswer::NotFound { status: 404 });
        assert_eq!(of(410, "text/html", b"<html>gone"), RecordingAnswer::NotFound { status: 410 });
        let other = |status, content_type: &str| RecordingAnswer::Other {
            status,
            content_type: content_type.to_owned(),
        };
        assert_eq!(of(500, "application/json", b"{}"), other(500, "application/json"));
        assert_eq!(of(200, "Application/PDF; x=y", &file(b"%PDF")), other(200, "application/pdf"));
        assert_eq!(of(200, "0501234567 called", &file(b"%PDF")), other(200, "a strange Content-Type"));
        assert_eq!(of(200, "", &file(b"%PDF")), other(200, "no Content-Type"));
    }

    #[test]
    fn the_wait_that_is_asked_for_is_shown_if_it_is_one() {
        let after = |text: Option<&str>| {
            let received = Received {
                retry_after: text.map(str::to_owned),
                ..received(429, "text/plain", b"slow down")
            };
            RecordingAnswer::of(&received).text()
        };
        assert_eq!(after(Some("120")), "too many requests (HTTP 429, Retry-After: 120 s)");
        let date = after(Some("Mon, 08 Jun 2026 12:00:00 GMT"));
        assert_eq!(date, "too many requests (HTTP 429, Retry-After: 2026-06-08T12:00:00+00:00)");
        for nonsense in [None, Some("soon"), Some("-1")] {
            assert_eq!(after(nonsense), "too many requests (HTTP 429, without Retry-After)");
        }
    }
}
