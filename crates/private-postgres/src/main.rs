//! Runs a command with a private PostgreSQL, whose address the command finds in `CDR_SYNC_TEST_DATABASE`, and stops
//! the server when the command ends. `scripts/test` runs the tests this way, so that all their processes share one
//! server.
//!
//! `private-postgres COMMAND [ARGUMENT]…`; a server named by `DATABASE_URL` is used as it is, and
//! `CDR_SYNC_POSTGRES` chooses the programs of a private one.

use std::process::{Command, ExitCode};

use private_postgres::{Options, ProgramSource, SERVER_VARIABLE, Server};
use secrecy::{ExposeSecret, SecretString};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: private-postgres COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    };
    let given = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()).map(SecretString::from);
    let options = Options { source: ProgramSource::from_env(), ..Options::default() };
    let server = match Server::obtain(given, options) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("private-postgres: {error}");
            return ExitCode::FAILURE;
        }
    };
    match &server {
        Server::Given(_) => eprintln!("tests use the server that DATABASE_URL names"),
        Server::Private(cluster) => eprintln!("tests use {}", cluster.programs()),
    }
    let url = server.url();
    let status = Command::new(&program).args(arguments).env(SERVER_VARIABLE, url.expose_secret()).status();
    drop(server);
    match status {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("private-postgres: cannot run {}: {error}", program.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}
