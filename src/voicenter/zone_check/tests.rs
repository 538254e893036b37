//! Zones that fit, and those that do not.

use chrono_tz::Asia::Jerusalem;

use super::super::zones::Shift;
use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// From 10 to 11 o'clock UTC in January, requested when that was over.
fn asked() -> AskedBounds {
    let (from, to) = (utc("2026-01-10T10:00:00Z"), utc("2026-01-10T11:00:00Z"));
    AskedBounds { from, to, now: to }
}

/// Records at these minutes after 10 o'clock.
fn zoneless(minutes: &[i64]) -> ZoneSigns {
    let dates = minutes.iter().map(|minute| asked().from + TimeDelta::minutes(*minute)).collect();
    let zones = ZoneEvidence { zoneless: minutes.len(), ..ZoneEvidence::default() };
    ZoneSigns { zones, dates, exact_bounds: true, server_date: None }
}

fn zoned(minutes: &[i64]) -> ZoneSigns {
    let zones = ZoneEvidence { zoned: minutes.len(), ..ZoneEvidence::default() };
    ZoneSigns { zones, ..zoneless(minutes) }
}

fn shift(quarters: i32, agreeing: usize, of: usize) -> Option<Shift> {
    let zeros = if quarters == 0 { agreeing } else { of - agreeing };
    Some(Shift { quarters, agreeing, zeros, of })
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
    assert_eq!(contradicted(judge(&shown, asked())), Some((Sign::Epoch, 120)));
    shown.zones.epoch = shift(0, 3, 3);
    assert_eq!(judge(&shown, asked()), ZoneVerdict::Fits);
    shown.zones.epoch = shift(8, 2, 3);
    assert_eq!(judge(&shown, asked()), ZoneVerdict::Silent);
    shown.zones.epoch = shift(8, 2, 2);
    assert_eq!(judge(&shown, asked()), ZoneVerdict::Silent, "two may both be odd");
}

#[test]
fn records_beside_the_span_asked_show_how_far_the_api_s_clock_is_off() {
    // Bounds in Israel's time for an API in UTC: it returns what was two hours later.
    let found = judge(&zoned(&[121, 150, 179]), asked());
    assert_eq!(contradicted(found), Some((Sign::Bounds, -120)));
    // The other way round.
    let found = judge(&zoned(&[-119, -90, -61]), asked());
    assert_eq!(contradicted(found), Some((Sign::Bounds, 120)));
    // A server that ignores the bounds, and a record or two at the edge, say nothing about a zone.
    assert_eq!(contradicted(judge(&zoned(&[-50, 10, 30, 90]), asked())), None);
    assert_eq!(judge(&zoned(&[5, 10, 30, 75]), asked()), ZoneVerdict::Fits);
    let widened = ZoneSigns { exact_bounds: false, ..zoned(&[121, 150]) };
    assert_eq!(contradicted(judge(&widened, asked())), None);
}

#[test]
fn dates_with_z_leave_the_zone_of_the_bounds_open_until_a_call_shows_it() {
    // An hour with its first calls; an API three hours behind would show none of them.
    assert_eq!(judge(&zoned(&[10, 50]), asked()), ZoneVerdict::Fits);
    let call = utc("2026-01-10T10:40:00Z");
    assert_eq!(judge(&zoned(&[20, 40]), asked()), ZoneVerdict::Undecided { call });
    assert!(finds(&zoned(&[38, 40]), call) && finds(&zoned(&[60]), call));
    assert!(!finds(&zoned(&[]), call) && !finds(&zoned(&[160]), call));
    // A quarter of an hour that shows a call leaves no room.
    let newest =
        AskedBounds { from: utc("2026-01-10T10:30:00Z"), to: utc("2026-01-10T10:44:00Z"), ..asked() };
    assert_eq!(judge(&zoned(&[40]), newest), ZoneVerdict::Fits);
    assert_eq!(around_elsewhere(call, Jerusalem).0, around(call).0 - TimeDelta::hours(2));
    assert_eq!(not_found(call, Jerusalem).ahead, -TimeDelta::hours(2));
    assert_eq!(not_found(call, Tz::UTC).ahead, TimeDelta::hours(2));
}

#[test]
fn signs_that_contradict_each_other_prove_no_zone() {
    // Israel's time with an epoch that is the wall clock's, read as either zone.
    let mut shown = zoneless(&[1, 2, 3]);
    (shown.zones.epoch, shown.zones.call_id) = (shift(8, 3, 3), shift(0, 3, 3));
    assert_eq!(contradicted(judge(&shown, asked())), Some((Sign::Disagreeing, 120)));
    let mut shown = zoneless(&[70, 80, 90]);
    (shown.zones.epoch, shown.zones.call_id) = (shift(0, 3, 3), shift(-8, 3, 3));
    let ahead = AskedBounds { to: utc("2026-01-11T11:00:00Z"), ..asked() };
    assert_eq!(contradicted(judge(&shown, ahead)), Some((Sign::Disagreeing, 120)));
}

#[test]
fn zoneless_dates_later_than_both_clocks_show_a_zone_that_is_behind() {
    let ahead = AskedBounds { to: utc("2026-01-11T11:00:00Z"), ..asked() };
    let found = judge(&zoneless(&[20, 70, 100, 178]), ahead);
    assert_eq!(contradicted(found), Some((Sign::Future, 120)));
    // One clock explains them.
    let theirs =
        ZoneSigns { server_date: Some(utc("2026-01-10T13:00:00Z")), ..zoneless(&[20, 70, 100, 178]) };
    assert_eq!(contradicted(judge(&theirs, ahead)), None);
    // An odd one among many, however far ahead, is odd.
    let odd = zoneless(&[1, 2, 3, 4, 5, 6, 178]);
    assert_eq!(contradicted(judge(&odd, ahead)), None);
    let far = zoneless(&[60 * 24 * 365]);
    assert_eq!(contradicted(judge(&far, ahead)), None);
    // The same is true of two out of two.
    assert_eq!(contradicted(judge(&zoneless(&[170, 178]), ahead)), None);
    // Where the instants are certain only a clock can be wrong.
    assert_eq!(contradicted(judge(&zoned(&[70, 80, 90]), ahead)), None);
}

#[test]
fn many_call_ids_that_nothing_refutes_put_the_zone_in_doubt() {
    let (from, to) = (utc("2026-01-09T11:00:00Z"), utc("2026-01-11T11:00:00Z"));
    let ahead = AskedBounds { from, to, ..asked() };
    let minutes: Vec<i64> = (-180..-60).step_by(6).collect();
    let mut shown = zoneless(&minutes);
    assert_eq!(judge_newest(&shown, ahead), ZoneVerdict::Fits, "as far as can be told");
    // Zoneless UTC, read as Israel's time: all records seem two hours older than they are.
    shown.zones.call_id = shift(8, minutes.len(), minutes.len());
    assert_eq!(judge_newest(&shown, ahead), ZoneVerdict::Silent);
    let found = by_call_ids_alone(&shown).unwrap();
    assert_eq!((found.sign, found.ahead.num_minutes()), (Sign::CallId, -120));
    assert!(!refutes_call_ids(&shown, ahead));
    shown.dates.push(ahead.now - TimeDelta::minutes(20));
    assert!(refutes_call_ids(&shown, ahead), "a younger one refutes them");
    // The other way round: calls that continue up to the present and not beyond it are not hours in the future.
    shown.zones.call_id = shift(-8, minutes.len(), minutes.len());
    assert!(!refutes_call_ids(&shown, ahead));
    shown.dates.extend([5, 9].map(|minutes| ahead.now - TimeDelta::minutes(minutes)));
    assert!(refutes_call_ids(&shown, ahead));
    shown.zones.call_id = shift(8, 9, 9);
    assert_eq!(by_call_ids_alone(&shown), None, "too few");
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
