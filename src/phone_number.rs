//! One spelling of a phone number, however a switch wrote it.

use phonenumber::country;

/// A country of the numbering plan: how numbers without a country code are read.
pub type Country = country::Id;

/// Digits after which a number without `+` or a leading zero is more likely one of another country.
const NATIONAL_DIGITS: usize = 10;

/// No country's numbers have more digits, the code and what is dialled before it included.
const LONGEST_DIGITS: usize = 24;

/// The number in one spelling, by Google's numbering plans: `+` and the country's digits where they make a number of some
/// country, else the digits as sent (`*2700`, `100`). `None` if it names nobody: withheld, a name, an extension, zeros.
pub fn in_one_spelling(raw: &str, home: Country) -> Option<String> {
    let text = raw.trim();
    let text = text.strip_prefix("sip:").or_else(|| text.strip_prefix("tel:")).unwrap_or(text);
    // What follows is a host, an extension, or a parameter.
    let text = text.split(['@', ';', ',']).next().unwrap_or_default();
    if text.chars().any(char::is_alphabetic) {
        return None;
    }
    let kept: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | '+')).collect();
    let digits = kept.chars().filter(char::is_ascii_digit).count();
    if digits < 3 || kept.chars().all(|c| matches!(c, '0' | '*' | '#' | '+')) {
        return None;
    }
    if kept.contains(['*', '#']) || digits > LONGEST_DIGITS {
        return Some(kept);
    }
    let is_prefixed = kept.starts_with(['+', '0']);
    let at_home = |strictly| international(&kept, home, strictly);
    let abroad = || international(&format!("+{kept}"), home, true);
    let spelt = if is_prefixed {
        at_home(false)
    } else if digits > NATIONAL_DIGITS {
        abroad().or_else(|| at_home(false))
    } else {
        at_home(true).or_else(abroad).or_else(|| at_home(false))
    };
    Some(spelt.unwrap_or(kept))
}

/// `+` and digits, if the country's plan calls it a number; unless `strictly`, also if it could be one that was not given
/// out yet.
fn international(text: &str, home: Country, strictly: bool) -> Option<String> {
    let number = phonenumber::parse(Some(home), text).ok()?;
    let national = number.national().value().to_string().len();
    let may_come = !strictly && (8..=10).contains(&national);
    (number.is_valid() || may_come).then(|| format!("+{}{}", number.code().value(), number.national()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn israeli(raw: &str) -> Option<String> {
        in_one_spelling(raw, Country::IL)
    }

    #[test]
    fn israeli_numbers_have_one_spelling() {
        let mobile = "+972541234567";
        for raw in [
            "0541234567",
            "054-123-4567",
            "972541234567",
            "+972541234567",
            "+972-54-123-4567",
            "00972541234567",
            "9720541234567",
            "+9720541234567",
            "541234567",
            "sip:0541234567@pbx.example",
            "tel:+972541234567",
            "0541234567;ext=5",
            " 054 123 4567 ",
        ] {
            assert_eq!(israeli(raw).as_deref(), Some(mobile), "{raw}");
        }
        for (raw, spelt) in [
            ("031234567", "+97231234567"),
            ("97231234567", "+97231234567"),
            ("0722233445", "+972722233445"),
            ("1700123456", "+9721700123456"),
            ("1800-123-456", "+9721800123456"),
            // Not given out, but one spelling nevertheless.
            ("0501234567", "+972501234567"),
            ("972501234567", "+972501234567"),
        ] {
            assert_eq!(israeli(raw).as_deref(), Some(spelt), "{raw}");
        }
    }

    #[test]
    fn numbers_of_other_countries_keep_their_country() {
        for raw in ["447911123456", "+447911123456", "00447911123456", "0014155552671", "14155552671"] {
            let spelt = israeli(raw).unwrap();
            assert!(spelt == "+447911123456" || spelt == "+14155552671", "{raw}: {spelt}");
        }
        assert_eq!(in_one_spelling("07911123456", Country::GB).as_deref(), Some("+447911123456"));
    }

    #[test]
    fn short_codes_stay_as_they_are_and_withheld_ones_are_nobody() {
        for raw in ["*2700", "100", "1001"] {
            assert_eq!(israeli(raw).as_deref(), Some(raw));
        }
        for raw in [
            "",
            " ",
            "anonymous",
            "Restricted",
            "SIP12",
            "0",
            "0000000000",
            "+",
            "**",
            "7",
            "פרטי",
            "unknown",
        ] {
            assert_eq!(israeli(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own_spelling(raw in "[+*#0-9a-z;@ -]{0,20}|\\PC{0,20}|[+]?[0-9]{3,200}") {
            if let Some(once) = israeli(&raw) {
                prop_assert_eq!(israeli(&once), Some(once));
            }
        }
    }
}
