//! Whether `api.timezone` fits what the API sends: pure. A zone is evidence, not faith.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::Answer;
use super::zones::ZoneEvidence;

/// How far outside the bounds a record may be dated: minutes are cut off, and bounds are rounded to them.
const SLACK: TimeDelta = TimeDelta::seconds(90);
/// Dates so far ahead of both clocks are no mere skew.
const FUTURE: TimeDelta = TimeDelta::minutes(5);
/// Zones are a quarter of an hour apart at least.
const CLOSE: TimeDelta = TimeDelta::minutes(15);
/// No two clocks of the world are further apart.
const FURTHEST: TimeDelta = TimeDelta::hours(26);
/// Fewer records than this may be odd ones.
const SEVERAL: usize = 3;
/// So many CallIDs make the hint that they give worth something.
const MANY: usize = 10;

/// What an answer shows of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneVerdict {
    /// It fits.
    Fits,
    /// Nothing speaks for it or against it.
    Silent,
    /// The dates carry a zone of their own, and the bounds may be in another. Whether this call comes when a few minutes
    /// around it are asked for decides.
    Undecided {
        /// When it started.
        call: DateTime<Utc>,
    },
    /// It does not fit.
    Contradicted(Contradiction),
}

/// The API's clock is another one than `api.timezone`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// What shows it.
    pub sign: Sign,
    /// How far the clock that the API writes or reads is ahead of the configured zone's.
    pub ahead: TimeDelta,
    /// The records that show it.
    pub records: usize,
    /// The records that came.
    pub of: usize,
}

/// What shows that a zone does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Zoneless dates disagree with DateEpoch.
    Epoch,
    /// The records lie beside the span that was asked for.
    Bounds,
    /// The dates carry `Z` or an offset, and calls that are there do not come in the configured zone.
    Zoned,
    /// Records are dated later than both clocks.
    Future,
    /// CallIDs begin with another wall time, and no record is younger than that difference.
    CallId,
}

/// What of an answer tells of its zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What the dates show.
    pub zones: ZoneEvidence,
    /// When the calls started, as it was read; ascending.
    pub dates: Vec<DateTime<Utc>>,
    /// The bounds went out as they were: a clock change widens them.
    pub exact_bounds: bool,
    /// The `Date` header.
    pub server_date: Option<DateTime<Utc>>,
}

impl From<&Answer> for Shown {
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

/// A question's bounds, and the host's clock at its answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// `fromdate`.
    pub from: DateTime<Utc>,
    /// `todate`.
    pub to: DateTime<Utc>,
    /// `api.timezone`.
    pub zone: Tz,
    /// The host's clock.
    pub now: DateTime<Utc>,
}

/// What an answer to an ordinary question shows.
pub fn judge(shown: &Shown, asked: Asked) -> ZoneVerdict {
    let facts = Facts { shown, asked };
    facts
        .off_the_epoch()
        .or_else(|| facts.beside_the_bounds())
        .or_else(|| facts.in_the_future())
        .or_else(|| facts.by_epoch())
        .or_else(|| facts.by_zoned_dates())
        .or_else(|| facts.by_call_ids())
        .unwrap_or(ZoneVerdict::Silent)
}

/// What an answer about the newest calls and a day ahead shows: the absence of future dates, too.
pub fn judge_newest(shown: &Shown, asked: Asked) -> ZoneVerdict {
    let facts = Facts { shown, asked };
    match judge(shown, asked) {
        ZoneVerdict::Silent if facts.is_stale() => facts.contradicted(
            Sign::CallId,
            -shown.zones.call_id.map_or_else(TimeDelta::zero, |shift| shift.span()),
            shown.zones.call_id.map_or(0, |shift| shift.agreeing),
        ),
        ZoneVerdict::Silent if !shown.dates.is_empty() && !facts.doubted_by_call_ids() => ZoneVerdict::Fits,
        verdict => verdict,
    }
}

/// The spans to look at, as how far back and how far ahead: the newest calls first, then further back for some that show
/// a zone.
pub fn looks(longest: TimeDelta) -> [(TimeDelta, TimeDelta); 3] {
    let day = TimeDelta::days(1);
    [(TimeDelta::hours(1), day), (day, day), (longest, TimeDelta::zero())]
}

/// The bounds of the question that decides an [`ZoneVerdict::Undecided`] call; the call lies at their end.
pub fn around(call: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let second = DateTime::from_timestamp(call.timestamp(), 0).unwrap_or(call);
    (second - TimeDelta::minutes(5), second + TimeDelta::seconds(2))
}

/// What the answer to that question shows: whatever call of those minutes it holds, they were found where they are.
pub fn decide(shown: &Shown, call: DateTime<Utc>, zone: Tz) -> ZoneVerdict {
    let (from, to) = around(call);
    if shown.dates.iter().any(|date| from - SLACK <= *date && *date <= to + SLACK) {
        return ZoneVerdict::Fits;
    }
    let ahead = -offset(zone, call);
    ZoneVerdict::Contradicted(Contradiction { sign: Sign::Zoned, ahead, records: 1, of: 1 })
}

impl Contradiction {
    /// For people: what shows it, what to do, and what happens until then.
    pub fn describe(&self, zone: Tz, now: DateTime<Utc>) -> String {
        let advice = self.advice(zone, now);
        format!("{}. {advice} Until then nothing is stored or claimed as read.", self.shown(zone))
    }

    /// What shows it.
    pub fn shown(&self, zone: Tz) -> String {
        let Self { sign, ahead, records, of } = *self;
        let apart = span_text(ahead.abs());
        let shown = match sign {
            Sign::Epoch => format!("{records} of {of} records have a Date {apart} away from their DateEpoch"),
            Sign::Bounds => {
                format!("{records} of {of} records lie up to {apart} beside the span that was asked for")
            }
            Sign::Zoned => "dates come with Z, and a call that is there is not found in this zone".to_owned(),
            Sign::Future => format!("{records} of {of} records are dated in the future, by up to {apart}"),
            Sign::CallId => {
                format!("{records} of {of} CallIDs begin with a time {apart} away, and no call is younger")
            }
        };
        format!("api.timezone {zone} does not fit the API ({shown})")
    }

    /// What to set.
    pub fn advice(&self, zone: Tz, now: DateTime<Utc>) -> String {
        if self.sign == Sign::Zoned {
            return match zone {
                Tz::UTC => "Set api.timezone to the zone in which the API reads fromdate and todate.".into(),
                _ => "Set api.timezone to UTC.".into(),
            };
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

/// How far CallIDs hint that dates are read wrongly, for people; `None` where they do not.
pub fn hint(shown: &Shown) -> Option<String> {
    let shift = shown.zones.call_id.filter(|shift| shift.is_agreed() && shift.quarters != 0)?;
    Some(span_text(shift.span().abs()))
}

/// How far the wall clock of `zone` is ahead of UTC at `instant`.
fn offset(zone: Tz, instant: DateTime<Utc>) -> TimeDelta {
    let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    TimeDelta::seconds(offset.local_minus_utc().into())
}

struct Facts<'a> {
    shown: &'a Shown,
    asked: Asked,
}

impl Facts<'_> {
    /// The later of the two clocks.
    fn latest(&self) -> DateTime<Utc> {
        self.shown.server_date.map_or(self.asked.now, |theirs| theirs.max(self.asked.now))
    }

    fn contradicted(&self, sign: Sign, ahead: TimeDelta, records: usize) -> ZoneVerdict {
        ZoneVerdict::Contradicted(Contradiction { sign, ahead, records, of: self.shown.dates.len() })
    }

    fn off_the_epoch(&self) -> Option<ZoneVerdict> {
        let shift = self.shown.zones.epoch.filter(|shift| shift.is_agreed() && shift.quarters != 0)?;
        Some(self.contradicted(Sign::Epoch, shift.span(), shift.agreeing))
    }

    fn by_epoch(&self) -> Option<ZoneVerdict> {
        let shift = self.shown.zones.epoch.filter(|shift| shift.is_agreed())?;
        (shift.quarters == 0).then_some(ZoneVerdict::Fits)
    }

    /// All records fit into the span asked, moved by some quarters of an hour, and not into itself.
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
        let enough = beside >= SEVERAL || beside == self.shown.dates.len();
        let seen = self.shown.exact_bounds && all_fit && enough && moved.abs() <= FURTHEST;
        // Later than asked: the API's clock, which read the bounds, is behind ours.
        seen.then(|| self.contradicted(Sign::Bounds, -moved, beside))
    }

    fn is_inside(&self, date: DateTime<Utc>) -> bool {
        self.asked.from - SLACK <= date && date <= self.asked.to + SLACK
    }

    fn in_the_future(&self) -> Option<ZoneVerdict> {
        // Where the instants are certain, only the clocks can be wrong.
        if self.shown.zones.zoned > 0 || self.shown.zones.epoch.is_some_and(|shift| shift.is_agreed()) {
            return None;
        }
        let newest = *self.shown.dates.last()?;
        let ahead = newest - self.latest();
        let future = self.shown.dates.iter().filter(|date| **date - self.latest() > FUTURE).count();
        let agreed = self.shown.zones.call_id.is_some_and(|shift| shift.is_agreed() && shift.quarters < 0);
        let enough = future == self.shown.dates.len()
            || agreed
            || (future >= SEVERAL && future * 5 >= self.shown.dates.len());
        let seen = future > 0 && enough && ahead <= FURTHEST;
        // The newest is some minutes old, and nearly all zones are whole hours apart.
        let hours = TimeDelta::hours((ahead.num_minutes() + 59) / 60);
        let shown = self.shown.zones.call_id.filter(|_| agreed).map_or(hours, |shift| -shift.span());
        seen.then(|| self.contradicted(Sign::Future, shown, future))
    }

    /// Dates with a zone of their own show where the bounds lie: none lies before them, so the API's clock is not ahead, and
    /// where the first lies close behind the beginning, it is not behind either.
    fn by_zoned_dates(&self) -> Option<ZoneVerdict> {
        let dates = self.shown.dates.iter().filter(|_| self.shown.zones.zoned > 0);
        let (first, call) = (*dates.clone().min()?, *dates.max()?);
        let close = first - self.asked.from < CLOSE || self.asked.to - self.asked.from < CLOSE;
        let shows = close && self.shown.exact_bounds && self.is_inside(first);
        Some(if shows { ZoneVerdict::Fits } else { ZoneVerdict::Undecided { call } })
    }

    fn by_call_ids(&self) -> Option<ZoneVerdict> {
        let shift = self.shown.zones.call_id.filter(|shift| shift.is_agreed())?;
        (shift.quarters == 0).then_some(ZoneVerdict::Fits)
    }

    fn doubted_by_call_ids(&self) -> bool {
        self.shown.zones.call_id.is_some_and(|shift| shift.is_agreed() && shift.quarters != 0)
    }

    /// The calls are read as earlier than their CallIDs say, and the newest looks as old as that.
    fn is_stale(&self) -> bool {
        let behind = self
            .shown
            .zones
            .call_id
            .filter(|shift| shift.is_agreed() && shift.quarters > 0 && shift.agreeing >= MANY);
        behind
            .zip(self.shown.dates.last())
            .is_some_and(|(shift, newest)| self.latest() - *newest >= shift.span() - FUTURE)
    }
}

fn quarters_up(span: TimeDelta) -> TimeDelta {
    let quarter = 900;
    TimeDelta::seconds((span.num_seconds() + quarter - 1).div_euclid(quarter) * quarter)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Jerusalem;

    use super::super::zones::Shift;
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// From 10 to 11 o'clock UTC in January, asked when that was over.
    fn asked(zone: Tz) -> Asked {
        let (from, to) = (utc("2026-01-10T10:00:00Z"), utc("2026-01-10T11:00:00Z"));
        Asked { from, to, zone, now: to }
    }

    /// Records at these minutes after 10 o'clock.
    fn zoneless(minutes: &[i64]) -> Shown {
        let dates = minutes.iter().map(|minute| asked(Tz::UTC).from + TimeDelta::minutes(*minute)).collect();
        let zones = ZoneEvidence { zoneless: minutes.len(), ..ZoneEvidence::default() };
        Shown { zones, dates, exact_bounds: true, server_date: None }
    }

    fn zoned(minutes: &[i64]) -> Shown {
        let zones = ZoneEvidence { zoned: minutes.len(), ..ZoneEvidence::default() };
        Shown { zones, ..zoneless(minutes) }
    }

    fn shift(quarters: i32, agreeing: usize, of: usize) -> Option<Shift> {
        Some(Shift { quarters, agreeing, of })
    }

    /// What contradicts the zone, and how many minutes the API's clock is ahead of it.
    fn contradicted(verdict: ZoneVerdict) -> Option<(Sign, i64)> {
        match verdict {
            ZoneVerdict::Contradicted(found) => Some((found.sign, found.ahead.num_minutes())),
            _ => None,
        }
    }

    #[test]
    fn the_epoch_decides_for_zoneless_dates_unless_it_disagrees_with_itself() {
        let mut shown = zoneless(&[1, 2, 3]);
        shown.zones.epoch = shift(8, 3, 3);
        assert_eq!(contradicted(judge(&shown, asked(Tz::UTC))), Some((Sign::Epoch, 120)));
        shown.zones.epoch = shift(0, 3, 3);
        assert_eq!(judge(&shown, asked(Tz::UTC)), ZoneVerdict::Fits);
        shown.zones.epoch = shift(8, 2, 3);
        assert_eq!(judge(&shown, asked(Tz::UTC)), ZoneVerdict::Silent);
    }

    #[test]
    fn records_beside_the_span_asked_show_how_far_the_api_s_clock_is_off() {
        // Bounds in Israel's time for an API in UTC: it shows what was two hours later.
        let found = judge(&zoned(&[121, 150, 179]), asked(Jerusalem));
        assert_eq!(contradicted(found), Some((Sign::Bounds, -120)));
        // The other way round.
        let found = judge(&zoned(&[-119, -90, -61]), asked(Tz::UTC));
        assert_eq!(contradicted(found), Some((Sign::Bounds, 120)));
        // A server that minds no bounds, and a record or two at the edge, say nothing of a zone.
        assert_eq!(contradicted(judge(&zoned(&[-50, 10, 30, 90]), asked(Tz::UTC))), None);
        assert_eq!(judge(&zoned(&[5, 10, 30, 75]), asked(Tz::UTC)), ZoneVerdict::Fits);
        let widened = Shown { exact_bounds: false, ..zoned(&[121, 150]) };
        assert_eq!(contradicted(judge(&widened, asked(Tz::UTC))), None);
    }

    #[test]
    fn dates_with_z_leave_the_zone_of_the_bounds_open_until_a_call_shows_it() {
        for zone in [Tz::UTC, Jerusalem] {
            // An hour with its first calls; an API three hours behind would show none of them.
            assert_eq!(judge(&zoned(&[10, 50]), asked(zone)), ZoneVerdict::Fits);
            let call = utc("2026-01-10T10:40:00Z");
            assert_eq!(judge(&zoned(&[20, 40]), asked(zone)), ZoneVerdict::Undecided { call });
            assert_eq!(decide(&zoned(&[38, 40]), call, zone), ZoneVerdict::Fits);
            let found = contradicted(decide(&zoned(&[]), call, zone));
            assert_eq!(found.map(|(sign, _)| sign), Some(Sign::Zoned));
            let found = contradicted(decide(&zoned(&[160]), call, zone));
            assert_eq!(found.map(|(sign, _)| sign), Some(Sign::Zoned));
            // A quarter of an hour that shows a call leaves no room.
            let newest =
                Asked { from: utc("2026-01-10T10:30:00Z"), to: utc("2026-01-10T10:44:00Z"), ..asked(zone) };
            assert_eq!(judge(&zoned(&[40]), newest), ZoneVerdict::Fits);
        }
    }

    #[test]
    fn zoneless_dates_later_than_both_clocks_show_a_zone_that_is_behind() {
        let ahead = Asked { to: utc("2026-01-11T11:00:00Z"), ..asked(Tz::UTC) };
        let found = judge(&zoneless(&[20, 70, 100, 178]), ahead);
        assert_eq!(contradicted(found), Some((Sign::Future, 120)));
        // One clock explains them.
        let theirs =
            Shown { server_date: Some(utc("2026-01-10T13:00:00Z")), ..zoneless(&[20, 70, 100, 178]) };
        assert_eq!(contradicted(judge(&theirs, ahead)), None);
        // An odd one among many, however far ahead, is odd.
        let odd = zoneless(&[1, 2, 3, 4, 5, 6, 178]);
        assert_eq!(contradicted(judge(&odd, ahead)), None);
        let far = zoneless(&[60 * 24 * 365]);
        assert_eq!(contradicted(judge(&far, ahead)), None);
        // Unless its CallIDs agree.
        let agreed = Shown { zones: ZoneEvidence { call_id: shift(-8, 7, 7), ..odd.zones }, ..odd };
        assert_eq!(contradicted(judge(&agreed, ahead)), Some((Sign::Future, 120)));
        // Where the instants are certain only a clock can be wrong.
        assert_eq!(contradicted(judge(&zoned(&[70, 80, 90]), ahead)), None);
    }

    #[test]
    fn call_ids_are_a_hint_that_needs_another_sign() {
        let (from, to) = (utc("2026-01-09T11:00:00Z"), utc("2026-01-11T11:00:00Z"));
        let ahead = Asked { from, to, ..asked(Jerusalem) };
        let minutes: Vec<i64> = (-180..-60).step_by(6).collect();
        let mut shown = zoneless(&minutes);
        assert_eq!(judge_newest(&shown, ahead), ZoneVerdict::Fits, "as far as can be told");
        // Zoneless UTC, read as Israel's time: all seem two hours older than they are.
        shown.zones.call_id = shift(8, minutes.len(), minutes.len());
        shown.dates.retain(|date| ahead.now - *date >= TimeDelta::hours(2));
        assert_eq!(contradicted(judge_newest(&shown, ahead)), Some((Sign::CallId, -120)));
        assert_eq!(judge(&shown, ahead), ZoneVerdict::Silent, "any other answer may be about old calls");
        shown.dates.push(ahead.now - TimeDelta::minutes(20));
        assert_eq!(judge_newest(&shown, ahead), ZoneVerdict::Silent, "a younger one refutes the CallIDs");
        shown.zones.call_id = shift(0, minutes.len(), minutes.len());
        assert_eq!(judge(&shown, ahead), ZoneVerdict::Fits);
    }

    #[test]
    fn the_advice_names_the_zone_where_it_is_one_of_the_two_in_use() {
        let now = utc("2026-01-10T10:00:00Z");
        let advice = |ahead, zone| {
            let ahead = TimeDelta::minutes(ahead);
            Contradiction { sign: Sign::Future, ahead, records: 3, of: 4 }.advice(zone, now)
        };
        assert_eq!(advice(120, Tz::UTC), "Set api.timezone to Asia/Jerusalem.");
        assert_eq!(advice(-120, Jerusalem), "Set api.timezone to UTC.");
        assert!(advice(-330, Tz::UTC).contains("5 h 30 min behind that of UTC"));
        assert!(advice(45, Jerusalem).contains("45 min ahead of that of Asia/Jerusalem"));
    }
}
