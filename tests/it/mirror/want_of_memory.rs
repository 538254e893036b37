//! The answers of other accounts take up the memory: that is no evidence against a window.

use std::time::Duration;

use cdr_sync::plan::Mode;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::voicenter::{Client, ClientResources, ClientSettings, Credential, Granularity, Method};
use chrono_tz::Tz;
use voicenter_simulator::{ApiGeneration, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, simulated};
use crate::support::polling::until;

const LARGEST: u64 = 64 << 20;
/// The pool of a budget for such answers, and what an account expects of its first one.
const POOL: u64 = 16 << 20;
const FIRST: u64 = 64 << 10;

#[tokio::test]
async fn an_answer_without_memory_waits_its_turn_and_is_no_failure() {
    let world = WorldOptions { calls_per_day: 200.0, ..WorldOptions::default() };
    let simulator = SimulatorOptions { world, ..simulated(ApiGeneration::Current) };
    let code = simulator.code.clone();
    let mut scene = MirrorScene::new(simulator).await;
    let shared = ClientResources::for_answers_of(LARGEST);
    let client = |timeout| {
        let settings = ClientSettings {
            url: scene.simulator.url().parse().unwrap(),
            credential: Credential::Code(code.clone()),
            method: Method::Post,
            timezone: Tz::UTC,
            granularity: Granularity::Second,
            timeout,
            max_response_bytes: LARGEST,
            ca_file: None,
        };
        Client::sharing(settings, &shared).unwrap()
    };
    let [pooled, large] = [(); 2].map(|()| client(Duration::from_secs(60)));
    let (mut pool, mut privilege) = (pooled.memory().nothing(), large.memory().nothing());
    // Enough for the small answers that come first.
    assert!(pool.grows_without_waiting(POOL - 4 * FIRST));
    privilege.grow_to(LARGEST).await;
    let own = client(Duration::from_secs(4));
    let memory = own.memory().clone();
    scene.account.client = own;

    let watch = ProgressWatch::default();
    let mut engine = scene.engine(Mode::Pass, watch.clone()).await;
    let pass = async {
        engine.run().await.unwrap();
        engine.close().await.unwrap();
    };
    let others = async {
        until("an answer that was given up", async || memory.expected() != FIRST).await;
        drop((pool, privilege));
    };
    let both = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(pass, others) }).await;
    assert!(both.is_ok(), "still waiting: {:?}", watch.read());
    let failed = "select count(*) from cdr_sync.window_read where outcome = 'failed'";
    assert_eq!(scene.database.count(failed).await, 0);
    assert!(watch.read().requests > watch.read().windows, "the answer was given up and asked for again");
    scene.assert_mirrors().await;
    scene.assert_complete().await;
}
