//! Checks whether `api.timezone` fits what the API sends, without any I/O. The configured zone is not taken on trust.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::zones::ZoneEvidence;
use super::{Answer, advice};

/// How far outside the bounds a record may be dated: minutes are cut off, and bounds are rounded to them.
const SLACK: TimeDelta = TimeDelta::seconds(90);
/// Dates this far ahead of both clocks are more than clock skew.
const FUTURE: TimeDelta = TimeDelta::minutes(5);
/// Zones differ by at least a quarter of an hour.
const CLOSE: TimeDelta = TimeDelta::minutes(15);
/// No two clocks of the world are further apart.
const FURTHEST: TimeDelta = TimeDelta::hours(26);
/// Fewer records than this may be oddities.
const SEVERAL: usize = 3;
/// This many CallIDs are needed for their hint to count.
const MANY: usize = 10;

/// What an answer shows about the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneVerdict {
    /// The configured zone fits the answer.
    Fits,
    /// Nothing speaks for the zone or against it.
    Silent,
    /// The dates carry a zone of their own, and the bounds may be in another. A request for a few minutes around
    /// this call decides: the zone fits if the call is found.
    Undecided {
        /// When the call in question started.
        call: DateTime<Utc>,
    },
    /// The configured zone does not fit.
    Contradicted(Contradiction),
}

/// Evidence that the API's clock is not that of `api.timezone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The kind of evidence that shows it.
    pub sign: Sign,
    /// How far the clock that the API writes or reads is ahead of the configured zone's.
    pub ahead: TimeDelta,
    /// Number of records that show it.
    pub records: usize,
    /// Number of records in the answer.
    pub of: usize,
}

/// What shows that a zone does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Zoneless dates disagree with DateEpoch.
    Epoch,
    /// The records lie outside the span that was requested.
    Bounds,
    /// The dates carry `Z` or an offset, and calls that exist are not found in the configured zone.
    Zoned,
    /// Records are dated later than both clocks.
    Future,
    /// CallIDs begin with another wall time, and nothing has refuted that.
    CallId,
    /// The signs contradict each other.
    Disagreeing,
}

/// The parts of an answer that bear on its zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneSigns {
    /// What the dates show about the zone.
    pub zones: ZoneEvidence,
    /// When the calls started, as read in the configured zone; ascending.
    pub dates: Vec<DateTime<Utc>>,
    /// `true` if the bounds were sent as they were. A clock change widens them.
    pub exact_bounds: bool,
    /// The `Date` header: the API's clock.
    pub server_date: Option<DateTime<Utc>>,
}

impl From<&Answer> for ZoneSigns {
    fn from(answer: &Answer) -> Self {
        let mut dates: Vec<_> = answer.records.iter().map(|record| record.started_at).collect();
        dates.sort_unstable();
        Self {
            zones: answer.zones,
            dates,
            exact_bounds: answer.exact_bounds,
            server_date: answer.server_date,
        }
    }
}

/// A question's bounds, and the host's clock when it was answered.
#[derive(Clone, Copy, Debug)]
pub struct AskedBounds {
    /// `fromdate` of the question, as an instant.
    pub from: DateTime<Utc>,
    /// `todate` of the question, as an instant.
    pub to: DateTime<Utc>,
    /// The host's clock when the answer arrived.
    pub now: DateTime<Utc>,
}

/// Judges the answer to an ordinary question.
pub fn judge(shown: &ZoneSigns, asked: AskedBounds) -> ZoneVerdict {
    let facts = ZoneFacts { shown, asked };
    facts
        .signs_disagree()
        .or_else(|| facts.off_the_epoch())
        .or_else(|| facts.beside_the_bounds())
        .or_else(|| facts.in_the_future())
        .or_else(|| facts.by_epoch())
        .or_else(|| facts.by_zoned_dates())
        .or_else(|| facts.by_call_ids())
        .unwrap_or(ZoneVerdict::Silent)
}

/// Judges an answer about the newest calls and a day ahead, in which the absence of future dates counts as well.
pub fn judge_newest(shown: &ZoneSigns, asked: AskedBounds) -> ZoneVerdict {
    match judge(shown, asked) {
        ZoneVerdict::Silent if shown.dates.len() >= SEVERAL && hint(shown).is_none() => ZoneVerdict::Fits,
        verdict => verdict,
    }
}

/// Returns `true` if the newest calls refute what CallIDs say about the zone: one is younger than the difference
/// allows, or calls continue where there could be none.
pub fn refutes_call_ids(shown: &ZoneSigns, asked: AskedBounds) -> bool {
    let Some(shift) = shown.zones.call_id else { return false };
    let latest = ZoneFacts { shown, asked }.latest();
    let ages = shown.dates.iter().map(|date| latest - *date).filter(|age| *age >= -FUTURE);
    if shift.quarters > 0 {
        return ages.min().is_some_and(|age| age < shift.span() - FUTURE);
    }
    let future = shown.dates.iter().any(|date| *date - latest > FUTURE);
    !future && asked.to > latest && ages.filter(|age| *age < CLOSE * 2).count() >= SEVERAL
}

/// The spans to look at, as how far back and how far ahead: the newest calls first, then further back for records
/// that show a zone.
pub fn looks(longest: TimeDelta) -> [(TimeDelta, TimeDelta); 3] {
    let day = TimeDelta::days(1);
    [(TimeDelta::hours(1), day), (day, day), (longest, TimeDelta::zero())]
}

/// The bounds of the question that decides about an [`ZoneVerdict::Undecided`] call. A server may search records by
/// their end.
pub fn around(call: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let second = DateTime::from_timestamp(call.timestamp(), 0).unwrap_or(call);
    (second - TimeDelta::minutes(5), second + TimeDelta::minutes(30))
}

/// The same question in the most likely other zone of the bounds: UTC, or else Israel's time.
pub fn around_elsewhere(call: DateTime<Utc>, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let (from, to) = around(call);
    let moved = offset(elsewhere(zone, call), call) - offset(zone, call);
    (from + moved, to + moved)
}

/// Returns `true` if the wall clock of `zone` shows UTC at `instant`.
pub fn is_utc(zone: Tz, instant: DateTime<Utc>) -> bool {
    offset(zone, instant).is_zero()
}

fn elsewhere(zone: Tz, call: DateTime<Utc>) -> Tz {
    if is_utc(zone, call) { Tz::Asia__Jerusalem } else { Tz::UTC }
}

/// Returns `true` if the answer to such a question holds a call of those minutes, so the call was found.
pub fn finds(shown: &ZoneSigns, call: DateTime<Utc>) -> bool {
    let (from, to) = around(call);
    shown.dates.iter().any(|date| from - SLACK <= *date && *date <= to + SLACK)
}

/// The contradiction of a call that was not found in the configured zone, or only in the other one.
pub fn not_found(call: DateTime<Utc>, zone: Tz) -> Contradiction {
    let ahead = offset(elsewhere(zone, call), call) - offset(zone, call);
    Contradiction { sign: Sign::Zoned, ahead, records: 1, of: 1 }
}

/// The contradiction of CallIDs that indicate another zone, if nothing has refuted them.
pub fn by_call_ids_alone(shown: &ZoneSigns) -> Option<Contradiction> {
    let shift = shown.zones.call_id.filter(|shift| shift.contradicts() && shift.of >= MANY)?;
    Some(Contradiction {
        sign: Sign::CallId,
        ahead: -shift.span(),
        records: shift.of - shift.zeros,
        of: shift.of,
    })
}

impl Contradiction {
    /// A text for people: what shows it, what to do, and what happens until then.
    pub fn describe(&self, zone: Tz, now: DateTime<Utc>) -> String {
        let advice = self.advice(zone, now);
        advice::join(&self.shown(zone), &format!("{advice} Until then nothing is stored or claimed as read."))
    }

    /// What shows it, as part of a sentence for people.
    pub fn shown(&self, zone: Tz) -> String {
        let Self { sign, ahead, records, of } = *self;
        let apart = span_text(ahead.abs());
        let shown = match sign {
            Sign::Epoch => {
                format!("{records} of {of} records have a Date that differs from their DateEpoch by {apart}")
            }
            Sign::Bounds => {
                format!("{records} of {of} records lie up to {apart} outside the span that was requested")
            }
            Sign::Zoned => "dates come with Z, and a call that exists is not found in this zone".to_owned(),
            Sign::Future => format!("{records} of {of} records are dated in the future, by up to {apart}"),
            Sign::CallId => format!(
                "{records} of {of} CallIDs begin with a time that, read as Israel's, differs by {apart}, and no \
                 new call has refuted it"
            ),
            Sign::Disagreeing => {
                format!("{records} of {of} records: Date, DateEpoch and CallID disagree by {apart}")
            }
        };
        format!("api.timezone {zone} does not fit the API ({shown})")
    }

    /// What to set, as a sentence for people.
    pub fn advice(&self, zone: Tz, now: DateTime<Utc>) -> String {
        if self.sign == Sign::Disagreeing {
            return "Use cdr-sync query to find out in which zone a call just made is dated, and report this."
                .into();
        }
        let theirs = offset(zone, now) + self.ahead;
        let named = [Tz::UTC, Tz::Asia__Jerusalem].into_iter().find(|tz| offset(*tz, now) == theirs);
        match named {
            Some(tz) if tz != zone => format!("Set api.timezone to {tz}."),
            _ => format!(
                "Set api.timezone to the zone whose clock is {} {} that of {zone}, and check this host's clock.",
                span_text(self.ahead.abs()),
                if self.ahead < TimeDelta::zero() { "behind" } else { "ahead of" }
            ),
        }
    }
}

fn span_text(span: TimeDelta) -> String {
    match (span.num_hours(), span.num_minutes() % 60) {
        (hours, 0) => format!("{hours} h"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// How far off dates seem to be according to CallIDs, for people; `None` if they seem right.
pub fn hint(shown: &ZoneSigns) -> Option<String> {
    let shift = shown.zones.call_id.filter(|shift| shift.contradicts() && shift.of >= SEVERAL)?;
    Some(span_text(shift.span().abs()))
}

/// How far the wall clock of `zone` is ahead of UTC at `instant`.
fn offset(zone: Tz, instant: DateTime<Utc>) -> TimeDelta {
    let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    TimeDelta::seconds(offset.local_minus_utc().into())
}

struct ZoneFacts<'a> {
    shown: &'a ZoneSigns,
    asked: AskedBounds,
}

impl ZoneFacts<'_> {
    /// The later of the two clocks.
    fn latest(&self) -> DateTime<Utc> {
        self.shown.server_date.map_or(self.asked.now, |theirs| theirs.max(self.asked.now))
    }

    fn contradicted(&self, sign: Sign, ahead: TimeDelta, records: usize) -> ZoneVerdict {
        ZoneVerdict::Contradicted(Contradiction { sign, ahead, records, of: self.shown.dates.len() })
    }

    /// Checks if DateEpoch and CallID contradict each other about Date, or future dates contradict an epoch that
    /// fits.
    fn signs_disagree(&self) -> Option<ZoneVerdict> {
        let epoch = self.shown.zones.epoch?;
        let ids = self.shown.zones.call_id.filter(|ids| ids.of >= SEVERAL)?;
        let future = self.in_future() >= SEVERAL;
        let disagree = epoch.contradicts() && ids.fits() || epoch.fits() && ids.contradicts() && future;
        let apart = if epoch.fits() { -ids.span() } else { epoch.span() };
        disagree.then(|| self.contradicted(Sign::Disagreeing, apart, ids.of))
    }

    fn off_the_epoch(&self) -> Option<ZoneVerdict> {
        let shift = self.shown.zones.epoch.filter(|shift| shift.contradicts())?;
        let enough = shift.of - shift.zeros >= SEVERAL;
        enough.then(|| self.contradicted(Sign::Epoch, shift.span(), shift.of - shift.zeros))
    }

    fn by_epoch(&self) -> Option<ZoneVerdict> {
        self.shown.zones.epoch?.fits().then_some(ZoneVerdict::Fits)
    }

    /// Checks if all records fit into the requested span only when moved by some quarters of an hour.
    fn beside_the_bounds(&self) -> Option<ZoneVerdict> {
        let (first, last) = (*self.shown.dates.first()?, *self.shown.dates.last()?);
        let (early, late) = (self.asked.from - SLACK - first, last - self.asked.to - SLACK);
        let moved = match (early > TimeDelta::zero(), late > TimeDelta::zero()) {
            (false, true) => quarters_up(late),
            (true, false) => -quarters_up(early),
            _ => return None,
        };
        let all_fit = first >= self.asked.from + moved - SLACK && last <= self.asked.to + moved + SLACK;
        let beside = self.shown.dates.iter().filter(|date| !self.is_inside(**date)).count();
        let seen = self.shown.exact_bounds && all_fit && beside >= SEVERAL && moved.abs() <= FURTHEST;
        // Later than requested: the API's clock, by which the bounds were read, is behind the configured one.
        seen.then(|| self.contradicted(Sign::Bounds, -moved, beside))
    }

    fn is_inside(&self, date: DateTime<Utc>) -> bool {
        self.asked.from - SLACK <= date && date <= self.asked.to + SLACK
    }

    fn in_future(&self) -> usize {
        let latest = self.latest();
        self.shown.dates.iter().filter(|date| **date - latest > FUTURE).count()
    }

    fn in_the_future(&self) -> Option<ZoneVerdict> {
        // If the instants are certain, only the clocks can be wrong.
        if self.shown.zones.zoned > 0 || self.shown.zones.epoch.is_some_and(|shift| shift.fits()) {
            return None;
        }
        let ahead = *self.shown.dates.last()? - self.latest();
        let future = self.in_future();
        let seen = future >= SEVERAL && future * 5 >= self.shown.dates.len() && ahead <= FURTHEST;
        // The newest is some minutes old, and nearly all zones are whole hours apart.
        let hours = TimeDelta::hours((ahead.num_minutes() + 59) / 60);
        let ids = self.shown.zones.call_id.filter(|shift| shift.contradicts() && shift.quarters < 0);
        let shown = ids.map_or(hours, |shift| -shift.span());
        seen.then(|| self.contradicted(Sign::Future, shown, future))
    }

    /// Checks where dates with a zone of their own place the bounds. If none lies before them, the API's clock is
    /// not ahead; if the first lies shortly after the beginning, it is not behind either.
    fn by_zoned_dates(&self) -> Option<ZoneVerdict> {
        let dates = self.shown.dates.iter().filter(|_| self.shown.zones.zoned > 0);
        let (first, call) = (*dates.clone().min()?, *dates.max()?);
        let close = first - self.asked.from < CLOSE || self.asked.to - self.asked.from < CLOSE;
        let shows = close && self.shown.exact_bounds && self.is_inside(first);
        Some(if shows { ZoneVerdict::Fits } else { ZoneVerdict::Undecided { call } })
    }

    fn by_call_ids(&self) -> Option<ZoneVerdict> {
        self.shown.zones.call_id?.fits().then_some(ZoneVerdict::Fits)
    }
}

fn quarters_up(span: TimeDelta) -> TimeDelta {
    let quarter = 900;
    TimeDelta::seconds((span.num_seconds() + quarter - 1).div_euclid(quarter) * quarter)
}

#[cfg(test)]
mod tests;
