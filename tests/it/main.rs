//! The tests that need more than one module: against a real PostgreSQL, a simulated Voicenter and the real program.
//!
//! One binary for all of them, so that there is one to link; `scripts/test -E 'test(/^mirror::/)'` runs a part.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test stops where it is wrong, and measures other processes by the host's clocks"
)]

mod ai;
mod architecture;
mod bi;
mod budget;
mod call_history;
mod canonical_form;
mod client;
mod commands;
mod decode_properties;
mod deploy;
mod documented;
mod golden;
mod http;
mod kill;
mod lateness;
mod log_events;
mod mirror;
mod monitoring;
mod page;
mod planner;
mod planner_evidence;
mod process;
mod push;
mod readers;
mod reference;
mod references;
mod scaling;
mod servers;
mod store_postgres;
mod support;
mod torture;
