//! The real program, killed and signalled: promise 1, "killed at any instant, nothing is lost or doubled".
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    reason = "a test stops where it is wrong"
)]

#[path = "../mirror/compare.rs"]
mod compare;
mod exit_status;
mod kills;
mod program;
mod signals;
mod takeover;
