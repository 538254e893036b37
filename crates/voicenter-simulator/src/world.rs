//! The world: which records there are, at any instant, for any stretch of time.
//!
//! It is a pure function of the options, the instant and the changes made by hand: the same question always has the
//! same answer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::call_centre;
use super::calls::NEVER;
use super::intent::Intent;
use super::options::{Company, WorldOptions};
use super::record::Record;
use super::recordings;
use super::stretch::{self, Stretch};

/// The most index entries kept; at 130 to 200 bytes each, this is 200 MB at worst.
const CACHED_ENTRIES: usize = 1_000_000;

/// All calls of an invented company, past and future. Clones share the same world.
#[derive(Clone, Debug)]
pub struct World {
    options: Arc<WorldOptions>,
    cache: Arc<Mutex<Cache>>,
    by_hand: Arc<Mutex<ByHand>>,
    /// The address of the recording host, if there is one.
    recordings: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Cache {
    stretches: HashMap<i64, Arc<Stretch>>,
    oldest_first: VecDeque<i64>,
    entries: usize,
}

/// What was done to the records by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByHand {
    /// Records inserted or edited by hand, each with its versions in the order of time.
    records: Vec<Vec<(i64, Option<Arc<Record>>)>>,
    /// Generated records that are no longer shown as generated, and since when.
    replaced: HashMap<u64, i64>,
    /// Which of `records` were inserted, not edited.
    inserted: Vec<usize>,
}

/// A record that the API shows at an instant: cheap to keep, its fields are made on demand.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) started: DateTime<Utc>,
    /// When it appeared, which gives the order of an unsorted answer.
    pub(crate) appeared: (i64, u64),
    source: CallSource,
}

#[derive(Clone, Debug)]
enum CallSource {
    Generated(Arc<Stretch>, usize, Option<Arc<str>>),
    ByHand(Arc<Record>),
}

impl Shown {
    /// All its fields, as they are at `at`.
    pub(crate) fn record(&self, at: DateTime<Utc>) -> Record {
        match &self.source {
            CallSource::Generated(stretch, index, recordings) => {
                let record = generated(stretch, *index, at.timestamp(), recordings.as_deref());
                record.unwrap_or_else(|| Record::new("", "", self.started))
            }
            CallSource::ByHand(record) => record.as_ref().clone(),
        }
    }
}

impl World {
    /// The world that these options describe.
    pub fn new(options: WorldOptions) -> Self {
        Self::with_recordings(options, None)
    }

    /// The same, with links that lead to a recording host at `base`.
    pub(crate) fn with_recordings(options: WorldOptions, base: Option<String>) -> Self {
        let recordings = base.map(Arc::from);
        Self { options: Arc::new(options), cache: Arc::default(), by_hand: Arc::default(), recordings }
    }

    /// The options that it was made from.
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// What the calls were (`Simulator::intents`).
    pub(crate) fn intents(&self, at: DateTime<Utc>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Intent> {
        match self.options.company {
            Company::IndependentCalls => Vec::new(),
            Company::CallCentre => call_centre::intents(&self.options, at, from, to),
        }
    }

    /// Records to insert by hand while a call centre is closed, so that calls arrive at any hour: they look like
    /// its own and are fewer than in a working hour. For the hour that begins at `hour`, each with the end of its
    /// call, in that order.
    pub fn after_hours_calls(&self, hour: DateTime<Utc>) -> Vec<(DateTime<Utc>, Record)> {
        match self.options.company {
            Company::IndependentCalls => Vec::new(),
            Company::CallCentre => call_centre::after_hours(&self.options, hour),
        }
    }

    /// Adds a record that the API shows from `appears_at` on.
    pub fn insert(&self, record: Record, appears_at: DateTime<Utc>) {
        let mut hand = self.hand();
        let index = hand.records.len();
        hand.inserted.push(index);
        hand.records.push(vec![(appears_at.timestamp(), Some(Arc::new(record)))]);
    }

    /// The records that were inserted by hand as they were at first, without the first `known` of them: each with its
    /// place, and since when it is shown (seconds since 1970).
    pub(crate) fn inserted(&self, known: usize) -> Vec<(usize, Arc<Record>, i64)> {
        let hand = self.hand();
        let places = hand.inserted.iter().skip(known);
        let first = places.filter_map(|place| Some((*place, hand.records.get(*place)?.first()?)));
        first
            .filter_map(|(place, (since, record))| Some((place, Arc::clone(record.as_ref()?), *since)))
            .collect()
    }

    /// The record inserted in this place as it is at `at`, or as it was at first if it is not shown then.
    pub(crate) fn inserted_record(&self, place: usize, at: i64) -> Option<Record> {
        let hand = self.hand();
        let versions = hand.records.get(place)?;
        let first = || versions.first().and_then(|(_, record)| record.as_ref());
        version_at(versions, at).or_else(first).map(|record| record.as_ref().clone())
    }

    /// A generated record as it is at `at`, shown or not.
    pub(crate) fn generated_record(&self, number: i64, index: usize, at: i64) -> Option<Record> {
        let stretch = self.stretch(number);
        // Before it is shown, it has what it has then.
        let at = at.max(stretch.entry(index)?.appears);
        generated(&stretch, index, at, self.recordings.as_deref())
    }

    /// Returns `true` if any records are generated: an empty world needs no walk through its hours, which may be those of
    /// decades.
    pub(crate) fn generates(&self) -> bool {
        self.options.calls_per_day > 0.0 || self.options.campaigns_per_day > 0.0
    }

    /// Changes a record from the instant `at` on. Returns `false` without any change if there is no such record
    /// then.
    ///
    /// Of two records with one key, the one first changed or inserted by hand is meant.
    pub fn edit(
        &self,
        call_id: &str,
        call_type: &str,
        at: DateTime<Utc>,
        change: impl FnOnce(&mut Record),
    ) -> bool {
        self.replace(call_id, call_type, at, |record| {
            change(record);
            true
        })
    }

    /// Removes a record from the instant `at` on. Returns `false` if there is no such record then.
    pub fn remove(&self, call_id: &str, call_type: &str, at: DateTime<Utc>) -> bool {
        self.replace(call_id, call_type, at, |_| false)
    }

    fn replace(
        &self,
        call_id: &str,
        call_type: &str,
        at: DateTime<Utc>,
        keep: impl FnOnce(&mut Record) -> bool,
    ) -> bool {
        let now = at.timestamp();
        let is_meant = |record: &Record| record.call_id == call_id && record.call_type == call_type;
        let mut hand = self.hand();
        for versions in &mut hand.records {
            if let Some(record) = version_at(versions, now)
                && is_meant(record)
            {
                let mut record = record.as_ref().clone();
                let version = keep(&mut record).then(|| Arc::new(record));
                let place = versions.partition_point(|(since, _)| *since <= now);
                versions.insert(place, (now, version));
                return true;
            }
        }
        let Some((id, mut record)) = self.generated(&hand, call_id, now).find(|(_, record)| is_meant(record))
        else {
            return false;
        };
        hand.replaced.insert(id, now);
        if keep(&mut record) {
            hand.records.push(vec![(now, Some(Arc::new(record)))]);
        }
        true
    }

    fn generated(
        &self,
        hand: &ByHand,
        call_id: &str,
        at: i64,
    ) -> impl Iterator<Item = (u64, Record)> + use<> {
        let numbers = stretch::around(&self.options, call_id);
        let stretches: Vec<_> = numbers.into_iter().map(|number| self.stretch(number)).collect();
        let replaced = hand.replaced.clone();
        let recordings = self.recordings.clone();
        stretches
            .into_iter()
            .flat_map(|stretch| (0..stretch.len()).map(move |index| (Arc::clone(&stretch), index)))
            .filter_map(move |(stretch, index)| {
                let entry = stretch.entry(index)?;
                let is_shown =
                    entry.date_at(at).is_some() && replaced.get(&entry.id).is_none_or(|since| *since > at);
                let record = is_shown.then(|| generated(&stretch, index, at, recordings.as_deref()))??;
                Some((entry.id, record))
            })
    }

    /// What the API shows at `at` with a Date in `[from, to)`, in no order.
    pub(crate) fn shown(&self, at: DateTime<Utc>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Shown> {
        let mut shown = Vec::new();
        self.each_shown(at, from, to, |record| shown.push(record));
        shown
    }

    /// What the API shows at `at` of the call with this generated CallID, plus everything made by hand.
    pub(crate) fn shown_around(&self, at: DateTime<Utc>, call_id: &str) -> Vec<Shown> {
        let mut shown = self.shown_by_hand(at);
        for number in stretch::around(&self.options, call_id) {
            self.generated_in(number, at, &mut |record| shown.push(record));
        }
        shown
    }

    fn each_shown(
        &self,
        at: DateTime<Utc>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        mut visit: impl FnMut(Shown),
    ) {
        // Nothing that starts after `at` can have appeared.
        let (first, last) = (from.max(self.options.from).timestamp(), to.min(at).timestamp());
        let inside = |record: &Shown| from <= record.started && record.started < to;
        for number in stretch::dated_within(&self.options, first, last).take_while(|_| self.generates()) {
            self.generated_in(number, at, &mut |record| {
                if inside(&record) {
                    visit(record);
                }
            });
        }
        self.shown_by_hand(at).into_iter().filter(inside).for_each(visit);
    }

    fn shown_by_hand(&self, at: DateTime<Utc>) -> Vec<Shown> {
        let at = at.timestamp();
        let hand = self.hand();
        let numbered = (0u64..).zip(&hand.records);
        let versions = numbered.filter_map(|(number, versions)| {
            let record = version_at(versions, at)?;
            let appeared = versions.first().map_or(0, |(since, _)| *since);
            let source = CallSource::ByHand(Arc::clone(record));
            Some(Shown { started: record.started_at, appeared: (appeared, number), source })
        });
        versions.collect()
    }

    fn generated_in(&self, number: i64, at: DateTime<Utc>, visit: &mut dyn FnMut(Shown)) {
        let at = at.timestamp();
        let stretch = self.stretch(number);
        let hand = self.hand();
        for index in 0..stretch.len() {
            let Some(entry) = stretch.entry(index) else { continue };
            let Some(date) = entry.date_at(at) else { continue };
            if hand.replaced.get(&entry.id).copied().unwrap_or(NEVER) > at {
                visit(Shown {
                    started: super::record::instant(date),
                    appeared: (entry.appears, entry.id),
                    source: CallSource::Generated(Arc::clone(&stretch), index, self.recordings.clone()),
                });
            }
        }
    }

    pub(crate) fn stretch(&self, number: i64) -> Arc<Stretch> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stretch) = cache.stretches.get(&number) {
            return Arc::clone(stretch);
        }
        let stretch = Arc::new(Stretch::generate(&self.options, number));
        cache.entries += stretch.len();
        cache.stretches.insert(number, Arc::clone(&stretch));
        cache.oldest_first.push_back(number);
        while cache.entries > CACHED_ENTRIES
            && let Some(oldest) = cache.oldest_first.pop_front()
        {
            cache.entries -= cache.stretches.remove(&oldest).map_or(0, |stretch| stretch.len());
        }
        stretch
    }

    /// Everything done by hand so far.
    pub(crate) fn copy_by_hand(&self) -> ByHand {
        self.hand().clone()
    }

    /// Undoes everything done by hand since `by_hand` was copied.
    pub(crate) fn restore_by_hand(&self, by_hand: &ByHand) {
        *self.hand() = by_hand.clone();
    }

    fn hand(&self) -> MutexGuard<'_, ByHand> {
        self.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A generated record as it is at `at`, its link leading to the recording host at `recordings`.
fn generated(stretch: &Stretch, index: usize, at: i64, recordings: Option<&str>) -> Option<Record> {
    let mut record = stretch.record(index, at)?;
    recordings.into_iter().for_each(|base| recordings::lead(&mut record, base));
    Some(record)
}

fn version_at(versions: &[(i64, Option<Arc<Record>>)], at: i64) -> Option<&Arc<Record>> {
    versions.iter().rev().find(|(since, _)| *since <= at).and_then(|(_, record)| record.as_ref())
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};

    use super::*;

    fn sunday() -> DateTime<Utc> {
        // A Saturday 21:00 UTC in June: midnight at the start of a Sunday in Israel.
        Utc.with_ymd_and_hms(2026, 6, 6, 21, 0, 0).unwrap()
    }

    fn days(world: &World) -> Vec<usize> {
        let later = sunday() + Duration::days(60);
        let day = |n| sunday() + Duration::days(n);
        (0..28).map(|n| world.shown(later, day(n), day(n + 1)).len()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_world_and_another_seed_another() {
        let records = |seed| {
            let world = World::new(WorldOptions { seed, calls_per_day: 500.0, ..WorldOptions::default() });
            let at = sunday() + Duration::days(3);
            let shown = world.shown(at, sunday(), at);
            shown.iter().map(|shown| shown.record(at)).collect::<Vec<_>>()
        };
        assert_eq!(records(3), records(3));
        assert_ne!(records(3), records(4));
    }

    #[test]
    fn a_week_has_the_calls_asked_for_and_the_shape_of_the_israeli_week() {
        let world = World::new(WorldOptions { calls_per_day: 4_000.0, ..WorldOptions::default() });
        let days = days(&world);
        let average = days.iter().sum::<usize>() as f64 / 28.0;
        assert!((average - 4_000.0).abs() < 200.0, "{average}");
        for week in days.chunks(7) {
            assert!(week[6] * 15 < week[0], "Saturday far below Sunday: {week:?}");
            assert!(week[5] * 2 < week[3] && week[5] > week[6] * 3, "Friday is short: {week:?}");
        }
    }

    #[test]
    fn every_type_of_the_document_and_legs_with_one_call_id_occur() {
        let world = World::new(WorldOptions { calls_per_day: 4_000.0, ..WorldOptions::default() });
        let at = sunday() + Duration::days(8);
        let shown = world.shown(at, sunday(), sunday() + Duration::days(1));
        let records: Vec<Record> = shown.iter().map(|shown| shown.record(at)).collect();
        let types: std::collections::BTreeSet<_> = records.iter().filter_map(|r| r.cdr_type).collect();
        assert_eq!(
            types.into_iter().collect::<Vec<_>>(),
            [1, 4, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23]
        );
        let leg = records.iter().find(|r| r.call_type == "Click2Call leg1").unwrap();
        assert!(records.iter().any(|r| r.call_id == leg.call_id && r.call_type == "Click2Call leg2"));
        let transfer = records.iter().find(|r| r.call_type == "XferCDR").unwrap();
        let original = transfer.custom_data["OriginalIvrUniqueID"].as_str().unwrap();
        assert!(records.iter().any(|r| r.call_id == original && r.call_type == "Incoming Call"));
    }

    #[test]
    fn a_record_appears_after_its_call_has_ended_and_the_lag_is_over() {
        let options = WorldOptions { calls_per_day: 2_000.0, late_share: 0.0, ..WorldOptions::default() };
        let world = World::new(options);
        let at = sunday() + Duration::hours(12);
        let shown = world.shown(at, sunday(), at);
        assert!(!shown.is_empty());
        for record in shown.iter().map(|shown| shown.record(at)) {
            let end = record.started_at
                + Duration::seconds(i64::from(record.duration.unwrap() + record.ring_time.unwrap()));
            assert!(end + Duration::minutes(1) <= at);
        }
        let later = world.shown(at + Duration::hours(5), sunday(), at);
        assert!(
            later.len() > shown.len(),
            "calls still in progress or just over at that instant appear later"
        );
    }

    #[test]
    fn records_are_filled_in_later_and_some_vanish_move_or_change_type() {
        let share = 0.2;
        let world = World::new(WorldOptions {
            calls_per_day: 1_000.0,
            change_share: 0.8,
            vanish_share: share,
            move_share: share,
            retype_share: share,
            ..WorldOptions::default()
        });
        let end = sunday() + Duration::hours(18);
        let early = end + Duration::minutes(30);
        let late = end + Duration::days(30);
        let all = |at: DateTime<Utc>| {
            let shown = world.shown(at, sunday(), end);
            let records = shown.iter().map(|shown| shown.record(at));
            records.map(|r| (r.call_id.clone() + &r.call_type, r)).collect::<HashMap<_, _>>()
        };
        let (before, after) = (all(early), all(late));
        assert!(after.len() < before.len() * 9 / 10, "some vanish");
        let both: Vec<_> = before.iter().filter_map(|(key, b)| after.get(key).map(|a| (b, a))).collect();
        assert!(both.iter().any(|(b, a)| b.record_url.is_empty() && !a.record_url.is_empty()));
        assert!(both.iter().any(|(b, a)| b.price != a.price && a.price.is_some()));
        assert!(both.iter().any(|(b, a)| b.custom_data != a.custom_data));
        assert!(both.iter().any(|(b, a)| b.started_at != a.started_at));
        assert!(both.iter().all(|(b, a)| b.dtmf_data == a.dtmf_data && b.caller_number == a.caller_number));
        assert!(after.keys().any(|key| !before.contains_key(key)), "a Type that changed is another key");
    }

    #[test]
    fn records_are_added_changed_and_removed_by_hand_at_given_instants() {
        let world = World::new(WorldOptions { calls_per_day: 500.0, ..WorldOptions::default() });
        let start = sunday();
        let count =
            |hours| world.shown(start + Duration::hours(hours), start, start + Duration::hours(9)).len();
        let untouched = count(40);
        world
            .insert(Record::new("by-hand", "Queue", start + Duration::hours(1)), start + Duration::hours(10));
        assert_eq!(count(40), untouched + 1);
        assert!(world.edit("by-hand", "Queue", start + Duration::hours(20), |r| r.did = "1".into()));
        assert!(world.remove("by-hand", "Queue", start + Duration::hours(30)));
        assert_eq!(count(40), untouched);
        assert!(!world.remove("by-hand", "Queue", start + Duration::hours(35)));

        let at = start + Duration::hours(36);
        let one = world.shown(at, start, start + Duration::hours(9))[0].record(at);
        assert!(world.edit(&one.call_id, &one.call_type, at, |r| r.price = Some("7.25".into())));
        assert_eq!(count(40), untouched);
        let shown = world.shown(at, start, start + Duration::hours(9));
        assert!(shown.iter().any(|shown| shown.record(at).price.as_deref() == Some("7.25")));
        assert!(world.remove(&one.call_id, &one.call_type, at + Duration::hours(1)));
        assert_eq!(count(40), untouched - 1);
    }
}
