//! The simulator from outside: raw HTTP, compared with the documents and with what the simulator declares to be
//! true.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod admin;
mod clock;
mod faults;
mod folder;
mod get;
mod lists;
mod log;
mod page;
mod pushes;
mod recordings;
mod records;
mod rules;
mod tls;
mod wire;
