//! What an answer shows about its time zone. This is evidence only; other modules decide what follows from it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Jerusalem;

use super::dates::{Precision, Written};

/// Zones differ from UTC by whole quarters of an hour.
const QUARTER: i64 = 900;

/// What the dates of one answer show about their zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneEvidence {
    /// Number of dates with `Z` or an offset.
    pub zoned: usize,
    /// Number of dates without either.
    pub zoneless: usize,
    /// Zoneless dates, read in the configured zone, minus their DateEpoch: zero if the zone fits.
    pub epoch: Option<Shift>,
    /// The wall time at the start of CallID, read as Israel's, minus the call's date as it was read: zero if the
    /// zone fits. This is only a hint, since CallIDs are not documented to start like that
    /// (docs/voicenter-api.md#callid).
    pub call_id: Option<Shift>,
}

/// The difference that most records agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The difference in quarters of an hour; the smaller one on a tie.
    pub quarters: i32,
    /// Number of records that show it.
    pub agreeing: usize,
    /// Number of records that show no difference.
    pub zeros: usize,
    /// Number of records compared, including those that no whole number of quarters explains.
    pub of: usize,
}

impl Shift {
    /// Returns `true` if almost no record shows a difference.
    pub fn fits(&self) -> bool {
        self.zeros * 10 >= self.of * 9
    }

    /// Returns `true` if almost every record shows a difference. Across a clock change a wrong zone is off by two
    /// amounts.
    pub fn contradicts(&self) -> bool {
        self.zeros * 10 <= self.of && self.agreeing * 5 >= self.of * 2
    }

    /// The difference as a span of time.
    pub fn span(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.quarters) * QUARTER)
    }
}

/// Collects the evidence, one record at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct ZoneCounter {
    zoned: usize,
    zoneless: usize,
    epochs: Counts,
    call_ids: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    quarters: BTreeMap<i32, usize>,
    of: usize,
}

impl ZoneCounter {
    pub(super) fn take(&mut self, date: &Written, read_as: DateTime<Utc>, epoch: Option<i64>, call_id: &str) {
        match date.offset {
            Some(_) => self.zoned += 1,
            None => self.zoneless += 1,
        }
        if let Some(epoch) = epoch.filter(|_| date.offset.is_none()) {
            // The minutes of a date are cut off, not rounded.
            let cut_off = if date.precision == Precision::Minute { 59 } else { 1 };
            let apart = read_as.timestamp() - epoch + cut_off;
            let quarters = apart.div_euclid(QUARTER);
            self.epochs.take((apart - quarters * QUARTER <= cut_off + 1).then_some(quarters));
        }
        if let Some(call) = leading_wall_time(call_id) {
            let apart = (call - read_as).num_seconds();
            self.call_ids.take(Some((apart + QUARTER / 2).div_euclid(QUARTER)));
        }
    }

    pub(super) fn evidence(&self) -> ZoneEvidence {
        ZoneEvidence {
            zoned: self.zoned,
            zoneless: self.zoneless,
            epoch: self.epochs.most_common(),
            call_id: self.call_ids.most_common(),
        }
    }
}

impl Counts {
    fn take(&mut self, quarters: Option<i64>) {
        self.of += 1;
        // No two clocks are further apart than about a day.
        if let Some(quarters) =
            quarters.and_then(|quarters| i32::try_from(quarters).ok()).filter(|q| q.abs() <= 112)
        {
            *self.quarters.entry(quarters).or_default() += 1;
        }
    }

    fn most_common(&self) -> Option<Shift> {
        let most = |(a, i): &(&i32, &usize), (b, j): &(&i32, &usize)| i.cmp(j).then(b.cmp(a));
        let (quarters, agreeing) = self.quarters.iter().max_by(most)?;
        let zeros = self.quarters.get(&0).copied().unwrap_or(0);
        Some(Shift { quarters: *quarters, agreeing: *agreeing, zeros, of: self.of })
    }
}

/// `yyyyMMddHHmmss` at the start of a CallID, read as Israel's time, if that is a date of this century and occurs
/// once.
fn leading_wall_time(call_id: &str) -> Option<DateTime<Utc>> {
    let digits = call_id.get(..14).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let wall =
        digits.starts_with("20").then(|| NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok())??;
    Jerusalem.from_local_datetime(&wall).single().map(|instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::super::dates;
    use super::*;
    use chrono_tz::Tz;

    fn evidence(zone: Tz, records: &[(&str, Option<&str>, &str)]) -> ZoneEvidence {
        let mut counter = ZoneCounter::default();
        for (date, instant, call_id) in records {
            let epoch = instant.map(|text| text.parse::<DateTime<Utc>>().unwrap().timestamp());
            let written = dates::parse(date).unwrap();
            let read_as = dates::instant(written, zone, epoch).unwrap();
            counter.take(&written, read_as, epoch, call_id);
        }
        counter.evidence()
    }

    #[test]
    fn the_epoch_shows_how_far_off_zoneless_dates_are_read() {
        let records = [
            ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), "a"),
            ("2026-01-10T12:00", Some("2026-01-10T10:00:59Z"), "b"),
            ("2026-01-10T12:00:00.5", Some("2026-01-10T10:00:00Z"), "c"),
            ("2026-01-10T10:00:00Z", Some("2026-01-10T10:00:00Z"), "d"),
            // In summer, the zone is this far from UTC.
            ("2026-07-10T13:00:00", Some("2026-07-10T10:00:00Z"), "e"),
        ];
        let shown = evidence(Jerusalem, &records);
        assert_eq!((shown.zoned, shown.zoneless, shown.call_id), (1, 4, None));
        assert_eq!(shown.epoch, Some(Shift { quarters: 0, agreeing: 4, zeros: 4, of: 4 }));
        let shown = evidence(Tz::UTC, &records[..4]);
        assert_eq!(shown.epoch, Some(Shift { quarters: 8, agreeing: 3, zeros: 0, of: 3 }));
        assert_eq!(shown.epoch.unwrap().span(), TimeDelta::hours(2));
    }

    #[test]
    fn a_zone_west_of_utc_or_with_quarters_and_none_at_all_are_told_apart() {
        let of = |date, instant| evidence(Tz::UTC, &[(date, Some(instant), "")]).epoch.unwrap().quarters;
        assert_eq!(of("2026-01-10T05:00:00", "2026-01-10T10:00:00Z"), -20);
        assert_eq!(of("2026-01-10T15:45:00", "2026-01-10T10:00:00Z"), 23);
        assert_eq!(of("2026-01-10T10:00:00", "2026-01-10T10:00:00Z"), 0);
        assert_eq!(of("2026-01-10T10:00:00", "2026-01-10T10:00:01Z"), 0);
    }

    #[test]
    fn records_that_disagree_are_counted() {
        let shown = evidence(
            Tz::UTC,
            &[
                ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), ""),
                ("2026-01-10T12:00:00", Some("2026-01-10T09:00:00Z"), ""),
                ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), ""),
                ("2026-01-10T12:00:00", Some("2026-01-10T10:07:11Z"), ""),
            ],
        );
        assert_eq!(shown.epoch, Some(Shift { quarters: 8, agreeing: 2, zeros: 0, of: 4 }));
        assert!(!shown.epoch.unwrap().fits());
    }

    #[test]
    fn the_wall_time_that_a_call_id_begins_with_is_compared_with_the_date_as_it_was_read() {
        // The call was at 10:00 UTC, noon in Israel.
        for (zone, date, quarters) in [
            (Jerusalem, "2026-01-10T12:00:07", 0),
            (Tz::UTC, "2026-01-10T12:00:07", -8),
            (Tz::UTC, "2026-01-10T10:00:07", 0),
            (Jerusalem, "2026-01-10T10:00:07", 8),
            (Jerusalem, "2026-01-10T10:00:07Z", 0),
            (Tz::UTC, "2026-01-10T12:00:07+02:00", 0),
        ] {
            let shown = evidence(
                zone,
                &[
                    (date, None, "202601101200012345ff"),
                    (date, None, "none-in-this"),
                    (date, None, "20261399999999x"),
                ],
            );
            assert_eq!(
                shown.call_id,
                Some(Shift { quarters, agreeing: 1, zeros: usize::from(quarters == 0), of: 1 }),
                "{date}"
            );
        }
    }
}
