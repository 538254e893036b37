//! `verify`: what it names, and what it will not compare.

use cdr_sync::clock::Clock;
use chrono::TimeDelta;

use crate::commands::scene::{printed, program, simulator};
use crate::support::database::Database;

#[tokio::test]
async fn details_name_the_records_and_the_columns_that_differ() {
    let now = Clock::System.now();
    let simulator = simulator(now, |_| {}).await;
    let database = Database::new().await;
    let (url, code) = (simulator.url(), "simulated-code");
    let start = (now - TimeDelta::days(2)).to_rfc3339();
    let environment = [
        ("DATABASE_URL", database.url()),
        ("VOICENTER_URL", url.as_str()),
        ("VOICENTER_CODE", code),
        ("CDR_SYNC__API__TIMEZONE", "UTC"),
        ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "100000"),
        ("CDR_SYNC__SYNC__START", start.as_str()),
    ];
    let synced = printed(program(&["sync"], &environment)).await;
    assert!(synced.ends_with("exit status 0\n"), "{synced}");
    let mut connection = database.sql().await;
    let keys: Vec<(String, String)> = sqlx::query_as(
        "with chosen as (
             select call_id, type, row_number() over (order by started_at, call_id, type) as n from voicenter.cdr
             where started_at between now() - interval '47 hours' and now() - interval '12 hours'
         ), changed as (
             update voicenter.cdr c set price = 123456, extra = '{\"Odd\": 1}' from chosen
             where n = 1 and (c.call_id, c.type) = (chosen.call_id, chosen.type)
         ), lost as (
             delete from voicenter.cdr c using chosen where n = 2 and (c.call_id, c.type) = (chosen.call_id, chosen.type)
         ), made_up as (
             insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
             select 'default', 'made-up', '', now() - interval '1 day', now(), now()
         )
         select call_id, type from chosen where n <= 2 order by n",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let (from, to) = (start.as_str(), (now - TimeDelta::hours(6)).to_rfc3339());
    let verify = ["verify", "--from", from, "--to", &to];
    let plain = printed(program(&verify, &environment)).await;
    assert!(plain.ends_with("exit status 4\n") && !plain.contains("made-up"), "{plain}");
    let told = printed(program(&[&verify[..], &["--details"]].concat(), &environment)).await;
    assert!(told.ends_with("exit status 4\n"), "{told}");
    let line = |call_id: &str, what: &str| {
        let lines = told.lines().filter(|line| line.contains(call_id) && line.contains(what));
        lines.map(str::trim_end).map(str::to_owned).collect::<Vec<_>>()
    };
    let changed = line(&keys[0].0, "different");
    assert!(changed.len() == 1 && changed[0].ends_with("extra.odd, price"), "{told}");
    assert!(changed[0].contains(&keys[0].1), "{told}");
    assert_eq!((line(&keys[1].0, "missing").len(), line("made-up", "extra").len()), (1, 1), "{told}");
    assert!(!told.contains("123456"), "names, not values: {told}");
    let json = printed(program(&[&verify[..], &["--details", "--json"]].concat(), &environment)).await;
    let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let account = &json["accounts"][0];
    assert_eq!(
        (&json["equal"], &account["missing"], &account["extra"]),
        (&false.into(), &1.into(), &1.into())
    );
    assert_eq!(account["details"].as_array().unwrap().len(), 3, "{json}");
    // Relative times, and an end that is the present.
    let today = printed(program(&["verify", "--from", "-6h", "--json"], &environment)).await;
    assert!(today.contains("\"equal\":true") && today.ends_with("exit status 0\n"), "{today}");
}

#[tokio::test]
async fn a_span_in_the_future_is_an_error() {
    let environment =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), ("VOICENTER_CODE", "simulated-code")];
    let (from, to) = (
        (Clock::System.now() + TimeDelta::days(1)).to_rfc3339(),
        (Clock::System.now() + TimeDelta::days(2)).to_rfc3339(),
    );
    let said = printed(program(&["verify", "--from", &from, "--to", &to], &environment)).await;
    assert!(said.contains("in the future") && said.ends_with("exit status 2\n"), "{said}");
}
