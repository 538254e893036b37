//! Faults of the daemon's own process.

use crate::rounds::{Form, Kind, comes_within, torture};
use crate::scene::Setup;

use std::time::{Duration, Instant};

pub async fn killed_daemon(form: Form) {
    let kind = Kind { place: 1, name: "SIGKILL of the daemon", times: (200, 3), lanes: 4, within: 10 };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        // Every other one hits a commit.
        if number % 2 == 1 {
            comes_within(Duration::from_secs(2), async || scene.is_storing().await).await;
        }
        scene.daemons[0].kill();
        scene.daemons.clear();
        let began = Instant::now();
        let id = scene.mark();
        scene.start_daemon().await;
        scene.arrival(&id, began).await
    })
    .await;
}
