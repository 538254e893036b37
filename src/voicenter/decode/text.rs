//! Repairs JSON text that strict readers refuse: control characters in strings, words that JSON does not have, lone
//! surrogates, U+0000.
//!
//! PostgreSQL's text and jsonb hold neither U+0000 nor lone surrogates (manual, 8.14 "JSON Types"): both become U+FFFD.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Text;
pub(super) use crate::cdr::escapes::storable;

/// `text` as JSON: with raw control characters inside strings escaped and words that JSON does not have repaired, if
/// necessary. Otherwise the reason why the repaired text is still not JSON.
pub(super) fn readable(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    let error = match not_json(text) {
        None => return Ok(Cow::Borrowed(text)),
        Some(error) => error,
    };
    let Some(escaped) = escape_controls(text) else { return repaired(text, error) };
    match not_json(&escaped) {
        None => Ok(Cow::Owned(escaped)),
        Some(error) => repaired(&escaped, error).map(|text| Cow::Owned(text.into_owned())),
    }
}

fn not_json(text: &str) -> Option<serde_json::Error> {
    serde_json::from_str::<&RawValue>(text).err()
}

fn repaired(text: &str, error: serde_json::Error) -> Result<Cow<'_, str>, serde_json::Error> {
    // No repair helps a text that only lacks its end.
    if error.is_eof() || !text.starts_with(['{', '[']) {
        return Err(error);
    }
    let repaired = with_words_repaired(text);
    not_json(&repaired).map_or(Ok(Cow::Owned(repaired)), Err)
}

/// Words that JSON does not have (`NaN`, `-Infinity`, `True`, `.5`) as strings, so that no digit is lost and each field
/// decides about its own; words without a value become null; commas before a closing bracket are left out.
fn with_words_repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '{' | '}' | '[' | ']' | ':' | ',' => 1,
            space if space.is_whitespace() => space.len_utf8(),
            _ => rest.find(|c: char| "{}[]:,\"".contains(c) || c.is_whitespace()).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        match token {
            "," if after.trim_start().starts_with([']', '}']) => {}
            "None" | "undefined" | "nil" => repaired.push_str("null"),
            word if first.is_alphanumeric() || "+-.".contains(first) => match not_json(word) {
                None => repaired.push_str(word),
                Some(_) => repaired.push_str(&quoted(word)),
            },
            other => repaired.push_str(other),
        }
    }
    repaired
}

/// The length of the JSON string that `text` starts with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut after_backslash = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !after_backslash;
        after_backslash = *byte == b'\\' && !after_backslash;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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
        // A NUL between values is not white space in JSON.
        if c == '\0' {
            changed = true;
        } else {
            escaped.push(c);
        }
    }
    changed.then_some(escaped)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_json_does_not_have_become_texts_and_nothing_else_changes() {
        let sent = r#"{"a": NaN, "b":[-Infinity,Infinity , 1.50,],"c":True,"d":None,"e":"NaN, \" None,}","f":.5,"g":007,}"#;
        let read = r#"{"a": "NaN", "b":["-Infinity","Infinity" , 1.50],"c":"True","d":null,"e":"NaN, \" None,}","f":".5","g":"007"}"#;
        assert_eq!(readable(sent).unwrap(), read);
    }

    #[test]
    fn a_text_that_ends_in_the_middle_is_told_from_one_that_is_no_json() {
        for (text, cut) in [
            (r#"{"a":[1,"#, true),
            (r#"{"a":NaN,"b":"#, true),
            ("{\"a\":\"\u{1}x", true),
            ("oops", false),
            (r#"{"a" 1}"#, false),
        ] {
            assert_eq!(readable(text).unwrap_err().is_eof(), cut, "{text}");
        }
    }
}
