//! The simulated API, its world standing still or going on in real time.

use cdr_sync::clock::{Clock, ManualClock};
use chrono::{DateTime, Utc};
use voicenter_simulator::{ApiGeneration, DialectOptions, Simulator, SimulatorOptions};

/// A server of this generation, as its document describes it, that limits no rate.
pub fn unlimited(generation: ApiGeneration) -> SimulatorOptions {
    SimulatorOptions {
        generation,
        dialect: dialect(generation),
        requests_per_minute: 0,
        // Most of a test's time without optimisation.
        gzip: false,
        ..SimulatorOptions::default()
    }
}

/// The daemon names all fields of the current generation, so each record comes with its epoch.
pub fn dialect(generation: ApiGeneration) -> DialectOptions {
    DialectOptions { date_epoch: generation == ApiGeneration::Current, ..DialectOptions::default() }
}

/// An API in whose world it is always `now`.
pub async fn standing(options: SimulatorOptions, now: DateTime<Utc>) -> Simulator {
    Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap()
}

/// An API that lives in the host's time.
pub async fn running(options: SimulatorOptions) -> Simulator {
    Simulator::start(options, Clock::System).await.unwrap()
}
