//! How arguments are written: instants, lengths of time, shares, addresses, faults.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};
use secrecy::SecretString;

use super::clock::is_in_a_world;
use super::faults::Fault;

pub(crate) fn secret(text: &str) -> Result<SecretString, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.into()) }
}

pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let date =
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(chrono::NaiveTime::MIN));
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .or_else(|_| date().map(|date| date.and_utc()).ok_or(()))
        .map_err(|()| "write it like 2026-01-31 or 2026-01-31T08:00:00Z".to_owned())
}

/// Parses the present of a world.
pub(crate) fn present(text: &str) -> Result<DateTime<Utc>, String> {
    let instant = instant(text)?;
    if is_in_a_world(instant) { Ok(instant) } else { Err("must be in the years 1970 to 2199".to_owned()) }
}

/// Parses the address to listen on. A port alone listens on this host only; with a colon before it, as with most
/// servers, on every interface.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
    match (host, port.parse::<u16>()) {
        ("localhost", Ok(port)) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        ("" | "*", Ok(port)) => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        _ => text.parse().map_err(|_| {
            "write it like 8081 (this host only), :8081 (every interface) or 127.0.0.1:8081".to_owned()
        }),
    }
}

pub(crate) fn non_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=10_000_000.0).contains(&number) => Ok(number),
        _ => Err("must be a number from 0 to 10000000".to_owned()),
    }
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a share from 0 to 1".to_owned()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match (number.parse::<u64>(), unit) {
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => Err("write it like 300ms or 2s".to_owned()),
    }
}

/// Parses a length of time in whole seconds, minutes, hours or days, which may be negative.
pub(crate) fn span(text: &str) -> Result<TimeDelta, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse::<i64>().ok());
    number
        .filter(|_| unit > 0)
        .and_then(|number| TimeDelta::try_seconds(number.checked_mul(unit)?))
        .filter(|span| span.num_days().abs() <= 36_500)
        .ok_or_else(|| "write it like 20s, 15m, 12h or 7d".to_owned())
}

/// `KIND=SHARE`; shells complete the kinds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultArgument;

impl TypedValueParser for FaultArgument {
    type Value = (Fault, f64);

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let parse: fn(&str) -> Result<(Fault, f64), String> = fault;
        TypedValueParser::parse_ref(&parse, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Fault::all().iter().map(|fault| PossibleValue::new(format!("{}=", fault.name())))))
    }
}

fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (kind, part) = text.split_once('=').ok_or("write it as KIND=SHARE, like http500=0.05")?;
    let kind = Fault::from_str(kind, false)
        .map_err(|_| format!("unknown fault {kind}; known are: {}", fault_names()))?;
    Ok((kind, share(part)?))
}

pub(crate) fn fault_names() -> String {
    Fault::all().iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ")
}

pub(crate) fn fault_help() -> String {
    format!("Make a share of the answers fail, as in http500=0.05; repeatable. Kinds: {}", fault_names())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_can_be_a_port_alone() {
        for (text, expected) in [
            ("8081", "127.0.0.1:8081"),
            ("localhost:8081", "127.0.0.1:8081"),
            (":8081", "0.0.0.0:8081"),
            ("*:0", "0.0.0.0:0"),
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("[::1]:8081", "[::1]:8081"),
        ] {
            assert_eq!(listen(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", ":", "http://x", "65536", "::1", "example.com:80", "127.0.0.1"] {
            assert!(listen(text).unwrap_err().starts_with("write it like 8081"), "{text}");
        }
    }
}
