//! JSON text that strict readers refuse, mended: control characters in strings, lone surrogates, U+0000.
//!
//! PostgreSQL's text and jsonb hold neither U+0000 nor lone surrogates (manual, 8.14 "JSON Types"): both become U+FFFD.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Text;

const REPLACEMENT: &str = "\\ufffd";

/// `text`, if it is JSON, with raw control characters inside strings escaped where that is what it takes.
pub(super) fn readable(text: &str) -> Option<Cow<'_, str>> {
    let is_json = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok();
    if is_json(text) {
        return Some(Cow::Borrowed(text));
    }
    let escaped = escape_controls(text)?;
    is_json(&escaped).then_some(Cow::Owned(escaped))
}

/// `None` when there is no control character to escape.
fn escape_controls(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len() + 64);
    let (mut in_string, mut after_backslash, mut changed) = (false, false, false);
    for c in text.chars() {
        if in_string && c < ' ' && !after_backslash {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            changed = true;
            continue;
        }
        if c == '"' && !after_backslash {
            in_string = !in_string;
        }
        after_backslash = in_string && c == '\\' && !after_backslash;
        // A NUL between values is no white space of JSON's.
        if c == '\0' {
            changed = true;
        } else {
            escaped.push(c);
        }
    }
    changed.then_some(escaped)
}

/// JSON text whose every escape can be stored: `\u0000` and lone surrogates replaced.
pub(super) fn storable(json: &str) -> Text<'_> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let (kept, length) = one_escape(escape);
        clean.push_str(kept);
        rest = escape.get(length..).unwrap_or("");
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// What stands for the escape at the start of `text`, and how long that escape is.
fn one_escape(text: &str) -> (&str, usize) {
    let Some(unit) = code_unit(text) else {
        let length = 1 + text.get(1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        return (text.get(..length).unwrap_or(text), length);
    };
    let pair = text.get(6..).and_then(code_unit).is_some_and(|low| (0xdc00..0xe000).contains(&low));
    match unit {
        0xd800..0xdc00 if pair => (text.get(..12).unwrap_or(REPLACEMENT), 12),
        0 | 0xd800..0xe000 => (REPLACEMENT, 6),
        _ => (text.get(..6).unwrap_or(REPLACEMENT), 6),
    }
}

/// The UTF-16 code unit that `text` starts with in the form `\uXXXX`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The characters of a JSON string, given with its quotes.
pub(super) fn unquoted(raw: &str) -> Text<'_> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str::<String>(&storable(raw)) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(inner),
    }
}

/// How deep arrays and objects are nested in JSON text.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut after_backslash) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if after_backslash => after_backslash = false,
            b'\\' if in_string => after_backslash = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
