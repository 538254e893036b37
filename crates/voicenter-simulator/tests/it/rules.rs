//! Simulators with undocumented behaviour: orders, totals, refusals, clocks, campaigns.
use crate::clock::ManualClock;
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Jerusalem;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use voicenter_simulator::{
    DateForm, DialectOptions, RefusalOptions, Simulator, SimulatorOptions, SortBehaviour, TotalCounts,
    WorldOptions,
};

/// A Thursday evening in Israel.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 11, 18, 0, 0).unwrap()
}

fn hours(n: i64) -> TimeDelta {
    TimeDelta::hours(n)
}

fn plain() -> SimulatorOptions {
    let world = WorldOptions { calls_per_day: 600.0, from: now() - hours(240), ..WorldOptions::default() };
    SimulatorOptions { requests_per_minute: 0, world: world.unchanging(), ..SimulatorOptions::default() }
}

async fn start(options: SimulatorOptions) -> Simulator {
    Simulator::start(options, ManualClock::new(now())).await.unwrap()
}

async fn send(simulator: &Simulator, body: &Value) -> Response {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.post(simulator.url()).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

async fn post(simulator: &Simulator, body: &Value) -> Value {
    serde_json::from_str(&send(simulator, body).await.text().await.unwrap()).unwrap()
}

fn ask(from: DateTime<Utc>, to: DateTime<Utc>, order: &str) -> Value {
    let wire = |instant: DateTime<Utc>| instant.format("%Y-%m-%dT%H:%M:%S").to_string();
    json!({
        "code": "simulated-code",
        "search": {"fromdate": wire(from), "todate": wire(to)},
        "sort": [{"field": "Date", "order": order}],
    })
}

fn dates(answer: &Value) -> Vec<String> {
    let records = answer["CDR_LIST"].as_array().unwrap();
    records.iter().map(|record| record["Date"].as_str().unwrap().to_owned()).collect()
}

/// Changes a question into another one.
type Change = fn(&mut Value);

/// The answers to one question asked twice: a day, oldest first.
async fn twice(sort: SortBehaviour) -> [Vec<String>; 2] {
    let simulator = start(SimulatorOptions { sort, record_limit: 123, ..plain() }).await;
    let question = ask(now() - hours(24), now(), "asc");
    let answers = [post(&simulator, &question).await, post(&simulator, &question).await];
    assert!(answers[0]["TOTAL_HITS"].as_u64().unwrap() > 400, "{}", answers[0]["TOTAL_HITS"]);
    let dates = answers.map(|answer| dates(&answer));
    assert!(dates.iter().all(|dates| dates.len() == 123));
    dates
}

#[tokio::test]
async fn a_server_keeps_to_an_order_of_its_own() {
    let [oldest, again] = twice(SortBehaviour::OldestFirst).await;
    assert!(oldest.is_sorted() && oldest == again);
    let [honest, _] = twice(SortBehaviour::Honest).await;
    assert_eq!(oldest, honest);
    let [newest, again] = twice(SortBehaviour::NewestFirst).await;
    assert!(newest.is_sorted_by(|a, b| a >= b) && newest == again && newest.last() > oldest.last());
    let [reversed, _] = twice(SortBehaviour::Reversed).await;
    assert_eq!(reversed, newest);
    let [first, second] = twice(SortBehaviour::Random).await;
    assert!(!first.is_sorted() && first != second);
    let appearance = twice(SortBehaviour::Ignored).await;
    assert!(!appearance[0].is_sorted() && appearance[0] == appearance[1]);
}

#[tokio::test]
async fn totals_counted_after_the_cut_hide_it() {
    let options = SimulatorOptions { total_counts: TotalCounts::Returned, record_limit: 77, ..plain() };
    let simulator = start(options).await;
    let answer = post(&simulator, &ask(now() - hours(24), now(), "desc")).await;
    assert_eq!((answer["TOTAL_HITS"].as_u64(), answer["RETURN_HITS"].as_u64()), (Some(77), Some(77)));
    assert!(simulator.truth(now(), now() - hours(24), now()).len() > 400);
}

#[tokio::test]
async fn campaigns_make_many_calls_within_two_minutes_and_leave_the_others_as_they_are() {
    let seconds = |options: SimulatorOptions| async move {
        let simulator = start(options).await;
        let from = now() - hours(72);
        let rows = simulator.truth(now(), from, now() - hours(24));
        let mut seconds: Vec<i64> = rows.iter().map(|row| row.started_at.timestamp()).collect();
        seconds.sort_unstable();
        seconds
    };
    let busiest = |seconds: &[i64]| {
        let before = |end: i64| seconds.partition_point(|second| *second < end);
        let within = |first: &i64| before(first + 120) - before(*first);
        seconds.iter().map(within).max().unwrap()
    };
    let options = plain();
    let ordinary = seconds(options.clone()).await;
    assert!(busiest(&ordinary) < 100);
    let world = WorldOptions { campaigns_per_day: 4.0, ..options.world.clone() };
    let with = seconds(SimulatorOptions { world, ..options }).await;
    assert!(busiest(&with) >= 700, "{}", busiest(&with));
    assert!(with.len() >= ordinary.len() + 1_400, "{} {}", with.len(), ordinary.len());
    assert!(ordinary.iter().all(|second| with.binary_search(second).is_ok()));
}

#[tokio::test]
async fn keys_fields_and_spellings_are_refused_one_by_one() {
    let names = ["version", "userid", "sort=Date", "cdrTypes"].map(String::from).to_vec();
    let refusals = RefusalOptions { names, ..RefusalOptions::default() };
    let simulator = start(SimulatorOptions { refusals: refusals.clone(), ..plain() }).await;
    let question = |change: Change| {
        let mut question = ask(now() - hours(1), now(), "asc");
        question["sort"][0]["field"] = "date".into();
        change(&mut question);
        question
    };
    let refused: [(Change, &str); 4] = [
        (|question| question["version"] = "2".into(), "bad request: unknown key: version"),
        (|question| question["fields"] = json!(["Date", "UserId"]), "bad request: unknown field: UserId"),
        (|question| question["sort"][0]["field"] = "Date".into(), "bad request: unknown sort field: Date"),
        (|question| question["search"]["cdrTypes"] = json!([1]), "bad request: unknown key: cdrTypes"),
    ];
    for (change, text) in refused {
        let answer = post(&simulator, &question(change)).await;
        assert_eq!((answer["ERROR_NUMBER"].as_i64(), &answer["ERROR_DESCRIPTION"]), (Some(90), &json!(text)));
    }
    let allowed =
        post(&simulator, &question(|question| question["fields"] = json!(["Date", "UserName"]))).await;
    assert_eq!(allowed["ERROR_NUMBER"], 0);
    let rows = simulator.truth(now(), now() - hours(24), now());
    assert!(rows.iter().all(|row| row.user_id.is_none()) && rows.iter().any(|row| row.user_name.is_some()));
    let unspecific = RefusalOptions { unspecific: true, ..refusals };
    let simulator = start(SimulatorOptions { refusals: unspecific, ..plain() }).await;
    let answer = post(&simulator, &question(|question| question["version"] = "2".into())).await;
    assert_eq!(answer["ERROR_DESCRIPTION"], "bad request");
}

#[tokio::test]
async fn ranges_are_refused_by_length_by_horizon_and_in_the_servers_future() {
    let refusals = RefusalOptions {
        longest_range: Some(hours(24)),
        future: true,
        horizon: Some(hours(72)),
        ..RefusalOptions::default()
    };
    let clock_offset = -TimeDelta::seconds(20);
    let simulator = start(SimulatorOptions { refusals, clock_offset, ..plain() }).await;
    let behind = now() + clock_offset;
    for (from, to, error) in [
        (behind - hours(24), behind, 0),
        (behind - hours(25), behind, 5),
        (now() - hours(1), now(), 5),
        (behind - hours(72), behind - hours(71), 0),
        (behind - hours(73), behind - hours(71), 5),
    ] {
        let response = send(&simulator, &ask(from, to, "asc")).await;
        let date = response.headers()["date"].to_str().unwrap().to_owned();
        assert_eq!(DateTime::parse_from_rfc2822(&date).unwrap(), behind);
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(answer["ERROR_NUMBER"], error, "{from} {to}: {answer}");
    }
}

#[tokio::test]
async fn what_is_purged_is_gone_without_a_word() {
    let refusals = RefusalOptions { purged_after: Some(hours(48)), ..RefusalOptions::default() };
    let simulator = start(SimulatorOptions { refusals, date_header: false, ..plain() }).await;
    let response = send(&simulator, &ask(now() - hours(240), now(), "asc")).await;
    assert!(DateTime::parse_from_rfc2822(response.headers()["date"].to_str().unwrap()).is_err());
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let edge = (now() - hours(48)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let dates = dates(&answer);
    assert!(
        dates.first() >= Some(&edge) && dates.len() as u64 == answer["TOTAL_HITS"],
        "{:?}",
        dates.first()
    );
    assert_eq!(simulator.truth(now(), now() - hours(240), now()).len(), dates.len());
}

#[tokio::test]
async fn a_call_id_begins_with_israels_time_some_seconds_before_the_call() {
    let simulator = start(plain()).await;
    let rows = simulator.truth(now(), now() - hours(72), now());
    let mut first_legs = 0;
    for row in &rows {
        let time = NaiveDateTime::parse_from_str(&row.call_id[..14], "%Y%m%d%H%M%S").unwrap();
        let ahead = row.started_at - Jerusalem.from_local_datetime(&time).unwrap().to_utc();
        assert!(ahead > TimeDelta::zero(), "{row:?}");
        first_legs += usize::from(ahead <= TimeDelta::seconds(8));
        // Whatever it begins with, the record is found by it.
        assert!(simulator.world().edit(&row.call_id, &row.r#type, now(), |_| ()), "{row:?}");
    }
    assert!(first_legs * 10 > rows.len() * 8, "{first_legs} of {}", rows.len());
}

#[tokio::test]
async fn trimmed_dates_leave_the_seconds_out_where_they_are_zero() {
    let dialect = DialectOptions { date_form: Some(DateForm::Trimmed), ..DialectOptions::default() };
    let simulator = start(SimulatorOptions { dialect, ..plain() }).await;
    let dates = dates(&post(&simulator, &ask(now() - hours(240), now(), "asc")).await);
    let (short, long): (Vec<_>, Vec<_>) = dates.iter().partition(|date| date.len() == 16);
    assert!(!short.is_empty() && long.len() > short.len() * 20, "{} {}", short.len(), long.len());
    assert!(long.iter().all(|date| date.len() == 19 && !date.ends_with(":00")));
}
