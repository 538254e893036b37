//! Escapes in JSON text that PostgreSQL's text and jsonb cannot hold (manual, 8.14 "JSON Types").

use std::borrow::Cow;

const REPLACEMENT: &str = "\\ufffd";

/// JSON text whose every escape can be stored: `\u0000` and lone surrogates replaced.
pub(crate) fn storable(json: &str) -> Cow<'_, str> {
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

/// The replacement for the escape at the start of `text`, and the length of that escape.
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

/// The UTF-16 code unit that `text` starts with: `\u` and four hexadecimal digits.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::storable;

    #[test]
    fn only_what_cannot_be_stored_is_replaced() {
        let sent = r#"{"a":"\u0000\ud83d\ude00\ud83d \ude00\\u0000\u05d0"}"#;
        assert_eq!(storable(sent), r#"{"a":"\ufffd\ud83d\ude00\ufffd \ufffd\\u0000\u05d0"}"#);
        assert_eq!(storable("[1]"), "[1]");
    }
}
