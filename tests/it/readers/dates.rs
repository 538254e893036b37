//! The calendar, and opening hours.

use chrono::{Datelike, Days, NaiveDate, TimeDelta, Weekday};
use serde_json::{Value, json};

use crate::bi::questions::questions;
use crate::readers::scene::ReaderScene;

const NISAN: u32 = 1;
const IYAR: u32 = 2;
const SIVAN: u32 = 3;
const AV: u32 = 5;
const TISHRI: u32 = 7;

/// The Hebrew calendar by its own arithmetic: days from its epoch to 1 Tishri of a year.
fn new_year(year: i64) -> i64 {
    let months = (235 * year - 234).div_euclid(19);
    let parts = 12_084 + 13_753 * months;
    let day = 29 * months + parts.div_euclid(25_920);
    // Not on a Sunday, Wednesday or Friday.
    day + i64::from((3 * (day + 1)).rem_euclid(7) < 3)
}

/// 1 Tishri, moved so that no year has an impossible length.
fn tishri_1(year: i64) -> NaiveDate {
    let (last, this, next) = (new_year(year - 1), new_year(year), new_year(year + 1));
    let moved = match (next - this, this - last) {
        (356, _) => 2,
        (_, 382) => 1,
        _ => 0,
    };
    // 1 Tishri of the year 1, in the proleptic Gregorian calendar.
    let epoch = NaiveDate::from_ymd_opt(-3760, 9, 7).unwrap();
    epoch + TimeDelta::days(this + moved)
}

/// The Hebrew year is the one that ends in the autumn of this Gregorian year for the months from Nisan to Elul, and the
/// one that begins then for Tishri.
fn hebrew(gregorian: i32, month: u32, day: u64) -> NaiveDate {
    let begins = tishri_1(i64::from(gregorian) + 3761);
    if month == TISHRI {
        return begins + Days::new(day - 1);
    }
    // From Nisan on all months have their length: 30 and 29 days in turn, 177 in all.
    let before: u64 = (NISAN..month).map(|month| if month % 2 == 1 { 30 } else { 29 }).sum();
    begins - Days::new(177) + Days::new(before + day - 1)
}

/// 25 Kislev: Heshvan has 30 days in the longest years only.
fn hanukkah(gregorian: i32) -> NaiveDate {
    let year = i64::from(gregorian) + 3761;
    let length = (tishri_1(year + 1) - tishri_1(year)).num_days();
    let heshvan = if length % 10 == 5 { 30 } else { 29 };
    tishri_1(year) + Days::new(30 + heshvan + 24)
}

fn moved(day: NaiveDate, by: &[(Weekday, i64)]) -> NaiveDate {
    let by = by.iter().find(|(weekday, _)| *weekday == day.weekday()).map_or(0, |(_, days)| *days);
    day + TimeDelta::days(by)
}

/// The days of rest of a year by law, and the other named days.
fn expected(year: i32) -> (Vec<(NaiveDate, &'static str)>, Vec<(NaiveDate, &'static str)>) {
    let at = |month, day| hebrew(year, month, day);
    // Never next to a Saturday, so that no Saturday is desecrated by its preparations (by law since 2004 for Mondays).
    let independence = moved(at(IYAR, 5), &[(Weekday::Mon, 1), (Weekday::Fri, -1), (Weekday::Sat, -2)]);
    let rest = vec![
        (at(NISAN, 15), "Passover"),
        (at(NISAN, 21), "Seventh of Passover"),
        (independence, "Independence Day"),
        (at(SIVAN, 6), "Shavuot"),
        (at(TISHRI, 1), "Rosh Hashana"),
        (at(TISHRI, 2), "Rosh Hashana"),
        (at(TISHRI, 10), "Yom Kippur"),
        (at(TISHRI, 15), "Sukkot"),
        (at(TISHRI, 22), "Simchat Torah"),
    ];
    let mut named = vec![
        // 14 Adar, a month before.
        (at(NISAN, 15) - Days::new(30), "Purim"),
        (at(NISAN, 14), "Passover Eve"),
        (moved(at(NISAN, 27), &[(Weekday::Fri, -1), (Weekday::Sun, 1)]), "Holocaust Memorial Day"),
        (independence - Days::new(1), "Memorial Day"),
        (at(IYAR, 18), "Lag BaOmer"),
        (at(IYAR, 28), "Jerusalem Day"),
        (at(SIVAN, 5), "Shavuot Eve"),
        (moved(at(AV, 9), &[(Weekday::Sat, 1)]), "Tisha B'Av"),
        (at(TISHRI, 1) - Days::new(1), "Rosh Hashana Eve"),
        (at(TISHRI, 9), "Yom Kippur Eve"),
        (at(TISHRI, 14), "Sukkot Eve"),
    ];
    named.extend((16..=20).map(|day| (at(NISAN, day), "Passover Week")));
    named.extend((16..=21).map(|day| (at(TISHRI, day), "Sukkot Week")));
    named.extend((0..8).map(|day| (hanukkah(year) + Days::new(day), "Hanukkah")));
    (rest, named)
}

#[tokio::test]
async fn every_holiday_falls_on_its_hebrew_date() {
    let mut scene = ReaderScene::new().await;
    let (mut rest, mut named) = (Vec::new(), Vec::new());
    for year in 1999..=2049 {
        let (rest_of_year, named_of_year) = expected(year);
        rest.extend(rest_of_year);
        named.extend(named_of_year);
    }
    let known = |mut days: Vec<(NaiveDate, &'static str)>| {
        // The last days of Hanukkah may lie in the next year.
        days.retain(|(day, _)| (2000..2050).contains(&day.year()));
        days.sort_unstable();
        days.into_iter().map(|(day, holiday)| json!({"day": day, "holiday": holiday})).collect::<Vec<_>>()
    };
    for (is_holiday, expected) in [(true, known(rest)), (false, known(named))] {
        let query = format!(
            "select day, holiday from voicenter.dates where holiday is not null and is_holiday = {is_holiday} order by day"
        );
        let rows = scene.rows(&query).await;
        let rows = rows.as_array().unwrap();
        let differing = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
        assert_eq!((differing, rows.len()), (None, expected.len()));
    }
    let eves = "select count(*) from voicenter.dates d
                join voicenter.dates n on n.day = d.day + 1
                where d.is_eve <> (n.is_holiday and not d.is_holiday)";
    assert_eq!(scene.row(eves).await, json!({"count": 0}));
    let without_hebrew =
        "select count(*) from voicenter.dates where (holiday is null) <> (holiday_he is null)";
    assert_eq!(scene.row(without_hebrew).await, json!({"count": 0}));
}

/// As Israel's government announced them.
#[tokio::test]
async fn days_of_rest_are_those_of_the_calendar_on_the_wall() {
    let mut scene = ReaderScene::new().await;
    for (year, days) in [
        (2023, "04-06 04-12 04-26 05-26 09-16 09-17 09-25 09-30 10-07"),
        (2024, "04-23 04-29 05-14 06-12 10-03 10-04 10-12 10-17 10-24"),
        (2025, "04-13 04-19 05-01 06-02 09-23 09-24 10-02 10-07 10-14"),
        (2026, "04-02 04-08 04-22 05-22 09-12 09-13 09-21 09-26 10-03"),
        (2027, "04-22 04-28 05-12 06-11 10-02 10-03 10-11 10-16 10-23"),
    ] {
        let of_year = format!(
            "select string_agg(to_char(day, 'MM-DD'), ' ' order by day) as days
             from voicenter.dates where year = {year} and is_holiday"
        );
        assert_eq!(scene.row(&of_year).await, json!({"days": days}), "{year}");
    }
}

#[tokio::test]
async fn every_day_is_there_once_and_weeks_begin_on_sunday() {
    let mut scene = ReaderScene::new().await;
    let all = "select count(*), min(day), max(day), count(distinct week_start) as weeks,
                   bool_and(extract(dow from week_start) = 0 and day - week_start = day_of_week - 1) as from_sunday,
                   bool_and(is_workday = (not is_weekend and not is_holiday)) as workdays
               from voicenter.dates";
    let expected = json!({"count": 18263, "min": "2000-01-01", "max": "2049-12-31", "weeks": 2610, "from_sunday": true,
                          "workdays": true});
    assert_eq!(scene.row(all).await, expected);
    // As WEEKNUM of a spreadsheet.
    let new_year = "select day, week_start, week_of_year, quarter, month_name, month_name_he, day_name, day_name_he, is_weekend
                    from voicenter.dates where day in ('2026-12-31', '2027-01-01', '2027-01-03') order by day";
    let expected = json!([
        {"day": "2026-12-31", "week_start": "2026-12-27", "week_of_year": 53, "quarter": 4, "month_name": "December",
         "month_name_he": "דצמבר", "day_name": "Thursday", "day_name_he": "יום חמישי", "is_weekend": false},
        {"day": "2027-01-01", "week_start": "2026-12-27", "week_of_year": 1, "quarter": 1, "month_name": "January",
         "month_name_he": "ינואר", "day_name": "Friday", "day_name_he": "יום שישי", "is_weekend": true},
        {"day": "2027-01-03", "week_start": "2027-01-03", "week_of_year": 2, "quarter": 1, "month_name": "January",
         "month_name_he": "ינואר", "day_name": "Sunday", "day_name_he": "יום ראשון", "is_weekend": false},
    ]);
    assert_eq!(scene.rows(new_year).await, expected);
}

/// A missed call at this time by Israel's clock of summer.
fn missed(call_id: &str, at: &str, queue: Option<&str>) -> Value {
    json!({"call_id": call_id, "type": if queue.is_some() { "Queue" } else { "Incoming Call" }, "queue_name": queue,
           "dial_status": "NOANSWER", "started_at": format!("{at}+03:00")})
}

#[tokio::test]
async fn calls_are_missed_within_the_opening_hours_of_their_queue() {
    let mut scene = ReaderScene::of(json!([
        missed("sunday-early", "2024-06-09 07:59:59", None),
        missed("sunday", "2024-06-09 08:00", None),
        missed("sunday-break", "2024-06-09 13:00", None),
        missed("sunday-late", "2024-06-09 23:59:59", None),
        missed("friday-closed", "2024-06-07 10:00", None),
        missed("sales-early", "2024-06-09 06:00", Some("Sales")),
        missed("sales-late", "2024-06-09 10:00", Some("Sales")),
        missed("support", "2024-06-09 10:00", Some("Support")),
        // Shavuot, a Wednesday.
        missed("holiday", "2024-06-12 10:00", None),
    ]))
    .await;
    let question = questions().into_iter().find(|question| question.number == 22).unwrap();
    let sql = question.sql.replace("'demo'", "'a'").replace("now()", "timestamptz '2024-06-14 12:00Z'");
    let sql = sql.trim_end().trim_end_matches(';');
    let unfilled = json!([
        {"day": "2024-06-07", "missed": 1, "missed_while_open": 1}, {"day": "2024-06-09", "missed": 7, "missed_while_open": 7},
        {"day": "2024-06-12", "missed": 1, "missed_while_open": 0}
    ]);
    assert_eq!(scene.rows(sql).await, unfilled);
    scene
        .set(
            "insert into voicenter.opening_hours (account, queue_name, day_of_week, opens, closes) values
                 ('a', '', 1, '08:00', '13:00'), ('a', '', 1, '16:00', '24:00'), ('a', '', 4, '08:00', '20:00'),
                 ('a', 'Sales', 1, '06:00', '10:00'), ('b', '', 6, '00:00', '24:00')",
        )
        .await;
    let filled = json!([
        {"day": "2024-06-07", "missed": 1, "missed_while_open": 0}, {"day": "2024-06-09", "missed": 7, "missed_while_open": 4},
        {"day": "2024-06-12", "missed": 1, "missed_while_open": 0}
    ]);
    assert_eq!(scene.rows(sql).await, filled);
}

#[tokio::test]
async fn impossible_opening_hours_are_refused_by_name() {
    let mut scene = ReaderScene::new().await;
    for (values, constraint) in [
        ("'a', '', 0, '08:00', '20:00'", "day_of_week_is_1_to_7"),
        ("'a', '', 8, '08:00', '20:00'", "day_of_week_is_1_to_7"),
        ("'a', '', 1, '20:00', '20:00'", "opens_before_it_closes"),
        ("'a', '', 1, '22:00', '06:00'", "opens_before_it_closes"),
        ("'a', repeat('x', 2000), 1, '08:00', '20:00'", "names_are_short"),
        ("'a', '', 7, '08:00', '20:00'), ('a', '', 7, '08:00', '21:00'", "opening_hours_pkey"),
    ] {
        let insert = format!("insert into voicenter.opening_hours values ({values})");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut scene.sql).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().constraint(), Some(constraint), "{values}");
    }
}
