//! The real binary as its user runs it: what it reports when something is wrong.

pub mod log;
mod memory;
mod outcomes;
mod scene;
mod strangers;
