//! The fields of one object, taken out one by one under any spelling of their names.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::cdr::decimal;
use crate::cdr::plain_json;

/// Nothing that is measured has more digits.
const LONGEST_MEASURE: usize = 64;

/// The longest number that has a meaning here.
const LONGEST_DECIMAL: usize = 40;

/// What is said in a call, and what AI makes of it, stands under these names.
const OF_ANALYSIS: [&str; 5] = ["aiData", "insights", "emotions", "transcript", "summary"];

/// What is left of an object while its known fields are taken out.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Null and empty values say nothing.
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self(object.into_iter().filter(|(_, value)| !is_empty(value)).collect())
    }

    /// The fields that were not taken: unknown ones, and those whose values do not fit.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0
    }

    /// A text; a number as it is written.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, scalar)
    }

    /// A whole number.
    pub(super) fn integer(&mut self, name: &str) -> Option<i64> {
        self.take(name, |value| decimal::plain(&scalar(value)?).parse().ok())
    }

    /// A number in the one spelling of its value.
    pub(super) fn decimal(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| {
            let text = decimal::plain(&scalar(value)?);
            // One with an exponent left has no end, and no price is that long.
            let is_written_out = text.len() <= LONGEST_DECIMAL && !text.contains(['e', 'E']);
            (is_written_out && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(text)
        })
    }

    /// A whole number of a range.
    pub(super) fn within(&mut self, name: &str, range: RangeInclusive<i16>) -> Option<i16> {
        self.take(name, |value| {
            let number = decimal::plain(&scalar(value)?).parse().ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A number of at most as many digits as anything that was measured has.
    pub(super) fn measure(&mut self, name: &str) -> Option<String> {
        self.take(name, number)
    }

    /// A number such as `1` or a word such as `"false"`.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| match scalar(value)?.to_ascii_lowercase().as_str() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        })
    }

    /// A list, perhaps written into a text.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        self.take(name, |value| match unwrapped(value)? {
            Value::Array(items) => Some(items),
            _ => None,
        })
    }

    /// An object, perhaps written into a text.
    pub(super) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        self.take(name, |value| match unwrapped(value)? {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    /// Anything, as it is written.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.take(name, |value| Some(value.clone()))
    }

    /// Everything that is of the analysis of a call, wherever and however it is written: it is for other readers than the rest. What
    /// is no object is a member of its own name.
    pub(super) fn analysis(&mut self) -> Option<Map<String, Value>> {
        let is_meant = |key: &String| {
            OF_ANALYSIS.iter().any(|name| key.trim().replace(['_', '-', ' '], "").eq_ignore_ascii_case(name))
        };
        let keys: Vec<String> = self.0.keys().filter(|key| is_meant(key)).cloned().collect();
        let mut analysis: Option<Map<String, Value>> = None;
        for key in keys {
            let Some(value) = self.0.remove(&key) else { continue };
            let into = analysis.get_or_insert_default();
            match unwrapped(&value) {
                Some(Value::Object(members)) if key.to_ascii_lowercase().contains("data") => {
                    for (name, member) in members {
                        into.entry(name).or_insert(member);
                    }
                }
                _ => drop(into.entry(key).or_insert(value)),
            }
        }
        analysis
    }

    /// Anything; a text that holds JSON as what it holds.
    pub(super) fn any(&mut self, name: &str) -> Option<Value> {
        self.take(name, |value| unwrapped(value).or_else(|| Some(value.clone())))
    }

    /// Takes the field out if its value fits.
    fn take<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let key = match self.0.contains_key(name) {
            true => name.to_owned(),
            false => self.0.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone(),
        };
        let value = read(self.0.get(&key)?)?;
        self.0.remove(&key);
        Some(value)
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => matches!(text.trim(), "" | "null"),
        _ => false,
    }
}

/// A number, in a text or not, that any numeric column holds.
pub(super) fn number(value: &Value) -> Option<String> {
    let text = decimal::plain(&scalar(value)?);
    // One with an exponent left has no end.
    let is_written_out = text.len() <= LONGEST_MEASURE && !text.contains(['e', 'E']);
    (is_written_out && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(text)
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

/// A list or an object, which may be written into a text.
pub(super) fn unwrapped(value: &Value) -> Option<Value> {
    match value {
        Value::Array(_) | Value::Object(_) => Some(value.clone()),
        Value::String(text) => {
            plain_json::parse(text).ok().filter(|inner| inner.is_array() || inner.is_object())
        }
        _ => None,
    }
}
