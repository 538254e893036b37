//! A model API of which the planner knows nothing, drawn from the product of all that servers may do.

use cdr_sync::read::evidence::Evidence;
use cdr_sync::read::request::{Reply, Request};
use cdr_sync::window::Order;
use chrono::{DateTime, Utc};
use fastrand::Rng;

use crate::servers::calls::{Call, HOUR};

/// In which order calls come, and which of them when there are more than fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sort {
    Honoured,
    /// Honoured, but calls of one second come in another order each time.
    HonouredLoosely,
    Reversed,
    OldestFirst,
    NewestFirst,
    /// Always the same order, which has nothing to do with dates.
    Shuffled,
    Random,
    AfterCut,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Totals {
    True,
    AfterCut,
    Absent,
    /// As of a search engine that stops counting.
    UpTo(usize),
    /// On every other answer only.
    Sometimes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dates {
    Seconds,
    Minutes,
    /// ":00" is left out where the seconds are 0.
    Trimmed,
}

/// What goes wrong for a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Failed,
    TooMany,
    Invalid,
    Empty,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub limit: usize,
    /// From this second on the limit is another one.
    pub limit_later: Option<(i64, usize)>,
    /// Error 3 in place of a cut answer.
    pub refuses: bool,
    pub sort: Sort,
    pub totals: Totals,
    pub returned: bool,
    pub dates: Dates,
    pub from_inclusive: bool,
    pub to_inclusive: bool,
    /// `cdrTypes` narrow an answer.
    pub slices: bool,
    /// How far its clock is ahead of ours.
    pub clock: i64,
    pub date_header: bool,
    /// Error 5 for ranges longer than this.
    pub longest_range: Option<i64>,
    /// Error 5 for a `todate` in its future.
    pub refuses_future: bool,
    /// Error 5 for a `fromdate` older than this, or nothing from before it.
    pub keeps: Option<(i64, bool)>,
    pub failing_share: f64,
    pub empty_share: f64,
    /// An empty answer is none at all, or a tenth of what there is.
    pub tenth: bool,
    /// Questions longer than this, or about more calls than this, get no answer in time.
    pub slow: Option<(i64, usize)>,
    /// A second that it can never answer for.
    pub poison: Option<i64>,
    /// These requests of its life go wrong in this way.
    pub trouble: Option<(Trouble, usize, usize)>,
    /// From this second on nothing fails by chance any more.
    pub healed: i64,
    pub calls: Vec<Call>,
    /// How often each call was hidden by an answer that lied: twice by a short one.
    pub denied: Vec<u8>,
    /// When an answer with consistent numbers that was not empty last hid each call: nothing shows that by itself.
    pub cheated: Vec<Option<i64>>,
    /// How many calls the last answer hid by a lie.
    pub hid: usize,
    pub requests: usize,
    pub random: Rng,
}

pub fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_699_999_200 + second, 0).unwrap()
}

pub fn second(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() - 1_699_999_200
}

impl Server {
    /// The second that a reader sees.
    pub fn shown(&self, call: &Call) -> i64 {
        if self.dates == Dates::Minutes { call.date.div_euclid(60) * 60 } else { call.date }
    }

    pub fn limit_at(&self, now: i64) -> usize {
        self.limit_later.filter(|(from, _)| now >= *from).map_or(self.limit, |(_, limit)| limit)
    }

    fn server_date(&self, now: i64) -> Option<DateTime<Utc>> {
        self.date_header.then(|| at(now + self.clock))
    }

    /// The reply at our second `now`, and the calls in it.
    pub fn answer(&mut self, request: &Request, now: i64) -> (Reply, Vec<usize>) {
        (self.requests, self.hid) = (self.requests + 1, 0);
        let (from, to) = (second(request.sent.from), second(request.sent.to));
        assert!(from <= to, "an inverted question: {request:?}");
        if from == to {
            return (self.invalid(now), Vec::new());
        }
        let troubled = self.trouble.filter(|(_, first, last)| (*first..*last).contains(&self.requests));
        match troubled.map(|(trouble, ..)| trouble) {
            Some(Trouble::Failed) => return (Reply::Failed, Vec::new()),
            Some(Trouble::TooMany) => return (Reply::TooMany { exact: true }, Vec::new()),
            Some(Trouble::Invalid) => return (self.invalid(now), Vec::new()),
            Some(Trouble::Empty) | None => {}
        }
        if now < self.healed && self.random.f64() < self.failing_share {
            return (Reply::Failed, Vec::new());
        }
        let server_now = now + self.clock;
        if self.longest_range.is_some_and(|longest| to - from > longest)
            || (self.refuses_future && to > server_now)
            || self.keeps.is_some_and(|(keeps, refuses)| refuses && from < server_now - keeps)
        {
            return (self.invalid(now), Vec::new());
        }
        let mut found = self.found(request, from, to, server_now);
        if self.poison.is_some_and(|poison| from <= poison && poison <= to) {
            return (Reply::Failed, Vec::new());
        }
        if self.slow.is_some_and(|(length, calls)| to - from > length || found.len() > calls) {
            return (Reply::TimedOut, Vec::new());
        }
        let limit = self.limit_at(now);
        let lies = troubled.is_some() || (now < self.healed && self.random.f64() < self.empty_share);
        if lies {
            let short = to - from <= 2 * HOUR;
            // Of a few calls, a tenth is no sign: such an answer is corrected at the next re-read age.
            let kept = if self.tenth && found.len() >= 100 { found.len() / 10 } else { 0 };
            self.hid = found.len() - kept;
            for index in found.drain(kept..) {
                self.denied[index] = self.denied[index].saturating_add(1 + u8::from(short));
                if kept > 0 {
                    self.cheated[index] = Some(now);
                }
            }
        }
        let total = found.len();
        if total > limit && self.refuses {
            return (Reply::TooMany { exact: true }, Vec::new());
        }
        found.retain(|index| !self.calls[*index].hidden);
        self.cut(request, &mut found, limit);
        (Reply::Answer(self.evidence(&found, total, now)), found)
    }

    /// What there is between the bounds, in the order of appearance.
    fn found(&self, request: &Request, from: i64, to: i64, server_now: i64) -> Vec<usize> {
        // Minutes only name a minute that began up to 59 seconds before the call.
        let first = self.calls.partition_point(|call| call.date < from);
        let last = self.calls.partition_point(|call| call.date <= to + 60);
        let types = request.partition.as_ref().map(|partition| &partition.cdr_types).filter(|_| self.slices);
        let mut found: Vec<usize> = (first..last)
            .filter(|index| {
                let call = &self.calls[*index];
                let date = self.shown(call);
                let after = if self.from_inclusive { from <= date } else { from < date };
                let before = if self.to_inclusive { date <= to } else { date < to };
                let kept = self.keeps.is_none_or(|(keeps, refuses)| refuses || date >= server_now - keeps);
                let there = call.appears <= server_now && server_now < call.vanishes;
                after && before && kept && there && types.is_none_or(|types| types.contains(&call.cdr_type))
            })
            .collect();
        found.sort_by_key(|index| self.calls[*index].appears);
        found
    }

    fn cut(&mut self, request: &Request, found: &mut Vec<usize>, limit: usize) {
        let calls = &self.calls;
        let date = |index: &usize| calls[*index].date;
        let sort = |found: &mut Vec<usize>, order: Option<Order>| match order {
            Some(Order::Ascending) => found.sort_by_key(date),
            Some(Order::Descending) => found.sort_by_key(|index| -date(index)),
            None => {}
        };
        match self.sort {
            Sort::Honoured => sort(found, request.order),
            Sort::HonouredLoosely => {
                self.random.shuffle(found);
                sort(found, request.order);
            }
            Sort::Reversed => sort(
                found,
                request.order.map(|order| match order {
                    Order::Ascending => Order::Descending,
                    Order::Descending => Order::Ascending,
                }),
            ),
            Sort::OldestFirst => sort(found, Some(Order::Ascending)),
            Sort::NewestFirst => sort(found, Some(Order::Descending)),
            Sort::Shuffled => found.sort_by_key(|index| (*index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            Sort::Random => self.random.shuffle(found),
            Sort::AfterCut => {}
        }
        found.truncate(limit);
        if self.sort == Sort::AfterCut {
            sort(found, request.order);
        }
    }

    fn evidence(&mut self, found: &[usize], total: usize, now: i64) -> Evidence {
        let dated: Vec<&Call> =
            found.iter().map(|index| &self.calls[*index]).filter(|call| !call.undated).collect();
        let total = match self.totals {
            Totals::True => Some(total),
            Totals::AfterCut => Some(found.len()),
            Totals::Absent => None,
            Totals::UpTo(most) => Some(total.min(most).max(found.len())),
            Totals::Sometimes => self.requests.is_multiple_of(2).then_some(total),
        };
        let whole_minute = |call: &&Call| call.date.rem_euclid(60) == 0;
        Evidence {
            dates: dated.iter().map(|call| at(self.shown(call))).collect(),
            listed: found.len(),
            total: total.map(|total| total as u64),
            returned: total.filter(|_| self.returned).map(|_| found.len() as u64),
            minute_dates: match self.dates {
                Dates::Seconds => false,
                Dates::Minutes => !dated.is_empty(),
                Dates::Trimmed => dated.iter().any(whole_minute),
            },
            second_dates: self.dates != Dates::Minutes && !dated.iter().all(whole_minute),
            exact_bounds: true,
            server_date: self.server_date(now),
        }
    }

    fn invalid(&self, now: i64) -> Reply {
        Reply::Invalid { server_date: self.server_date(now) }
    }
}
