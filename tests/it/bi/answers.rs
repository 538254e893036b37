//! Every question of docs/bi.md and every panel of the dashboard, asked of one mirrored call centre.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bi::meant::Meant;
use crate::bi::panels::{Chosen, panels};
use crate::bi::questions::questions;
use crate::bi::scene::{ACCOUNT, CallCentre, Row};

/// What may be unknown in every row: nothing is wrong with the mirror, and it was read once, so that no hour has settled.
const MAY_BE_EMPTY: [&str; 6] =
    ["last_error", "Error", "settled_until", "final_until", "Settled up to", "Final up to"];

/// What is wrong with an answer that must have rows, and a value in each column of some row.
fn lacking(answer: &Result<Vec<Row>, String>) -> Option<String> {
    let rows = match answer {
        Ok(rows) if rows.is_empty() => return Some("no rows".to_owned()),
        Ok(rows) => rows,
        Err(error) => return Some(error.clone()),
    };
    let columns = rows[0].keys().filter(|name| !MAY_BE_EMPTY.contains(&name.as_str()));
    let empty: Vec<&String> = columns.filter(|name| rows.iter().all(|row| row[*name].is_null())).collect();
    (!empty.is_empty()).then(|| format!("nothing in {empty:?}"))
}

#[tokio::test]
async fn every_question_and_every_panel_has_its_answer() {
    let mut call_centre = CallCentre::mirrored().await;
    let mut wrong = Vec::new();
    let mut note = |name: &str, failure: Option<String>| {
        wrong.extend(failure.map(|failure| format!("{name}: {failure}")));
    };

    let questions = questions();
    let numbers: Vec<usize> = questions.iter().map(|question| question.number).collect();
    assert_eq!(numbers, (1..=25).collect::<Vec<_>>());
    let meant = Meant::by(&call_centre);
    let mut compared = BTreeSet::new();
    for question in questions {
        let answer = call_centre.ask(&question.sql).await;
        note(&question.heading, lacking(&answer));
        let (Ok(rows), Some(expected)) = (answer, meant.answer(question.number)) else { continue };
        compared.insert(question.number);
        note(&question.heading, differing(&rows, &expected));
    }
    assert!(compared.len() >= 8, "{compared:?}");

    let all = Chosen { account: ACCOUNT, queues: None };
    for panel in panels(all) {
        note(&panel.title, lacking(&call_centre.ask(&panel.sql).await));
    }
    // Some queues, one of them with a quote in its name; and an account of which nothing is there yet.
    let some: [&str; 2] = ["Sales", "Dana's"];
    for panel in panels(Chosen { queues: Some(&some), ..all }) {
        note(&format!("{} of some queues", panel.title), lacking(&call_centre.ask(&panel.sql).await));
    }
    for panel in panels(Chosen { account: "new", queues: None }) {
        note(&format!("{} of nothing", panel.title), call_centre.ask(&panel.sql).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How the columns that the world tells differ from what it means, in any order of rows.
fn differing(rows: &[Row], expected: &[Row]) -> Option<String> {
    let columns: Vec<&String> = expected.first()?.keys().collect();
    let project = |row: &Row| {
        let values =
            columns.iter().map(|name| (*name).clone()).zip(columns.iter().map(|name| row[*name].clone()));
        Value::Object(values.collect()).to_string()
    };
    let (got, meant): (BTreeSet<String>, BTreeSet<String>) =
        (rows.iter().map(project).collect(), expected.iter().map(project).collect());
    let (extra, missing): (Vec<_>, Vec<_>) =
        (got.difference(&meant).collect(), meant.difference(&got).collect());
    (got != meant || rows.len() != expected.len())
        .then(|| format!("answers {extra:#?}, the world means {missing:#?}"))
}
