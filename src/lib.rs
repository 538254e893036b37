//! cdr-sync keeps `voicenter.cdr` an exact, fresh mirror of Voicenter's call detail records.
//!
//! The data goes one way: plan → fetch → decode → store → plan. `ARCHITECTURE.md` is the map.

pub mod cdr;
pub mod clock;
pub mod private_postgres;
pub mod simulator;
pub mod store;
pub mod voicenter;
pub mod window;
