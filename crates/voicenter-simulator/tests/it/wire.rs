//! The simulator from outside: raw HTTP, compared with what the simulator declares to be true.
use std::collections::BTreeMap;

use crate::clock::ManualClock;
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Jerusalem;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use voicenter_simulator::{
    ApiGeneration, DateForm, DialectOptions, Empties, OverLimit, RateClock, Record, RequestOutcome,
    Simulator, SimulatorOptions, SortBehaviour, TruthRow, WorldOptions,
};

const CODE: &str = "simulated-code";

/// The start of a Sunday in Israel.
fn sunday() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 6, 21, 0, 0).unwrap()
}

fn hours(n: i64) -> TimeDelta {
    TimeDelta::hours(n)
}

fn unlimited() -> SimulatorOptions {
    SimulatorOptions { requests_per_minute: 0, ..SimulatorOptions::default() }
}

fn v01() -> SimulatorOptions {
    SimulatorOptions { generation: ApiGeneration::V01, ..unlimited() }
}

fn small_world() -> WorldOptions {
    WorldOptions { calls_per_day: 600.0, from: sunday() - hours(24 * 9), ..WorldOptions::default() }
}

async fn start(options: SimulatorOptions) -> (Simulator, ManualClock) {
    let clock = ManualClock::new(sunday() + hours(24 * 5));
    (Simulator::start(options, clock.clone()).await.unwrap(), clock)
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn post(simulator: &Simulator, body: Value) -> (StatusCode, Value) {
    let response = raw_post(simulator, body).await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn raw_post(simulator: &Simulator, body: Value) -> reqwest::Result<reqwest::Response> {
    let request = client().post(simulator.url()).header("content-type", "application/json");
    request.body(body.to_string()).send().await
}

async fn get(simulator: &Simulator, query: &str) -> (StatusCode, Value) {
    let response = client().get(format!("{}?{query}", simulator.url())).send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

fn wire(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn ask(from: DateTime<Utc>, to: DateTime<Utc>) -> Value {
    json!({"code": CODE, "format": "JSON", "search": {"fromdate": wire(from), "todate": wire(to)}})
}

fn list(answer: &Value) -> &Vec<Value> {
    answer["CDR_LIST"].as_array().unwrap()
}

fn dates(answer: &Value) -> Vec<String> {
    list(answer).iter().map(|cdr| cdr["Date"].as_str().unwrap().to_owned()).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        value => Some(value.to_string()),
    }
}

fn filled(value: &Value) -> Option<Value> {
    let empty = [json!(null), json!([]), json!({})].contains(value);
    (!empty).then(|| value.clone())
}

/// A reader of the plain current dialect, written only for these tests.
fn read(cdr: &Value) -> TruthRow {
    let number = |name: &str| text(&cdr[name]).map(|text| text.parse().unwrap());
    let date = NaiveDateTime::parse_from_str(cdr["Date"].as_str().unwrap(), "%Y-%m-%dT%H:%M:%SZ").unwrap();
    TruthRow {
        call_id: cdr["CallID"].as_str().unwrap().to_owned(),
        r#type: text(&cdr["Type"]).unwrap_or_default(),
        cdr_type: number("CdrType"),
        started_at: date.and_utc(),
        duration_seconds: number("Duration"),
        ring_seconds: number("RingTime"),
        caller_number: text(&cdr["CallerNumber"]),
        caller_extension: text(&cdr["CallerExtension"]),
        target_number: text(&cdr["TargetNumber"]),
        target_extension: text(&cdr["TargetExtension"]),
        target_prefix_name: text(&cdr["TargetPrefixName"]),
        did: text(&cdr["DID"]),
        dial_status: text(&cdr["DialStatus"]),
        dial_status2: text(&cdr["DialStatus2"]),
        queue_name: text(&cdr["QueueName"]),
        department_id: text(&cdr["DepartmentId"]),
        department_name: text(&cdr["DepartmentName"]),
        representative_code: text(&cdr["RepresentativeCode"]),
        representative_name: text(&cdr["RepresentativeName"]),
        user_id: text(&cdr["UserId"]),
        user_name: text(&cdr["UserName"]),
        price: text(&cdr["Price"]),
        record_url: text(&cdr["RecordURL"]),
        record_expected: cdr["RecordExpect"].as_bool(),
        dtmf_data: filled(&cdr["DTMFData"]),
        custom_data: filled(&cdr["CustomData"]),
        // DateEpoch is not content of a row (docs/contract.md#extra).
        extra: None,
    }
}

#[tokio::test]
async fn truth_equals_what_the_api_shows_over_a_week_of_small_windows() {
    let dialect = DialectOptions { date_epoch: true, ..DialectOptions::default() };
    let lively = WorldOptions {
        twin_share: 0.05,
        vanish_share: 0.05,
        move_share: 0.05,
        retype_share: 0.05,
        ..small_world()
    };
    let (simulator, clock) = start(SimulatorOptions { world: lively, dialect, ..unlimited() }).await;
    let (from, to) = (sunday() - hours(48), sunday() + hours(120));
    let mut shown: BTreeMap<(String, String), TruthRow> = BTreeMap::new();
    let mut records = 0;
    for n in 0..28 {
        let window = (from + hours(6 * n), from + hours(6 * n + 6) - TimeDelta::seconds(1));
        let (status, answer) = post(&simulator, ask(window.0, window.1)).await;
        assert_eq!((status, &answer["TOTAL_HITS"]), (StatusCode::OK, &json!(list(&answer).len())));
        records += list(&answer).len();
        for row in list(&answer).iter().map(read) {
            let key = (row.call_id.clone(), row.r#type.clone());
            let rank = |row: &TruthRow| (row.started_at, row.canonical_json());
            match shown.get(&key) {
                Some(other) if rank(other) >= rank(&row) => {}
                _ => {
                    shown.insert(key, row);
                }
            }
        }
    }
    let truth = simulator.truth(clock.now(), from, to);
    assert!(truth.len() > 3_000, "{}", truth.len());
    assert!(records > truth.len(), "some records share a key with another one");
    let shown: Vec<TruthRow> = shown.into_values().collect();
    assert_eq!(shown.len(), truth.len());
    for (shown, truth) in shown.iter().zip(&truth) {
        assert_eq!(shown, truth);
    }
    let names: String = truth.iter().filter_map(|row| row.representative_name.clone()).collect();
    assert!(names.contains('כ') && names.contains("Dana"));
}

#[tokio::test]
async fn records_come_and_change_as_the_clock_goes_on() {
    let (simulator, clock) = start(SimulatorOptions { world: WorldOptions::empty(), ..unlimited() }).await;
    let now = clock.now();
    let world = simulator.world();
    world.insert(Record::new("late", "Queue", now - hours(2)), now + hours(1));
    assert!(world.edit("late", "Queue", now + hours(2), |record| record.record_url = "https://x".into()));
    assert!(world.remove("late", "Queue", now + hours(3)));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (_, answer) = post(&simulator, ask(now - hours(3), now)).await;
        assert_eq!(simulator.truth(clock.now(), now - hours(3), now).len(), list(&answer).len());
        seen.push(list(&answer).first().map(|cdr| cdr["RecordURL"].clone()));
        clock.advance(hours(1));
    }
    assert_eq!(seen, [None, Some(json!("")), Some(json!("https://x")), None]);
}

#[tokio::test]
async fn the_date_header_is_the_clocks() {
    let (simulator, _) = start(unlimited()).await;
    let response = raw_post(&simulator, ask(sunday(), sunday() + hours(1))).await.unwrap();
    assert_eq!(response.headers()["date"], "Thu, 11 Jun 2026 21:00:00 GMT");
}

#[tokio::test]
async fn the_thirty_first_request_in_sixty_seconds_is_refused_and_logged() {
    let options = SimulatorOptions { world: small_world(), ..SimulatorOptions::default() };
    let (simulator, clock) = start(options).await;
    let question = ask(sunday(), sunday() + hours(1));
    for _ in 0..30 {
        assert_eq!(post(&simulator, question.clone()).await.1["ERROR_NUMBER"], 0);
        clock.advance(TimeDelta::seconds(1));
    }
    clock.advance(TimeDelta::seconds(29));
    let (status, answer) = post(&simulator, question.clone()).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::FORBIDDEN, &json!(1)));
    assert_eq!(answer["ERROR_DESCRIPTION"], "Request limit exceeded. Please try again later.");
    assert_eq!(simulator.requests().last().unwrap().outcome, RequestOutcome::RateLimited);
    assert_eq!(simulator.requests().busiest_minute(), 31);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(post(&simulator, question).await.1["ERROR_NUMBER"], 0);
}

#[tokio::test]
async fn the_rate_can_be_measured_by_the_real_clock() {
    let rate = SimulatorOptions { requests_per_minute: 2, rate_clock: RateClock::Real, ..unlimited() };
    let (simulator, clock) = start(rate).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(post(&simulator, ask(sunday(), sunday() + hours(1))).await.1["ERROR_NUMBER"].clone());
        clock.advance(hours(1));
    }
    assert_eq!(numbers, [json!(0), json!(0), json!(1)]);
    assert_eq!(simulator.requests().busiest_real_minute(), 3);
}

#[tokio::test]
async fn the_documents_examples_are_accepted() {
    let (old, _) = start(v01()).await;
    let example = "format=JSON&fromdate=2014-11-11T16:31&todate=2014-11-18T16:31&phones=972547588535\
                   &phones=0500000000&extension=SipSip&fields=Date&fields=Type";
    assert_eq!(get(&old, &format!("code={CODE}&{example}")).await.1["ERROR_DESCRIPTION"], "OK");
    let search = old.requests().last().unwrap().search.unwrap();
    assert_eq!(search.phones, ["972547588535", "0500000000"]);
    assert_eq!(search.extensions, ["SipSip"]);
    let fields = json!([
        "date",
        "fromdate",
        "todate",
        "phones",
        "Type",
        "DID",
        "CallerNumber",
        "CallerExtension",
        "TargetNumber",
        "TargetExtension",
        "TargetPrefixName",
        "Duration",
        "Price",
        "RecordURL",
        "RecordExpect",
        "RepresentativeName",
        "RepresentativeCode",
        "DTMFData",
        "CallID",
        "QueueName",
        "DialStatus",
        "DialStatus2",
        "RingTime",
        "CustomData",
        "DepartmentName",
        "DepartmentId"
    ]);
    let body = json!({"code": CODE, "format": "JSON", "fields": fields, "search": {
        "fromdate": "2015-05-14T08:00", "todate": "2015-05-14T12:00", "phones": ["972501234567"],
        "extensions": ["SIPSIP1"], "IdentityCriteria": "Account"}});
    assert_eq!(post(&old, body).await.1["ERROR_NUMBER"], 0);

    let (current, _) = start(unlimited()).await;
    let body = json!({"code": CODE, "version": "2", "format": "JSON", "fields": ["Date", "DateEpoch", "CdrType"],
        "sort": [{"field": "Date", "order": "desc"}], "search": {
        "fromdate": "2024-06-01T00:00:00", "todate": "2024-06-02T00:00:00", "cdrTypes": [1, 4],
        "queueID": [30501], "campaignID": [71], "callID": "202406101204550233243ghff3189e5c"}});
    assert_eq!(post(&current, body).await.1["ERROR_NUMBER"], 0);
    assert_eq!(current.requests().last().unwrap().sort[0].field_name(), "Date");
}

#[tokio::test]
async fn what_the_documents_do_not_allow_is_refused_by_its_rule() {
    let (old, _) = start(v01()).await;
    let (current, _) = start(unlimited()).await;
    let mut sorted = ask(sunday(), sunday() + hours(1));
    sorted["sort"] = json!([]);
    let (status, answer) = post(&old, sorted.clone()).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::OK, &json!(90)));
    assert_eq!(answer["ERROR_DESCRIPTION"], "bad request: unknown key: sort");
    let refused = RequestOutcome::Refused("bad request: unknown key: sort".into());
    assert_eq!(old.requests().last().unwrap().outcome, refused);

    let inverted = ask(sunday(), sunday() - hours(1));
    let (status, answer) = post(&current, inverted.clone()).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::NOT_FOUND, &json!(5)));
    let (status, answer) = post(&old, inverted).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::OK, &json!(90)));

    let answer =
        get(&current, &format!("code={CODE}&fromdate=2024-06-01T00:00Z&todate=2024-06-02T00:00")).await;
    assert_eq!(answer.0, StatusCode::BAD_REQUEST);
    assert!(answer.1["ERROR_DESCRIPTION"].as_str().unwrap().contains("fromdate must be written"));
    let answer = get(&current, &format!("code={CODE}&fromdate=2024-06-01T00:00&extensions=x")).await.1;
    assert!(answer["ERROR_DESCRIPTION"].as_str().unwrap().contains("unknown key: extensions"));

    let request = client().post(current.url()).header("content-type", "text/plain").body(sorted.to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("content type"), "{answer}");
}

#[tokio::test]
async fn the_credential_is_checked_and_never_logged() {
    let options = SimulatorOptions { token: Some("tok-en".into()), refuse_address: true, ..unlimited() };
    let (simulator, _) = start(options.clone()).await;
    let mut question = ask(sunday(), sunday() + hours(1));
    let (status, answer) = post(&simulator, question.clone()).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::FORBIDDEN, &json!(4)));
    assert_eq!(answer["ERROR_DESCRIPTION"], "IP address 127.0.0.1 is not trusted.");
    question["code"] = json!("wrong");
    assert_eq!(post(&simulator, question.clone()).await.1["ERROR_NUMBER"], 2);
    question.as_object_mut().unwrap().remove("code");
    let answer = post(&simulator, question.clone()).await.1;
    assert_eq!(answer["ERROR_DESCRIPTION"], "Authorization failed. (code is missing)");
    let bearer = |token: &str| {
        let request = client().post(simulator.url()).header("content-type", "application/json");
        request.bearer_auth(token).body(question.to_string()).send()
    };
    assert_eq!(bearer("tok-en").await.unwrap().status(), StatusCode::OK, "a token is not IP-checked");
    assert_eq!(bearer("other").await.unwrap().status(), StatusCode::FORBIDDEN);
    let logged = format!("{:?} {options:?}", simulator.requests().all());
    assert!(!logged.contains("tok-en") && !logged.contains(CODE) && !logged.contains("wrong"));
}

#[tokio::test]
async fn past_the_limit_the_old_api_refuses_and_the_current_one_cuts() {
    let question = ask(sunday(), sunday() + hours(48));
    let (old, _) = start(SimulatorOptions { record_limit: 100, world: small_world(), ..v01() }).await;
    let (status, answer) = post(&old, question.clone()).await;
    assert_eq!((status, &answer["ERROR_NUMBER"]), (StatusCode::OK, &json!(3)));
    assert!(list(&answer).is_empty() && answer.get("TOTAL_HITS").is_none());

    let silent =
        SimulatorOptions { over_limit: OverLimit::Cut, record_limit: 100, world: small_world(), ..v01() };
    let answer = post(&start(silent).await.0, question.clone()).await.1;
    assert_eq!((list(&answer).len(), answer.get("TOTAL_HITS")), (100, None));

    let (current, _) =
        start(SimulatorOptions { record_limit: 100, world: small_world(), ..unlimited() }).await;
    let answer = post(&current, question).await.1;
    assert_eq!((&answer["ERROR_NUMBER"], &answer["RETURN_HITS"]), (&json!(0), &json!(100)));
    assert_eq!(list(&answer).len(), 100);
    assert!(answer["TOTAL_HITS"].as_u64().unwrap() > 1_000);
    assert_eq!(current.requests().last().unwrap().outcome, RequestOutcome::Cut);
}

#[tokio::test]
async fn sort_is_honest_or_done_after_the_cut_or_ignored() {
    let answer = async |sort| {
        let (simulator, _) =
            start(SimulatorOptions { record_limit: 100, sort, world: small_world(), ..unlimited() }).await;
        let mut question = ask(sunday(), sunday() + hours(48));
        question["sort"] = json!([{"field": "Date", "order": "desc"}]);
        dates(&post(&simulator, question).await.1)
    };
    let descends = |dates: &[String]| dates.is_sorted_by(|a, b| a >= b);
    let (honest, after, ignored) = (
        answer(SortBehaviour::Honest).await,
        answer(SortBehaviour::AfterCut).await,
        answer(SortBehaviour::Ignored).await,
    );
    assert!(descends(&honest) && descends(&after) && !descends(&ignored));
    assert!(honest.last() > after.first(), "the page that was cut first misses the newest records");
}

#[tokio::test]
async fn bounds_include_or_leave_out_what_stands_on_them() {
    for (from_inclusive, to_inclusive) in [(true, true), (true, false), (false, true), (false, false)] {
        let world = WorldOptions::empty();
        let (simulator, clock) =
            start(SimulatorOptions { from_inclusive, to_inclusive, world, ..unlimited() }).await;
        let (from, to) = (clock.now() - hours(2), clock.now() - hours(1));
        simulator.world().insert(Record::new("from", "", from), from);
        simulator.world().insert(Record::new("to", "", to), to);
        let answer = post(&simulator, ask(from, to)).await.1;
        let has = |id: &str| list(&answer).iter().any(|cdr| cdr["CallID"] == id);
        assert_eq!((has("from"), has("to")), (from_inclusive, to_inclusive));
    }
}

#[tokio::test]
async fn the_old_api_reads_and_writes_local_time_and_knows_no_newer_fields() {
    let (simulator, _) = start(SimulatorOptions { world: small_world(), ..v01() }).await;
    let question =
        json!({"code": CODE, "search": {"fromdate": "2026-06-08T09:00", "todate": "2026-06-08T10:00"}});
    let answer = post(&simulator, question).await.1;
    let from = Jerusalem.with_ymd_and_hms(2026, 6, 8, 9, 0, 0).unwrap().to_utc();
    let truth = simulator.truth(sunday() + hours(120), from, from + hours(1) + TimeDelta::seconds(1));
    assert_eq!(list(&answer).len(), truth.len());
    assert!(!truth.is_empty());
    assert!(dates(&answer).iter().all(|date| date.starts_with("2026-06-08T") && date.len() == 19));
    assert!(list(&answer).iter().all(|cdr| cdr.get("CdrType").is_none() && cdr.get("UserId").is_none()));
    assert!(truth.iter().all(|row| row.cdr_type.is_none() && row.user_id.is_none()));
}

#[tokio::test]
async fn filters_find_what_matches_and_nothing_else() {
    let (simulator, clock) = start(SimulatorOptions { world: small_world(), ..unlimited() }).await;
    let (from, to) = (sunday(), sunday() + hours(48));
    let truth = simulator.truth(clock.now(), from, to);
    let some = |wanted: fn(&TruthRow) -> bool| truth.iter().find(|row| wanted(row)).unwrap().clone();
    let caller = some(|row| row.caller_number.as_ref().is_some_and(|number| number.starts_with("05")));
    let abroad = format!("972{}", &caller.caller_number.as_ref().unwrap()[1..]);
    let leg = some(|row| row.r#type == "Click2Call leg1");
    let agent = some(|row| row.target_extension.is_some());
    for (criterion, value) in [
        ("phones", json!([abroad])),
        ("extensions", json!([agent.target_extension.as_ref().unwrap().to_lowercase()])),
        ("cdrTypes", json!([8, 11])),
        ("queueID", json!([30501])),
        ("campaignID", json!([71])),
        ("callID", json!(leg.call_id)),
        ("IdentityCriteria", json!("User")),
    ] {
        let mut question = ask(from, to - TimeDelta::seconds(1));
        question["search"][criterion] = value;
        let answer = post(&simulator, question).await.1;
        let matches = |row: &&TruthRow| match criterion {
            "phones" => {
                let numbers = [&row.caller_number, &row.target_number];
                numbers.contains(&&caller.caller_number) || numbers.contains(&&Some(abroad.clone()))
            }
            "extensions" => [&row.caller_extension, &row.target_extension].contains(&&agent.target_extension),
            "cdrTypes" => [Some(8), Some(11)].contains(&row.cdr_type),
            "queueID" => row.queue_name.as_deref() == Some("Sales"),
            "campaignID" => row.r#type.starts_with("Productive"),
            "callID" => row.call_id == leg.call_id,
            _ => row.user_id.as_deref() == Some("41000"),
        };
        let expected = truth.iter().filter(matches).count();
        let found = list(&answer).len();
        assert!(found > 0, "{criterion}");
        if criterion == "campaignID" {
            assert!(found < expected, "one campaign of several");
        } else {
            assert_eq!(found, expected, "{criterion}");
        }
    }
    let by_id = json!({"code": CODE, "search": {"callID": leg.call_id}});
    assert_eq!(list(&post(&simulator, by_id).await.1).len(), 2, "both legs, without a date range");
}

#[tokio::test]
async fn only_the_fields_asked_for_are_returned() {
    let (simulator, _) = start(SimulatorOptions { world: small_world(), ..unlimited() }).await;
    let mut question = ask(sunday(), sunday() + hours(24));
    question["fields"] = json!(["date", "CallID", "DateEpoch"]);
    let answer = post(&simulator, question).await.1;
    let keys: Vec<&String> = list(&answer)[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["CallID", "Date", "DateEpoch"]);
}

#[tokio::test]
async fn dialects_change_names_numbers_dates_and_empty_values() {
    let dialect = DialectOptions {
        date_form: Some(DateForm::Minutes),
        lower_case_names: true,
        text_numbers: true,
        date_epoch: true,
        ..DialectOptions::default()
    };
    let (simulator, clock) =
        start(SimulatorOptions { world: WorldOptions::empty(), dialect, ..unlimited() }).await;
    let start = clock.now() - hours(1) + TimeDelta::seconds(58);
    let record = Record { duration: Some(3), record_expect: Some(true), ..Record::new("a", "Queue", start) };
    simulator.world().insert(Record { empties: Empties::Null, ..record }, start);
    let answer = post(&simulator, ask(start, start + hours(1))).await.1;
    let cdr = &list(&answer)[0];
    assert_eq!((&cdr["duration"], &cdr["recordexpect"]), (&json!("3"), &json!("true")));
    assert_eq!((&cdr["date"], &cdr["did"]), (&json!("2026-06-11T20:00"), &json!(null)));
    let row = simulator.truth(clock.now(), start - hours(1), start + hours(1)).remove(0);
    assert_eq!(row.started_at, start - TimeDelta::seconds(58));
    assert_eq!(&cdr["dateepoch"], &json!(start.timestamp().to_string()));
    assert_eq!(row.extra, None, "the same instant as the date is no content");
}

#[tokio::test]
async fn html_is_a_page_with_a_table_and_gzip_is_only_for_who_accepts_it() {
    let (simulator, _) = start(SimulatorOptions { world: small_world(), ..unlimited() }).await;
    let mut question = ask(sunday(), sunday() + hours(24));
    let plain = client().post(simulator.url()).header("content-type", "application/json");
    let plain = plain.header("accept-encoding", "identity").body(question.to_string()).send().await.unwrap();
    let text = plain.text().await.unwrap();
    assert!(text.starts_with("{\"ERROR_NUMBER\":0"));
    assert_eq!(raw_post(&simulator, question.clone()).await.unwrap().text().await.unwrap(), text);
    question["format"] = json!("HTML");
    let page = raw_post(&simulator, question).await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    let records = serde_json::from_str::<Value>(&text).unwrap()["CDR_LIST"].as_array().unwrap().len();
    assert_eq!(page.matches("<tr>").count(), records + 1);
}
