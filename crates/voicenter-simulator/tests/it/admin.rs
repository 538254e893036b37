//! `/simulator/`: what a test switches, moves, adds and reads while the simulator runs.

use chrono::{TimeZone, Utc};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use voicenter_simulator::{Fault, Simulator, SimulatorOptions, WorldOptions};

use crate::clock::ManualClock;

async fn start() -> Simulator {
    let now = Utc.with_ymd_and_hms(2026, 6, 8, 12, 0, 0).unwrap();
    let world =
        WorldOptions { calls_per_day: 500.0, from: now - chrono::TimeDelta::days(1), ..Default::default() };
    let options = SimulatorOptions { admin: true, world, ..SimulatorOptions::default() };
    Simulator::start(options, ManualClock::new(now)).await.unwrap()
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn send(simulator: &Simulator, method: Method, path: &str, body: impl ToString) -> (u16, Value) {
    let url = simulator.url().replace("/hub/cdr/", path);
    let answer = client().request(method, url).body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(answer.headers().contains_key("allow"), status == 405);
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn get(simulator: &Simulator, path: &str) -> Value {
    let (status, body) = send(simulator, Method::GET, path, "").await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn post(simulator: &Simulator, path: &str, body: Value) -> Value {
    let (status, body) = send(simulator, Method::POST, path, body).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn error(simulator: &Simulator, method: Method, path: &str, body: impl ToString) -> (u16, String) {
    let (status, body) = send(simulator, method, path, body).await;
    (status, body["error"].as_str().unwrap().to_owned())
}

/// The HTTP status of a request to the API for a day.
async fn ask(simulator: &Simulator) -> (u16, String) {
    let query = "code=simulated-code&fromdate=2026-06-08T00:00&todate=2026-06-09T00:00&fields=CallID";
    let answer = client().get(format!("{}?{query}", simulator.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn faults_are_switched_at_run_time() {
    let simulator = start().await;
    let faults = "/simulator/faults";
    post(&simulator, faults, json!({"fault": "http500", "next": 2})).await;
    post(&simulator, faults, json!({"fault": "http502"})).await;
    let list = get(&simulator, faults).await;
    assert_eq!(list["next"], json!([{"fault": "http500", "next": 2}, {"fault": "http502", "next": 1}]));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&simulator).await.0);
    }
    assert_eq!(statuses, [500, 500, 502, 200]);

    post(&simulator, faults, json!({"fault": "http502", "always": true})).await;
    assert_eq!(ask(&simulator).await.0, 502);
    let list = post(&simulator, faults, json!({"fault": "bom", "always": false})).await;
    assert_eq!(list["always"], "http502", "another is on");
    post(&simulator, faults, json!({"fault": "http502", "always": false})).await;
    assert_eq!(ask(&simulator).await.0, 200);
    post(&simulator, faults, json!({"fault": "http502", "share": 0.5})).await;
    let list = post(&simulator, faults, json!({"fault": "http502", "share": 1})).await;
    assert_eq!(list["shares"], json!([{"fault": "http502", "share": 1.0}]), "not both");
    assert_eq!(ask(&simulator).await.0, 502);
    let list = post(&simulator, faults, json!({"fault": "http502", "share": 0})).await;
    assert_eq!(list["shares"], json!([]));
    let day = json!({"fault": "html-with200", "from": "2026-06-08", "to": "2026-06-09T00:00:00Z"});
    let list = post(&simulator, faults, day).await;
    assert_eq!(list["within"][0]["to"], "2026-06-09T00:00:00Z");
    assert!(ask(&simulator).await.1.starts_with("<html>"));
    simulator.faults().next(Fault::Bom);
    let (status, list) = send(&simulator, Method::DELETE, faults, "").await;
    assert_eq!((status, list), (200, json!({"next": [], "always": null, "shares": [], "within": []})));
    assert!(ask(&simulator).await.1.starts_with("{\"ERROR_NUMBER\":0"));
}

#[tokio::test]
async fn the_clock_is_moved_and_records_appear() {
    let simulator = start().await;
    let clock = "/simulator/clock";
    assert_eq!(get(&simulator, clock).await, json!({"now": "2026-06-08T12:00:00Z", "running": true}));
    let before = ask(&simulator).await.1.len();
    let moved = post(&simulator, clock, json!({"advance": "3h"})).await;
    assert_eq!(moved, json!({"now": "2026-06-08T15:00:00Z", "running": true}));
    let after = ask(&simulator).await.1.len();
    assert!(after > before);
    let set = post(&simulator, clock, json!({"now": "2026-06-08T12:00:00Z", "advance": "-1h"})).await;
    assert_eq!(set, json!({"now": "2026-06-08T11:00:00Z", "running": false}));
    assert!(ask(&simulator).await.1.len() < before);
    assert_eq!(post(&simulator, clock, json!({"running": true})).await["running"], true);

    let record = json!({"CallID": "by-hand", "Date": "2026-06-08T10:00:00Z", "Duration": 9_000});
    assert_eq!(post(&simulator, "/simulator/records", json!([record])).await, json!({"added": 1}));
    assert!(ask(&simulator).await.1.contains("by-hand"), "at once, though its call goes on");
    let ended = json!({"CallID": "ended", "Date": "2026-06-08T10:00:00Z", "Duration": 60});
    post(&simulator, "/simulator/records", ended).await;
    post(&simulator, clock, json!({"now": "2026-06-08T10:01:00Z"})).await;
    let (_, text) = ask(&simulator).await;
    assert!(text.contains("ended") && !text.contains("by-hand"), "back to the end of its call");
}

#[tokio::test]
async fn a_reset_brings_back_the_start() {
    let simulator = start().await;
    let before = (get(&simulator, "/simulator/").await, ask(&simulator).await);
    post(&simulator, "/simulator/faults", json!({"fault": "hang", "always": true})).await;
    post(&simulator, "/simulator/clock", json!({"now": "2026-06-08T20:00:00Z"})).await;
    post(&simulator, "/simulator/records", json!({"CallID": "x", "Date": "2026-06-08T10:00:00Z"})).await;
    let (status, overview) = send(&simulator, Method::DELETE, "/simulator/", "").await;
    assert_eq!(status, 200);
    assert_eq!((overview, ask(&simulator).await), before);
}

#[tokio::test]
async fn requests_are_listed_with_their_outcomes_and_forgotten() {
    let simulator = start().await;
    let requests = "/simulator/requests";
    ask(&simulator).await;
    post(&simulator, "/simulator/faults", json!({"fault": "http500"})).await;
    ask(&simulator).await;
    client().get(format!("{}?code=secret-guess", simulator.url())).send().await.unwrap();
    client().get(format!("{}?code=simulated-code", simulator.url())).send().await.unwrap();
    let list = get(&simulator, requests).await;
    assert_eq!(list["received"], 4, "requests to /simulator/ are none of the API's");
    let outcomes = |list: &Value| {
        let requests = list["requests"].as_array().unwrap().clone();
        requests.iter().map(|request| request["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&list), ["answered", "fault", "unauthorized", "refused"]);
    assert_eq!(list["requests"][0]["fields"], json!(["CallID"]));
    assert_eq!(list["requests"][0]["search"]["fromdate"], "2026-06-08T00:00:00");
    assert_eq!(list["requests"][1]["fault"], "http500");
    assert_eq!(list["requests"][3]["reason"], "bad request: fromdate is missing");
    assert!(!list.to_string().contains("secret-guess") && !list.to_string().contains("simulated-code"));
    assert_eq!(outcomes(&get(&simulator, &format!("{requests}?last=2")).await), ["unauthorized", "refused"]);

    for _ in 0..27 {
        assert_eq!(ask(&simulator).await.0, 200);
    }
    assert_eq!(ask(&simulator).await.0, 403, "the thirty-first in a minute");
    assert_eq!(get(&simulator, requests).await["busiest_minute"], 32);
    send(&simulator, Method::DELETE, requests, "").await;
    assert_eq!(ask(&simulator).await.0, 200, "the limit has forgotten them, too");
    assert_eq!(get(&simulator, requests).await["received"], 1);
}

#[tokio::test]
async fn a_mistake_is_answered_with_the_way_to_do_it() {
    let simulator = start().await;
    let (faults, clock) = ("/simulator/faults", "/simulator/clock");
    for (path, body, expected) in [
        (faults, "", "the body must be a JSON object such as {\"fault\":\"http500\",\"next\":3}"),
        (faults, "[]", "the body must be a JSON object"),
        (faults, "{}", "fault is missing, as in {\"fault\""),
        (faults, r#"{"fault":"http404"}"#, "unknown fault http404; known are: rate-limited, "),
        (faults, r#"{"fault":"http500","times":3}"#, "unknown key: times; known are fault, next, share"),
        (faults, r#"{"fault":"http500","next":0}"#, "next must be a whole number from 1 to 1000000, not 0"),
        (faults, r#"{"fault":"http500","share":2}"#, "share must be a share from 0 to 1, not 2"),
        (faults, r#"{"fault":"http500","share":0.5,"next":1}"#, "only one of next, share, always, and from"),
        (faults, r#"{"fault":"http500","from":"2026-01-01"}"#, "from and to belong together"),
        (faults, r#"{"fault":"http500","from":"2026-01-02","to":"2026-01-01"}"#, "from must be before to"),
        (clock, "{}", "now, advance or running is missing, as in {\"now\""),
        (clock, r#"{"now":"noon"}"#, "now \"noon\": write it like 2026-01-31"),
        (clock, r#"{"advance":"400d","now":"2199-12-31"}"#, "the clock can show the years 1970 to 2199"),
        (clock, r#"{"running":"yes"}"#, "running must be true or false, not \"yes\""),
        ("/simulator/records", r#"[{"CallID":"a"}]"#, "record 1: Date is missing"),
    ] {
        let (status, error) = error(&simulator, Method::POST, path, body).await;
        assert_eq!(status, 400, "{error}");
        assert!(error.starts_with(expected), "{error}");
    }
    post(&simulator, faults, json!({"fault": "hang", "share": 0.7})).await;
    post(&simulator, faults, json!({"fault": "bom", "share": 0.3})).await;
    let (_, text) = error(&simulator, Method::POST, faults, r#"{"fault":"nul","share":0.1}"#).await;
    assert_eq!(text, "the shares of all faults together must be at most 1");
    let (status, text) = error(&simulator, Method::GET, "/simulator/fault", "").await;
    assert!(status == 404 && text.contains("there are /simulator/, /simulator/faults"), "{text}");
    let (status, text) = error(&simulator, Method::PUT, clock, "{}").await;
    assert_eq!(
        (status, text.as_str()),
        (405, "/simulator/clock cannot be requested with PUT; it can with GET or POST")
    );
    assert_eq!(error(&simulator, Method::GET, "/simulator/requests?last=x", "").await.0, 400);
    assert_eq!(
        error(&simulator, Method::POST, "/simulator/records", " ".repeat((64 << 20) + 1)).await.0,
        413
    );
}

#[tokio::test]
async fn the_overview_names_what_there_is_and_nothing_is_there_unless_switched_on() {
    let simulator = start().await;
    let overview = get(&simulator, "/simulator/").await;
    assert_eq!(overview["known_faults"].as_array().unwrap().len(), Fault::all().len());
    assert_eq!((&overview["generation"], &overview["zone"]), (&json!("current"), &json!("UTC")));
    assert_eq!(overview, get(&simulator, "/simulator").await);

    let plain = SimulatorOptions { world: WorldOptions::empty(), ..SimulatorOptions::default() };
    let plain = Simulator::start(plain, ManualClock::new(Utc::now())).await.unwrap();
    let url = plain.url().replace("/hub/cdr/", "/simulator/faults");
    assert_eq!(client().delete(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn web_pages_reach_nothing() {
    let local = start().await;
    let everywhere = SimulatorOptions {
        admin: true,
        listen: "0.0.0.0:0".parse().unwrap(),
        world: WorldOptions::empty(),
        ..SimulatorOptions::default()
    };
    let everywhere = Simulator::start(everywhere, ManualClock::new(Utc::now())).await.unwrap();
    for (simulator, header, value, expected) in [
        (&local, "origin", "http://localhost:3000", 403),
        (&local, "origin", "null", 403),
        (&everywhere, "origin", "http://127.0.0.1", 403),
        (&local, "host", "rebound.example:8081", 403),
        (&local, "host", "localhost:8081", 200),
        // In a container it has the name of its service.
        (&everywhere, "host", "voicenter:8081", 200),
    ] {
        let url = simulator.url().replace("/hub/cdr/", "/simulator/faults");
        let request = client().post(url).header(header, value).body(r#"{"fault":"bom","always":true}"#);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{header}: {value}");
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("\"error\": \"/simulator/ "), expected == 403, "{text}");
        let always = get(simulator, "/simulator/faults").await["always"].clone();
        assert_eq!(always == json!("bom"), expected == 200, "nothing changes if it is refused");
    }
}
