//! The real binary as its user runs it: what it reports when something is wrong.

mod demo;
pub mod log;
mod memory;
mod notify;
mod outcomes;
mod pause;
pub mod scene;
mod strangers;
mod work;
