//! What an answer shows of its time zone. Evidence only: what follows from it is decided elsewhere.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::dates::{Precision, Written};

/// Zones differ from UTC by whole quarters of an hour.
const QUARTER: i64 = 900;

/// What the dates of one answer show of their zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneEvidence {
    /// Dates with `Z` or an offset.
    pub zoned: usize,
    /// Dates without.
    pub zoneless: usize,
    /// Zoneless Date minus DateEpoch: how far the clock that wrote Date is ahead of UTC.
    pub epoch: Option<Shift>,
    /// The wall time that CallID begins with minus Date as it was written (minus the instant, where Date has a zone): none
    /// when Date is in Israel's time, else about what Israel is ahead of Date's zone. A hint only: no document promises it.
    pub call_id: Option<Shift>,
}

/// The difference that most records agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// In quarters of an hour; on a tie the smaller.
    pub quarters: i32,
    /// The records that show it.
    pub agreeing: usize,
    /// All records that show one, among them those that no whole quarters explain.
    pub of: usize,
}

impl Shift {
    /// Returns `true` if no record shows another one.
    pub fn is_unanimous(&self) -> bool {
        self.agreeing == self.of
    }

    /// As a span of time.
    pub fn span(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.quarters) * QUARTER)
    }
}

/// Collects the evidence, record by record.
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
    pub(super) fn take(&mut self, date: &Written, epoch: Option<i64>, call_id: &str) {
        let written = date.local.and_utc().timestamp();
        match date.offset {
            Some(_) => self.zoned += 1,
            None => self.zoneless += 1,
        }
        if let Some(epoch) = epoch.filter(|_| date.offset.is_none()) {
            // The minutes of a date are cut off, not rounded.
            let cut_off = if date.precision == Precision::Minute { 59 } else { 1 };
            let quarters = (written - epoch + cut_off).div_euclid(QUARTER);
            let explained = written - epoch + cut_off - quarters * QUARTER <= cut_off + 1;
            self.epochs.take(explained.then_some(quarters));
        }
        if let Some(wall) = leading_wall_time(call_id) {
            let offset = date.offset.map_or(0, |offset| i64::from(offset.local_minus_utc()));
            let apart = wall.and_utc().timestamp() - (written - offset);
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
        // No two clocks are further apart than a day or so.
        if let Some(quarters) =
            quarters.and_then(|quarters| i32::try_from(quarters).ok()).filter(|q| q.abs() <= 112)
        {
            *self.quarters.entry(quarters).or_default() += 1;
        }
    }

    fn most_common(&self) -> Option<Shift> {
        let most = |(a, i): &(&i32, &usize), (b, j): &(&i32, &usize)| i.cmp(j).then(b.cmp(a));
        let (quarters, agreeing) = self.quarters.iter().max_by(most)?;
        Some(Shift { quarters: *quarters, agreeing: *agreeing, of: self.of })
    }
}

/// `yyyyMMddHHmmss` at the beginning of a CallID, when that is a date of this century.
fn leading_wall_time(call_id: &str) -> Option<NaiveDateTime> {
    let digits = call_id.get(..14).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.starts_with("20").then(|| NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok())?
}

#[cfg(test)]
mod tests {
    use super::super::dates;
    use super::*;

    fn evidence(records: &[(&str, Option<&str>, &str)]) -> ZoneEvidence {
        let mut counter = ZoneCounter::default();
        for (date, instant, call_id) in records {
            let epoch =
                instant.map(|text| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp());
            counter.take(&dates::parse(date).unwrap(), epoch, call_id);
        }
        counter.evidence()
    }

    #[test]
    fn the_epoch_shows_how_far_zoneless_dates_are_ahead_of_utc() {
        let shown = evidence(&[
            ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), "a"),
            ("2026-01-10T12:00", Some("2026-01-10T10:00:59Z"), "b"),
            ("2026-01-10T12:00:00.5", Some("2026-01-10T10:00:00Z"), "c"),
            ("2026-01-10T10:00:00Z", Some("2026-01-10T10:00:00Z"), "d"),
        ]);
        assert_eq!((shown.zoned, shown.zoneless), (1, 3));
        assert_eq!(shown.epoch, Some(Shift { quarters: 8, agreeing: 3, of: 3 }));
        assert_eq!(shown.epoch.unwrap().span(), TimeDelta::hours(2));
        assert!(shown.epoch.unwrap().is_unanimous() && shown.call_id.is_none());
    }

    #[test]
    fn a_zone_west_of_utc_or_with_quarters_and_none_at_all_are_told_apart() {
        let of = |date, instant| evidence(&[(date, Some(instant), "")]).epoch.unwrap().quarters;
        assert_eq!(of("2026-01-10T05:00:00", "2026-01-10T10:00:00Z"), -20);
        assert_eq!(of("2026-01-10T15:45:00", "2026-01-10T10:00:00Z"), 23);
        assert_eq!(of("2026-01-10T10:00:00", "2026-01-10T10:00:00Z"), 0);
        assert_eq!(of("2026-01-10T10:00:00", "2026-01-10T10:00:01Z"), 0);
    }

    #[test]
    fn records_that_disagree_are_counted() {
        let shown = evidence(&[
            ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), ""),
            ("2026-01-10T12:00:00", Some("2026-01-10T09:00:00Z"), ""),
            ("2026-01-10T12:00:00", Some("2026-01-10T10:00:00Z"), ""),
            ("2026-01-10T12:00:00", Some("2026-01-10T10:07:11Z"), ""),
        ]);
        assert_eq!(shown.epoch, Some(Shift { quarters: 8, agreeing: 2, of: 4 }));
        assert!(!shown.epoch.unwrap().is_unanimous());
    }

    #[test]
    fn the_wall_time_that_a_call_id_begins_with_is_compared_with_the_date_as_written() {
        // In Israel's time; in UTC without saying so; in UTC with Z.
        for (date, quarters) in [
            ("2026-01-10T12:00:07", 0),
            ("2026-01-10T10:00:07", 8),
            ("2026-01-10T10:00:07Z", 8),
            ("2026-01-10T12:00:07+02:00", 8),
        ] {
            let shown = evidence(&[
                (date, None, "202601101200012345ff"),
                (date, None, "none-in-this"),
                (date, None, "20261399999999x"),
            ]);
            assert_eq!(shown.call_id, Some(Shift { quarters, agreeing: 1, of: 1 }), "{date}");
        }
    }
}
