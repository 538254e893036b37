//! Dates as the API writes and reads them.

use chrono::{
    DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use super::question::Granularity;

/// How precise a date in an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// With fractions of a second.
    Fraction,
    /// With seconds, but no fractions.
    Second,
    /// With minutes only; the seconds are unknown.
    Minute,
}

/// A date of an answer, before its zone is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The wall time as written.
    pub local: NaiveDateTime,
    /// The offset of `Z` or as a number; `None` for a zoneless date.
    pub offset: Option<FixedOffset>,
    /// How precise the date is.
    pub precision: Precision,
}

/// Reads `2024-06-10T09:04:58Z`, without zone, with a space for the T, with minutes only, with fractions, and with a
/// numeric offset (docs/voicenter-api.md#dates).
pub fn parse(text: &str) -> Option<Written> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let time = rest.strip_prefix(['T', 't', ' '])?.trim_start();
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone_at)?;
    let offset = if zone.is_empty() { None } else { Some(parse_offset(zone.trim())?) };
    let time = time.trim_end();
    let (clock, fraction) = time.split_once(['.', ',']).map_or((time, None), |(clock, f)| (clock, Some(f)));
    let (hms, precision) = match (clock.len(), fraction) {
        (5, None) => (numbers(clock, ':', [2, 2]).map(|[h, m]| [h, m, 0])?, Precision::Minute),
        (8, None) => (numbers(clock, ':', [2, 2, 2])?, Precision::Second),
        (8, Some(_)) => (numbers(clock, ':', [2, 2, 2])?, Precision::Fraction),
        _ => return None,
    };
    let nanos = fraction.map_or(Some(0), parse_fraction)?;
    let [hour, minute, second] = hms;
    let local = date.and_hms_nano_opt(hour, minute, second, nanos)?;
    Some(Written { local, offset, precision })
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(separator);
    let mut values = [0; N];
    for (value, width) in values.iter_mut().zip(widths) {
        let part =
            parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

/// Nanoseconds, cut off at microseconds, the most precise that PostgreSQL stores (manual, 8.5 "Date/Time Types").
fn parse_fraction(digits: &str) -> Option<u32> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<6}").get(..6)?.parse::<u32>().ok().map(|micros| micros * 1000)
}

fn parse_offset(text: &str) -> Option<FixedOffset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(Utc.fix());
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    (minutes < 60).then(|| FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)))?
}

/// The instant that a written date means in `zone`.
///
/// For a wall time that occurs twice, it is the instant nearer to `epoch` (DateEpoch), or always the earlier one
/// without an epoch. A wall time that is skipped moves forward by what was skipped.
pub fn instant(written: Written, zone: Tz, epoch: Option<i64>) -> Option<DateTime<Utc>> {
    if let Some(offset) = written.offset {
        return offset.from_local_datetime(&written.local).single().map(|date| date.to_utc());
    }
    match zone.from_local_datetime(&written.local) {
        MappedLocalTime::Single(date) => Some(date.to_utc()),
        MappedLocalTime::Ambiguous(earlier, later) => {
            let (earlier, later) = (earlier.to_utc(), later.to_utc());
            let apart = |date: DateTime<Utc>| epoch.map_or(0, |epoch| epoch.abs_diff(date.timestamp()));
            Some(if apart(later) < apart(earlier) { later } else { earlier })
        }
        MappedLocalTime::None => {
            // Read with the offset that held before the change.
            let before = zone.from_local_datetime(&(written.local - TimeDelta::hours(6))).earliest()?;
            let offset = before.offset().fix();
            offset.from_local_datetime(&written.local).single().map(|date| date.to_utc())
        }
    }
}

/// How bounds are written in an hour that the clock repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// No bound is a wall time that occurs twice: both are moved outwards, to the ends of the repeated hour.
    Widen,
    /// A bound may be such a wall time: the window's own readings are sent, which mean both passes of the hour.
    Narrow,
}

/// Returns the bounds as they are sent, local times that cover all of `[from, to)`, and `true` if they are no wider
/// than requested.
///
/// Across a clock change, local time repeats or skips an hour. There the bounds are widened until every instant of
/// the window, written as local time, lies between them, and neither of them is a reading that never occurs. A
/// reading that occurs twice is a bound only if `repeated` allows it: each window in that hour is then requested
/// with its own readings and returns the records of both passes, and no window has to return the whole hour.
pub fn bounds(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    zone: Tz,
    granularity: Granularity,
    repeated: Repeated,
) -> (String, String, bool) {
    let offset =
        |instant: DateTime<Utc>| zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
    // The end is not part of the window: if the clock changes exactly there, the window has no share in its new
    // reading.
    let last = match repeated {
        Repeated::Widen => to,
        Repeated::Narrow => (to - TimeDelta::nanoseconds(1)).max(from),
    };
    let offsets = || {
        let days = (0..=(to - from).num_days() + 1).map(|day| (from + TimeDelta::days(day)).min(last));
        days.map(offset)
    };
    let shift = |seconds: Option<i32>| TimeDelta::seconds(seconds.unwrap_or(0).into());
    let mut local_from = from.naive_utc() + shift(offsets().min());
    let mut local_to = to.naive_utc() + shift(offsets().max());
    let may_be_sent = |local: &NaiveDateTime| match zone.from_local_datetime(local) {
        MappedLocalTime::Single(_) => true,
        MappedLocalTime::Ambiguous(..) => repeated == Repeated::Narrow,
        MappedLocalTime::None => false,
    };
    while !may_be_sent(&local_from) {
        local_from -= TimeDelta::minutes(30);
    }
    while !may_be_sent(&local_to) {
        local_to += TimeDelta::minutes(30);
    }
    let unit = match granularity {
        Granularity::Second => 1,
        Granularity::Minute => 60,
    };
    let floor = |local: NaiveDateTime| {
        let second = local.and_utc().timestamp();
        DateTime::from_timestamp(second - second.rem_euclid(unit), 0).map_or(local, |date| date.naive_utc())
    };
    let (low, mut high) = (floor(local_from), floor(local_to));
    if high < local_to {
        high += TimeDelta::seconds(unit);
    }
    let meant = |local: NaiveDateTime| zone.from_local_datetime(&local).single().map(|date| date.to_utc());
    let exact = meant(low) == Some(from) && meant(high) == Some(to);
    (write(low, granularity), write(high, granularity), exact)
}

fn write(local: NaiveDateTime, granularity: Granularity) -> String {
    let form = match granularity {
        Granularity::Second => "%Y-%m-%dT%H:%M:%S",
        Granularity::Minute => "%Y-%m-%dT%H:%M",
    };
    local.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::America::Los_Angeles;
    use chrono_tz::Asia::Jerusalem;
    use proptest::prelude::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn read(text: &str, zone: Tz, epoch: Option<i64>) -> Option<DateTime<Utc>> {
        instant(parse(text)?, zone, epoch)
    }

    #[test]
    fn every_form_of_date_is_read() {
        let same = [
            "2024-06-10T09:04:58Z",
            "2024-06-10T09:04:58",
            "2024-06-10 09:04:58",
            "2024-06-10T09:04:58.000Z",
            "2024-06-10T12:04:58+03:00",
            "2024-06-10T12:04:58+0300",
            "2024-06-10T05:04:58-04",
            " 2024-06-10t09:04:58z ",
        ];
        for text in same {
            assert_eq!(read(text, Tz::UTC, None), Some(utc("2024-06-10T09:04:58Z")), "{text}");
        }
        assert_eq!(read("2024-06-10T09:04", Tz::UTC, None), Some(utc("2024-06-10T09:04:00Z")));
        assert_eq!(parse("2024-06-10T09:04").unwrap().precision, Precision::Minute);
        assert_eq!(read("2024-06-10T09:04:58.25", Tz::UTC, None), Some(utc("2024-06-10T09:04:58.25Z")));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "soon",
            "2024-06-10",
            "2024-13-10T09:04:58Z",
            "2024-06-10T25:04:58Z",
            "10/06/2024 09:04",
            "2024-06-10T09:04:58X",
            "2024-06-10T09:4:58",
            "ינואר 10",
            "2024-06-10T09:04:58+99:99",
        ] {
            assert_eq!(read(text, Tz::UTC, None), None, "{text}");
        }
    }

    #[test]
    fn a_wall_time_that_occurs_twice_is_the_earlier_one_unless_the_epoch_says_otherwise() {
        // Jerusalem, 27 October 2024, 02:00 summer time: the clock goes back to 01:00.
        let (earlier, later) = (utc("2024-10-26T22:30:00Z"), utc("2024-10-26T23:30:00Z"));
        let text = "2024-10-27T01:30:00";
        assert_eq!(read(text, Jerusalem, None), Some(earlier));
        assert_eq!(read(text, Jerusalem, Some(later.timestamp())), Some(later));
        assert_eq!(read(text, Jerusalem, Some(earlier.timestamp())), Some(earlier));
        assert_eq!(read(text, Jerusalem, Some(12)), Some(earlier));
    }

    #[test]
    fn the_epoch_never_overrides_a_date_that_is_clear() {
        let date = read("2024-06-10T09:04:58", Jerusalem, Some(utc("2024-06-10T09:04:58Z").timestamp()));
        assert_eq!(date, Some(utc("2024-06-10T06:04:58Z")));
    }

    #[test]
    fn a_wall_time_that_is_skipped_moves_forward() {
        // Jerusalem, 29 March 2024, 02:00: the clock goes forward to 03:00.
        assert_eq!(read("2024-03-29T02:30:00", Jerusalem, None), Some(utc("2024-03-29T00:30:00Z")));
        assert_eq!(read("2024-03-29T03:30:00", Jerusalem, None), Some(utc("2024-03-29T00:30:00Z")));
    }

    #[test]
    fn bounds_are_written_in_the_zone_and_as_fine_as_configured() {
        let (from, to) = (utc("2024-06-01T00:00:00Z"), utc("2024-06-01T01:00:01Z"));
        let utc_bounds = bounds(from, to, Tz::UTC, Granularity::Second, Repeated::Widen);
        assert_eq!(utc_bounds, ("2024-06-01T00:00:00".into(), "2024-06-01T01:00:01".into(), true));
        let minutes = bounds(from, to, Jerusalem, Granularity::Minute, Repeated::Widen);
        assert_eq!(minutes, ("2024-06-01T03:00".into(), "2024-06-01T04:01".into(), false));
    }

    #[test]
    fn in_the_hour_that_the_clock_repeats_narrow_bounds_are_the_windows_own_readings() {
        // Jerusalem, 25 October 2026, 02:00 summer time: the clock goes back to 01:00.
        let of = |from, to, repeated| {
            let (low, high, exact) = bounds(utc(from), utc(to), Jerusalem, Granularity::Second, repeated);
            assert!(!exact);
            (low, high)
        };
        let clock = |low: &str, high: &str| (format!("2026-10-25T{low}"), format!("2026-10-25T{high}"));
        for (from, to, own) in [
            ("2026-10-24T22:10:00Z", "2026-10-24T22:10:01Z", ("01:10:00", "01:10:01")),
            ("2026-10-24T23:10:00Z", "2026-10-24T23:10:01Z", ("01:10:00", "01:10:01")),
            ("2026-10-24T22:59:59Z", "2026-10-24T23:00:00Z", ("01:59:59", "02:00:00")),
            ("2026-10-24T23:00:00Z", "2026-10-24T23:00:01Z", ("01:00:00", "01:00:01")),
            ("2026-10-24T21:50:00Z", "2026-10-24T22:10:00Z", ("00:50:00", "01:10:00")),
        ] {
            assert_eq!(of(from, to, Repeated::Narrow), clock(own.0, own.1), "{from}");
        }
        // Only a window across the change itself returns the whole hour.
        let over = of("2026-10-24T22:59:58Z", "2026-10-24T23:00:02Z", Repeated::Narrow);
        assert_eq!(over, clock("00:59:58", "02:00:02"));
        let wide = of("2026-10-24T22:10:00Z", "2026-10-24T22:10:01Z", Repeated::Widen);
        assert_eq!(wide, clock("00:40:00", "02:10:01"));
    }

    fn changes() -> impl Strategy<Value = (Tz, i64)> {
        prop::sample::select(vec![
            (Jerusalem, utc("2024-10-26T23:00:00Z").timestamp()),
            (Jerusalem, utc("2024-03-29T00:00:00Z").timestamp()),
            (Los_Angeles, utc("2024-11-03T09:00:00Z").timestamp()),
            (Los_Angeles, utc("2024-03-10T10:00:00Z").timestamp()),
        ])
    }

    proptest! {
        #[test]
        fn every_instant_of_a_window_lies_within_the_bounds_sent(
            (zone, change) in changes(),
            before in -20_000..20_000_i64,
            length in 1..40_000_i64,
            share in 0.0..1.0_f64,
        ) {
            let from = change + before;
            let at = |second| DateTime::from_timestamp(second, 0).unwrap();
            let inside = at(from + (length as f64 * share) as i64);
            let local = inside.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S").to_string();
            for granularity in [Granularity::Second, Granularity::Minute] {
                let of = |repeated| bounds(at(from), at(from + length), zone, granularity, repeated);
                let (narrow, wide) = (of(Repeated::Narrow), of(Repeated::Widen));
                for (low, high, _) in [&narrow, &wide] {
                    prop_assert!(*low <= local && local[..high.len()] <= **high, "{low} {local} {high}");
                }
                prop_assert!(wide.0 <= narrow.0 && narrow.1 <= wide.1, "{narrow:?} {wide:?}");
                // Where wide bounds are unambiguous, narrow ones are the same.
                prop_assert!(!wide.2 || narrow == wide, "{narrow:?} {wide:?}");
            }
            let (low, high, _) = bounds(at(from), at(from + length), zone, Granularity::Second, Repeated::Widen);
            let (low, high) = (read(&low, zone, None).unwrap(), read(&high, zone, None).unwrap());
            prop_assert!(low <= inside && inside <= high, "{low} {inside} {high}");
        }

        #[test]
        fn a_date_written_and_read_is_the_same(second in 0..4_000_000_000_i64) {
            let date = DateTime::from_timestamp(second, 0).unwrap();
            let local = date.with_timezone(&Jerusalem).format("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(read(&local, Jerusalem, Some(second)), Some(date));
        }
    }
}
