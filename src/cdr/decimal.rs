//! Decimal numbers as text: two spellings of one value made equal.

/// The one spelling of a decimal number: no exponent, no leading or trailing zeros. Text that is no such number, or
/// has an exponent too large to write out, is returned unchanged.
pub(crate) fn plain(text: &str) -> String {
    spelled_out(text).unwrap_or_else(|| text.to_owned())
}

fn spelled_out(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || exponent.abs() > 4096 {
        return None;
    }
    // Position of the point, counted from the first digit.
    let point = i64::try_from(whole.len()).ok()? + exponent;
    let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
    let length = i64::try_from(digits.len()).ok()?;
    let padded = format!("{}{digits}{}", zeros(-point), zeros(point - length));
    let (whole, fraction) = padded.split_at_checked(usize::try_from(point.max(0)).ok()?)?;
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if negative && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn spellings_of_one_number_are_made_equal() {
        let cases = [
            ("12.50", "12.5"),
            ("1e2", "100"),
            ("1.25E-3", "0.00125"),
            ("-0.0", "0"),
            ("007", "7"),
            (".5", "0.5"),
            ("123.456e1", "1234.56"),
            ("1e99999", "1e99999"),
            ("abc", "abc"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
