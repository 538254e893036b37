//! What goes wrong with real servers, to be switched on one fault at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::random::Random;

/// One way in which an answer goes wrong. On the command line it is written like `html-with-200`.
///
/// Only requests that are not refused are affected, even if no record matches: a request that breaks a rule is always
/// refused by that rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Fault {
    /// Error 1: asked too often.
    RateLimited,
    /// Error 1 with HTTP 429 and `Retry-After: 7`.
    RateLimitedRetryAfter,
    /// Error 2: wrong credential.
    AuthorizationFailed,
    /// Error 3: too many records.
    LimitExceeded,
    /// Error 4: address not whitelisted.
    Untrusted,
    /// Error 77, which is undocumented.
    UnknownError,
    /// HTTP 500 with an HTML page.
    Http500,
    /// HTTP 502 with an HTML page.
    Http502,
    /// An HTML page with HTTP 200 (a login or maintenance page).
    HtmlWith200,
    /// HTTP 200 without a body.
    EmptyBody,
    /// Content-Length promises more than is sent; the connection closes in the middle of a record.
    CutBody,
    /// No answer is ever sent, and the connection stays open.
    Hang,
    /// The body is sent a few bytes at a time, five times a second.
    SlowDrip,
    /// The connection is reset (RST) without an answer.
    Reset,
    /// The request is processed and logged, but the connection closes without an answer.
    AnswerLost,
    /// `Content-Encoding: gzip`, and the stream ends in the middle.
    TruncatedGzip,
    /// A byte order mark before the JSON.
    Bom,
    /// Field names of records in lower case.
    LowerCaseNames,
    /// `"CDR_LIST":null` though there are records.
    ListNull,
    /// No `CDR_LIST` though there are records.
    ListAbsent,
    /// `"ERROR_NUMBER":"0"`, a number as text.
    ErrorNumberText,
    /// Numbers and booleans of records as strings.
    NumbersAsText,
    /// OK and no records, although there are some; the totals agree with that: a sick server.
    EmptyOk,
    /// Every tenth record, from the first on, has no CallID.
    NoCallId,
    /// Every tenth record, from the first on, has a Date in no known form.
    BadDate,
    /// A NUL character in the first record's RepresentativeName.
    Nul,
    /// Half of a surrogate pair in the first record's RepresentativeName.
    LoneSurrogate,
    /// Bytes that are not UTF-8 in the first record's RepresentativeName.
    InvalidUtf8,
    /// A megabyte of text in the first record's RepresentativeName.
    HugeString,
    /// The first record has RingTime, if it has one, twice: first a wrong value, then the right one.
    DuplicateKeys,
    /// The first record's CustomData is 300 nested arrays.
    DeepNesting,
    /// The first record's Price is 1e400.
    HugeNumber,
    /// Every record has a `NewField`.
    UnknownField,
    /// No record has a RepresentativeName.
    AbsentField,
    /// RETURN_HITS is one more than the number of records.
    WrongReturnHits,
    /// TOTAL_HITS is seven more than the number of matching records.
    TotalHitsTooLarge,
}

impl Fault {
    /// Every fault, in the order of declaration.
    pub fn all() -> &'static [Fault] {
        Fault::value_variants()
    }

    /// The fault's name on the command line and in logs.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The switchboard for faults. Clones control the same board.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<FaultBoard>>);

/// What is switched on, and what decides by chance.
#[derive(Clone, Debug)]
pub(crate) struct FaultBoard {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    shares: Vec<(Fault, f64)>,
    /// Faults of answers with a record dated in the half-open stretch.
    within: Vec<(Fault, DateTime<Utc>, DateTime<Utc>)>,
    random: Random,
    /// `random` as it was at first.
    first: Random,
}

/// What is switched on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FaultList {
    /// Queued faults in their order, each with the number of answers that it applies to.
    pub(crate) next: Vec<(Fault, usize)>,
    pub(crate) always: Option<Fault>,
    pub(crate) shares: Vec<(Fault, f64)>,
    pub(crate) within: Vec<(Fault, DateTime<Utc>, DateTime<Utc>)>,
}

/// Why `replace_share` changed nothing.
pub(crate) const SHARES_TOO_LARGE: &str = "the shares of all faults together must be at most 1";

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::of(&[seed, 9]);
        Self(Arc::new(Mutex::new(FaultBoard {
            next: VecDeque::new(),
            always: None,
            shares: Vec::new(),
            within: Vec::new(),
            first: random.clone(),
            random,
        })))
    }

    /// Applies the fault to the next answer; several calls queue up.
    pub fn next(&self, fault: Fault) {
        self.board().next.push_back(fault);
    }

    /// Like `next`, but for this many answers.
    pub fn next_times(&self, fault: Fault, times: usize) {
        self.board().next.extend(std::iter::repeat_n(fault, times));
    }

    /// Applies the fault to every answer after the queued ones, until `None` or `clear`.
    pub fn always(&self, fault: impl Into<Option<Fault>>) {
        self.board().always = fault.into();
    }

    /// Applies the fault to this share (0 to 1) of all answers, chosen by the world's seed.
    pub fn share(&self, fault: Fault, share: f64) {
        self.board().shares.push((fault, share));
    }

    /// Applies the fault to every answer with a record dated in `[from, to)`, until `clear`; queued faults come
    /// first.
    pub fn within(&self, fault: Fault, from: DateTime<Utc>, to: DateTime<Utc>) {
        self.board().within.push((fault, from, to));
    }

    /// Ends `always` if it is this fault that is always applied.
    pub(crate) fn end_always(&self, fault: Fault) {
        self.board().always.take_if(|always| *always == fault);
    }

    /// Removes all faults, including queued ones. What is drawn for shares begins again.
    pub fn clear(&self) {
        let mut board = self.board();
        board.next.clear();
        board.shares.clear();
        board.within.clear();
        board.always = None;
        board.random = board.first.clone();
    }

    /// Like `share`, but in place of the fault's former share; 0 ends it. Returns `false` without any change if all
    /// shares together would be more than 1.
    pub(crate) fn replace_share(&self, fault: Fault, share: f64) -> bool {
        let mut board = self.board();
        let others = board.shares.iter().filter(|(other, _)| *other != fault);
        // A little more, because shares such as 0.7 and 0.3 are not exact.
        if others.map(|(_, share)| share).sum::<f64>() + share > 1.000_001 {
            return false;
        }
        board.shares.retain(|(other, _)| *other != fault);
        if share > 0.0 {
            board.shares.push((fault, share));
        }
        true
    }

    /// All of the board as it is now.
    pub(crate) fn copy(&self) -> FaultBoard {
        self.board().clone()
    }

    /// Switches everything as it was when `board` was copied.
    pub(crate) fn restore(&self, board: &FaultBoard) {
        *self.board() = board.clone();
    }

    pub(crate) fn list(&self) -> FaultList {
        let board = self.board();
        let mut next: Vec<(Fault, usize)> = Vec::new();
        for fault in &board.next {
            match next.last_mut() {
                Some((last, times)) if last == fault => *times += 1,
                _ => next.push((*fault, 1)),
            }
        }
        FaultList { next, always: board.always, shares: board.shares.clone(), within: board.within.clone() }
    }

    /// Number of faults that are still queued.
    pub fn waiting(&self) -> usize {
        self.board().next.len()
    }

    /// The fault for an answer with records of these dates.
    pub(crate) fn take(&self, dates: impl Iterator<Item = DateTime<Utc>> + Clone) -> Option<Fault> {
        let mut board = self.board();
        let inside = |(fault, from, to): &(Fault, DateTime<Utc>, DateTime<Utc>)| {
            dates.clone().any(|date| *from <= date && date < *to).then_some(*fault)
        };
        let within = board.within.iter().find_map(inside);
        if let Some(fault) = board.next.pop_front().or(board.always).or(within) {
            return Some(fault);
        }
        let FaultBoard { shares, random, .. } = &mut *board;
        let mut drawn = random.unit();
        shares.iter().find_map(|(fault, share)| {
            drawn -= share;
            (drawn < 0.0).then_some(*fault)
        })
    }

    fn board(&self) -> MutexGuard<'_, FaultBoard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn faults_come_in_line_then_always_then_by_share() {
        let faults = Faults::new(1);
        assert_eq!(faults.take(iter::empty()), None);
        faults.next_times(Fault::Bom, 2);
        faults.always(Fault::Hang);
        assert_eq!(
            [faults.take(iter::empty()), faults.take(iter::empty()), faults.take(iter::empty())],
            [Some(Fault::Bom), Some(Fault::Bom), Some(Fault::Hang)]
        );
        faults.clear();
        faults.share(Fault::Nul, 0.25);
        faults.share(Fault::Reset, 0.25);
        let drawn: Vec<_> = (0..4000).filter_map(|_| faults.take(iter::empty())).collect();
        assert!((1_800..2_200).contains(&drawn.len()), "{}", drawn.len());
        assert!(drawn.contains(&Fault::Nul) && drawn.contains(&Fault::Reset));

        let draw = || (0..50).map(|_| faults.take(iter::empty())).collect::<Vec<_>>();
        faults.clear();
        faults.share(Fault::Nul, 0.5);
        let first = draw();
        faults.clear();
        faults.share(Fault::Nul, 0.5);
        assert_eq!(draw(), first, "the seed decides again");
    }
}
