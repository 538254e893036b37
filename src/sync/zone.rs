//! Checks that the API uses the time zone of `api.timezone`: in every answer, and by extra requests at the start and
//! daily.

use chrono::{DateTime, TimeDelta, Utc};

use super::SyncError;
use super::events::{ZoneContradicted, ZoneNotLookedAt};
use super::fetch::Fetcher;
use crate::voicenter::zone_check::{self, AskedBounds, Contradiction, ZoneSigns, ZoneVerdict};
use crate::voicenter::{Action, Answer, Form, Question};

/// How often the newest calls and a day ahead are requested.
const EVERY: TimeDelta = TimeDelta::days(1);
/// The same while no record was returned yet, or while CallIDs hint at another zone.
const UNTOLD_EVERY: TimeDelta = TimeDelta::hours(1);
/// How long evidence that CallIDs say nothing about the zone is trusted.
const REFUTED_FOR: TimeDelta = TimeDelta::days(30);
/// Fewer records than this may all be odd ones: older ones are looked at, too.
const FEW: usize = 3;
const WHY_OPEN: &str = "dates are sent with Z, and it is not known yet whether api.timezone";
/// The same after a request that the API did not answer.
const FAILED_EVERY: TimeDelta = TimeDelta::minutes(10);

/// What this process has seen of the API's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ZoneWatch {
    /// A record was returned, and nothing contradicted the zone.
    seen: bool,
    /// All requests were made that could decide the zone of the bounds when dates carry their own.
    decided: bool,
    /// When to look next; `None` at the start.
    look_at: Option<DateTime<Utc>>,
    /// When the last look began.
    looked_at: Option<DateTime<Utc>>,
    /// When a call showed that CallIDs of this API say nothing about the zone.
    pub(super) ids_refuted_at: Option<DateTime<Utc>>,
}

impl ZoneWatch {
    /// Returns `true` if a look is due.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        // A look that is due in more than a day was planned by a clock that has been set back since.
        self.look_at.is_none_or(|at| at <= now || at - now > EVERY)
    }

    /// Returns `true` if enough time has passed since the last look for a doubt to call for another.
    pub(super) fn may_look_again(&self, now: DateTime<Utc>) -> bool {
        self.looked_at.is_none_or(|at| (now - at).abs() >= FAILED_EVERY)
    }

    fn has_refuted_ids(&self, now: DateTime<Utc>) -> bool {
        self.ids_refuted_at.is_some_and(|at| (-EVERY..REFUTED_FOR).contains(&(now - at)))
    }

    /// The clock was set back: what was due is due after the same time as before.
    pub(super) fn clock_was_set_back(&mut self, by: TimeDelta) {
        self.look_at = self.look_at.map(|at| at - by);
        self.looked_at = self.looked_at.map(|at| at - by);
    }

    /// Returns `true` if a record whose date fits was returned.
    pub(super) fn has_seen_records(&self) -> bool {
        self.seen
    }
}

/// What an answer showed that did not contradict the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    Fits,
    Nothing,
    /// Undecided, because a request that would decide it got no answer: the reason.
    Open(String),
}

enum Looked {
    Answered(Box<(Question, Answer)>),
    /// The API would not answer this span.
    Refused,
    /// No answer in time, or none that is short enough.
    Failed,
}

impl Fetcher {
    /// Requests the newest calls and a day ahead; further back if there are few.
    ///
    /// Fails with [`SyncError::WrongZone`] if the zone is contradicted.
    pub(super) async fn look_at_zone(&mut self) -> Result<(), SyncError> {
        let now = self.clock.now();
        let mut next = FAILED_EVERY;
        (self.zone.looked_at, self.zone.decided) = (Some(now), false);
        for (back, ahead) in zone_check::looks(self.account.settings.max_window) {
            let Some((question, answer)) = self.look_ahead(now - back, ahead).await? else { break };
            next = UNTOLD_EVERY;
            if answer.listed == 0 {
                continue;
            }
            if zone_check::refutes_call_ids(&ZoneSigns::from(&answer), self.asked(&question)) {
                self.zone.ids_refuted_at = Some(now);
            }
            match self.check_zone(&answer, &question, true).await? {
                Shows::Fits => next = EVERY,
                Shows::Nothing if answer.listed < FEW => continue,
                Shows::Nothing => {}
                Shows::Open(_) => next = FAILED_EVERY,
            }
            break;
        }
        self.zone.look_at = Some(now + next);
        Ok(())
    }

    /// The answer for a span that ends as far ahead as the API accepts.
    async fn look_ahead(
        &mut self,
        from: DateTime<Utc>,
        ahead: TimeDelta,
    ) -> Result<Option<(Question, Answer)>, SyncError> {
        let now = self.clock.now();
        let nearer = [3, 2, 1, 0].map(TimeDelta::hours);
        for ahead in std::iter::once(ahead).chain(nearer.into_iter().filter(|nearer| *nearer < ahead)) {
            match self.look(from, now + ahead).await? {
                Looked::Answered(answered) => return Ok(Some(*answered)),
                Looked::Refused => {}
                Looked::Failed => return Ok(None),
            }
        }
        // An API whose clock is far behind refuses the present, too.
        match self.look(from - EVERY, now - EVERY).await? {
            Looked::Answered(answered) => Ok(Some(*answered)),
            _ => Ok(None),
        }
    }

    /// The answer for a span, shortened while it holds too many records.
    async fn look(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Looked, SyncError> {
        let end = to.min(self.clock.now());
        let mut from = from;
        loop {
            let question = Question::for_newest(self.account.filter.clone(), from, to);
            let (_, result) = self.ask(question.clone(), Form::BARE, &mut 0).await?;
            let error = match result {
                Ok(asked) => return Ok(Looked::Answered(Box::new((question, asked.answer)))),
                Err(error) => error,
            };
            match error.action() {
                Action::Split | Action::SplitTooLarge => {
                    // Too many records are records, too.
                    self.zone.seen = true;
                    if end - from <= TimeDelta::minutes(1) {
                        return Ok(Looked::Failed);
                    }
                    from = end - (end - from) / 8;
                }
                Action::Pause { .. } => return Err(self.refused(&error)),
                action => {
                    ZoneNotLookedAt { account: &self.account.name, error: &error }.emit();
                    let late = matches!(action, Action::TooSlow | Action::SlowDown { .. });
                    return Ok(if late { Looked::Failed } else { Looked::Refused });
                }
            }
        }
    }

    fn asked(&self, question: &Question) -> AskedBounds {
        AskedBounds { from: question.from, to: question.to, now: self.clock.now() }
    }

    /// What an answer shows about the zone. `newest`: the absence of future dates counts.
    pub(super) async fn check_zone(
        &mut self,
        answer: &Answer,
        question: &Question,
        newest: bool,
    ) -> Result<Shows, SyncError> {
        let (asked, shown) = (self.asked(question), ZoneSigns::from(answer));
        let verdict = match newest && question.to > asked.now {
            true => zone_check::judge_newest(&shown, asked),
            false => zone_check::judge(&shown, asked),
        };
        let shows = match verdict {
            ZoneVerdict::Contradicted(contradiction) => return Err(self.wrong_zone(contradiction)),
            ZoneVerdict::Undecided { call } if !self.zone.decided => self.decide_zone(call).await?,
            ZoneVerdict::Undecided { .. } | ZoneVerdict::Fits => Shows::Fits,
            ZoneVerdict::Silent => Shows::Nothing,
        };
        if shows == Shows::Nothing
            && !self.zone.has_refuted_ids(asked.now)
            && let Some(contradiction) = zone_check::by_call_ids_alone(&shown)
        {
            return Err(self.wrong_zone(contradiction));
        }
        self.zone.seen |= !answer.records.is_empty() && !matches!(shows, Shows::Open(_));
        Ok(shows)
    }

    /// Requests some minutes around a known call: only in the right zone is it returned.
    async fn decide_zone(&mut self, call: DateTime<Utc>) -> Result<Shows, SyncError> {
        let zone = self.account.client.timezone();
        let (from, to) = zone_check::around(call);
        let wider = (from - TimeDelta::minutes(4), to + TimeDelta::minutes(20));
        let mut answered = 0;
        for (from, to) in [(from, to), wider] {
            let found = self.finds(call, from, to).await?;
            if found == Some(true) {
                self.zone.decided = true;
                return Ok(Shows::Fits);
            }
            answered += u32::from(found.is_some());
        }
        let (from, to) = zone_check::around_elsewhere(call, zone);
        if self.finds(call, from, to).await? == Some(true) {
            return Err(self.wrong_zone(zone_check::not_found(call, zone)));
        }
        match answered {
            // UTC is what the vendor documents (docs/voicenter-api.md#time-zone): records that are found by something
            // else than their date prove nothing, and are not asked about again before the next look.
            2 if zone_check::is_utc(zone, call) => {
                self.zone.decided = true;
                Ok(Shows::Nothing)
            }
            2 => Err(self.wrong_zone(zone_check::not_found(call, zone))),
            _ => Ok(Shows::Open(format!("{WHY_OPEN} {zone} fits: the API did not answer"))),
        }
    }

    async fn finds(
        &mut self,
        call: DateTime<Utc>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Option<bool>, SyncError> {
        let mut looked = self.look(from, to).await?;
        // An API may refuse a span in the future of its clock; the call itself is never there.
        for nearer in [self.clock.now(), call + TimeDelta::seconds(1)] {
            if matches!(looked, Looked::Refused) && from < nearer && nearer < to {
                looked = self.look(from, nearer).await?;
            }
        }
        Ok(match looked {
            Looked::Answered(answered) => Some(zone_check::finds(&ZoneSigns::from(&answered.1), call)),
            _ => None,
        })
    }

    fn wrong_zone(&mut self, contradiction: Contradiction) -> SyncError {
        self.zone = ZoneWatch { ids_refuted_at: self.zone.ids_refuted_at, ..ZoneWatch::default() };
        let zone = self.account.client.timezone();
        let message = contradiction.describe(zone, self.clock.now());
        ZoneContradicted { account: &self.account.name, message: &message }.emit();
        SyncError::WrongZone { message }
    }
}
