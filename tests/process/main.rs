//! The real binary as its user runs it: killed at any moment, stopped by signals, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is wrong"
)]

#[path = "../mirror/compare.rs"]
mod compare;
mod kill;
mod scene;
mod signals;
