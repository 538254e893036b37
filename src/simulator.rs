//! A Voicenter API to try things on: in-process for tests, and as `cdr-sync simulate`.
//!
//! It is as strict as the documents and as nasty as the real servers. It writes and reads the wire format by
//! itself and knows nothing of the daemon's decoder, so that both cannot share a mistake.

mod calls;
mod dialect;
mod options;
mod people;
mod random;
mod record;
mod schedule;
mod truth;
mod world;

pub use options::{
    DateForm, DialectOptions, Generation, OverLimit, RateClock, SimulatorOptions, SortBehaviour, WorldOptions,
};
pub use record::{Empties, Record};
pub use truth::{TruthRow, fewest_possible};
pub use world::World;
