//! The queries of the dashboard of calls, filled in as Grafana does it.

use std::fs;

use serde_json::Value;

use crate::bi::scene::NOW;

/// Seven whole days and today, as `now-7d` to `now`.
const FROM: &str = "2026-06-11T12:00:00Z";

pub struct Panel {
    pub title: String,
    pub sql: String,
}

/// What is chosen in the dashboard's variables.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    pub account: &'a str,
    /// None is "All".
    pub queues: Option<&'a [&'a str]>,
}

fn dashboard() -> Value {
    let text = fs::read_to_string("deploy/grafana/dashboards/calls.json").unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The queries of all panels, and those that fill the variables.
pub fn panels(chosen: Chosen<'_>) -> Vec<Panel> {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let of_variables = variables
        .iter()
        .filter(|variable| variable["type"] == "query")
        .map(|variable| (&variable["label"], &variable["query"]));
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let of_panels = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap();
        targets.iter().map(|target| (&panel["title"], &target["rawSql"]))
    });
    let all_queues =
        variables.iter().find(|variable| variable["name"] == "queue").unwrap()["allValue"].as_str();
    of_variables
        .chain(of_panels)
        .map(|(title, sql)| Panel {
            title: title.as_str().unwrap().to_owned(),
            sql: filled_in(sql.as_str().unwrap(), chosen, all_queues.unwrap()),
        })
        .collect()
}

/// The format `sqlstring`: in single quotes, which are doubled inside, with commas between.
fn sqlstring(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
    quoted.join(",")
}

fn filled_in(sql: &str, chosen: Chosen<'_>, all_queues: &str) -> String {
    // A value for "All" of one's own is taken as it stands, whatever the format.
    let queues = chosen.queues.map_or(all_queues.to_owned(), sqlstring);
    let filled = sql
        .replace("${account:sqlstring}", &sqlstring(&[chosen.account]))
        .replace("${queue:sqlstring}", &queues)
        .replace("$__timeFrom()", &format!("'{FROM}'"))
        .replace("$__timeTo()", &format!("'{NOW}'"));
    assert!(!filled.contains('$'), "a macro or variable that this test does not know: {filled}");
    filled
}

/// Every panel asks the data source that the dashboard's first variable chooses, and says what it shows.
#[test]
fn every_panel_of_calls_says_what_it_shows_and_asks_the_chosen_database() {
    let dashboard = dashboard();
    let panels: Vec<&Value> =
        dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() >= 12, "{}", panels.len());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert_eq!(panel["targets"][0]["datasource"]["uid"], "${datasource}", "{title}");
        let sql = panel["targets"][0]["rawSql"].as_str().unwrap();
        // Accounts are never added up.
        assert!(sql.contains("${account:sqlstring}"), "{title}");
    }
    // The one of compose is there under that type.
    let source = fs::read_to_string("deploy/grafana/provisioning/datasources/calls.yml").unwrap();
    let kind = dashboard["templating"]["list"][0]["query"].as_str().unwrap();
    assert!(source.contains(&format!("type: {kind}\n")) && source.contains("user: voicenter_reader\n"));
}
