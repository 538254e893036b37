//! The real program, killed and signalled: promise 1, "killed at any instant, nothing is lost or doubled".

mod exit_status;
mod kills;
pub mod scene;
mod signals;
mod takeover;
