//! Stops the server if its owner dies without doing so, as after SIGKILL.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::account::UnprivilegedUser;
use super::error::Error;

/// Blocks on a pipe whose other end only the owner holds. A line means that the owner has cleaned up; the end of
/// the pipe means that it died.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
if read -r word; then exit 0; fi
"$1" -D "$2" -m "$3" -w -t 60 stop
rm -rf -- "$4"
"#;

/// The shell that waits for the end of this process.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Starts the watchdog: if this process dies, `pg_ctl` stops the server on `data` in `mode`, and `temporary` is
    /// removed.
    pub(super) fn start(
        account: &UnprivilegedUser,
        pg_ctl: &Path,
        data: &Path,
        mode: &str,
        temporary: &Path,
    ) -> Result<Self, Error> {
        let mut command = account.command("/bin/sh", Path::new("/"));
        command.args(["-c", SCRIPT, "cdr-sync-watchdog"]).arg(pg_ctl).arg(data).arg(mode).arg(temporary);
        // Its own process group: a Ctrl-C at the terminal must not reach it. It must not hold this process's output
        // open, either.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().map_err(Error::io("start", Path::new("/bin/sh")))?;
        Ok(Self { shell })
    }

    /// Ends the watchdog without any action, because the server is stopped already.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            // A broken pipe means that it has ended already.
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
