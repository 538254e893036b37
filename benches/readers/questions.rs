//! The questions of dashboards and people, asked as `voicenter_reader` over a connection without any settings.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::ACCOUNT;
use crate::report::{Report, quantile};

/// How often each is asked once it is warm.
const TIMES: usize = 9;

/// What is asked, its limit in milliseconds if it has one, and the statement.
const QUESTIONS: [(&str, Option<f64>, &str); 10] = [
    (
        "year of calls_daily",
        Some(100.0),
        "select * from voicenter.calls_daily where account = 'ACCOUNT' and day >= current_date - 366 order by day",
    ),
    (
        "month of queue_daily",
        Some(200.0),
        "select * from voicenter.queue_daily where account = 'ACCOUNT' and day >= current_date - 31 order by day, queue_name",
    ),
    (
        "month of agent_daily",
        Some(200.0),
        "select * from voicenter.agent_daily where account = 'ACCOUNT' and day >= current_date - 31 order by day, agent",
    ),
    (
        "month of agent_calls",
        None,
        "select * from voicenter.agent_calls where account = 'ACCOUNT' and day >= current_date - 31",
    ),
    (
        "yesterday by hour",
        Some(50.0),
        "select * from voicenter.calls_hourly where account = 'ACCOUNT' and day = current_date - 1 order by hour",
    ),
    (
        "newest 50 calls",
        Some(5.0),
        "select * from voicenter.calls where account = 'ACCOUNT' order by started_at desc limit 50",
    ),
    (
        "one customer's calls",
        Some(50.0),
        "select * from voicenter.calls where account = 'ACCOUNT' and (caller_number = 'CUSTOMER' or target_number = 'CUSTOMER')
         order by started_at desc",
    ),
    ("year of queue_daily", None, "select * from voicenter.queue_daily where account = 'ACCOUNT' and day >= current_date - 366"),
    (
        "changes since the last look",
        None,
        "select * from voicenter.changes where account = 'ACCOUNT'
         and updated_at > (select max(updated_at) from voicenter.calls where account = 'ACCOUNT') - interval '1 second'
         order by updated_at limit 5000",
    ),
    ("sync_state of all accounts", None, "select * from voicenter.sync_state"),
];

/// Returns the fastest answer to each that is about one account, in milliseconds: what others do on the machine at the time is not in it.
pub(crate) async fn ask(url: &str, report: &mut Report, when: &str, explain: bool) -> Vec<f64> {
    let mut sql = PgConnection::connect(url).await.unwrap();
    let customer =
        "select caller_number from voicenter.calls where account = 'ACCOUNT' and caller_number is not null
                    order by started_at desc limit 1"
            .replace("ACCOUNT", ACCOUNT);
    let customer: String = sqlx::query_scalar(AssertSqlSafe(customer)).fetch_one(&mut sql).await.unwrap();
    sqlx::raw_sql("set role voicenter_reader").execute(&mut sql).await.unwrap();
    let mut fastest = Vec::new();
    for (name, most, statement) in QUESTIONS {
        let is_of_one = statement.contains("ACCOUNT");
        let statement = statement.replace("ACCOUNT", ACCOUNT).replace("CUSTOMER", &customer);
        let (mut times, mut rows) = (Vec::new(), 0);
        for _ in 0..=TIMES {
            let began = Instant::now();
            rows = sqlx::raw_sql(AssertSqlSafe(statement.clone())).fetch_all(&mut sql).await.unwrap().len();
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        // The first one is cold.
        let median = quantile(&times[1..], 0.5);
        let (what, unit) = (format!("{name}, {when}"), format!("ms ({rows} rows)"));
        let is_met = match most {
            Some(most) => report.goal(&what, most, median, &unit),
            None => {
                report.note(&what, median, &unit);
                true
            }
        };
        if explain && !is_met {
            let explain = format!("explain (analyze, buffers, settings) {statement}");
            let plan: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut sql).await.unwrap();
            println!("    {}", plan.join("\n    "));
        }
        if is_of_one {
            fastest.push(quantile(&times[1..], 0.0));
        }
    }
    fastest
}
