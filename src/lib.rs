//! cdr-sync keeps `voicenter.cdr` an exact, fresh mirror of Voicenter's call detail records.
//!
//! The data goes one way: plan → fetch → decode → store → plan. `ARCHITECTURE.md` is the map.

// First: its macros are those of every module below.
#[macro_use]
mod output;

mod allocator;
pub mod answer_memory;
pub mod call_history;
pub mod cdr;
pub mod cli;
pub mod clock;
pub mod config;
mod daemon;
pub mod demo;
pub mod health;
pub mod http;
pub mod joining;
pub mod metrics;
mod notify;
pub mod phone_number;
pub mod plan;
pub mod push;
pub mod rate_limit;
pub mod read;
mod receiver;
pub mod reference;
pub mod setup;
pub mod store;
pub mod sync;
pub mod systemd;
pub mod telemetry;
pub mod voicenter;
pub mod window;
