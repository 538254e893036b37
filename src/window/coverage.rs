//! The map of evidence: which stretches of time were read completely, and at which re-read age.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::Window;
use crate::window::lacking::Lacking;

/// A stretch of time that was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stretch {
    /// The span that was read, from its first instant to its end.
    pub window: Window,
    /// The highest re-read age at which it was read: zero after a first read, otherwise one of the ages in force at
    /// that time (lookback, then `sync.reconcile`).
    pub reread_age: TimeDelta,
    /// The fields that its newest read left out.
    pub lacking: Lacking,
}

impl Stretch {
    /// A stretch for which only the fact that it was read matters.
    fn plain(window: Window) -> Self {
        Self { window, reread_age: TimeDelta::zero(), lacking: Lacking::NONE }
    }
}

/// Sorted, disjoint stretches. Neighbours with equal attributes are joined, so a year needs only a few rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    stretches: Vec<Stretch>,
}

impl Coverage {
    /// A coverage in which nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The coverage that results from these claims, in any order.
    pub fn from_stretches(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let mut coverage = Self::new();
        for stretch in stretches {
            coverage.claim_lacking(stretch.window, stretch.reread_age, stretch.lacking);
        }
        coverage
    }

    /// All stretches that were read, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Records that `window` was read completely at re-read age `reread_age`, with every field.
    pub fn claim(&mut self, window: Window, reread_age: TimeDelta) {
        self.claim_lacking(window, reread_age, Lacking::NONE);
    }

    /// Records that `window` was read completely at re-read age `reread_age`, but without the fields `lacking`. A
    /// higher age is kept; the fields are those of the newest read.
    pub fn claim_lacking(&mut self, window: Window, reread_age: TimeDelta, lacking: Lacking) {
        let mut parts: Vec<Stretch> = Vec::with_capacity(self.stretches.len() + 3);
        for old in &self.stretches {
            let Some(common) = old.window.intersect(&window) else {
                parts.push(*old);
                continue;
            };
            parts.extend(outside(old, common));
            parts.push(Stretch { window: common, reread_age: old.reread_age.max(reread_age), lacking });
        }
        parts.extend(self.holes(window).into_iter().map(|window| Stretch { window, reread_age, lacking }));
        self.stretches = joined(parts);
    }

    /// Limits the re-read age of whatever was read in `window` to `reread_age`.
    pub fn lower(&mut self, window: Window, reread_age: TimeDelta) {
        let mut parts: Vec<Stretch> = Vec::with_capacity(self.stretches.len() + 2);
        for old in &self.stretches {
            let Some(common) = old.window.intersect(&window) else {
                parts.push(*old);
                continue;
            };
            parts.extend(outside(old, common));
            parts.push(Stretch { window: common, reread_age: old.reread_age.min(reread_age), ..*old });
        }
        self.stretches = joined(parts);
    }

    /// Forgets that anything in `window` was read.
    pub fn uncover(&mut self, window: Window) {
        let parts = self.stretches.iter().flat_map(|old| match old.window.intersect(&window) {
            Some(common) => outside(old, common).collect(),
            None => vec![*old],
        });
        self.stretches = joined(parts.collect());
    }

    /// Forgets that anything before `instant` was read.
    pub fn forget_before(&mut self, instant: DateTime<Utc>) {
        if let Some(before) = Window::new(DateTime::<Utc>::MIN_UTC, instant) {
            self.uncover(before);
        }
    }

    /// The parts of `within` that are not covered, oldest first.
    pub fn holes(&self, within: Window) -> Vec<Window> {
        let mut holes = Vec::new();
        let mut from = within.from();
        let first = self.stretches.partition_point(|stretch| stretch.window.to() <= within.from());
        for stretch in self.stretches.iter().skip(first) {
            if stretch.window.from() >= within.to() {
                break;
            }
            holes.extend(Window::new(from, stretch.window.from()));
            from = from.max(stretch.window.to());
        }
        holes.extend(Window::new(from, within.to()));
        holes
    }

    /// Returns `true` if all of `window` is covered.
    pub fn covers(&self, window: Window) -> bool {
        self.holes(window).is_empty()
    }

    /// The stretches read without fields that are not in `refused`, oldest first: a new read would provide those
    /// fields.
    pub fn lacking_beyond(&self, refused: Lacking) -> Vec<Window> {
        let due = self.stretches.iter().filter(|stretch| !stretch.lacking.minus(refused).is_none());
        let due = Self::from_stretches(due.map(|stretch| Stretch::plain(stretch.window)));
        due.stretches.into_iter().map(|stretch| stretch.window).collect()
    }

    /// The window from the start of the oldest stretch to the end of the newest.
    pub fn span(&self) -> Option<Window> {
        let (first, last) = (self.stretches.first()?, self.stretches.last()?);
        Some(first.window.hull(&last.window))
    }

    /// The end of the newest stretch.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        self.stretches.last().map(|stretch| stretch.window.to())
    }
}

/// The parts of `old` on either side of `common`.
fn outside(old: &Stretch, common: Window) -> impl Iterator<Item = Stretch> + use<> {
    let old = *old;
    let before = Window::new(old.window.from(), common.from());
    let after = Window::new(common.to(), old.window.to());
    before.into_iter().chain(after).map(move |window| Stretch { window, ..old })
}

/// Sorts disjoint stretches and joins neighbours with equal attributes.
fn joined(mut parts: Vec<Stretch>) -> Vec<Stretch> {
    parts.sort_unstable();
    let mut stretches: Vec<Stretch> = Vec::with_capacity(parts.len());
    for part in parts {
        match stretches.last_mut() {
            Some(last)
                if last.window.to() == part.window.from()
                    && (last.reread_age, last.lacking) == (part.reread_age, part.lacking) =>
            {
                last.window = last.window.hull(&part.window);
            }
            _ => stretches.push(part),
        }
    }
    stretches
}

/// The newest unbroken block of what was read or lies under an open gap: `history_from` to `synced_until`.
///
/// After a long stop the newest hours are read first, so the block jumps to the present and grows back from there:
/// at every instant, everything inside it was read completely or is an open gap.
pub fn cursor(coverage: &Coverage, gaps: &[Window]) -> Option<Window> {
    let mut known =
        Coverage::from_stretches(coverage.stretches.iter().map(|stretch| Stretch::plain(stretch.window)));
    let end = known.end()?;
    for gap in gaps {
        // A gap opened at the very front, with nothing read behind it, does not move the cursor.
        if let Some(gap) = Window::new(gap.from(), gap.to().min(end)) {
            known.claim(gap, TimeDelta::zero());
        }
    }
    known.stretches.last().map(|stretch| stretch.window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    fn hours(n: i64) -> TimeDelta {
        TimeDelta::hours(n)
    }

    #[test]
    fn adjacent_reads_of_one_tier_always_coalesce() {
        let mut coverage = Coverage::new();
        for second in [3, 1, 2, 0, 4] {
            coverage.claim(window(second, second + 1), hours(1));
        }
        let all = Stretch { window: window(0, 5), reread_age: hours(1), lacking: Lacking::NONE };
        assert_eq!(coverage.stretches(), [all]);
    }

    #[test]
    fn a_read_at_a_lower_age_never_lowers_a_tier() {
        let mut coverage = Coverage::new();
        coverage.claim(window(0, 10), hours(24));
        coverage.claim(window(5, 15), hours(0));
        let reread_ages: Vec<_> = coverage.stretches().iter().map(|s| (s.window, s.reread_age)).collect();
        assert_eq!(reread_ages, [(window(0, 10), hours(24)), (window(10, 15), hours(0))]);
    }

    #[test]
    fn the_cursor_is_the_newest_unbroken_block_and_bridges_open_gaps() {
        let mut coverage = Coverage::new();
        coverage.claim(window(0, 10), hours(0));
        coverage.claim(window(20, 30), hours(1));
        assert_eq!(cursor(&coverage, &[]), Some(window(20, 30)));
        assert_eq!(cursor(&coverage, &[window(10, 20)]), Some(window(0, 30)));
        assert_eq!(cursor(&coverage, &[window(10, 19)]), Some(window(20, 30)));
        assert_eq!(cursor(&Coverage::new(), &[window(10, 19)]), None);
    }

    #[test]
    fn what_was_read_without_a_field_is_due_once_the_field_is_to_be_had() {
        let mut coverage = Coverage::new();
        coverage.claim_lacking(window(0, 10), hours(0), Lacking::ALL);
        coverage.claim_lacking(window(10, 20), hours(1), Lacking::of(["UserId"]));
        coverage.claim(window(20, 30), hours(0));
        assert_eq!(coverage.lacking_beyond(Lacking::ALL), []);
        assert_eq!(coverage.lacking_beyond(Lacking::of(["CdrType"])), [window(0, 20)]);
        coverage.claim(window(5, 12), hours(0));
        assert_eq!(coverage.lacking_beyond(Lacking::NONE), [window(0, 5), window(12, 20)]);
        assert_eq!(cursor(&coverage, &[]), Some(window(0, 30)), "it counts as read all the same");
    }

    /// Claims and withdrawals over a small axis, to be checked second by second.
    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let fields = prop::sample::select(vec![Lacking::NONE, Lacking::of(["UserId"]), Lacking::ALL]);
        prop::collection::vec((any::<bool>(), 0..60_i64, 1..20_i64, 0..4_i64, fields), 0..40)
    }

    type Change = (bool, i64, i64, i64, Lacking);

    proptest! {
        #[test]
        fn it_agrees_with_a_map_of_single_seconds(changes in changes()) {
            let mut coverage = Coverage::new();
            let mut seconds = vec![None; 80];
            for (claim, from, length, reread_age, lacking) in changes {
                let span = window(from, from + length);
                for second in &mut seconds[from as usize..(from + length) as usize] {
                    *second = claim.then(|| (second.map_or(0, |(old, _)| old).max(reread_age), lacking));
                }
                if claim { coverage.claim_lacking(span, hours(reread_age), lacking) } else { coverage.uncover(span) }
            }
            for (second, expected) in (0..).zip(&seconds) {
                let found = coverage.stretches().iter().find(|s| s.window.contains(at(second)));
                let expected = expected.map(|(reread_age, lacking)| (hours(reread_age), lacking));
                prop_assert_eq!(found.map(|s| (s.reread_age, s.lacking)), expected);
            }
            for pair in coverage.stretches().windows(2) {
                let (a, b) = (pair[0], pair[1]);
                let differ = (a.reread_age, a.lacking) != (b.reread_age, b.lacking);
                prop_assert!(a.window.to() < b.window.from() || (a.window.to() == b.window.from() && differ));
            }
            let holes = coverage.holes(window(0, 80));
            for second in 0..80 {
                let in_hole = holes.iter().any(|hole| hole.contains(at(second)));
                prop_assert_eq!(in_hole, seconds[second as usize].is_none());
            }
        }
    }
}
