//! The daemon held to its promises: a simulated Voicenter on one side, a real PostgreSQL on the other, and a
//! comparison that shares nothing with the daemon's own decoder or with `verify`.

mod asked;
mod capabilities;
mod clocks;
mod dialects;
mod faults;
mod first_sync;
mod hours;
mod keys;
mod life;
mod lookups;
mod lost;
mod meaning;
mod old_ledger;
mod relieved;
mod resume;
mod retention;
pub mod scene;
mod soak;
mod want_of_memory;
mod zones;
