//! A fault again and again, and what came of it: one row of the table.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::torture::scene::{BUDGET, Differences, Setup, TortureScene};

/// What the table may take to follow after the last fault.
const SETTLING: Duration = Duration::from_secs(40);
/// And where there is time to wait for every re-read of the lookback.
const RE_READ: Duration = Duration::from_secs(660);
/// By how much a busy machine may stretch what is promised, where that is measured.
const GENEROUS: u32 = 3;
/// The short form runs on machines that are busy with other things: it looks for what is lost or wrong, and only a
/// recovery that seems never to come fails it.
const SLOWEST: Duration = Duration::from_secs(90);
/// Where the rows are to be written; nowhere unless it is set.
const ROWS: &str = "CDR_SYNC_TORTURE_ROWS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Short,
    Full,
}

impl Form {
    /// A test that is not done by then hangs.
    pub fn end(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(300),
            Self::Full => Duration::from_secs(1_500),
        }
    }
}

/// A kind of fault.
pub struct Kind {
    /// Its place in the table.
    pub place: u32,
    pub name: &'static str,
    /// How often, in the full and in the short form.
    pub times: (usize, usize),
    /// Scenes at once.
    pub lanes: usize,
    /// Seconds that are promised.
    pub within: u64,
}

impl Kind {
    /// A recovery that takes longer fails the test.
    fn limit(&self, form: Form) -> Duration {
        match form {
            Form::Short => SLOWEST,
            Form::Full => Duration::from_secs(self.within) * GENEROUS,
        }
    }
}

/// Runs the test of one kind of fault, or panics when it hangs: its processes end with it then.
pub async fn ends(form: Form, test: impl AsyncFnOnce(Form)) {
    let done = tokio::time::timeout(form.end(), test(form)).await;
    assert!(done.is_ok(), "not done after {:?}", form.end());
}

/// Lets `inject` bring the fault, end it, and return how long the daemon took to recover.
pub async fn torture(
    kind: &Kind,
    form: Form,
    setup: &Setup,
    inject: impl AsyncFn(&mut TortureScene, usize) -> Duration,
) {
    let (times, lanes, settling) = match form {
        Form::Short => (kind.times.1, 1, SETTLING),
        Form::Full => (kind.times.0, kind.lanes, RE_READ),
    };
    let lane = async |lane: usize| {
        let mut scene = TortureScene::new(setup.clone(), 1 + lane as u64).await;
        let mut recoveries = Vec::new();
        for number in (lane..times).step_by(lanes) {
            scene.disturb();
            // Polls come every second: faults at every moment between.
            scene.spell(0..1_200).await;
            let recovery = inject(&mut scene, number).await;
            println!("{}, {number}: {recovery:.1?}", kind.name);
            if recovery > Duration::from_secs(kind.within) {
                scene.daemons.iter().for_each(|daemon| println!("{}", daemon.said()));
            }
            recoveries.push(recovery);
            if scene.is_stuck {
                break;
            }
        }
        let differences = scene.differences(settling).await;
        // Shows that the faults were felt at all.
        scene.daemons.iter().for_each(|daemon| println!("{}: {:?}", kind.name, daemon.events()));
        let too_many = scene.simulator.requests().busiest_real_minute().saturating_sub(BUDGET);
        if differences.lost + differences.wrong > 0 {
            scene.daemons.iter().for_each(|daemon| eprintln!("{}", daemon.said()));
        }
        (recoveries, differences, too_many)
    };
    let done = futures_util::future::join_all((0..lanes).map(lane)).await;
    let (mut recoveries, mut differences, mut too_many) = (Vec::new(), Differences::default(), 0);
    for (lane_recoveries, lane_differences, lane_too_many) in done {
        recoveries.extend(lane_recoveries);
        differences.lost += lane_differences.lost;
        differences.wrong += lane_differences.wrong;
        too_many += lane_too_many;
    }
    recoveries.sort();
    let (median, worst) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    let row = format!(
        "| {} | {} | {:.1} s | {:.1} s | {} s | {} | {} | {too_many} |",
        kind.name,
        recoveries.len(),
        median.as_secs_f64(),
        worst.as_secs_f64(),
        kind.within,
        differences.lost,
        differences.wrong,
    );
    println!("{row}");
    write(kind.place, &row);
    assert_eq!((differences.lost, differences.wrong, too_many), (0, 0, 0), "{row}");
    assert!(worst <= kind.limit(form), "{row}");
}

/// A row without figures, where this machine has no such fault.
pub fn not_run(kind: &Kind, why: &str) {
    let row = format!("| {} | not run: {why} | | | {} s | | | |", kind.name, kind.within);
    println!("SKIPPED: {row}");
    write(kind.place, &row);
}

fn write(place: u32, row: &str) {
    if let Some(rows) = std::env::var_os(ROWS) {
        fs::write(Path::new(&rows).join(format!("{place:02}")), format!("{row}\n")).unwrap();
    }
}
