//! Decodes the bytes of a body: by their own marks, then as UTF-8, then as the header declares.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// A body's text, and how many of its bytes are invalid in its charset.
pub(super) struct DecodedText<'a> {
    pub text: Cow<'a, str>,
    pub invalid_bytes: u64,
}

/// Decodes `body`, whose Content-Type declares `charset`.
///
/// Valid UTF-8 is read as UTF-8 whatever is declared: JSON is UTF-8 (RFC 8259, 8.1), servers declare their own default
/// without checking, and text in another charset is hardly ever valid UTF-8.
pub(super) fn text<'a>(body: &'a [u8], charset: Option<&str>) -> DecodedText<'a> {
    if let Some((encoding, mark)) = Encoding::for_bom(body) {
        return decode(body.get(mark..).unwrap_or_default(), encoding);
    }
    // JSON begins with an ASCII character: a NUL next to it shows UTF-16 and its byte order (RFC 4627, 3).
    match body {
        [0, first, ..] if *first != 0 => return decode(body, UTF_16BE),
        [first, 0, ..] if *first != 0 => return decode(body, UTF_16LE),
        _ => {}
    }
    if let Ok(text) = std::str::from_utf8(body) {
        return DecodedText { text: Cow::Borrowed(text), invalid_bytes: 0 };
    }
    let declared = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    // UTF-16 was recognised above.
    decode(body, declared.filter(|declared| declared.is_ascii_compatible()).unwrap_or(UTF_8))
}

fn decode<'a>(body: &'a [u8], encoding: &'static Encoding) -> DecodedText<'a> {
    let (text, had_errors) = encoding.decode_without_bom_handling(body);
    let invalid_bytes = if had_errors { count_invalid(body, encoding) } else { 0 };
    DecodedText { text, invalid_bytes }
}

fn count_invalid(body: &[u8], encoding: &'static Encoding) -> u64 {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut rest, mut invalid, mut room) = (body, 0, [0; 4096]);
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut room, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return invalid,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bytes, _) => invalid += u64::from(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEBREW: &str = "{\"a\":\"שלום\"}";

    fn read(body: &[u8], charset: Option<&str>) -> (String, u64) {
        let DecodedText { text, invalid_bytes } = text(body, charset);
        (text.into_owned(), invalid_bytes)
    }

    #[test]
    fn a_declared_charset_is_what_the_bytes_mean() {
        for label in ["windows-1255", "Windows-1255", "iso-8859-8", "ISO-8859-8-I", "cp1255", "x-cp1255"] {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let bytes = encoding.encode(HEBREW).0;
            assert_eq!(read(&bytes, Some(label)), (HEBREW.to_owned(), 0), "{label}");
        }
    }

    #[test]
    fn utf_16_shows_itself_with_and_without_a_mark_or_a_header() {
        let little: Vec<u8> = HEBREW.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = HEBREW.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [b"\xff\xfe".as_slice(), &little].concat();
        for (bytes, label) in
            [(&little, None), (&big, Some("utf-16")), (&marked, None), (&big, Some("utf-8"))]
        {
            assert_eq!(read(bytes, label), (HEBREW.to_owned(), 0), "{label:?}");
        }
    }

    #[test]
    fn utf_8_stays_utf_8_whatever_the_header_says() {
        for label in
            [None, Some("utf-8"), Some("iso-8859-1"), Some("windows-1255"), Some("utf-16"), Some("no-such")]
        {
            assert_eq!(read(HEBREW.as_bytes(), label), (HEBREW.to_owned(), 0), "{label:?}");
        }
    }

    #[test]
    fn bytes_that_mean_nothing_are_counted() {
        assert_eq!(read(b"a\xffb\xf9c", None), ("a\u{fffd}b\u{fffd}c".to_owned(), 2));
        assert_eq!(read(b"a\xffb\xf9c", Some("no-such")).1, 2);
        // 0xD9 is unassigned in windows-1255.
        assert_eq!(read(b"\xf9\xd9", Some("windows-1255")), ("ש\u{fffd}".to_owned(), 1));
        let long = [b"x".repeat(10_000), b"\xff".repeat(7)].concat();
        assert_eq!(read(&long, Some("utf-8")).1, 7);
    }
}
