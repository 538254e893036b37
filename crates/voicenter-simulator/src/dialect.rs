//! How one server writes its dates, names and numbers, and what a reader can conclude from that.

use chrono::{DateTime, DurationRound, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::options::{ApiGeneration, DateForm, SimulatorOptions};

/// The dialect that some options describe, with all defaults filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) generation: ApiGeneration,
    pub(crate) zone: Tz,
    pub(crate) form: DateForm,
    pub(crate) lower_case_names: bool,
    pub(crate) text_numbers: bool,
    pub(crate) date_epoch: bool,
}

impl Dialect {
    pub(crate) fn of(options: &SimulatorOptions) -> Self {
        let chosen = options.dialect;
        let (zone, form) = match options.generation {
            ApiGeneration::V01 => (Tz::Asia__Jerusalem, DateForm::Plain),
            ApiGeneration::Current => (Tz::UTC, DateForm::Zulu),
        };
        Self {
            generation: options.generation,
            zone: chosen.zone.unwrap_or(zone),
            form: chosen.date_form.unwrap_or(form),
            lower_case_names: chosen.lower_case_names,
            text_numbers: chosen.text_numbers,
            date_epoch: chosen.date_epoch && options.generation == ApiGeneration::Current,
        }
    }

    /// The wall time that bounds are compared with.
    pub(crate) fn wall_time(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    pub(crate) fn date(&self, instant: DateTime<Utc>) -> String {
        let local = self.wall_time(instant);
        let text = match self.form {
            DateForm::Zulu => instant.format("%Y-%m-%dT%H:%M:%SZ"),
            DateForm::Plain => local.format("%Y-%m-%dT%H:%M:%S"),
            DateForm::Space => local.format("%Y-%m-%d %H:%M:%S"),
            DateForm::Minutes => local.format("%Y-%m-%dT%H:%M"),
            DateForm::Fractions => local.format("%Y-%m-%dT%H:%M:%S%.3f"),
            DateForm::Trimmed if local.second() == 0 => local.format("%Y-%m-%dT%H:%M"),
            DateForm::Trimmed => local.format("%Y-%m-%dT%H:%M:%S"),
        };
        text.to_string()
    }

    /// The instant that a reader can conclude from what is sent.
    ///
    /// For a wall time that occurs twice, it is the earlier instant, unless `DateEpoch` is sent.
    pub(crate) fn known_instant(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let precision = match self.form {
            DateForm::Minutes => TimeDelta::minutes(1),
            DateForm::Fractions => TimeDelta::milliseconds(1),
            DateForm::Zulu | DateForm::Plain | DateForm::Space | DateForm::Trimmed => TimeDelta::seconds(1),
        };
        let known = instant.duration_trunc(precision).unwrap_or(instant);
        if self.form == DateForm::Zulu || self.date_epoch {
            return known;
        }
        match self.zone.from_local_datetime(&self.wall_time(known)) {
            MappedLocalTime::Ambiguous(earlier, _) => earlier.with_timezone(&Utc),
            MappedLocalTime::Single(_) | MappedLocalTime::None => known,
        }
    }

    pub(crate) fn name(&self, name: &str) -> String {
        if self.lower_case_names { name.to_lowercase() } else { name.to_owned() }
    }

    /// Instants that certainly enclose all records whose wall time lies between the bounds.
    pub(crate) fn enclosing(&self, from: NaiveDateTime, to: NaiveDateTime) -> (DateTime<Utc>, DateTime<Utc>) {
        // No zone is further from UTC than 14 hours, and no clock change moves it by more than the rest.
        let margin = if self.zone == Tz::UTC { TimeDelta::seconds(1) } else { TimeDelta::hours(16) };
        let early = from.checked_sub_signed(margin).unwrap_or(NaiveDateTime::MIN);
        let late = to.checked_add_signed(margin).unwrap_or(NaiveDateTime::MAX);
        (early.and_utc(), late.and_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_hour_that_occurs_twice_the_earlier_is_told_unless_the_epoch_is_sent() {
        let options = SimulatorOptions { generation: ApiGeneration::V01, ..Default::default() };
        let mut dialect = Dialect::of(&options);
        // In Israel the clock goes back from 02:00 to 01:00 on 2026-10-25, at 23:00 UTC of the day before.
        let second = Utc.with_ymd_and_hms(2026, 10, 24, 23, 30, 0).unwrap();
        assert_eq!(dialect.date(second), "2026-10-25T01:30:00");
        assert_eq!(dialect.known_instant(second), second - TimeDelta::hours(1));
        dialect.date_epoch = true;
        assert_eq!(dialect.known_instant(second), second);
    }

    #[test]
    fn minute_only_dates_tell_no_seconds() {
        let dialect = Dialect { form: DateForm::Minutes, ..Dialect::of(&SimulatorOptions::default()) };
        let instant = Utc.with_ymd_and_hms(2026, 6, 7, 9, 4, 58).unwrap();
        assert_eq!(dialect.date(instant), "2026-06-07T09:04");
        assert_eq!(dialect.known_instant(instant), instant - TimeDelta::seconds(58));
    }
}
