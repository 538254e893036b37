//! Text from other systems: descriptions of errors, titles of pages, names of servers. It ends up in logs, on
//! terminals and on the page, so anything that could move a cursor, forge a line or name a person is removed.

use std::net::IpAddr;

use chrono::{DateTime, NaiveDate};

use super::capabilities::Capability;
use crate::cdr::Column;

/// The words that are passed on: those that servers use to explain errors. None of them is a person's name.
const WORDS: &str = "\
    a about access account action address after again age all allowed already an and another any apache api \
    app application are as at attempt attention auth authentication authorization authorized available aws \
    awselb backend bad bearer be been before between blocked body busy but by call callid calls can cannot \
    cdr cdrs certificate check cloudflare code column connection contact content could country credential \
    credentials criteria cut data database date datetime day days db deadlock debug default denied \
    deprecated did digits disabled do does down due during each empty enabled end endpoint envoy error \
    errors exceeded exception exceeds exist exists expected expired extension extensions fail failed failure \
    fast few field fields filter firewall for forbidden format found from fromdate function gateway get gmt \
    greater haproxy has have here high hour hours html http https id identity iis if imperva in inactive \
    incapsula incident incorrect internal into invalid ip is issue it item items json key large later left \
    length less limit limited limits list load locked long longer lower maintenance malformed many max \
    maximum message method min minimum minute minutes missing moment month months more most must name \
    network no none not notice now null number numeric object of offline ok old on once one only openresty \
    operation or order out over overload overloaded page parameter parameters parse partial password per \
    permission permissions phone phones plan please policy post problem processing protected proxy query \
    quota range ranges rate ray reached read reason record records refused reject rejected request requested \
    requests required reset resource response result results retry return rows runtime search second seconds \
    secure security send sent server service session short should since size slow so some something soon \
    sort sql start status still stop stopped string such support supported syntax system table temporarily \
    temporary text than that the then there this throttled time timed timeout timezone to todate token too \
    try trusted type under unable unauthorized unavailable unexpected unknown unreachable unsupported until \
    up upgrade upstream url usage use used user utc valid validation value values varnish version voicenter \
    waf wait was web week when whitelist whitelisted whitelisting will window with within without wrong xml \
    you your zone";

/// `text` on one line, without characters that a terminal or a page obeys instead of showing.
pub(crate) fn printable(text: &str) -> String {
    let shown = text.chars().map(|char| if char.is_whitespace() { ' ' } else { char });
    shown.filter(|char| !is_control(*char)).collect()
}

/// `text` without control characters, except those that CSV quotes.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().filter(|char| matches!(char, '\n' | '\r' | '\t') || !char.is_control()).collect()
}

/// Returns `true` for control characters and for characters that are invisible or change the direction of text.
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The quotes around text from other systems, wherever it is passed on; such text itself cannot contain them.
const QUOTES: [char; 2] = ['“', '”'];

/// The words of `text` that explain an error, in quotes; `…` stands for the others.
pub(crate) fn explaining(text: &str) -> String {
    let text = printable(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_number = |at: Option<usize>| {
        at.and_then(|at| words.get(at)).is_some_and(|word| word.contains(|char: char| char.is_numeric()))
    };
    let mut kept: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let alone = !is_number(at.checked_sub(1)) && !is_number(Some(at + 1));
        let word = passed_on(word, alone).unwrap_or_else(|| "…".into());
        if word != "…" || kept.last().is_none_or(|last| last != "…") {
            kept.push(word);
        }
    }
    let said = kept.join(" ");
    if said.is_empty() || said == "…" { said } else { format!("{}{said}{}", QUOTES[0], QUOTES[1]) }
}

/// `text` without the quoted parts from other systems.
pub(crate) fn own_words(text: &str) -> String {
    let mut parts = text.split(QUOTES[0]);
    let mut own = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        own.push('…');
        own.push_str(part.split_once(QUOTES[1]).map_or("", |(_, after)| after));
    }
    own
}

/// What is passed on of one word. A short number is passed on unless its neighbours make it part of a longer one.
fn passed_on(word: &str, alone: bool) -> Option<String> {
    let core = word.trim_matches(|char: char| !char.is_alphanumeric());
    if core.is_empty() {
        return word.is_ascii().then(|| word.to_owned());
    }
    let is_date =
        NaiveDate::parse_from_str(core, "%Y-%m-%d").is_ok() || DateTime::parse_from_rfc3339(core).is_ok();
    let is_number = alone && core.len() <= 5 && core.bytes().all(|byte| byte.is_ascii_digit());
    if !word.is_ascii() {
        return None;
    }
    if is_date || is_number || core.parse::<IpAddr>().is_ok() || core.split(is_joint).all(is_known) {
        return Some(word.to_owned());
    }
    // `nginx/1.25.3`
    core.split_once('/').map(|(server, _)| server).filter(|server| is_known(server)).map(str::to_owned)
}

fn is_joint(char: char) -> bool {
    !char.is_ascii_alphanumeric()
}

fn is_known(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    word.is_empty()
        || WORDS.split_whitespace().chain(["nginx", "s", "t"]).any(|known| known == lower)
        || Capability::ALL.iter().any(|one| one.name().to_ascii_lowercase() == lower)
        || Column::ALL.iter().any(|column| column.name().replace('_', "") == lower.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explains_an_error_is_passed_on_and_nothing_else() {
        for (said, passed) in [
            ("CDR limit exceeded.", "CDR limit exceeded."),
            ("Authorization failed for Dana Levi <dana.levi@example.com>", "Authorization failed for …"),
            ("no permission for 050 123 4567, +972-50-123 45 67", "no permission for …"),
            ("unknown field: DateEpoch", "unknown field: DateEpoch"),
            (
                "date range invalid: todate 2026-06-10T08:00:00Z",
                "date range invalid: todate 2026-06-10T08:00:00Z",
            ),
            ("IP address 192.0.2.7 is not trusted.", "IP address 192.0.2.7 is not trusted."),
            ("no such code: ***", "no such code: ***"),
            ("error 17 of נועה כהן", "error 17 of …"),
            ("nginx/1.25.3", "nginx"),
        ] {
            assert_eq!(explaining(said).trim_matches(QUOTES), passed);
        }
    }

    #[test]
    fn what_is_said_can_be_told_from_our_own_words_and_left_out() {
        let refused =
            format!("refused (error 2: {}): see {}", explaining("Bad “code”, call dana"), explaining("page"));
        assert_eq!(refused, "refused (error 2: “Bad … call …”): see “page”");
        assert_eq!(own_words(&refused), "refused (error 2: …): see …");
        assert_eq!(own_words("cut off in (error 2: “Authorization fai"), "cut off in (error 2: …");
        assert_eq!(
            (own_words(""), explaining(""), explaining("דנה לוי")),
            (String::new(), String::new(), "…".into())
        );
    }

    #[test]
    fn nothing_of_it_moves_a_cursor_or_makes_a_line_of_its_own() {
        let hostile = "wait\u{1b}[2J\u{9b}1A\r\n{\"level\":\"INFO\"}\u{202e}\u{2028}try later\u{0}\u{7f}";
        let said = explaining(hostile);
        assert!(!said.chars().any(is_control) && !said.contains("INFO"), "{said}");
        assert_eq!(printable("a\tb\u{1b}[1mc\u{200f}"), "a b[1mc");
        assert_eq!(without_controls("a\n\u{1b}b\u{85}"), "a\nb");
    }
}
