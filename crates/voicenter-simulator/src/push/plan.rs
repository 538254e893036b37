//! Which pushes a CDR causes, and when: a pure function of the options and of what the CDR's seed draws.

use super::options::{PushOptions, PushTime};
use crate::random::Random;

/// One of the pushes of a CDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedPush {
    /// When it is sent first (seconds since 1970).
    pub(super) due: i64,
    /// The CDR is written as it is then: a duplicate repeats what was known before.
    pub(super) as_of: i64,
    pub(super) has_ai: bool,
    pub(super) is_duplicate: bool,
}

/// All pushes of one CDR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PushPlan {
    pub(super) pushes: Vec<PlannedPush>,
}

impl PushPlan {
    /// The plan for a CDR whose call ended at `ended`.
    pub(super) fn of(options: &PushOptions, seed: u64, ended: i64, is_answered: bool) -> Self {
        let mut random = Random::of(&[seed, 20]);
        // All is drawn in the same order, whatever comes of it: one share does not change another's choices.
        let is_sent = !random.chance(options.never_share);
        let (shortest, usual) = (options.delay.0.num_seconds(), options.delay.1.num_seconds());
        let mut delay = random.between(shortest, usual);
        let (is_late, later) = (random.chance(0.05), random.unit());
        if is_late {
            // A long tail: most of the late ones are not very late.
            let tail = (options.longest_delay.num_seconds() - usual).max(0) as f64;
            delay = usual + (tail * later * later * later) as i64;
        }
        let has_ai = random.chance(options.ai_share) && is_answered;
        let at_once = random.chance(options.ai_at_once_share);
        let (ai_after, is_before) = (random.between(120, 2_400), random.chance(0.02));
        let (is_repeated, repeated_after) = (random.chance(options.duplicate_share), random.between(5, 600));
        if !is_sent {
            return Self::default();
        }
        let due = ended + delay;
        let first = PlannedPush { due, as_of: due, has_ai: has_ai && at_once, is_duplicate: false };
        let mut pushes = vec![first];
        if has_ai && !at_once {
            let due = if is_before { (due - 20).max(ended + 1) } else { due + ai_after };
            pushes.push(PlannedPush { due, as_of: due, has_ai: true, is_duplicate: false });
        }
        if is_repeated {
            pushes.push(PlannedPush { due: due + repeated_after, is_duplicate: true, ..first });
        }
        Self { pushes }
    }

    /// The plan without what is due by `since`.
    pub(super) fn after(mut self, since: i64) -> Self {
        self.pushes.retain(|push| push.due > since);
        self
    }

    pub(super) fn first(&self) -> Option<&PlannedPush> {
        self.pushes.iter().filter(|push| !push.is_duplicate).min_by_key(|push| push.due)
    }

    pub(super) fn with_ai(&self) -> Option<&PlannedPush> {
        self.pushes.iter().filter(|push| push.has_ai).min_by_key(|push| push.due)
    }

    /// The longest time from the end of a call to the last push that it causes, in seconds.
    pub(super) fn longest(options: &PushOptions) -> i64 {
        options.longest_delay.max(options.delay.1).num_seconds() + 3_600
    }
}

/// Returns `true` if the `time` of this CDR's pushes is the wall clock.
pub(super) fn is_local(options: &PushOptions, seed: u64) -> bool {
    match options.time {
        PushTime::Local => true,
        PushTime::Epoch => false,
        PushTime::Mixed => Random::of(&[seed, 21]).chance(0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(options: &PushOptions) -> Vec<PushPlan> {
        (0..20_000).map(|seed| PushPlan::of(options, seed, 1_000_000, seed % 2 == 0)).collect()
    }

    #[test]
    fn shares_are_kept_and_no_push_comes_before_the_end_of_its_call() {
        let options = PushOptions::to("http://127.0.0.1/");
        let plans = plans(&options);
        let share = |is_meant: &dyn Fn(&PushPlan) -> bool| {
            plans.iter().filter(|plan| is_meant(plan)).count() as f64 / plans.len() as f64
        };
        let near = |share: f64, expected: f64| assert!((share - expected).abs() < 0.01, "{share}");
        near(share(&|plan| plan.pushes.is_empty()), 0.02);
        near(share(&|plan| plan.with_ai().is_some()), 0.15 * 0.98);
        near(share(&|plan| plan.pushes.iter().any(|push| push.is_duplicate)), 0.02);
        let wrong_order = |plan: &PushPlan| {
            plan.first().is_some_and(|first| first.has_ai) && plan.pushes.iter().any(|push| !push.has_ai)
        };
        assert!((0.0005..0.01).contains(&share(&wrong_order)), "some AI comes first");
        let delays: Vec<i64> =
            plans.iter().filter_map(|plan| plan.first()).map(|first| first.due - 1_000_000).collect();
        assert!(delays.iter().all(|delay| (1..=21_600).contains(delay)));
        near(delays.iter().filter(|delay| **delay > 600).count() as f64 / delays.len() as f64, 0.05);
        assert!(delays.iter().any(|delay| *delay > 14_400), "a long tail");
    }

    #[test]
    fn one_share_does_not_change_the_choices_of_another() {
        let options = PushOptions::to("http://127.0.0.1/");
        let without_ai = plans(&PushOptions { ai_share: 0.0, ..options.clone() });
        for (plan, plain) in plans(&options).iter().zip(&without_ai) {
            assert_eq!(plan.pushes.is_empty(), plain.pushes.is_empty());
            assert_eq!(plain.pushes.first().map(|push| push.due), plan.pushes.first().map(|push| push.due));
        }
    }
}
