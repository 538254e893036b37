//! The lists of extensions and queues, compared with the vendor's pages.

use chrono::{TimeZone, Utc};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::{Value, json};
use voicenter_simulator::{ListFault, ListName, Simulator, SimulatorOptions, WorldOptions};

use crate::clock::ManualClock;

async fn start(refuse_address: bool) -> Simulator {
    let now = Utc.with_ymd_and_hms(2026, 6, 8, 12, 0, 0).unwrap();
    let options = SimulatorOptions {
        world: WorldOptions::empty(),
        code: SecretString::from("right"),
        refuse_address,
        ..SimulatorOptions::default()
    };
    Simulator::start(options, ManualClock::new(now)).await.unwrap()
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn get(simulator: &Simulator, list: ListName, query: &str) -> (u16, String) {
    let answer = client().get(format!("{}?{query}", simulator.list_url(list))).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn json(simulator: &Simulator, list: ListName, query: &str) -> Value {
    serde_json::from_str(&get(simulator, list, query).await.1).unwrap()
}

#[tokio::test]
async fn a_list_has_the_fields_of_the_vendors_page_by_get_and_by_post() {
    let simulator = start(false).await;
    let extensions = json(&simulator, ListName::Extensions, "code=right&showAll=1").await;
    assert_eq!((&extensions["ERR"], &extensions["DESC"]), (&json!(0), &json!("OK")));
    assert_eq!(
        extensions["EXTENSIONS"][0],
        json!({"SIP": "SIPSIP1", "Name": "Extension 1", "SpeedDial": "11", "AccountID": 1201, "AccountName": "Sales",
               "UserName": "נועה כהן", "UserEmail": "sipsip1@example.com"})
    );
    let url = simulator.list_url(ListName::Extensions);
    let body = json!({"code": "right", "showAll": 1}).to_string();
    let posted = client().post(&url).body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&posted).unwrap(), extensions);
    let own = json(&simulator, ListName::Extensions, "code=right&showAll=0").await;
    let departments = own["EXTENSIONS"].as_array().unwrap().iter().map(|one| &one["AccountID"]);
    assert!(departments.clone().count() == 5 && departments.into_iter().all(|id| *id == json!(1201)));
    let queues = json(&simulator, ListName::Queues, "code=right").await;
    assert_eq!(
        queues["QUEUES"][0],
        json!({"Name": "Sales", "ID": 30501, "Weight": 5, "Callers": [
            {"Phone": "050123451", "CallID": "17809199790", "JoinTime": 1_780_919_979, "Duration": 21}]})
    );
    assert_eq!(simulator.lists().requests(ListName::Extensions), 3);
    assert!(simulator.requests().is_empty(), "they are none of the call log's");
}

#[tokio::test]
async fn a_wrong_code_is_answered_with_an_empty_list_and_none_with_an_error() {
    let simulator = start(false).await;
    let wrong = get(&simulator, ListName::Extensions, "code=wrong&showAll=1").await;
    assert_eq!(wrong, (200, "{\"ERR\":0,\"DESC\":\"OK\",\"EXTENSIONS\":[]}".into()));
    assert_eq!(json(&simulator, ListName::Queues, "code=wrong").await["ERR"], 2);
    for query in ["", "code=", "code=right&unknown=1"] {
        assert_eq!(json(&simulator, ListName::Extensions, query).await["ERR"], 1, "{query}");
    }
    let (status, body) = get(&start(true).await, ListName::Extensions, "code=right").await;
    assert!(status == 403 && body.starts_with("{\"ERR\":4"), "{body}");
}

#[tokio::test]
async fn lists_change_and_go_wrong_each_by_itself() {
    let simulator = start(false).await;
    let lists = simulator.lists();
    lists.change_queues(|all| all[0].name = "Renamed".into());
    let other = simulator.lists_of("other");
    other.change_extensions(|all| all.truncate(1));
    assert_eq!(json(&simulator, ListName::Queues, "code=right").await["QUEUES"][0]["Name"], "Renamed");
    let count = async |code: &str| {
        let list = json(&simulator, ListName::Extensions, &format!("code={code}")).await;
        list["EXTENSIONS"].as_array().unwrap().len()
    };
    assert_eq!((count("right").await, count("other").await), (24, 1));
    lists.spoil(ListName::Extensions, Some(ListFault::Shrunk));
    assert_eq!((count("right").await, count("other").await), (8, 1));
    for (fault, status, begin) in [
        (ListFault::Refused, 200, "{\"ERR\":1"),
        (ListFault::HtmlWith200, 200, "<html>"),
        (ListFault::Http500, 500, "<html>"),
        (ListFault::Http500WithList, 500, "{\"ERR\":0"),
        (ListFault::Blocked, 403, "<html>"),
        (ListFault::LowerCaseNames, 200, "{\"err\":0,\"desc\":\"OK\",\"extensions\":[{\"sip\":"),
    ] {
        lists.spoil(ListName::Extensions, Some(fault));
        let (came, body) = get(&simulator, ListName::Extensions, "code=right").await;
        assert!(came == status && body.starts_with(begin), "{fault:?}: {body}");
    }
    lists.spoil(ListName::Extensions, Some(ListFault::Truncated));
    let (_, body) = get(&simulator, ListName::Extensions, "code=right").await;
    assert!(serde_json::from_str::<Value>(&body).unwrap_err().is_eof());
    assert_eq!(json(&simulator, ListName::Queues, "code=right").await["ERR"], 0, "the other list is well");
}
