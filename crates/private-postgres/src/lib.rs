//! A private PostgreSQL server for `demo` and for tests. Its programs are found on the machine or fetched, and it
//! stops together with the process that started it, however that process ends.
//!
//! ```text
//! Cluster::start
//!   owned_dir   a directory locked by its owner; those of dead owners are removed
//!   programs    initdb and postgres: from the machine, otherwise from PyPI (wheel)
//!   account     an unprivileged user to run them as, if this process is root
//!   watchdog    a small shell that stops the server if this process dies
//! TestDatabase  a fresh database for each test, in one server for each run
//! ```

/// The target of log lines: filters for the program that this is a part of select them, too.
const LOG: &str = "cdr_sync::private_postgres";

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
