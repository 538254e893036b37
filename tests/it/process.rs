//! The real binary as its user runs it: what it tells of trouble.

pub mod log;
mod memory;
mod outcomes;
mod scene;
mod strangers;
