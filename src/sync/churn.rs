//! Fields that differ at each read although nothing happened: a URL with a signature, a value that a trigger in the
//! database rewrites.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// An answer with fewer compared rows proves nothing.
const ROWS: u64 = 20;
/// A column is reported after half of the rows had changed in this many consecutive answers.
const ANSWERS: u32 = 3;
/// How often a column is reported.
const TOLD_EVERY: TimeDelta = TimeDelta::days(1);

/// What was seen of each column.
#[derive(Clone, Debug, Default)]
pub(super) struct Churn {
    /// Consecutive answers in which the column had changed in most rows.
    answers: BTreeMap<String, u32>,
    told_at: BTreeMap<String, DateTime<Utc>>,
}

impl Churn {
    /// Adds the number of `compared` rows in which each column had changed. Returns the columns to report.
    pub(super) fn absorb(
        &mut self,
        compared: u64,
        changed: &BTreeMap<String, u64>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        if compared < ROWS {
            return Vec::new();
        }
        let churns = |column: &String| changed.get(column).is_some_and(|rows| rows * 2 >= compared);
        self.answers.retain(|column, _| churns(column));
        let mut telling = Vec::new();
        for column in changed.keys().filter(|column| churns(column)) {
            let answers = self.answers.entry(column.clone()).or_default();
            *answers = answers.saturating_add(1);
            let told = self.told_at.get(column).is_some_and(|at| now - *at < TOLD_EVERY);
            if *answers >= ANSWERS && !told {
                self.told_at.insert(column.clone(), now);
                telling.push(column.clone());
            }
        }
        telling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn changed(column: &str, rows: u64) -> BTreeMap<String, u64> {
        [(column.to_owned(), rows)].into()
    }

    #[test]
    fn a_field_that_is_new_at_each_read_is_told_once_a_day() {
        let mut churn = Churn::default();
        let told = |churn: &mut Churn, hour| churn.absorb(40, &changed("record_url", 38), at(hour));
        assert_eq!([0, 1].map(|hour| told(&mut churn, hour).len()), [0, 0]);
        assert_eq!(told(&mut churn, 2), ["record_url"]);
        assert_eq!([3, 25, 26].map(|hour| told(&mut churn, hour).len()), [0, 0, 1]);
    }

    #[test]
    fn what_changes_once_or_in_few_rows_is_life() {
        let mut churn = Churn::default();
        let no = BTreeMap::new();
        for hour in 0..9 {
            assert_eq!(churn.absorb(40, &changed("dial_status", 19), at(hour)), [""; 0]);
            assert_eq!(churn.absorb(19, &changed("price", 19), at(hour)), [""; 0]);
        }
        for hour in 0..9 {
            let now = if hour % 3 == 2 { &no } else { &changed("price", 40) };
            assert_eq!(churn.absorb(40, now, at(hour)), [""; 0]);
        }
    }
}
