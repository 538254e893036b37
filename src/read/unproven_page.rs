//! A cut answer that may be continued: what it holds completely, and the proof of that.

use chrono::{DateTime, TimeDelta, Utc};

use crate::read::api_profile::ApiProfile;
use crate::read::evidence::Evidence;
use crate::read::request::Request;
use crate::read::totals::Read;
use crate::window::bounds::{Bounds, floor};
use crate::window::{Order, Window};

/// A cut page that waits for the next answer to prove it.
#[derive(Clone, Debug)]
pub(super) struct UnprovenPage {
    /// The window that it may hold completely.
    pub tentative: Window,
    /// `TOTAL_HITS` announced with it.
    pub total: u64,
    pub dates: Vec<DateTime<Utc>>,
    pub undated: usize,
    pub sent: Bounds,
    /// The order in which it came: its records lie from this end of the window on.
    pub order: Order,
}

/// At least this many calls may appear between two requests.
const MEANWHILE: u64 = 20;

/// What the next answer says about a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing was held back before its last date.
    Proven,
    /// The answer does not decide it.
    Unclear,
    /// The server cut first and sorted the page afterwards.
    Refuted,
}

impl UnprovenPage {
    /// Decides whether the answer to `request`, announcing `total`, proves this page: what was not on it must still
    /// come.
    ///
    /// Must be called after `profile` has learned from that answer.
    pub(super) fn proof(
        &self,
        request: &Request,
        evidence: &Evidence,
        profile: &ApiProfile,
        now: DateTime<Utc>,
    ) -> Proof {
        let order = self.order;
        let total = evidence.total.filter(|_| !profile.is_inflated(now));
        let Some(total) = total else { return Proof::Unclear };
        let (bound, inclusive) = bound(request, profile, order);
        let passed = |date: &&DateTime<Utc>| match order {
            Order::Ascending => **date < bound,
            Order::Descending => **date > bound,
        };
        let before = self.dates.iter().filter(passed).count();
        // An inclusive bound would show these again and would thus be known: if the answer shows all that it
        // counts, or shows first what lies next to the bound.
        let on_bound = if inclusive { 0 } else { self.dates.iter().filter(|date| **date == bound).count() };
        let most = self.total.saturating_sub(before as u64);
        let least = most.saturating_sub(on_bound as u64);
        // If dates are cut off at the minute, nothing shows whether those on the bound are counted again.
        let shows = profile.shows_bounds() && (profile.sorts || total == evidence.listed as u64);
        let expected = if shows { least } else { most };
        if total < least.saturating_sub(self.undated as u64) {
            Proof::Refuted
        } else if total < expected.saturating_sub(self.undated as u64) {
            Proof::Unclear
        } else if total <= expected || (profile.sorts && total <= expected + MEANWHILE.max(expected / 10)) {
            // A few more than expected appeared meanwhile: believed only of a server that was exact before.
            Proof::Proven
        } else {
            Proof::Unclear
        }
    }

    /// The proven part of the page as a window that was read.
    pub(super) fn read(&self, proven: Window) -> Read<'_> {
        Read { window: proven, sent: self.sent, dates: &self.dates, undated: self.undated }
    }

    /// The part of this page that `request` proves: without what the widened bounds of `request` cover again, since
    /// a record held back there would be counted with the next answer. Only records on the bound that were not
    /// counted again show that it is exclusive.
    pub(super) fn proven(&self, request: &Request, profile: &ApiProfile, unit: TimeDelta) -> Option<Window> {
        let order = self.order;
        let (bound, inclusive) = bound(request, profile, order);
        let exclusive = !inclusive && profile.shows_bounds() && self.dates.contains(&bound);
        let all = self.tentative;
        match order {
            Order::Ascending => {
                let first_asked_again = if exclusive { bound + unit } else { bound };
                Window::new(all.from(), all.to().min(first_asked_again))
            }
            Order::Descending => {
                let last_asked_again = if exclusive { bound } else { bound + unit };
                Window::new(all.from().max(last_asked_again), all.to())
            }
        }
    }
}

/// The bound at which `request` continues the page before. The second value is `true` if that bound is known to be
/// inclusive.
fn bound(request: &Request, profile: &ApiProfile, order: Order) -> (DateTime<Utc>, bool) {
    match order {
        Order::Ascending => (request.sent.from, profile.from_inclusive),
        Order::Descending => (request.sent.to, profile.to_inclusive),
    }
}

/// The part that a cut page may hold completely, and the rest; `None` if the page does not get past one unit.
pub(super) fn continuation(
    window: Window,
    evidence: &Evidence,
    order: Order,
    unit: TimeDelta,
) -> Option<(Window, Window)> {
    let last = floor(*evidence.dates.last()?, unit);
    match order {
        Order::Ascending => {
            let at = last.min(window.to() - unit);
            Some((Window::new(window.from(), at)?, Window::new(at, window.to())?))
        }
        Order::Descending => {
            let at = (last + unit).max(window.from() + unit);
            Some((Window::new(at, window.to())?, Window::new(window.from(), at)?))
        }
    }
}
