//! The facts of an answer that planning needs, without its records.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::Order;
use crate::window::bounds::Bounds;

/// How far outside the bounds a record may be dated. An answer made only of records beyond that belongs to another
/// request.
const OUTSIDE: TimeDelta = TimeDelta::minutes(1);

/// The facts of an answer that planning needs, without its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The dates of the records that have one, in the order of the answer.
    pub dates: Vec<DateTime<Utc>>,
    /// Number of records in the answer, including those without a date.
    pub listed: usize,
    /// `TOTAL_HITS`: how many records the API says there are.
    pub total: Option<u64>,
    /// `RETURN_HITS`: how many records the API says it returned.
    pub returned: Option<u64>,
    /// `true` if at least one date came with minutes only.
    pub minute_dates: bool,
    /// `true` if at least one date came with seconds that are not zero.
    pub second_dates: bool,
    /// `true` if the bounds were sent as planned. A clock change of a zoned API widens them.
    pub exact_bounds: bool,
    /// The `Date` header of the answer: the API's clock.
    pub server_date: Option<DateTime<Utc>>,
}

impl Evidence {
    /// Number of records without a usable date: nobody knows where they belong.
    pub fn undated(&self) -> usize {
        self.listed.saturating_sub(self.dates.len())
    }

    /// The order in which the dates really came, whatever was requested; `None` if they are in no order. If all are
    /// equal, it is the order requested.
    pub fn shown_order(&self, asked: Order) -> Option<Order> {
        match (self.dates.is_sorted(), self.dates.is_sorted_by(|a, b| a >= b)) {
            (true, true) => Some(asked),
            (true, false) => Some(Order::Ascending),
            (false, true) => Some(Order::Descending),
            (false, false) => None,
        }
    }

    /// Returns `true` if its own numbers, or its dates and the request, contradict each other.
    pub(super) fn contradicts_itself(&self, sent: Bounds) -> bool {
        // A trimmed date may lie up to a minute before its call.
        let (from, to) = (sent.from - OUTSIDE, sent.to + OUTSIDE);
        let strays = |date: &DateTime<Utc>| *date < from || to < *date;
        self.returned.is_some_and(|returned| returned != self.listed as u64)
            || self.total.is_some_and(|total| total < self.listed as u64)
            // In an hour that the clock repeats, a date may be read as belonging to the other pass.
            || (self.exact_bounds && !self.dates.is_empty() && self.dates.iter().all(strays))
    }
}
