//! One reading of some windows: what to request next, and what the answers prove.
//!
//! A cut answer is continued where it ended, in the order that the server shows, but what it held is claimed only
//! when the next answer announces as many records as must be left: a server may cut first and sort the page
//! afterwards. What cannot be continued is divided where its records show that they lie, and the parts must add up
//! to what was announced for the whole.

pub mod api_profile;
pub mod evidence;
mod overfull;
mod part;
pub mod partition;
pub mod range_limits;
mod ranges;
pub mod request;
mod sample;
mod sums;
pub mod totals;
mod unproven_page;
pub mod verdict;

use chrono::{DateTime, TimeDelta, Utc};

use part::{Part, Tight, sent};

use crate::read::api_profile::ApiProfile;
use crate::read::evidence::Evidence;
use crate::read::partition::FilterPartition;
use crate::read::request::{GapReason, Hold, Outcome, Reason, Reply, Request, Step};
use crate::read::sample::{Fit, Samples};
use crate::read::totals::{Read, SplitCause, SplitTotals};
use crate::read::unproven_page::{Proof, UnprovenPage};
use crate::read::verdict::{AnswerLimits, AskedFor, Verdict, judge};
use crate::window::bounds::Bounds;
use crate::window::coverage::Coverage;
use crate::window::density::Forecast;
use crate::window::{Lane, Order, Window};

/// After this many refusals of single smallest windows in a row, the API is held to be in trouble, not the windows.
const REFUSED_SMALLEST: u32 = 8;

/// A total this much above the number of records received may count records that are never shown.
const FEW: u64 = 10;
/// How much around a smallest window is requested as well if its number of records may be a limit.
const AROUND: TimeDelta = TimeDelta::hours(12);

/// The settings that reading needs.
#[derive(Clone, Debug)]
pub struct ReadingSettings {
    /// Which numbers of records in an answer mean what.
    pub limits: AnswerLimits,
    /// The smallest unit of time in a request: `api.granularity`.
    pub granularity: TimeDelta,
    /// `sync.min_window`: windows are not divided any further.
    pub min_window: TimeDelta,
    /// Consecutive failures after which a window is quarantined.
    pub attempts: u32,
    /// What the account reads, for dividing an overloaded unit of time by something other than time.
    pub partition: FilterPartition,
}

impl Default for ReadingSettings {
    fn default() -> Self {
        Self {
            limits: AnswerLimits::default(),
            granularity: TimeDelta::seconds(1),
            min_window: TimeDelta::seconds(1),
            attempts: 3,
            partition: FilterPartition::default(),
        }
    }
}

/// What a reading uses and what it adds to.
pub struct Context<'a> {
    /// What is known of the API, to be extended by each answer.
    pub profile: &'a mut ApiProfile,
    /// What is known of the density of calls, to be extended by each answer.
    pub forecast: &'a mut Forecast,
    /// The settings of this account's readings.
    pub settings: &'a ReadingSettings,
    /// What was read before this reading.
    pub coverage: &'a Coverage,
    /// The present when the request is made or its reply taken in.
    pub now: DateTime<Utc>,
}

impl Context<'_> {
    fn unit(&self) -> TimeDelta {
        self.profile.unit(self.settings.granularity)
    }

    fn smallest(&self) -> TimeDelta {
        self.unit().max(self.settings.min_window)
    }
}

/// The state of reading some windows.
#[derive(Clone, Debug)]
pub struct Reading {
    lane: Lane,
    reason: Reason,
    order: Order,
    /// What is left to read; the next part is the last element.
    todo: Vec<Part>,
    page: Option<UnprovenPage>,
    sums: Vec<SplitTotals>,
    samples: Samples,
    /// Windows requested in place of smallest ones that announced more than they showed.
    widened: Vec<Window>,
    /// Number of smallest windows refused in a row.
    refused: u32,
    requests: u32,
    /// An estimate of the server's limit from windows that it refused, used until more is known.
    guess: f64,
    /// `true` if the last page's own window held exactly what the page showed.
    order_kept: bool,
}

impl Reading {
    /// A reading of `windows`, in the given order.
    pub fn new(lane: Lane, reason: Reason, order: Order, mut windows: Vec<Window>) -> Self {
        windows.sort_unstable();
        if order == Order::Ascending {
            windows.reverse();
        }
        let todo = windows.into_iter().map(Part::new).collect();
        Self {
            lane,
            reason,
            order,
            todo,
            page: None,
            sums: Vec::new(),
            samples: Samples::default(),
            widened: Vec::new(),
            refused: 0,
            requests: 0,
            guess: f64::INFINITY,
            order_kept: false,
        }
    }

    fn limit(&self, context: &Context<'_>) -> f64 {
        let likely = context.profile.likely_limit(context.settings.limits.records, context.now) as f64;
        // A burst makes the guess too low: the limit cannot be below what was returned before.
        let longest = context.profile.longest(context.now).max(context.settings.limits.doubt_from);
        if context.profile.refused.is_some() { likely } else { likely.min(self.guess.max(longest as f64)) }
    }

    /// How many records to aim at where a cut answer is not continued.
    fn target(&self, context: &Context<'_>) -> f64 {
        self.limit(context) * context.forecast.margin()
    }

    /// Why the windows are read.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Number of requests made for this reading.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// How often the current window has failed.
    pub fn attempts(&self) -> u32 {
        self.todo.last().map_or(0, |part| part.attempts)
    }

    /// Forgets failures: nothing is answered at present, so they are not the fault of the window.
    pub fn forgive(&mut self) {
        self.todo.iter_mut().for_each(|part| part.attempts = 0);
    }

    /// The windows that are left to read.
    pub fn left(&self) -> Vec<Window> {
        let pending = self.page.iter().map(|page| page.tentative);
        self.todo.iter().map(|part| part.window).chain(pending).collect()
    }

    /// Returns `true` if nothing is left to request.
    pub fn is_done(&self) -> bool {
        self.todo.is_empty()
    }

    /// Returns `true` if part of `window` is still to be read.
    pub fn has(&self, window: Window) -> bool {
        self.left().iter().any(|part| part.intersect(&window).is_some())
    }

    /// Returns the next request, or `None` when the reading is done.
    pub fn next_ask(&mut self, context: &Context<'_>) -> Option<Request> {
        if self.page.is_none() {
            self.limit_range(context);
            self.fit(context);
        }
        let part = self.todo.last()?;
        let order = part.chain.map_or(self.order, |(order, _)| order);
        Some(Request {
            lane: self.lane,
            reason: self.reason,
            window: part.window,
            sent: sent(part, context),
            order: context.profile.continues().then_some(order),
            partition: part.partitioning.as_ref().and_then(|partitioning| partitioning.todo.last().cloned()),
            narrow: part.narrow,
        })
    }

    /// Takes in the reply to `request`, which must be the latest one from `next_ask`.
    pub fn absorb(&mut self, request: &Request, reply: &Reply, context: &mut Context<'_>) -> Step {
        let mut step = Step::default();
        if self.todo.last().is_none_or(|part| part.window != request.window) {
            return step;
        }
        self.requests += 1;
        let by_unit = self.todo.last().is_some_and(|part| part.tight == Tight::Unit);
        if by_unit && matches!(reply, Reply::Failed | Reply::Invalid { .. } | Reply::TimedOut) {
            // Not every server accepts a request for a single unit: the window stays as full as it was.
            if let Some(part) = self.todo.pop() {
                self.overloaded(part, context, &mut step);
            }
            return step;
        }
        if matches!(reply, Reply::Invalid { .. } | Reply::TimedOut) && self.cannot_look_around(context) {
            if let Some(part) = self.todo.pop() {
                self.overloaded(part, context, &mut step);
            }
            return step;
        }
        match reply {
            Reply::Answer(evidence) => self.answer(request, evidence, context, &mut step),
            Reply::TooMany { exact } => self.refused(request, *exact, context, &mut step),
            Reply::TooLarge => self.overflow(Outcome::SplitTooLarge, context, &mut step),
            Reply::Invalid { server_date } => self.invalid(request, *server_date, context, &mut step),
            Reply::TimedOut => self.timed_out(request, context, &mut step),
            Reply::Failed => self.fail(GapReason::Unreadable, context, &mut step),
            Reply::Unreachable => self.fail_anyhow(&mut step),
        }
        step
    }

    /// Counts a failure of the wider request around a smallest window. Returns `true` if it has failed as often as
    /// it may; the window then stays in doubt.
    fn cannot_look_around(&mut self, context: &Context<'_>) -> bool {
        let Some(part) = self.todo.last_mut().filter(|part| part.around.is_some()) else { return false };
        part.attempts += 1;
        part.attempts >= context.settings.attempts
    }

    /// If a cut answer cannot be continued, limits the request to what is likely to fit into one answer.
    fn fit(&mut self, context: &Context<'_>) {
        let Some(part) = self.todo.last().filter(|part| part.is_plain()) else {
            return;
        };
        let known = self.samples.touches(part.window);
        // The newest minutes are also the first request ever, which shows what kind of API this is.
        if !known && (!context.profile.must_fit() || self.reason == Reason::Newest) {
            return;
        }
        let fit = Fit {
            order: self.order,
            limit: self.limit(context),
            target: self.target(context),
            smallest: context.smallest(),
            samples: context.profile.samples(context.now),
        };
        let piece = self.samples.take(part.window, context.forecast, fit);
        if piece != part.window {
            self.put_before(piece);
        }
    }

    /// Divides the current part: `piece`, at the end where reading starts, comes first, then the rest.
    fn put_before(&mut self, piece: Window) {
        let Some(part) = self.todo.pop() else { return };
        let older = Window::new(part.window.from(), piece.from());
        let newer = Window::new(piece.to(), part.window.to());
        let rest = match self.order {
            Order::Ascending => [newer, older],
            Order::Descending => [older, newer],
        };
        self.todo.extend(rest.into_iter().flatten().chain([piece]).map(|window| part.piece(window)));
    }

    fn answer(&mut self, request: &Request, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        let Some(part) = self.todo.last() else { return };
        let cleared = part.cleared;
        let asked = AskedFor {
            sent: request.sent,
            ignores_totals: part.ignores_totals,
            again: part.again,
            doubted: self.sums.iter().rev().find_map(|sum| sum.doubted(part.window)),
            at: context.now,
        };
        context.profile.refute_limits(evidence);
        let verdict = judge(evidence, asked, context.profile, context.settings.limits);
        // The answer shows fewer records than there were a moment ago.
        let missing = request.partition.is_none()
            && verdict == Verdict::Whole
            && (self.sums.iter().any(|sum| sum.is_contradicted_by(part.window, &evidence.dates))
                || self.samples.contradict(part.window, &evidence.dates));
        if verdict == Verdict::Contradictory || missing {
            return self.fail(GapReason::Unreadable, context, step);
        }
        context.profile.learn(request.sent, evidence);
        context.profile.range.accept(request.sent, context.now);
        self.refused = 0;
        if let Some(listed) = part.around {
            return self.looked_around(listed, evidence, context, step);
        }
        if let Some(recount) = part.recount {
            return self.recounted(request, recount, evidence, context, step);
        }
        self.settle(request, evidence, context, step);
        self.prove_order(request, evidence, context);
        self.exceed(request, evidence, context, step);
        if request.partition.is_some() {
            return self.sliced(evidence, verdict == Verdict::Whole, context, step);
        }
        match verdict {
            Verdict::Whole if self.is_scarce(request, evidence, context) => {
                self.confirm(request, evidence, context, step)
            }
            Verdict::Whole => self.finish(request, evidence, context, step),
            Verdict::Cut { total } => self.cut(request, evidence, total, context, step),
            Verdict::Short { total } => self.short(request, evidence, total, context, step),
            Verdict::Doubted if cleared => self.finish(request, evidence, context, step),
            Verdict::Doubted => self.doubt(request, evidence, context, step),
            Verdict::Contradictory => {}
        }
    }

    /// Claims what the page before held tentatively, or gives it back.
    fn settle(&mut self, request: &Request, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        let Some(page) = self.page.take() else { return };
        let confirms = self.todo.last().is_some_and(|part| part.confirms);
        let proof = page.proof(request, evidence, context.profile, context.now);
        if proof == Proof::Proven && !confirms && self.is_scarce_page(&page, context) {
            self.give_back(page.tentative);
            return self.todo.iter_mut().rev().take(2).for_each(|part| part.confirms = true);
        }
        match proof {
            Proof::Proven => {
                context.profile.sorts = true;
                context.profile.sort_strikes = 0;
                context.profile.confirm_totals(context.now);
                let proven = page.proven(request, context.profile, context.unit());
                self.hand_on(&page, proven);
                if let Some(proven) = proven {
                    self.observe(proven, &page.dates, context);
                    // What a sum that does not add up requests comes after the part that this answer belongs to.
                    let current = self.todo.pop();
                    self.claim(&page.read(proven), context, step);
                    self.todo.extend(current);
                }
            }
            Proof::Unclear => {
                // Totals that come and go could leave it unclear forever, so a request for the page's own window
                // shows the order as well.
                if evidence.total.is_none() {
                    self.check_order(&page);
                }
                // At least these calls lie there; later pages are measured by them.
                context.forecast.learn(page.tentative, &page.dates);
                self.give_back(page.tentative);
            }
            Proof::Refuted => {
                context.profile.sorts = false;
                context.profile.sort_strikes = context.profile.sort_strikes.saturating_add(1);
                // Whatever is wrong, the announced records must be found. A few more than were received may never
                // be shown.
                let came = (page.dates.len() + page.undated) as u64;
                if page.total > came + FEW.max(page.total / 10) {
                    let whole =
                        self.todo.last().map_or(page.tentative, |part| part.window.hull(&page.tentative));
                    let again = self.todo.last().is_some_and(|part| part.again);
                    let kind = SplitCause::Announced { total: page.total };
                    self.sums.push(SplitTotals::new(whole, page.sent, kind, again));
                }
                self.give_back(page.tentative);
            }
        }
    }

    /// Requests the unproven rest of a page together with the current part, on which it borders.
    fn hand_on(&mut self, page: &UnprovenPage, proven: Option<Window>) {
        let Some(part) = self.todo.last_mut() else { return };
        let rest = match (page.order, proven) {
            (_, None) => Some(page.tentative),
            (Order::Ascending, Some(proven)) => Window::new(proven.to(), page.tentative.to()),
            (Order::Descending, Some(proven)) => Window::new(page.tentative.from(), proven.from()),
        };
        if let Some(rest) = rest {
            part.window = part.window.hull(&rest);
        }
    }

    /// Puts a window that is still unread below the current part.
    fn give_back(&mut self, window: Window) {
        let below = self.todo.len().saturating_sub(1);
        let part = self.todo.last().map_or_else(|| Part::new(window), |part| part.piece(window));
        self.todo.insert(below, part);
    }

    fn give_page_back(&mut self) {
        if let Some(page) = self.page.take() {
            self.give_back(page.tentative);
        }
    }

    fn finish(&mut self, request: &Request, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        let Some(part) = self.todo.pop() else { return };
        // A range of one unit is proven by the records it shows, or if both bounds are known to be inclusive.
        let inclusive = context.profile.from_inclusive && context.profile.to_inclusive;
        if request.sent.from == request.sent.to && evidence.listed == 0 && !inclusive {
            return self.overloaded(part, context, step);
        }
        context.profile.note_length(evidence.listed, context.now);
        if evidence.listed as f64 > self.guess {
            self.guess = f64::INFINITY;
        }
        if evidence.listed >= context.settings.limits.doubt_from {
            context.profile.note_believed(part.window);
        }
        let fit = self.target(context);
        self.done(part.window, evidence.listed, fit, context);
        self.observe(part.window, &evidence.dates, context);
        let (dates, undated) = (&evidence.dates[..], evidence.undated());
        self.claim(&Read { window: part.window, sent: request.sent, dates, undated }, context, step);
    }

    /// Notes that a window was read or given up, which changes what is known of the windows around it.
    fn done(&mut self, window: Window, count: usize, fit: f64, context: &Context<'_>) {
        if let Some(fewest) = self.samples.done(window, count, context.forecast, fit) {
            self.guess = self.guess.min(fewest.max(1.0));
        }
    }

    /// Replaces the current part by these windows, oldest first in the list.
    fn replace(&mut self, mut windows: Vec<Window>) {
        let Some(part) = self.todo.pop() else { return };
        if self.order == Order::Ascending {
            windows.reverse();
        }
        self.todo.extend(windows.into_iter().map(|window| part.piece(window)));
    }

    /// Ends the step as failed. The page before may have been right although its proof did not arrive: it is kept
    /// for the retry.
    fn fail_anyhow(&self, step: &mut Step) {
        step.outcome = Outcome::Failed;
        step.hold = if self.page.is_some() { Hold::AndEarlier } else { Hold::Nothing };
    }

    fn fail(&mut self, reason: GapReason, context: &Context<'_>, step: &mut Step) {
        self.fail_anyhow(step);
        let Some(part) = self.todo.last_mut() else { return };
        part.attempts += 1;
        if part.attempts < context.settings.attempts {
            return;
        }
        self.quarantined(reason, step);
    }

    /// Gives up the current part for now.
    fn quarantined(&mut self, reason: GapReason, step: &mut Step) {
        self.give_page_back();
        let Some(part) = self.todo.pop() else { return };
        self.sums.retain(|sum| !sum.touches(part.window));
        step.failed = Some((part.window, reason));
    }

    fn observe(&self, window: Window, dates: &[DateTime<Utc>], context: &mut Context<'_>) {
        if self.reason == Reason::Newest {
            return; // calls of the last minutes are still to appear
        }
        context.forecast.learn(window, dates);
    }
}
