//! What an answer proves about its window.

use chrono::{DateTime, Utc};

use crate::read::api_profile::ApiProfile;
use crate::read::evidence::Evidence;
use crate::window::bounds::Bounds;

/// What an answer is worth as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It certainly holds all records of the window.
    Whole,
    /// It was cut by the server's limit.
    Cut {
        /// `TOTAL_HITS`, if it is credible and above the number of records received.
        total: Option<u64>,
    },
    /// It announces more records than it holds although longer answers were not cut: either it was cut all the
    /// same, or the total counts records that are never shown.
    Short {
        /// `TOTAL_HITS` of the answer, above the number of records received.
        total: u64,
    },
    /// It may have been cut silently: its length is suspicious, and nothing credible says otherwise.
    Doubted,
    /// Its own numbers contradict each other: it is no evidence at all, and the request is repeated.
    Contradictory,
}

/// How long an answer may be, and which lengths are suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// `api.record_limit`: the most records in one answer.
    pub records: usize,
    /// Without credible totals, multiples of this number of records are doubted: many servers have round limits.
    pub round: usize,
    /// The shortest answer that can be doubted for being as long as the longest recent one.
    pub doubt_from: usize,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self { records: 10_000, round: 500, doubt_from: 3 }
    }
}

/// What of a request bears on the verdict.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor {
    /// The bounds that were sent.
    pub sent: Bounds,
    /// `true` if totals are ignored, to find out what they count.
    pub ignores_totals: bool,
    /// `true` if it was read before and its parts did not add up: then nothing is explained otherwise.
    pub again: bool,
    /// The number of records in the doubted answer of which this one is to explain a part.
    pub doubted: Option<usize>,
    /// When the request was made.
    pub at: DateTime<Utc>,
}

/// Judges an answer. Only `Whole` lets its window be covered.
pub fn judge(evidence: &Evidence, asked: AskedFor, profile: &ApiProfile, limits: AnswerLimits) -> Verdict {
    let (listed, now) = (evidence.listed, asked.at);
    if evidence.contradicts_itself(asked.sent) {
        return Verdict::Contradictory;
    }
    let ignored = asked.ignores_totals || profile.is_inflated(now);
    let total = evidence.total.filter(|_| !ignored);
    if let Some(total) = total.filter(|total| *total > listed as u64) {
        let shorter = listed == 0 || listed < profile.longest(now);
        return match (shorter, asked.again) {
            (false, _) => Verdict::Cut { total: Some(total) },
            (true, false) => Verdict::Short { total },
            (true, true) if listed > 0 => Verdict::Cut { total: Some(total) },
            // No limit is so low that it leaves nothing.
            (true, true) => Verdict::Contradictory,
        };
    }
    let honest = total.is_some() && profile.is_honest(now);
    // A total that agrees with the records received is believed below the configured limit if the server announces
    // its cuts.
    if listed == limits.records || (!honest && profile.record_limit == Some(listed)) {
        return Verdict::Cut { total: None };
    }
    if honest || profile.refuses_above(listed, now) {
        return Verdict::Whole;
    }
    // A new longest answer may be the server's limit. Round lengths stay suspicious although longer answers were
    // seen: a server may lower its limit.
    let as_long_as_any = listed >= limits.doubt_from && listed >= profile.longest(now);
    let may_be_cut_as_well = asked.doubted.is_none_or(|doubted| doubted == listed);
    let round = listed > 0 && listed.is_multiple_of(limits.round) && may_be_cut_as_well;
    if as_long_as_any || round { Verdict::Doubted } else { Verdict::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::api_profile::Length;
    use chrono::TimeDelta;

    const LIMITS: AnswerLimits = AnswerLimits { records: 10_000, round: 500, doubt_from: 10 };
    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn answer(listed: usize, total: Option<u64>) -> Evidence {
        Evidence {
            dates: vec![NOW; listed],
            listed,
            total,
            returned: total.map(|_| listed as u64),
            exact_bounds: true,
            ..Evidence::default()
        }
    }

    fn judged(evidence: &Evidence, profile: &ApiProfile) -> Verdict {
        let sent = Bounds { from: NOW, to: NOW + TimeDelta::hours(1) };
        judge(
            evidence,
            AskedFor { sent, ignores_totals: false, again: false, doubted: None, at: NOW },
            profile,
            LIMITS,
        )
    }

    fn after(longest: usize) -> ApiProfile {
        ApiProfile { lengths: vec![Length { day: 0, records: longest }], ..ApiProfile::default() }
    }

    fn honest() -> ApiProfile {
        ApiProfile { honest_at: Some(NOW), ..ApiProfile::default() }
    }

    #[test]
    fn a_full_answer_is_cut_even_when_its_total_says_otherwise() {
        assert_eq!(judged(&answer(10_000, Some(10_000)), &honest()), Verdict::Cut { total: None });
        let longer = judged(&answer(10_001, Some(10_001)), &honest());
        assert_eq!(longer, Verdict::Whole, "a server without that limit");
    }

    #[test]
    fn a_total_above_what_came_means_cut_at_any_length() {
        assert_eq!(judged(&answer(7, Some(8)), &ApiProfile::default()), Verdict::Cut { total: Some(8) });
        assert_eq!(judged(&answer(8, Some(8)), &ApiProfile::default()), Verdict::Whole);
    }

    #[test]
    fn a_total_above_a_short_answer_may_count_what_is_never_shown() {
        assert_eq!(judged(&answer(7, Some(8)), &after(20)), Verdict::Short { total: 8 });
        assert_eq!(judged(&answer(0, Some(1)), &ApiProfile::default()), Verdict::Short { total: 1 });
        let mut profile = after(20);
        profile.strike_totals(NOW);
        profile.strike_totals(NOW);
        assert_eq!(judged(&answer(7, Some(8)), &profile), Verdict::Whole);
    }

    #[test]
    fn numbers_that_contradict_each_other_prove_nothing() {
        let mut evidence = answer(7, Some(7));
        evidence.returned = Some(8);
        assert_eq!(judged(&evidence, &honest()), Verdict::Contradictory);
        assert_eq!(judged(&answer(7, Some(6)), &honest()), Verdict::Contradictory);
    }

    #[test]
    fn an_answer_made_of_other_times_proves_nothing() {
        let mut evidence = answer(3, None);
        evidence.dates = vec![NOW + TimeDelta::hours(3); 3];
        assert_eq!(judged(&evidence, &ApiProfile::default()), Verdict::Contradictory);
        evidence.dates.push(NOW);
        assert_eq!(judged(&evidence, &ApiProfile::default()), Verdict::Whole);
    }

    #[test]
    fn a_new_longest_answer_is_doubted_at_any_length_until_totals_are_proven_honest() {
        for listed in [250, 500, 730] {
            assert_eq!(judged(&answer(listed, None), &ApiProfile::default()), Verdict::Doubted);
            assert_eq!(
                judged(&answer(listed, Some(listed as u64)), &ApiProfile::default()),
                Verdict::Doubted
            );
            assert_eq!(judged(&answer(listed, Some(listed as u64)), &honest()), Verdict::Whole);
            assert_eq!(judged(&answer(listed, None), &after(listed)), Verdict::Doubted);
        }
        assert_eq!(judged(&answer(729, None), &after(730)), Verdict::Whole);
        assert_eq!(judged(&answer(500, None), &after(730)), Verdict::Doubted, "the limit may be lower now");
        assert_eq!(
            judged(&answer(9, None), &ApiProfile::default()),
            Verdict::Whole,
            "too short to be a limit"
        );
    }

    #[test]
    fn what_is_shorter_than_a_refused_answer_was_not_cut() {
        let refuses = ApiProfile { refused: Some(501), refused_at: Some(NOW), ..ApiProfile::default() };
        assert_eq!(judged(&answer(480, None), &refuses), Verdict::Whole);
        assert_eq!(judged(&answer(501, None), &refuses), Verdict::Doubted);
    }
}
