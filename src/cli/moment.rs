//! Times as people type them: RFC 3339, a day, or relative to the present.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A time on the command line. What is relative is worked out once for all of a command's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(DateTime<Utc>),
    /// This long before the present.
    Ago(TimeDelta),
    /// Midnight (UTC) of the day that lies this many days back.
    DaysAgo(i64),
}

impl Moment {
    /// The present.
    pub(super) const NOW: Moment = Moment::Ago(TimeDelta::zero());

    /// The instant that is meant at `now`.
    pub(super) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let earliest = DateTime::<Utc>::MIN_UTC;
        match self {
            Moment::At(instant) => instant,
            Moment::Ago(span) => now.checked_sub_signed(span).unwrap_or(earliest),
            Moment::DaysAgo(days) => {
                let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
                TimeDelta::try_days(days)
                    .and_then(|days| midnight.checked_sub_signed(days))
                    .unwrap_or(earliest)
            }
        }
    }
}

/// For clap: the error says what can be written.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(date.to_utc()));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc()));
    }
    match text.to_ascii_lowercase().as_str() {
        "now" => return Ok(Moment::NOW),
        "today" => return Ok(Moment::DaysAgo(0)),
        "yesterday" => return Ok(Moment::DaysAgo(1)),
        _ => {}
    }
    if let Some(span) = text.strip_prefix('-').and_then(span) {
        return Ok(Moment::Ago(span));
    }
    let without_zone = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    if without_zone.iter().any(|form| chrono::NaiveDateTime::parse_from_str(text, form).is_ok()) {
        let example = text.replacen(' ', "T", 1);
        let seconds = if example.matches(':').count() == 1 { ":00" } else { "" };
        return Err(format!(
            "a time needs its zone: {example}{seconds}Z is UTC, {example}{seconds}+02:00 two hours ahead of it"
        ));
    }
    Err("expected a time like 2026-11-01T08:00:00Z, a day like 2026-11-01 (midnight UTC), or one relative to the present: \
         -90m, -2h, -7d, now, today, yesterday"
        .to_owned())
}

/// Lengths of time such as `90m` or `1d12h`.
fn span(text: &str) -> Option<TimeDelta> {
    let mut rest = text;
    let mut sum = TimeDelta::zero();
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let seconds = match unit.chars().next()?.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        let seconds = number.parse::<i64>().ok()?.checked_mul(seconds)?;
        sum = sum.checked_add(&TimeDelta::try_seconds(seconds)?)?;
        rest = unit.get(1..)?;
    }
    (sum > TimeDelta::zero()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now = DateTime::parse_from_rfc3339("2026-11-29T10:20:30.5Z").unwrap().to_utc();
        moment(text).unwrap().at(now).format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()
    }

    #[test]
    fn a_time_is_rfc_3339_a_day_or_relative() {
        assert_eq!(at("2026-11-01"), "2026-11-01T00:00:00Z");
        assert_eq!(at("2026-11-01T02:00:00+02:00"), "2026-11-01T00:00:00Z");
        assert_eq!(at("-2h"), "2026-11-29T08:20:30.500Z");
        assert_eq!(at("-1d12h"), "2026-11-27T22:20:30.500Z");
        assert_eq!(at("-2w"), "2026-11-15T10:20:30.500Z");
        assert_eq!(
            (at("today"), at("yesterday")),
            ("2026-11-29T00:00:00Z".into(), "2026-11-28T00:00:00Z".into())
        );
        assert_eq!(
            (at("now"), at("Now")),
            ("2026-11-29T10:20:30.500Z".into(), "2026-11-29T10:20:30.500Z".into())
        );
    }

    #[test]
    fn any_other_text_is_refused_with_what_can_be_written() {
        for text in
            ["", "-", "-2", "-h", "-2y", "2h", "-0s", "-99999999999999999999d", "tomorrow", "--to", "-\u{e9}"]
        {
            let said = moment(text).unwrap_err();
            assert!(said.contains("-2h") && said.contains("yesterday"), "{text}: {said}");
        }
        let said = moment("2026-11-01 08:00").unwrap_err();
        assert!(said.contains("2026-11-01T08:00:00Z"), "{said}");
    }

    #[test]
    fn a_span_longer_than_time_ends_at_its_beginning() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(moment("-99999999d").unwrap().at(now), DateTime::<Utc>::MIN_UTC);
    }
}
