//! The daemon asks beside the calls; what it says holds no secret and nothing that was said.

use chrono::TimeDelta;
use nix::sys::signal::Signal;
use std::process::Stdio;
use voicenter_simulator::{ApiGeneration, HistoryOptions, SimulatorOptions, WorldOptions};

use crate::call_history::scene::{TOKEN, call_at};
use crate::process::scene::ProcessScene;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::polling::until;
use crate::support::program::{Running, free_address};
use crate::support::simulator::{standing, unlimited};

#[tokio::test(flavor = "multi_thread")]
async fn analyses_come_beside_the_calls_and_nothing_of_them_is_said() {
    let now = cdr_sync::clock::Clock::System.now();
    let history = HistoryOptions { token: TOKEN.into(), per_week: 400, is_flat: false };
    let options = SimulatorOptions {
        world: WorldOptions::empty(),
        history: Some(history),
        ..unlimited(ApiGeneration::Current)
    };
    let simulator = standing(options, now).await;
    let scene =
        ProcessScene { database: Database::new().await, simulator, start: now - TimeDelta::days(2), now };
    scene.simulator.world().insert(call_at("secret-call-1", now - TimeDelta::hours(8)), now);
    let (page, folder) = (free_address(), Folder::new());
    let log = folder.path().join("log");
    let mut command = scene.command(&["run"]);
    command
        .env("VOICENTER_AI_TOKEN", TOKEN)
        .env("CDR_SYNC__AI__URL", scene.simulator.history_url())
        // The week may have begun just now.
        .env("CDR_SYNC__AI__REQUESTS_PER_WEEK", "100000")
        .env("CDR_SYNC__HTTP__LISTEN", &page)
        .env("CDR_SYNC__LOG__LEVEL", "trace")
        .stdout(Stdio::null())
        .stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let mut daemon = Running::start(command);
    until("the schema", async || {
        scene.database.count("select count(to_regclass('voicenter_ai.call_ai'))").await == 1
    })
    .await;
    until("the calls", async || scene.database.count("select count(*) from voicenter.cdr").await == 1).await;
    until("the analysis", async || {
        scene.database.count("select count(*) from voicenter_ai.call_ai where source = 'history'").await == 1
    })
    .await;
    let metrics = reqwest_text(&format!("http://{page}/metrics")).await;
    let counted = "cdr_sync_ai_requests_total{account=\"default\",outcome=\"analysis\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().await.0.code(), Some(0));
    let said = std::fs::read_to_string(&log).unwrap() + &metrics;
    let summaries =
        scene.database.lines("select summary from voicenter_ai.call_ai where summary is not null").await;
    let secrets = [TOKEN, "0541112222", "secret-call-"].map(str::to_owned);
    for secret in secrets.iter().chain(&summaries) {
        assert!(!said.contains(secret.as_str()), "{secret} was said");
    }
}

async fn reqwest_text(url: &str) -> String {
    cdr_sync::voicenter::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().text().await.unwrap()
}
