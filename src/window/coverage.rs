//! The map of evidence: which stretches of time were read completely, and at which re-read age.

use chrono::{DateTime, TimeDelta, Utc};

use super::Window;

/// A stretch of time that was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stretch {
    /// From when to when.
    pub window: Window,
    /// The highest re-read age it has been served: zero after a first read, else one of the ages in force
    /// when it was read (lookback, then `sync.reconcile`).
    pub tier: TimeDelta,
}

/// Sorted, disjoint stretches. Neighbours of one tier are one stretch, so a year stays a few rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    stretches: Vec<Stretch>,
}

impl Coverage {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The coverage that these claims make together, in any order.
    pub fn from_stretches(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let mut coverage = Self::new();
        for stretch in stretches {
            coverage.claim(stretch.window, stretch.tier);
        }
        coverage
    }

    /// The stretches, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Records that `window` was read completely at re-read age `tier`; where a higher tier stands, it stays.
    pub fn claim(&mut self, window: Window, tier: TimeDelta) {
        let mut parts: Vec<Stretch> = Vec::with_capacity(self.stretches.len() + 3);
        for old in &self.stretches {
            let Some(common) = old.window.intersect(&window) else {
                parts.push(*old);
                continue;
            };
            parts.extend(outside(old, common));
            parts.push(Stretch { window: common, tier: old.tier.max(tier) });
        }
        parts.extend(self.holes(window).into_iter().map(|window| Stretch { window, tier }));
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

    /// What of `within` is not covered, oldest first.
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

    /// Whether all of `window` is covered.
    pub fn covers(&self, window: Window) -> bool {
        self.holes(window).is_empty()
    }

    /// The end of the newest stretch.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        self.stretches.last().map(|stretch| stretch.window.to())
    }

    /// What must be deleted from and inserted into a stored copy of `self` to make it `after`.
    pub fn diff(&self, after: &Coverage) -> (Vec<Stretch>, Vec<Stretch>) {
        let without = |a: &Coverage, b: &Coverage| {
            a.stretches
                .iter()
                .filter(|stretch| b.stretches.binary_search(stretch).is_err())
                .copied()
                .collect()
        };
        (without(self, after), without(after, self))
    }
}

/// What `old` has on either side of `common`.
fn outside(old: &Stretch, common: Window) -> impl Iterator<Item = Stretch> + use<> {
    let tier = old.tier;
    let before = Window::new(old.window.from(), common.from());
    let after = Window::new(common.to(), old.window.to());
    before.into_iter().chain(after).map(move |window| Stretch { window, tier })
}

/// Sorts disjoint stretches and joins neighbours of one tier.
fn joined(mut parts: Vec<Stretch>) -> Vec<Stretch> {
    parts.sort_unstable();
    let mut stretches: Vec<Stretch> = Vec::with_capacity(parts.len());
    for part in parts {
        match stretches.last_mut() {
            Some(last) if last.window.to() == part.window.from() && last.tier == part.tier => {
                last.window = last.window.hull(&part.window);
            }
            _ => stretches.push(part),
        }
    }
    stretches
}

/// The newest unbroken block of what was read or stands under an open gap: `history_from` to `synced_until`.
///
/// After a long stop the newest hours are read first, so the block jumps to the present and grows back from
/// there: everything inside it was read completely or is an open gap, at every instant.
pub fn cursor(coverage: &Coverage, gaps: &[Window]) -> Option<Window> {
    let mut known = Coverage::from_stretches(
        coverage.stretches.iter().map(|stretch| Stretch { tier: TimeDelta::zero(), ..*stretch }),
    );
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
        assert_eq!(coverage.stretches(), [Stretch { window: window(0, 5), tier: hours(1) }]);
    }

    #[test]
    fn a_read_at_a_lower_age_never_lowers_a_tier() {
        let mut coverage = Coverage::new();
        coverage.claim(window(0, 10), hours(24));
        coverage.claim(window(5, 15), hours(0));
        let tiers: Vec<_> = coverage.stretches().iter().map(|s| (s.window, s.tier)).collect();
        assert_eq!(tiers, [(window(0, 10), hours(24)), (window(10, 15), hours(0))]);
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

    /// Claims and withdrawals over a small axis, to be checked second by second.
    fn changes() -> impl Strategy<Value = Vec<(bool, i64, i64, i64)>> {
        prop::collection::vec((any::<bool>(), 0..60_i64, 1..20_i64, 0..4_i64), 0..40)
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_of_single_seconds(changes in changes()) {
            let mut coverage = Coverage::new();
            let mut seconds = vec![None; 80];
            for (claim, from, length, tier) in changes {
                let span = window(from, from + length);
                for second in &mut seconds[from as usize..(from + length) as usize] {
                    *second = claim.then(|| second.unwrap_or(0).max(tier));
                }
                if claim { coverage.claim(span, hours(tier)) } else { coverage.uncover(span) }
            }
            for (second, tier) in (0..).zip(&seconds) {
                let found = coverage.stretches().iter().find(|s| s.window.contains(at(second)));
                prop_assert_eq!(found.map(|s| s.tier), tier.map(hours));
            }
            for pair in coverage.stretches().windows(2) {
                let (a, b) = (pair[0], pair[1]);
                prop_assert!(a.window.to() < b.window.from() || (a.window.to() == b.window.from() && a.tier != b.tier));
            }
            let holes = coverage.holes(window(0, 80));
            for second in 0..80 {
                let in_hole = holes.iter().any(|hole| hole.contains(at(second)));
                prop_assert_eq!(in_hole, seconds[second as usize].is_none());
            }
        }

        #[test]
        fn a_diff_applied_to_the_old_gives_the_new(a in changes(), b in changes()) {
            let build = |changes: Vec<(bool, i64, i64, i64)>| {
                let mut coverage = Coverage::new();
                for (_, from, length, tier) in changes {
                    coverage.claim(window(from, from + length), hours(tier));
                }
                coverage
            };
            let (old, new) = (build(a), build(b));
            let (gone, come) = old.diff(&new);
            let mut rows = old.stretches().to_vec();
            rows.retain(|row| !gone.contains(row));
            rows.extend(come);
            rows.sort_unstable();
            prop_assert_eq!(rows, new.stretches().to_vec());
        }
    }
}
