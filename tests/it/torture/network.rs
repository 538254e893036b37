//! Connections that die without a word; leaders that stand still or are cut off.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::polling::comes_within;
use crate::torture::rounds::{Form, Kind, torture};
use crate::torture::scene::{Setup, TortureScene};
use crate::torture::wire::{Moment, STORING, Wire};

/// Each phase of a commit, and what is written beside it.
const MOMENTS: [Moment; 13] = [
    Moment::BeforeCommit,
    Moment::AfterCommit,
    Moment::Before(STORING),
    Moment::During(STORING),
    Moment::Before(COPY),
    Moment::During(COPY),
    Moment::Before(MERGE),
    Moment::During(MERGE),
    Moment::During("cdr_sync.missing"),
    Moment::During("insert into cdr_sync.coverage"),
    Moment::During("update cdr_sync.cursor"),
    Moment::During("insert into cdr_sync.budget"),
    Moment::During("update cdr_sync.lease"),
];
const COPY: &str = "copy pg_temp.staged";
const MERGE: &str = "insert into voicenter.cdr (account";
/// Records of one answer from which on they are copied.
const MANY: usize = 520;
/// Polls come every second, each with a commit; leases are renewed less often.
const SPRINGS: Duration = Duration::from_secs(12);

fn database(scene: &TortureScene, daemon: usize) -> &Wire {
    scene.daemons[daemon].database.as_ref().unwrap()
}

/// Waits until the armed moment has come; false: no transaction came to it in time.
async fn springs(scene: &mut TortureScene, daemon: usize, moment: Moment) -> bool {
    scene.disturb();
    if matches!(moment, Moment::Before(COPY) | Moment::During(COPY)) {
        (0..MANY).for_each(|_| drop(scene.mark()));
    }
    let came = comes_within(SPRINGS, async || !database(scene, daemon).is_armed()).await;
    if !came {
        println!("no transaction came to {moment:?}");
        database(scene, daemon).disarm();
    }
    came
}

pub async fn silent_connections(form: Form) {
    let kind = Kind {
        place: 5,
        name: "A database connection dies without a word, in each phase of a commit; every other time the server learns of it",
        times: (28, 4),
        lanes: 7,
        within: 10,
    };
    torture(&kind, form, &Setup { database_wires: true, ..Setup::default() }, async |scene, number| {
        database(scene, 0).server_notices(number % 2 == 1);
        let moment = MOMENTS.get(number / 2 % (MOMENTS.len() + 1));
        let mut dead = false;
        if let Some(moment) = moment {
            database(scene, 0).arm(*moment);
            dead = springs(scene, 0, *moment).await;
        }
        if !dead {
            // All at once, whatever they do.
            database(scene, 0).forget_connections();
        }
        println!("{number}: {moment:?}, {dead}");
        scene.recovery().await
    })
    .await;
}

pub async fn stopped_leader(form: Form) {
    let kind = Kind {
        place: 16,
        name: "SIGSTOP of a leader that has a standby, in a fetch and in each phase of a commit",
        times: (28, 1),
        lanes: 6,
        within: 30,
    };
    torture(
        &kind,
        form,
        &Setup { database_wires: true, standby: true, ..Setup::default() },
        async |scene, number| {
            let leader = scene.leader().await;
            let moment = MOMENTS.get(number % (MOMENTS.len() + 1));
            let mut stopped = false;
            if let Some(moment) = moment {
                database(scene, leader).arm_stop(*moment, scene.daemons[leader].process.id());
                stopped = springs(scene, leader, *moment).await;
            }
            if !stopped {
                // The answer takes 20 ms.
                let asked = scene.simulator.requests().len();
                comes_within(SPRINGS, async || scene.simulator.requests().len() > asked).await;
                scene.daemons[leader].process.signal(Signal::SIGSTOP);
            }
            println!("{number}: {moment:?}, {stopped}");
            let taken_over = scene.recovery().await;
            scene.daemons[leader].process.signal(Signal::SIGCONT);
            database(scene, leader).release();
            // It has noticed, and follows.
            scene.recovery().await;
            taken_over
        },
    )
    .await;
}

pub async fn cut_leader(form: Form) {
    let kind = Kind {
        place: 17,
        name: "The way from a leader that has a standby to the database is cut",
        times: (10, 1),
        lanes: 5,
        within: 30,
    };
    torture(
        &kind,
        form,
        &Setup { database_wires: true, standby: true, ..Setup::default() },
        async |scene, number| {
            let leader = scene.leader().await;
            database(scene, leader).server_notices(number % 2 == 1);
            let (began, stores) = (Instant::now(), scene.is_storing().await);
            database(scene, leader).cut();
            let id = scene.mark();
            let taken_over = scene.arrival(&id, began).await;
            println!("{taken_over:.1?}, in a commit: {stores}");
            database(scene, leader).reconnect();
            scene.recovery().await;
            taken_over
        },
    )
    .await;
}
