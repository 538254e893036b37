//! What is concluded from late calls: pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::store::change::Claim;
use crate::window::Window;
use crate::window::coverage::Coverage;

/// At most one hour in this many may change after it was called settled.
const ONE_IN: u64 = 1_000;
/// A quantile is believed if at least this many records lie beyond it: fewer may be freaks.
const BEYOND: u64 = 10;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Upper ends of the histogram's steps, in seconds.
pub(super) const STEPS: [i64; 29] = [
    MINUTE,
    2 * MINUTE,
    3 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    45 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    4 * HOUR,
    6 * HOUR,
    9 * HOUR,
    12 * HOUR,
    18 * HOUR,
    DAY,
    26 * HOUR,
    2 * DAY,
    3 * DAY,
    4 * DAY,
    5 * DAY,
    7 * DAY,
    8 * DAY,
    14 * DAY,
    30 * DAY,
    31 * DAY,
    366 * DAY,
];

/// What is known of the hours that have calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourEvidence {
    /// Hours that were read at every age in its time, the last one included.
    pub followed: u64,
    /// Hours in which a record still appeared after they had been read at this age and at no higher one. Some of them
    /// have not reached the last age yet.
    pub changed: BTreeMap<TimeDelta, u64>,
}

impl HourEvidence {
    /// The lowest of the re-read ages after which at most one hour in 1,000 changes, even if the next one does. After
    /// the last age nothing is looked for, so nothing changes: that is the answer while too little is known. `None`
    /// without ages.
    pub fn settled_after(&self, ages: &[TimeDelta]) -> Option<TimeDelta> {
        let last = *ages.iter().max()?;
        let is_proven = |age: &TimeDelta| {
            let changed: u64 = self.changed.range(age..).map(|(_, hours)| hours).sum();
            changed.saturating_add(1).saturating_mul(ONE_IN) <= self.followed
        };
        Some(ages.iter().copied().filter(is_proven).min().unwrap_or(last))
    }
}

/// The parts of `claims` that were not read at the age before, or not at this one in its time: their reads came late, so
/// what appears in them says too little.
pub fn missed_a_read<'c>(
    before: &Coverage,
    claims: impl IntoIterator<Item = &'c Claim>,
    ages: &[TimeDelta],
) -> Vec<Window> {
    let mut missed = Vec::new();
    for claim in claims.into_iter().filter(|claim| claim.reread_age > TimeDelta::zero()) {
        missed.extend(before.holes(claim.window));
        let skips = |age: TimeDelta| ages.iter().any(|between| age < *between && *between < claim.reread_age);
        let skipping = before.stretches().iter().filter(|stretch| skips(stretch.reread_age));
        missed.extend(skipping.filter_map(|stretch| stretch.window.intersect(&claim.window)));
        // Read at the age before, but long after this one: what appeared in between is not known to.
        let in_time = claim.read_at - claim.reread_age - claim.reread_age / 2 - TimeDelta::hours(1);
        let lower = before.stretches().iter().filter(|stretch| stretch.reread_age < claim.reread_age);
        let late = lower.filter_map(|stretch| stretch.window.intersect(&claim.window));
        missed.extend(late.filter_map(|part| Window::new(part.from(), part.to().min(in_time))));
    }
    missed
}

/// How late the records of an account appeared: how many within each step, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lateness(pub BTreeMap<i64, u64>);

impl Lateness {
    /// The number of records that it is made of.
    pub fn records(&self) -> u64 {
        self.0.values().sum()
    }

    /// Within which time this share of the records, in thousandths, had appeared. `None` while too few are known.
    pub fn quantile(&self, thousandths: u64) -> Option<TimeDelta> {
        let all = self.records();
        let beyond = all.saturating_mul(1_000_u64.saturating_sub(thousandths)) / 1_000;
        if beyond < BEYOND {
            return None;
        }
        let mut later = all;
        for (within, records) in &self.0 {
            later = later.saturating_sub(*records);
            if later <= beyond {
                return TimeDelta::try_seconds(*within);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::window::lacking::Lacking;

    fn ages() -> Vec<TimeDelta> {
        [3, 24, 168, 720].map(TimeDelta::hours).to_vec()
    }

    fn evidence(followed: u64, changed: &[(i64, u64)]) -> HourEvidence {
        let changed = changed.iter().map(|(hours, n)| (TimeDelta::hours(*hours), *n)).collect();
        HourEvidence { followed, changed }
    }

    fn settled_after(followed: u64, changed: &[(i64, u64)]) -> i64 {
        evidence(followed, changed).settled_after(&ages()).unwrap().num_hours()
    }

    #[test]
    fn an_age_is_believed_after_a_thousand_hours_of_which_none_changed() {
        assert_eq!(settled_after(0, &[]), 720, "nothing is known");
        assert_eq!(settled_after(999, &[]), 720);
        assert_eq!(settled_after(1_000, &[]), 3);
        assert_eq!(settled_after(1_999, &[(24, 1)]), 168);
        assert_eq!(settled_after(2_000, &[(24, 1)]), 3, "one freak is one freak");
        assert_eq!(settled_after(5_000, &[(3, 900), (24, 5)]), 168);
        assert_eq!(settled_after(5_000, &[(168, 5)]), 720);
        assert_eq!(HourEvidence::default().settled_after(&[]), None);
    }

    fn changed() -> impl Strategy<Value = Vec<(i64, u64)>> {
        let age = prop::sample::select(vec![3_i64, 24, 168]);
        prop::collection::vec((age, 0..6_u64), 0..3)
    }

    proptest! {
        #[test]
        fn what_is_called_settled_has_changed_at_most_once_in_a_thousand(followed in 0..9_000_u64, changed in changed()) {
            let known = evidence(followed, &changed);
            let after = known.settled_after(&ages()).unwrap();
            prop_assert!(ages().contains(&after));
            let later: u64 = known.changed.range(after..).map(|(_, n)| n).sum();
            prop_assert!(after == TimeDelta::hours(720) || later * 1_000 < followed);
        }

        #[test]
        fn another_late_hour_never_settles_anything_sooner(followed in 0..9_000_u64, changed in changed(), at in 0..3_usize) {
            let before = evidence(followed, &changed);
            let mut after = before.clone();
            *after.changed.entry(ages()[at]).or_default() += 1;
            prop_assert!(after.settled_after(&ages()) >= before.settled_after(&ages()));
        }

        #[test]
        fn a_quantile_leaves_no_more_beyond_it_than_it_says(counts in prop::collection::vec(0..5_000_u64, 1..9), share in 0..1_000_u64) {
            let steps = STEPS.iter().copied().zip(counts).collect();
            let lateness = Lateness(steps);
            let all = lateness.records();
            match lateness.quantile(share) {
                None => prop_assert!(all * (1_000 - share) / 1_000 < BEYOND),
                Some(within) => {
                    let later: u64 = lateness.0.range(within.num_seconds() + 1..).map(|(_, n)| n).sum();
                    prop_assert!(later * 1_000 <= all * (1_000 - share));
                    prop_assert!(lateness.0.get(&within.num_seconds()).is_some_and(|n| *n > 0));
                }
            }
        }
    }

    #[test]
    fn a_quantile_is_not_believed_while_freaks_may_decide_it() {
        let lateness = |prompt, late| Lateness([(60, prompt), (DAY, late)].into());
        assert_eq!(lateness(9_989, 10).quantile(999), None);
        assert_eq!(lateness(9_990, 10).quantile(999), Some(TimeDelta::minutes(1)));
        assert_eq!(lateness(9_989, 11).quantile(999), Some(TimeDelta::days(1)));
        assert_eq!(Lateness::default().quantile(500), None);
    }

    #[test]
    fn a_read_at_every_age_in_its_time_misses_none() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3_600, 0).unwrap();
        let window = |from, to| Window::new(at(from), at(to)).unwrap();
        let claim = |from, to, age| Claim {
            window: window(from, to),
            reread_age: TimeDelta::hours(age),
            lacking: Lacking::NONE,
            read_at: at(from + age),
            may_mark: true,
        };
        let mut before = Coverage::new();
        before.claim(window(0, 10), TimeDelta::hours(24));
        before.claim(window(10, 20), TimeDelta::hours(3));
        before.claim(window(20, 30), TimeDelta::zero());
        let missed = |claims: &[Claim]| missed_a_read(&before, claims, &ages());
        assert!(missed(&[claim(0, 10, 168), claim(10, 20, 24), claim(20, 30, 3)]).is_empty());
        assert!(missed(&[claim(0, 40, 0)]).is_empty(), "a first read in time");
        let late = Claim { read_at: at(36), ..claim(20, 30, 3) };
        assert_eq!(missed(&[late]), [Window::new(at(20), at(30)).unwrap()], "read after six hours and more");
        assert_eq!(missed(&[claim(5, 15, 168)]), [window(10, 15)], "not read after a day");
        assert_eq!(missed(&[claim(25, 35, 3)]), [window(30, 35)], "first read after the lookback");
        assert_eq!(
            missed(&[claim(-5, 25, 720)]),
            [window(-5, 0), window(0, 10), window(10, 20), window(20, 25)]
        );
    }
}
