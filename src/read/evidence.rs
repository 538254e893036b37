//! The facts of an answer that count for planning, without its records.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::Order;
use crate::window::bounds::Bounds;

/// How far outside the bounds a record may be dated: beyond it, an answer made of such records answers another question.
const OUTSIDE: TimeDelta = TimeDelta::minutes(1);

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
    /// At least one date came with seconds that are not zero.
    pub second_dates: bool,
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

    /// The order in which the dates really came, whatever was asked for; `None` when in none. Where all are equal, it is
    /// the one asked for.
    pub fn shown_order(&self, asked: Order) -> Option<Order> {
        match (self.dates.is_sorted(), self.dates.is_sorted_by(|a, b| a >= b)) {
            (true, true) => Some(asked),
            (true, false) => Some(Order::Ascending),
            (false, true) => Some(Order::Descending),
            (false, false) => None,
        }
    }

    /// Its own numbers, or its dates and the question, contradict each other.
    pub(super) fn contradicts_itself(&self, sent: Bounds) -> bool {
        // A trimmed date may lie up to a minute before its call.
        let (from, to) = (sent.from - OUTSIDE, sent.to + OUTSIDE);
        let strays = |date: &DateTime<Utc>| *date < from || to < *date;
        self.returned.is_some_and(|returned| returned != self.listed as u64)
            || self.total.is_some_and(|total| total < self.listed as u64)
            // In an hour that the clock repeats, a date may be read as of the other pass.
            || (self.exact_bounds && !self.dates.is_empty() && self.dates.iter().all(strays))
    }
}
