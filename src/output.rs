//! Output of commands. The standard library's macros panic when the reader is gone; these continue silently.
//!
//! `println!`, `print!` and `eprintln!` mean these in the whole crate. A command whose reader is gone (`sync | head
//! -1`) still does its work and ends with the status of that; one whose output cannot be written for another reason (a
//! full disk) fails in the end.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

/// The first error in writing to standard output.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a line to standard output.
macro_rules! println {
    () => { $crate::output::to_stdout(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints text to standard output.
macro_rules! print {
    ($($text:tt)*) => { $crate::output::to_stdout(format_args!($($text)*)) };
}

/// Prints a line to standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::to_stderr(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) fn to_stdout(text: Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(text) {
        let _ = FAILURE.set(error);
    }
}

pub(crate) fn to_stderr(text: Arguments<'_>) {
    // Beside the log, which never waits for a reader for long.
    crate::telemetry::print(text.to_string());
}

/// Why standard output could not be written in full, unless its reader is gone.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILURE.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
