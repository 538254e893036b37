//! What the commands print, by snapshots: the real binary, a simulated API, a real database.
//!
//! `INSTA_UPDATE=always scripts/test --test commands` writes the snapshots anew; look at the difference.

mod accounts;
mod check;
mod configuration;
mod documents;
mod leftovers;
mod older;
mod query;
mod resume;
mod scene;
mod status;
mod verify;
