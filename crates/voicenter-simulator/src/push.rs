//! CDR notifications: what a call causes to be pushed, when, and what becomes of it.
//!
//! Nothing here waits for the time: pushes are due by the simulated clock, and whoever moves it has them sent.

mod ai;
mod arguments;
mod body;
mod deliver;
mod fields;
mod options;
mod plan;
mod truth;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

pub use arguments::PushArgs;
pub use body::Push;
pub use options::{PushForm, PushOptions, PushTime};
pub use truth::{Deliveries, PushTruth};

use super::calls::Entry;
use super::random::Random;
use super::record::{Record, instant};
use super::records_file;
use super::stretch;
use super::world::World;
use deliver::Receiver;
use fields::{Facts, Style};
use plan::PushPlan;

/// A call is over at most this long after its Date, in seconds, and its Date moves by less.
const LONGEST_CALL: i64 = 5 * 3_600;
/// The most pushes that are taken off the queue at once.
const BATCH: usize = 512;

/// Where a CDR is in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    Generated { stretch: i64, index: usize },
    ByHand(usize),
}

/// A push that waits for its time. The order is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// Seconds since 1970.
    due: i64,
    /// Pushes of one second come in any order, but always in the same.
    seed: u64,
    as_of: i64,
    has_ai: bool,
    attempt: u32,
    source: Source,
}

/// What became of a CDR's pushes.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    received: Option<i64>,
    ai_received: Option<i64>,
    was_type_received: bool,
}

/// Sends the pushes of one world.
#[derive(Debug)]
pub(crate) struct Pusher {
    options: PushOptions,
    world: World,
    receiver: Receiver,
    queue: Mutex<Queue>,
    /// Only one at a time sends: otherwise the order would be anybody's.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Queue {
    /// Differs after a restart: what was on its way then counts no more.
    number: u64,
    since: i64,
    /// The first stretch whose calls are not in the queue.
    next_stretch: i64,
    /// The number of records inserted by hand that are.
    inserted: usize,
    waiting: BinaryHeap<Reverse<Waiting>>,
    fates: HashMap<Source, Fate>,
    deliveries: Deliveries,
}

impl Pusher {
    /// The error says what is wrong with the options.
    pub(crate) fn new(options: PushOptions, world: World, now: DateTime<Utc>) -> Result<Self, String> {
        let receiver = Receiver::new(&options)?;
        let queue = Mutex::new(Queue::new(&options, &world, now, 0));
        Ok(Self { options, world, receiver, queue, sending: tokio::sync::Mutex::new(()) })
    }

    /// Begins again: nothing was sent.
    pub(crate) fn restart(&self, now: DateTime<Utc>) {
        let mut queue = self.queue();
        *queue = Queue::new(&self.options, &self.world, now, queue.number + 1);
    }

    /// Whether somebody sends what is due without being asked.
    pub(crate) fn is_in_background(&self) -> bool {
        self.options.in_background
    }

    /// All pushes that are due by `until`, in the order in which they are sent. They count as sent and accepted.
    pub(crate) fn due(&self, until: DateTime<Utc>) -> Vec<Push> {
        let mut queue = self.queue();
        let until = until.timestamp();
        let mut pushes = Vec::new();
        while let Some(waiting) = queue.next(until, &self.options, &self.world) {
            if let Some((push, has_type)) = self.written(&waiting) {
                pushes.push(push);
                queue.settle(waiting, has_type, true, &self.options);
            }
        }
        pushes
    }

    /// Sends all pushes that are due by `now`, repeats included.
    pub(crate) async fn deliver(&self, now: DateTime<Utc>) -> Deliveries {
        let _sending = self.sending.lock().await;
        let now = now.timestamp();
        let mut all = Deliveries::default();
        loop {
            let (number, batch) = self.queue().batch(now, &self.options, &self.world);
            if batch.is_empty() {
                return all;
            }
            let sent = stream::iter(batch).map(|waiting| async move {
                let (push, has_type) = self.written(&waiting)?;
                let is_accepted = self.receiver.send(&push).await;
                let outcome = if is_accepted { "accepted" } else { "refused" };
                // The address holds a key, and the content phone numbers.
                tracing::info!(target: crate::LOG, to = self.receiver.host, form = ?push.form,
                    attempt = waiting.attempt, outcome, "push");
                Some((waiting, has_type, is_accepted))
            });
            let mut sent = std::pin::pin!(sent.buffer_unordered(self.options.at_once.max(1)));
            while let Some(outcome) = sent.next().await {
                let Some((waiting, has_type, is_accepted)) = outcome else { continue };
                let mut queue = self.queue();
                if queue.number == number {
                    all.add(queue.settle(waiting, has_type, is_accepted, &self.options));
                }
            }
        }
    }

    /// What was sent since the start.
    pub(crate) fn deliveries(&self) -> Deliveries {
        self.queue().deliveries
    }

    /// What became of each CDR whose Date is in `[from, to)` when its push is written.
    pub(crate) fn truth(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<PushTruth> {
        let queue = self.queue();
        let (first, last) = (from.max(self.world.options().from).timestamp(), to.timestamp());
        let mut all = Vec::new();
        let stretches = stretch::dated_within(self.world.options(), first, last);
        for number in stretches.take_while(|_| self.world.generates()) {
            let stretch = self.world.stretch(number);
            for index in 0..stretch.len() {
                let Some(entry) = stretch.entry(index) else { continue };
                let course = Course::of(entry);
                all.extend(self.truth_of(&queue, Source::Generated { stretch: number, index }, course));
            }
        }
        for (index, record, _) in self.world.inserted(0) {
            let course = Course::by_hand(&record);
            all.extend(self.truth_of(&queue, Source::ByHand(index), course));
        }
        all.retain(|truth| from <= truth.started_at && truth.started_at < to);
        all.sort_by(|a, b| (&a.call_id, &a.call_type).cmp(&(&b.call_id, &b.call_type)));
        all
    }

    fn truth_of(&self, queue: &Queue, source: Source, course: Course) -> Option<PushTruth> {
        let plan = course.plan(&self.options).after(queue.since);
        let first = plan.first().map(|push| push.due);
        let record = self.record(source, first.unwrap_or(course.ended))?;
        let fate = queue.fates.get(&source).copied().unwrap_or_default();
        let facts = Facts::of(&record, course.seed);
        Some(PushTruth {
            started_at: record.started_at,
            ended_at: instant(course.ended),
            first_at: first.map(instant),
            ai_at: plan.with_ai().map(|push| instant(push.due)),
            received_at: fate.received.map(instant),
            ai_received_at: fate.ai_received.map(instant),
            was_type_received: fate.was_type_received,
            talk_seconds: facts.talk,
            queue_wait_seconds: facts.wait,
            queue_id: record.queue_id.unwrap_or(0),
            is_local_time: plan::is_local(&self.options, course.seed),
            call_id: record.call_id,
            call_type: record.call_type,
        })
    }

    /// A push as it is sent, and whether it names the type.
    fn written(&self, waiting: &Waiting) -> Option<(Push, bool)> {
        let record = self.record(waiting.source, waiting.as_of)?;
        // The same for a repeat and for a duplicate, whose words are the same.
        let parts = [waiting.seed, 26, waiting.as_of.cast_unsigned(), u64::from(waiting.has_ai)];
        let mut random = Random::of(&parts);
        let style = Style {
            zone: self.options.zone,
            is_local: plan::is_local(&self.options, waiting.seed),
            has_type: !random.chance(self.options.no_type_share),
            has_ai: waiting.has_ai,
        };
        let form = random.pick(&self.options.forms);
        let fields = fields::of(&record, waiting.seed, style, &mut random);
        Some((body::of(fields, form, self.options.text_share, &mut random), style.has_type))
    }

    fn record(&self, source: Source, at: i64) -> Option<Record> {
        match source {
            Source::Generated { stretch, index } => self.world.generated_record(stretch, index, at),
            Source::ByHand(index) => self.world.inserted_record(index, at),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An invented analysis of a call, with all its parts.
pub(crate) fn analysis(record: &Record, random: &mut Random) -> serde_json::Value {
    ai::data(record, random)
}

/// What decides about the pushes of a CDR.
#[derive(Clone, Copy, Debug)]
struct Course {
    seed: u64,
    /// Seconds since 1970.
    ended: i64,
    is_answered: bool,
}

impl Course {
    fn of(entry: &Entry) -> Self {
        let ended = entry.started + i64::from(entry.ring) + i64::from(entry.duration);
        Self { seed: entry.id, ended, is_answered: entry.status == "ANSWER" }
    }

    fn by_hand(record: &Record) -> Self {
        let name = record.call_id.bytes().chain([0]).chain(record.call_type.bytes());
        let seed = Random::of(&name.map(u64::from).collect::<Vec<_>>()).next();
        let ended = records_file::end(record).timestamp();
        Self { seed, ended, is_answered: record.dial_status == "ANSWER" }
    }

    fn plan(self, options: &PushOptions) -> PushPlan {
        PushPlan::of(options, self.seed, self.ended, self.is_answered)
    }
}

impl Queue {
    fn new(options: &PushOptions, world: &World, now: DateTime<Utc>, number: u64) -> Self {
        let since = options.since.unwrap_or(now).timestamp();
        let reach = since - PushPlan::longest(options) - LONGEST_CALL;
        let first = reach.max(world.options().from.timestamp());
        Self {
            number,
            since,
            next_stretch: *stretch::dated_within(world.options(), first, first).start(),
            inserted: 0,
            waiting: BinaryHeap::new(),
            fates: HashMap::new(),
            deliveries: Deliveries::default(),
        }
    }

    /// The next push that is due by `until`. Each stretch of the world is looked at once.
    fn next(&mut self, until: i64, options: &PushOptions, world: &World) -> Option<Waiting> {
        let last = *stretch::dated_within(world.options(), until, until).end();
        while self.next_stretch <= last && world.generates() {
            let number = self.next_stretch;
            let stretch = world.stretch(number);
            for index in 0..stretch.len() {
                if let Some(entry) = stretch.entry(index) {
                    self.put(Source::Generated { stretch: number, index }, Course::of(entry), options, 0);
                }
            }
            self.next_stretch += 1;
        }
        for (index, record, known) in world.inserted(self.inserted) {
            self.put(Source::ByHand(index), Course::by_hand(&record), options, known);
            self.inserted += 1;
        }
        let is_due = self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.due <= until);
        let next = if is_due { self.waiting.pop() } else { None };
        next.map(|Reverse(waiting)| waiting)
    }

    /// Queues the pushes of a CDR that nobody knew of before `known`.
    fn put(&mut self, source: Source, course: Course, options: &PushOptions, known: i64) {
        for push in course.plan(options).after(self.since).pushes {
            self.waiting.push(Reverse(Waiting {
                due: push.due,
                seed: course.seed,
                as_of: push.as_of.max(known),
                has_ai: push.has_ai,
                attempt: 1,
                source,
            }));
        }
    }

    fn batch(&mut self, now: i64, options: &PushOptions, world: &World) -> (u64, Vec<Waiting>) {
        let batch = std::iter::from_fn(|| self.next(now, options, world)).take(BATCH).collect();
        (self.number, batch)
    }

    /// Remembers what became of a push; one without a good answer is repeated.
    fn settle(
        &mut self,
        sent: Waiting,
        has_type: bool,
        is_accepted: bool,
        options: &PushOptions,
    ) -> Deliveries {
        let mut done = Deliveries { sent: 1, ..Deliveries::default() };
        if is_accepted {
            done.accepted = 1;
            let fate = self.fates.entry(sent.source).or_default();
            let earliest = |known: Option<i64>| Some(known.map_or(sent.due, |known| known.min(sent.due)));
            fate.received = earliest(fate.received);
            fate.was_type_received |= has_type;
            if sent.has_ai {
                fate.ai_received = earliest(fate.ai_received);
            }
        } else {
            done.refused = 1;
            if sent.attempt < options.tries {
                let wait = options.spacing.num_seconds().max(1) << (sent.attempt - 1).min(10);
                let repeat = Waiting { due: sent.due + wait, attempt: sent.attempt + 1, ..sent };
                self.waiting.push(Reverse(repeat));
            } else {
                done.given_up = 1;
            }
        }
        self.deliveries.add(done);
        done
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;
    use crate::options::WorldOptions;

    /// A month of 10,000 calls a day in steps of ten minutes: each stretch of the world is looked at once, or this
    /// would take hours.
    #[test]
    fn a_month_is_planned_in_small_steps_like_in_one() {
        let from = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap();
        let world = World::new(WorldOptions { from, ..WorldOptions::default() });
        let options = PushOptions::to("http://127.0.0.1/");
        let mut queue = Queue::new(&options, &world, from, 0);
        let mut steps = Vec::new();
        for step in 1..=30 * 144 {
            let until = (from + TimeDelta::minutes(10 * step)).timestamp();
            steps.extend(std::iter::from_fn(|| queue.next(until, &options, &world)));
            assert!(steps.last().is_none_or(|last: &Waiting| last.due <= until));
        }
        let mut queue = Queue::new(&options, &world, from, 0);
        let until = (from + TimeDelta::days(30)).timestamp();
        let at_once: Vec<Waiting> = std::iter::from_fn(|| queue.next(until, &options, &world)).collect();
        assert!(steps == at_once && steps.is_sorted());
        assert!((300_000..450_000).contains(&steps.len()), "{}", steps.len());
    }
}
