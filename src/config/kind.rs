//! The kinds of values: how each is written, and the error for any other text.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ipnet::IpNet;
use lettre::message::Mailbox;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::error::nearest;
use super::{Country, IdentityCriteria, LogFormat, Method, Pooler, WebhookForm};
use crate::push::{KeyHash, TimeBase};

/// Reads one value from its text; the error is what was expected.
pub(super) type KeyKind<T> = fn(&str) -> Result<T, String>;

/// A positive span of time, such as `15m`.
pub(super) const DURATION: KeyKind<TimeDelta> = duration;
pub(super) const WAIT: KeyKind<Duration> = |text| {
    let wait = duration(text)?;
    wait.to_std().map_err(|error| error.to_string())
};
pub(super) const SIZE: KeyKind<u64> = size;
/// A whole number from 1.
pub(super) const POSITIVE: KeyKind<u32> = |text| {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
};
pub(super) const INTEGER: KeyKind<i32> =
    |text| text.parse().map_err(|_| "expected a whole number".to_owned());
pub(super) const BOOLEAN: KeyKind<bool> =
    |text| text.parse().map_err(|_| "expected true or false".to_owned());
pub(super) const INSTANT: KeyKind<DateTime<Utc>> = instant;
pub(super) const TIMEZONE: KeyKind<Tz> = |text| text.trim().parse().map_err(|_| no_zone(text));
/// A country by its two letters.
pub(super) const COUNTRY: KeyKind<Country> = |text| {
    let letters = text.trim().to_ascii_uppercase();
    letters
        .parse()
        .map_err(|_| "expected the two letters of a country (ISO 3166) such as IL or GB".to_owned())
};
/// Text that is not empty.
pub(super) const TEXT: KeyKind<String> = |text| match text.trim() {
    "" => Err("expected some text".to_owned()),
    text if text.chars().any(char::is_control) => Err("expected text without control characters".to_owned()),
    text => Ok(text.to_owned()),
};
/// The API's address. Credentials have keys of their own: one in an address would be logged with it.
pub(super) const URL: KeyKind<Url> = |text| {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.filter(|url| url.username().is_empty() && url.password().is_none() && url.query().is_none())
        .ok_or_else(|| {
            format!(
                "expected an http or https address without user, password or query, such as {}",
                super::CURRENT_API_URL
            )
        })
};
/// The same, or nothing.
pub(super) const URL_OR_NOTHING: KeyKind<Option<Url>> = |text| match text.trim() {
    "" => Ok(None),
    text => URL(text).map(Some),
};
/// Where the HTTP server listens, or nowhere.
pub(super) const LISTEN: KeyKind<Option<SocketAddr>> = |text| match text.trim() {
    "" => Ok(None),
    text => text.parse().map(Some).map_err(|_| {
        "expected an IP address and a port such as 127.0.0.1:8080 or [::]:8080, or nothing to turn it off"
            .to_owned()
    }),
};
/// A host name as in an address.
pub(super) const HOST: KeyKind<String> = |text| {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let expected = "expected a name such as calls.example.com, without http:// and port";
    Some(name).filter(|name| !name.is_empty() && name.chars().all(plain)).ok_or_else(|| expected.to_owned())
};
/// A host name, or all hosts below one.
pub(super) const HOSTS: KeyKind<String> = |text| {
    let expected = "expected a name such as files.example.com, or *.example.org for every host below it";
    let (below, name) = match text.trim().strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    let name = HOST(name).map_err(|_| expected.to_owned())?;
    // All hosts of a country or of the world were never meant.
    let is_narrow = below.is_empty() || name.contains('.');
    is_narrow.then(|| format!("{below}{name}")).ok_or_else(|| expected.to_owned())
};
/// The smallest unit of time in requests.
pub(super) const GRANULARITY: KeyKind<TimeDelta> = |text| match duration(text) {
    Ok(unit) if [TimeDelta::seconds(1), TimeDelta::minutes(1)].contains(&unit) => Ok(unit),
    _ => Err("expected 1s or 1m".to_owned()),
};
pub(super) const METHOD: KeyKind<Method> =
    |text| one_of(text, &[("post", Method::Post), ("get", Method::Get)]);
pub(super) const POOLER: KeyKind<Pooler> =
    |text| one_of(text, &[("none", Pooler::None), ("transaction", Pooler::Transaction)]);
/// What the time of pushes is counted from.
pub(super) const TIME_BASE: KeyKind<Option<TimeBase>> =
    |text| one_of(text, &[("auto", None), ("local", Some(TimeBase::Local)), ("utc", Some(TimeBase::Utc))]);
pub(super) const LOG_FORMAT: KeyKind<LogFormat> =
    |text| one_of(text, &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)]);
/// A level, optionally followed by levels for parts of the program. The filter would read any other word as the name of
/// a part, and silence everything else.
pub(super) const LOG_LEVEL: KeyKind<String> = |text| {
    let is_level = |word: &str| LEVELS.contains(&word.trim().to_ascii_lowercase().as_str());
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    };
    let understood = text.split(',').all(is_directive) && EnvFilter::builder().parse(text).is_ok();
    understood.then(|| text.trim().to_ascii_lowercase()).ok_or_else(|| {
        format!("expected {}, or with levels for parts such as info,cdr_sync=debug", LEVELS.join(", "))
    })
};
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
pub(super) const WEBHOOK_FORM: KeyKind<WebhookForm> = |text| {
    one_of(text, &[("json", WebhookForm::Json), ("text", WebhookForm::Text), ("teams", WebhookForm::Teams)])
};
/// An address of mail, with or without a name.
pub(super) const MAILBOX: KeyKind<Mailbox> = |text| {
    text.trim()
        .parse()
        .map_err(|_| "expected an address such as ops@example.com or Ops <ops@example.com>".to_owned())
};
/// The hash of a key in the addresses that notifications are pushed to.
pub(super) const KEY_HASH: KeyKind<KeyHash> = |text| {
    text.parse().map_err(|error| {
        format!("{error}, as the second line of cdr-sync push key has it (what is there is not shown)")
    })
};
/// An address, or a network of them.
pub(super) const NETWORK: KeyKind<IpNet> = |text| {
    let (text, expected) =
        (text.trim(), "expected a network or an address such as 203.0.113.0/24 or 2001:db8::1");
    let network = text.parse::<IpNet>().map(|network| network.trunc());
    network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| expected.to_owned())
};
/// A directory by its whole path: the working directory of a daemon is anywhere.
pub(super) const DIRECTORY: KeyKind<PathBuf> = |text| {
    let path = PathBuf::from(text.trim());
    Some(path)
        .filter(|path| path.is_absolute())
        .ok_or_else(|| "expected a directory by its whole path, such as /var/lib/cdr-sync/spool".to_owned())
};
/// Whose records are asked for.
pub(super) const IDENTITY: KeyKind<IdentityCriteria> =
    |text| one_of(text, &IdentityCriteria::ALL.map(|criteria| (criteria.as_str(), criteria)));

fn no_zone(text: &str) -> String {
    let expected = "expected an IANA time zone such as UTC or Asia/Jerusalem";
    let names: Vec<String> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name().to_owned()).collect();
    match nearest(text.trim(), &names) {
        Some(near) => format!("{expected}; did you mean {near}?"),
        None => expected.to_owned(),
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("expected {}", names.join(" or "))
    })
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let expected = "expected a duration with its unit, such as 30s, 15m, 3h or 7d";
    let (number, unit) = number_and_unit(text);
    let refuse = || match (number.parse::<u32>(), unit) {
        (Ok(seconds), "") => format!("{expected}; write {seconds}s for seconds"),
        _ => expected.to_owned(),
    };
    let count: i64 = number.parse().map_err(|_| refuse())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refuse()),
    };
    let span = count.checked_mul(seconds).and_then(TimeDelta::try_seconds);
    // A century: past it, adding to a date could overflow.
    span.filter(|span| *span > TimeDelta::zero() && *span <= TimeDelta::days(36_525)).ok_or_else(refuse)
}

fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text);
    let factor: Option<u64> = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(count, factor)| count.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "expected a size such as 256MiB or 64 MB".to_owned())
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (number, unit.trim_start())
}

/// A date alone is its midnight in UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let exact = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
    exact
        .or_else(|_| text.parse::<NaiveDate>().map(|date| date.and_time(NaiveTime::MIN).and_utc()))
        .map_err(|_| "expected a time such as 2024-06-01T00:00:00Z, or a date such as 2024-06-01".to_owned())
}
