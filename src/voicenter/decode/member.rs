//! The members of a JSON object, uninterpreted, and the spellings of single values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::Text;
use super::text::{depth, storable, unquoted};
use crate::cdr::decimal;

/// Deeper nesting is kept as text: readers of jsonb fail at 128 levels (serde_json) or at the limit of their stack
/// (PostgreSQL).
const DEEPEST: usize = 100;
/// PostgreSQL's numeric: up to 131072 digits before the point, 16383 after it (manual, 8.1 "Numeric Types").
const LARGEST_EXPONENT: i64 = 131_000;
const SMALLEST_EXPONENT: i64 = -16_000;
const MOST_DIGITS: usize = 16_000;

/// One member of an object: its name as written, its value as JSON text.
pub(super) struct Member<'a> {
    pub name: Text<'a>,
    pub raw: &'a str,
}

/// The members of the object in `json`, duplicates included; `None` if it is not an object.
pub(super) fn members(json: &str) -> Option<Vec<Member<'_>>> {
    serde_json::from_str::<Members<'_>>(json).ok().map(|members| members.0)
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(32);
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push(Member { name: unquoted(name.get()), raw: value.get() });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Returns `true` if the value counts as absent: null or `""`.
pub(super) fn is_empty(raw: &str) -> bool {
    matches!(raw, "null" | "\"\"")
}

/// A scalar's text; `None` for arrays and objects.
pub(super) fn scalar(raw: &str) -> Option<Text<'_>> {
    match raw.as_bytes().first()? {
        b'[' | b'{' => None,
        b'"' => Some(unquoted(raw)),
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// Any JSON value as plain text.
pub(super) fn plain_text(raw: &str) -> Text<'_> {
    if raw == "null" { Cow::Borrowed("") } else { scalar(raw).unwrap_or_else(|| storable(raw)) }
}

/// A whole number, written as a number or as a string, also as `2.0`.
pub(super) fn integer(raw: &str) -> Option<i64> {
    let text = scalar(raw)?;
    let text = text.trim();
    text.parse().ok().or_else(|| is_numeric(text).then(|| decimal::plain(text).parse().ok())?)
}

/// The seconds of a duration that can be read in one way only: `00:08:10`, or `PT8M10S` (ISO 8601). `08:10` may be
/// hours and minutes, too.
pub(super) fn clock_seconds(raw: &str) -> Option<i64> {
    let text = scalar(raw)?;
    let text = text.trim();
    if let Some(iso) = text.strip_prefix("PT") {
        return iso_seconds(iso);
    }
    let mut parts = text.split(':');
    let hours = digits(parts.next()?)?;
    let mut sixtieth =
        || parts.next().filter(|part| part.len() == 2).and_then(digits).filter(|part| *part < 60);
    let (minutes, seconds) = (sixtieth()?, sixtieth()?);
    parts.next().is_none().then_some(hours * 3600 + minutes * 60 + seconds)
}

fn iso_seconds(text: &str) -> Option<i64> {
    let (mut rest, mut seconds) = (text, 0);
    for (unit, worth) in [('H', 3600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds += digits(number)? * worth;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(seconds)
}

fn digits(text: &str) -> Option<i64> {
    (text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A boolean: `true`, `"true"`, `1`, `"1"` and their opposites.
pub(super) fn boolean(raw: &str) -> Option<bool> {
    match scalar(raw)?.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A decimal number, digit for digit as written.
pub(super) fn number(raw: &str) -> Option<String> {
    let text = scalar(raw)?;
    is_numeric(&text).then(|| text.into_owned())
}

/// Returns `true` if `text` is a number that PostgreSQL's numeric holds.
fn is_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()),
        None => (unsigned, Some(0)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    exponent.is_some_and(|exponent| (SMALLEST_EXPONENT..LARGEST_EXPONENT).contains(&exponent))
        && mantissa.len() < MOST_DIGITS
        && !(whole.is_empty() && fraction.is_empty())
        && digits(whole)
        && digits(fraction)
}

/// Any value, in a form that jsonb holds: too deep nesting as text, numbers beyond numeric's range as strings.
pub(super) fn value(raw: &str) -> Value {
    let clean = storable(raw);
    let as_text = || Value::String(clean.clone().into_owned());
    if depth(&clean) > DEEPEST {
        return as_text();
    }
    let mut deserializer = serde_json::Deserializer::from_str(&clean);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).map_or_else(|_| as_text(), holdable)
}

fn holdable(value: Value) -> Value {
    match value {
        Value::Number(number) => holdable_number(number),
        Value::Array(items) => Value::Array(items.into_iter().map(holdable).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, holdable(value))).collect())
        }
        other => other,
    }
}

fn holdable_number(number: Number) -> Value {
    let text = number.to_string();
    if is_numeric(&text) { Value::Number(number) } else { Value::String(text) }
}
