//! Connections that die without a word; leaders that stand still or are cut off.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::rounds::{Form, Kind, comes_within, torture};
use crate::scene::{Scene, Setup};
use crate::wire::{Moment, Wire};

/// Each piece of a commit in turn; shorter transactions have fewer.
const MOMENTS: [Moment; 10] = [
    Moment::Piece(0),
    Moment::Piece(1),
    Moment::Piece(2),
    Moment::Piece(3),
    Moment::Piece(4),
    Moment::Piece(6),
    Moment::Piece(8),
    Moment::Piece(10),
    Moment::BeforeCommit,
    Moment::AfterCommit,
];
/// Polls come every second, each with a commit.
const SPRINGS: Duration = Duration::from_secs(6);

fn database(scene: &Scene, daemon: usize) -> &Wire {
    scene.daemons[daemon].database.as_ref().unwrap()
}

/// Waits until the moment has come; false: no transaction had so many pieces.
async fn springs(scene: &mut Scene, daemon: usize) -> bool {
    scene.disturb();
    let came = comes_within(SPRINGS, async || !database(scene, daemon).is_armed()).await;
    database(scene, daemon).disarm();
    came
}

pub async fn silent_connections(form: Form) {
    let kind = Kind {
        place: 5,
        name: "A database connection dies without a word, at each piece of a commit, before and after COMMIT",
        times: (20, 2),
        lanes: 2,
        within: 10,
    };
    torture(&kind, form, &Setup { wires: true, ..Setup::default() }, async |scene, number| {
        // The last two, then the pieces: both are in the short form.
        database(scene, 0).arm(MOMENTS[(number + 8) % MOMENTS.len()]);
        if !springs(scene, 0).await {
            database(scene, 0).forget_connections();
        }
        scene.recovery().await
    })
    .await;
}

pub async fn stopped_leader(form: Form) {
    let kind = Kind {
        place: 16,
        name: "SIGSTOP of a leader that has a standby: in a fetch, at each piece of a commit, before and after COMMIT",
        times: (16, 1),
        lanes: 4,
        within: 30,
    };
    torture(&kind, form, &Setup { wires: true, standby: true, ..Setup::default() }, async |scene, number| {
        let leader = scene.leader().await;
        let moment = [&MOMENTS[8..], &MOMENTS[1..8]].concat().get(number % 10).copied();
        let mut stopped = false;
        if let Some(moment) = moment {
            database(scene, leader).arm_stop(moment, scene.daemons[leader].id());
            stopped = springs(scene, leader).await;
        }
        if !stopped {
            // The answer takes 20 ms.
            let asked = scene.simulator.requests().len();
            comes_within(SPRINGS, async || scene.simulator.requests().len() > asked).await;
            scene.daemons[leader].signal(Signal::SIGSTOP);
        }
        let taken_over = scene.recovery().await;
        scene.daemons[leader].signal(Signal::SIGCONT);
        database(scene, leader).release();
        // It has noticed, and follows.
        scene.recovery().await;
        taken_over
    })
    .await;
}

pub async fn cut_leader(form: Form) {
    let kind = Kind {
        place: 17,
        name: "The network of a leader that has a standby is cut",
        times: (10, 1),
        lanes: 2,
        within: 30,
    };
    torture(&kind, form, &Setup { wires: true, standby: true, ..Setup::default() }, async |scene, _| {
        let leader = scene.leader().await;
        let began = Instant::now();
        scene.daemons[leader].database.as_ref().unwrap().cut();
        scene.daemons[leader].api.as_ref().unwrap().cut();
        let id = scene.mark();
        let taken_over = scene.arrival(&id, began).await;
        scene.daemons[leader].database.as_ref().unwrap().mend();
        scene.daemons[leader].api.as_ref().unwrap().mend();
        scene.recovery().await;
        taken_over
    })
    .await;
}
