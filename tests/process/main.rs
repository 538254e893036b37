//! The real binary as its user runs it: what it tells of trouble.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is wrong"
)]

mod log;
mod memory;
mod outcomes;
mod scene;
mod strangers;
