//! Whether the API keeps the time that `api.timezone` says: seen from every answer, and looked for at the start and daily.

use chrono::{DateTime, TimeDelta, Utc};

use super::SyncError;
use super::asker::Asker;
use crate::voicenter::zone_check::{self, Asked, Contradiction, Shown, ZoneVerdict};
use crate::voicenter::{Action, Answer, ApiError, Form, Question};

/// How often the newest calls and a day ahead are looked at.
const EVERY: TimeDelta = TimeDelta::days(1);
/// The same while no record has come yet, or while CallIDs hint at another zone.
const UNTOLD_EVERY: TimeDelta = TimeDelta::hours(1);
const WHY_OPEN: &str = "dates come with Z, and it is not decided yet whether api.timezone";
/// After a look that the API did not answer.
const FAILED_EVERY: TimeDelta = TimeDelta::minutes(10);

/// What this process has seen of the API's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ZoneWatch {
    /// A record came, and nothing contradicted the zone.
    seen: bool,
    /// The zone of the bounds was decided although the dates carry another one.
    decided: bool,
    /// When to look next; `None` at the start.
    look_at: Option<DateTime<Utc>>,
    /// When it was looked last.
    looked_at: Option<DateTime<Utc>>,
}

impl ZoneWatch {
    /// Returns `true` if a look is due.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        // A look that is due in more than a day was planned by a clock that has been set back since.
        self.look_at.is_none_or(|at| at <= now || at - now > EVERY)
    }

    /// Returns `true` if the last look was so long ago that a doubt calls for another.
    pub(super) fn may_look_again(&self, now: DateTime<Utc>) -> bool {
        self.looked_at.is_none_or(|at| (now - at).abs() >= FAILED_EVERY)
    }

    /// Returns `true` if a record has come whose date fits.
    pub(super) fn has_seen_records(&self) -> bool {
        self.seen
    }
}

/// What an answer showed that did not contradict the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// That it fits.
    Fits,
    /// Nothing.
    Nothing,
    /// It is open, for a question that would decide it got no answer: why.
    Open(String),
}

impl Asker {
    /// Looks at the newest calls and a day ahead; further back where none comes.
    ///
    /// [`SyncError::WrongZone`] when the zone is contradicted.
    pub(super) async fn look_at_zone(&mut self) -> Result<(), SyncError> {
        let now = self.clock.now();
        let mut next = FAILED_EVERY;
        (self.zone.looked_at, self.zone.decided) = (Some(now), false);
        for (back, ahead) in zone_check::looks(self.account.settings.max_window) {
            let Some((question, answer)) = self.look(now - back, now + ahead).await? else { break };
            next = UNTOLD_EVERY;
            if answer.listed > 0 {
                next = match self.check_zone(&answer, &question, true).await? {
                    Shows::Fits => EVERY,
                    Shows::Nothing => UNTOLD_EVERY,
                    Shows::Open(_) => FAILED_EVERY,
                };
                break;
            }
        }
        self.zone.look_at = Some(now + next);
        Ok(())
    }

    /// The answer for a span; less of it where it holds too many records, and an earlier one where that is refused as
    /// the future, which it is for an API whose clock is behind.
    async fn look(
        &mut self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Option<(Question, Answer)>, SyncError> {
        let now = self.clock.now();
        let (mut from, mut to) = (from, to);
        let end = to.min(now);
        loop {
            let question = Question::for_newest(self.account.filter.clone(), from, to);
            let (_, result) = self.ask(question.clone(), Form::BARE, &mut 0).await?;
            let error = match result {
                Ok(asked) => return Ok(Some((question, asked.answer))),
                Err(error) => error,
            };
            match error.action() {
                Action::Split | Action::SplitTooLarge if end - from > TimeDelta::minutes(1) => {
                    from = end - (end - from) / 8;
                }
                Action::Stop if to > now => to = error.server_date().map_or(now, |theirs| theirs.min(now)),
                Action::Stop if now - to < EVERY => (from, to) = (from - EVERY, to - EVERY),
                Action::Pause { .. } => return Err(self.refused(&error)),
                _ => return self.not_looked(&error),
            }
            if from >= to {
                return self.not_looked(&error);
            }
        }
    }

    fn not_looked<T>(&self, error: &ApiError) -> Result<Option<T>, SyncError> {
        tracing::debug!(event = "zone_not_looked_at", account = self.account.name, %error);
        Ok(None)
    }

    /// What an answer shows of the zone. `newest`: the absence of future dates counts.
    pub(super) async fn check_zone(
        &mut self,
        answer: &Answer,
        question: &Question,
        newest: bool,
    ) -> Result<Shows, SyncError> {
        let zone = self.account.client.timezone();
        let now = self.clock.now();
        let asked = Asked { from: question.from, to: question.to, zone, now };
        let verdict = match newest && question.to > now {
            true => zone_check::judge_newest(&answer.into(), asked),
            false => zone_check::judge(&answer.into(), asked),
        };
        let shows = match verdict {
            ZoneVerdict::Contradicted(contradiction) => return Err(self.wrong_zone(contradiction)),
            ZoneVerdict::Undecided { call } if !self.zone.decided => self.decide_zone(call).await?,
            ZoneVerdict::Undecided { .. } | ZoneVerdict::Fits => Shows::Fits,
            ZoneVerdict::Silent => Shows::Nothing,
        };
        self.zone.seen |= !answer.records.is_empty() && !matches!(shows, Shows::Open(_));
        Ok(shows)
    }

    /// Asks for a few minutes around a call that is there: only in the right zone any of them come.
    async fn decide_zone(&mut self, call: DateTime<Utc>) -> Result<Shows, SyncError> {
        let (from, to) = zone_check::around(call);
        let zone = self.account.client.timezone();
        let Some((_, answer)) = self.look(from, to).await? else {
            return Ok(Shows::Open(format!("{WHY_OPEN} {zone} fits: the API did not answer")));
        };
        match zone_check::decide(&Shown::from(&answer), call, zone) {
            ZoneVerdict::Contradicted(contradiction) => Err(self.wrong_zone(contradiction)),
            _ => {
                self.zone.decided = true;
                Ok(Shows::Fits)
            }
        }
    }

    fn wrong_zone(&mut self, contradiction: Contradiction) -> SyncError {
        self.zone = ZoneWatch::default();
        let zone = self.account.client.timezone();
        let message = contradiction.describe(zone, self.clock.now());
        tracing::error!(event = "zone_contradicted", account = self.account.name, error = message);
        SyncError::WrongZone { message }
    }
}
