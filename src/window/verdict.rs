//! What an answer proves about the window it was asked for.

use chrono::{DateTime, Utc};

use super::Order;
use super::knowledge::Knowledge;

/// The facts of an answer that count for planning, without its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The dates of the records that have one, in the order in which they came.
    pub dates: Vec<DateTime<Utc>>,
    /// Records that came, those without a date included.
    pub listed: usize,
    /// `TOTAL_HITS`.
    pub total: Option<u64>,
    /// `RETURN_HITS`.
    pub returned: Option<u64>,
    /// At least one date came with minutes only.
    pub minute_dates: bool,
    /// The bounds went out as planned: a clock change of a zoned API widens them.
    pub exact_bounds: bool,
    /// The `Date` header of the answer.
    pub server_date: Option<DateTime<Utc>>,
}

impl Evidence {
    /// Records that came without a usable date: nobody knows where they belong.
    pub fn undated(&self) -> usize {
        self.listed.saturating_sub(self.dates.len())
    }

    /// Whether the dates really came in `order`.
    pub fn is_sorted(&self, order: Order) -> bool {
        match order {
            Order::Ascending => self.dates.is_sorted(),
            Order::Descending => self.dates.is_sorted_by(|a, b| a >= b),
        }
    }
}

/// What an answer is worth as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Certainly all there is.
    Whole,
    /// Cut by the server's limit; how many there are in all, where announced credibly.
    Cut {
        /// `TOTAL_HITS`, if it is above what came.
        total: Option<u64>,
    },
    /// It may have been cut silently: without a total, its length is suspicious.
    Doubted,
    /// Its own numbers contradict each other: no evidence at all, ask again.
    Contradictory,
}

/// How long an answer may be, and which lengths are suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `api.record_limit`.
    pub records: usize,
    /// Without totals, multiples of this are doubted: servers have round limits.
    pub round: usize,
    /// The shortest answer that can be doubted for being as long as the longest one ever seen.
    pub doubt_from: usize,
}

/// Judges an answer. Only `Whole` lets its window be covered.
pub fn judge(evidence: &Evidence, knowledge: &Knowledge, limits: Limits) -> Verdict {
    let listed = evidence.listed;
    if evidence.returned.is_some_and(|returned| returned != listed as u64)
        || evidence.total.is_some_and(|total| total < listed as u64)
        // No limit is so low that nothing comes.
        || (listed == 0 && evidence.total.is_some_and(|total| total > 0))
    {
        return Verdict::Contradictory;
    }
    if let Some(total) = evidence.total.filter(|total| *total > listed as u64) {
        return Verdict::Cut { total: Some(total) };
    }
    // A total that agrees with what came is believed below the configured limit, whatever was learned.
    let limit = if evidence.total.is_some() { limits.records } else { knowledge.limit(limits.records) };
    if listed >= limit {
        return Verdict::Cut { total: None };
    }
    if evidence.total.is_none() && is_suspicious(listed, knowledge, limits) {
        return Verdict::Doubted;
    }
    Verdict::Whole
}

fn is_suspicious(listed: usize, knowledge: &Knowledge, limits: Limits) -> bool {
    let longest = knowledge.longest.map_or(0, |longest| longest.records);
    // Round lengths stay suspicious although longer answers were seen: a server may lower its limit.
    listed > 0 && (listed.is_multiple_of(limits.round) || (listed == longest && listed >= limits.doubt_from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { records: 10_000, round: 500, doubt_from: 100 };

    fn answer(listed: usize, total: Option<u64>) -> Evidence {
        Evidence {
            dates: vec![DateTime::UNIX_EPOCH; listed],
            listed,
            total,
            returned: total.map(|_| listed as u64),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_full_answer_is_cut_even_when_its_total_says_otherwise() {
        let full = judge(&answer(10_000, Some(10_000)), &Knowledge::default(), LIMITS);
        assert_eq!(full, Verdict::Cut { total: None });
    }

    #[test]
    fn a_total_above_what_came_means_cut_at_any_length() {
        let cut = judge(&answer(7, Some(8)), &Knowledge::default(), LIMITS);
        assert_eq!(cut, Verdict::Cut { total: Some(8) });
        assert_eq!(judge(&answer(8, Some(8)), &Knowledge::default(), LIMITS), Verdict::Whole);
    }

    #[test]
    fn numbers_that_contradict_each_other_prove_nothing() {
        let mut evidence = answer(7, Some(7));
        evidence.returned = Some(8);
        assert_eq!(judge(&evidence, &Knowledge::default(), LIMITS), Verdict::Contradictory);
        assert_eq!(judge(&answer(7, Some(6)), &Knowledge::default(), LIMITS), Verdict::Contradictory);
        assert_eq!(judge(&answer(0, Some(7)), &Knowledge::default(), LIMITS), Verdict::Contradictory);
    }

    #[test]
    fn without_totals_a_round_length_is_doubted() {
        let knowledge = Knowledge::default();
        assert_eq!(judge(&answer(500, None), &knowledge, LIMITS), Verdict::Doubted);
        assert_eq!(judge(&answer(501, None), &knowledge, LIMITS), Verdict::Whole);
        assert_eq!(judge(&answer(500, Some(500)), &knowledge, LIMITS), Verdict::Whole);
    }

    #[test]
    fn without_totals_an_answer_as_long_as_the_longest_is_doubted() {
        let longest = super::super::knowledge::Longest {
            records: 730,
            from: DateTime::UNIX_EPOCH,
            to: DateTime::UNIX_EPOCH,
        };
        let knowledge = Knowledge { longest: Some(longest), ..Knowledge::default() };
        assert_eq!(judge(&answer(730, None), &knowledge, LIMITS), Verdict::Doubted);
        assert_eq!(judge(&answer(729, None), &knowledge, LIMITS), Verdict::Whole);
        assert_eq!(
            judge(&answer(500, None), &knowledge, LIMITS),
            Verdict::Doubted,
            "the limit may be lower now"
        );
    }
}
