//! The `cdr-sync` program: see `cdr-sync --help`.

use std::process::ExitCode;

use cdr_sync::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    Cli::parse().run()
}
