//! What the commands print, by snapshots: the real binary, a simulated API, a real database.
//!
//! `INSTA_UPDATE=always scripts/test -E 'test(/^commands::/)'` rewrites the snapshots; review the difference.

mod accounts;
mod check;
mod configuration;
mod documents;
mod gaps_and_rejected;
mod older;
mod query;
mod recording;
mod resume;
pub mod scene;
mod simulate;
mod status;
mod verify;
