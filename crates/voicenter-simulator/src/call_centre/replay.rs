//! Calls for a demo while the company is closed: those of a working morning once more, thinned out.

use chrono::{DateTime, TimeDelta, Utc};

use super::calendar::{Calendar, day_of};
use super::call::Call;
use super::day;
use crate::options::WorldOptions;
use crate::record::{Record, call_id, instant};

const HOUR: i64 = 3_600;
/// One in this number of calls is repeated: fewer than come in a working hour.
const THINNED: u64 = 4;
const LONGEST: i64 = 240;
/// Calls that began before the company closed end within this time.
const MARGIN: i64 = 3_600;
/// No feast is longer than this many days without a full one.
const FARTHEST: i64 = 14;
/// Record URL, price and analysis are there at once: nothing changes a record that is inserted by hand.
const COMPLETE: i64 = 30 * 86_400;

/// The records of calls that end within the hour that begins at `hour`, each with its call's end, in that order.
/// None if the company is open then, or was or will be shortly.
pub(crate) fn after_hours(options: &WorldOptions, hour: DateTime<Utc>) -> Vec<(DateTime<Utc>, Record)> {
    let target = hour.timestamp();
    let today = day_of(hour);
    let near = [today - 1, today, today + 1].into_iter().filter_map(|day| Calendar::of(day).open());
    if near.into_iter().any(|(opens, closes)| opens < target + HOUR + MARGIN && target < closes + MARGIN) {
        return Vec::new();
    }
    let full = |day: &i64| Calendar::of(*day).open().filter(|(opens, closes)| closes - opens > 8 * HOUR);
    let Some((day, opens)) =
        (1..=FARTHEST).map(|back| today - back).find_map(|day| Some((day, full(&day)?.0)))
    else {
        return Vec::new();
    };
    // From ten to two, hour by hour: the calls of different hours never share an agent at one time.
    let source = opens + (2 + target.div_euclid(HOUR).rem_euclid(4)) * HOUR;
    let fits = |call: &Call| {
        source <= call.started
            && call.ended < source + HOUR
            && call.ended - call.started <= LONGEST
            && call.transfer_answered.is_none()
            && call.original.is_none()
            && call.name.seed.is_multiple_of(THINNED)
    };
    let calls = day::simulate(options, day);
    let mut found: Vec<(DateTime<Utc>, Record)> =
        calls.iter().filter(|call| fits(call)).flat_map(|call| moved(call, target - source)).collect();
    found.sort_by_key(|(ended, _)| *ended);
    found
}

/// The records of a call, as if it had happened that many seconds later.
fn moved(call: &Call, later: i64) -> impl Iterator<Item = (DateTime<Utc>, Record)> {
    let id = call_id(call.name.seed.rotate_left(17) ^ later as u64, call.name.arrived + later);
    call.legs.iter().map(move |leg| {
        let mut record = leg.record(leg.entry.appears.saturating_add(COMPLETE));
        record.call_id.clone_from(&id);
        record.started_at = instant(leg.entry.started) + TimeDelta::try_seconds(later).unwrap_or_default();
        (instant(call.ended + later), record)
    })
}
