//! What a reading has yet to read, and how that is to be requested.

use chrono::{DateTime, Utc};

use super::{AROUND, Context};
use crate::read::partition::FilterPartition;
use crate::window::bounds::Bounds;
use crate::window::{Order, Window};

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) window: Window,
    pub(super) attempts: u32,
    /// `true` if it is read for the second time because its parts did not add up.
    pub(super) again: bool,
    /// `true` for a second opinion on an answer that held too little: what it shows is believed.
    pub(super) confirms: bool,
    /// `true` if totals are ignored, to find out what they count.
    pub(super) ignores_totals: bool,
    /// `true` if the bounds are sent as the wall times of the window itself.
    pub(super) narrow: bool,
    pub(super) tight: Tight,
    /// For a continuation, its order and the bounds of its first page: the far bound must stay the same, or totals
    /// cannot be compared.
    pub(super) chain: Option<(Order, Bounds)>,
    /// For an overloaded unit, the bounds for which its total was announced, and what was read of it.
    pub(super) partitioning: Option<Partitioning>,
    /// Set if it is requested once more only for its total.
    pub(super) recount: Option<Recount>,
    /// For a smallest window whose number of records may be a limit: that number. More around it is requested, to
    /// see a longer answer.
    pub(super) around: Option<usize>,
    /// `true` if a longer answer was seen for it: the length of its own answer is then no limit.
    pub(super) cleared: bool,
}

/// What the parts of a window showed, and what was announced for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recount {
    pub(super) seen: u64,
    pub(super) announced: u64,
}

impl Recount {
    /// Returns `true` if more is missing than may have been removed within minutes.
    pub(super) fn is_contradictory(self) -> bool {
        self.announced > self.seen + GONE.max(self.announced / 10)
    }
}

/// At least this many records may be removed while the parts of a window are read.
const GONE: u64 = 10;

/// How far the bounds of a smallest window are narrowed, after it held too many records with wider ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tight {
    /// Widened where a bound is not known to be inclusive.
    Wide,
    /// Exactly the window's own bounds.
    Bounds,
    /// One unit: `fromdate` equals `todate`.
    Unit,
}

impl Part {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            attempts: 0,
            again: false,
            confirms: false,
            ignores_totals: false,
            narrow: false,
            tight: Tight::Wide,
            chain: None,
            partitioning: None,
            recount: None,
            around: None,
            cleared: false,
        }
    }

    /// A part of this one, to be read in the same way.
    pub(super) fn piece(&self, window: Window) -> Self {
        Self {
            again: self.again,
            confirms: self.confirms,
            ignores_totals: self.ignores_totals,
            narrow: self.narrow,
            ..Self::new(window)
        }
    }

    /// Returns `true` if two parts may be read as one.
    pub(super) fn is_like(&self, other: &Part) -> bool {
        let ways = |part: &Part| (part.again, part.confirms, part.ignores_totals, part.narrow);
        ways(self) == ways(other) && self.is_plain() && other.is_plain()
    }

    /// Returns `true` if nothing special is being found out about it.
    pub(super) fn is_plain(&self) -> bool {
        self.partitioning.is_none() && self.recount.is_none() && self.around.is_none()
    }
}

/// An overloaded unit that is read slice by slice.
#[derive(Clone, Debug)]
pub(super) struct Partitioning {
    pub(super) sent: Bounds,
    pub(super) total: u64,
    pub(super) seen: u64,
    pub(super) dates: Vec<DateTime<Utc>>,
    pub(super) undated: usize,
    pub(super) todo: Vec<FilterPartition>,
}

/// The bounds to send for a part.
pub(super) fn sent(part: &Part, context: &Context<'_>) -> Bounds {
    let unit = context.unit();
    let mut sent = context.profile.bounds(part.window, unit);
    match part.tight {
        Tight::Wide => {}
        Tight::Bounds => sent = Bounds { from: part.window.from(), to: part.window.to() },
        Tight::Unit => sent = Bounds { from: part.window.from(), to: part.window.to() - unit },
    }
    if let Some(partitioning) = &part.partitioning {
        return partitioning.sent;
    }
    if part.around.is_some() {
        let around = context.profile.range.at_most(AROUND * 2, unit, context.now).max(unit * 2) / 2;
        sent = Bounds { from: part.window.from() - around, to: part.window.to() + around };
        sent.to = sent.to.min(context.profile.range.present(context.now)).max(part.window.to());
    }
    // An end in the API's future is refused. This leaves out nothing dated before the window's end.
    if context.profile.range.refuses_future(context.now) {
        sent.to = sent.to.min(context.profile.range.present(context.now).max(part.window.to()));
    }
    match part.chain {
        Some((Order::Ascending, first)) => sent.to = first.to,
        Some((Order::Descending, first)) => sent.from = first.from,
        None => {}
    }
    sent
}
