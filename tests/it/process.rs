//! The real binary as its user runs it: what it reports when something is wrong.

mod demo;
pub mod log;
mod memory;
mod outcomes;
mod scene;
mod strangers;
mod work;
