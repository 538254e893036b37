//! Ends the server when its owner is gone without a word, as after SIGKILL.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::account::UnprivilegedUser;
use super::error::Error;

/// Blocks on a pipe whose other end only the owner holds. A line means that the owner took care of
/// everything; the pipe's end means that it died.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
if read -r word; then exit 0; fi
"$1" -D "$2" -m "$3" -w -t 60 stop
rm -rf -- "$4"
"#;

/// The shell that waits for our end.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Starts it: when we die, `pg_ctl` stops the server on `data` in `mode`, and `temporary` is removed.
    pub(super) fn start(
        account: &UnprivilegedUser,
        pg_ctl: &Path,
        data: &Path,
        mode: &str,
        temporary: &Path,
    ) -> Result<Self, Error> {
        let mut command = account.command("/bin/sh", Path::new("/"));
        command.args(["-c", SCRIPT, "cdr-sync-watchdog"]).arg(pg_ctl).arg(data).arg(mode).arg(temporary);
        // Its own process group: a Ctrl-C at the terminal must not reach it. Our output is not its to hold open.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().map_err(Error::io("start", Path::new("/bin/sh")))?;
        Ok(Self { shell })
    }

    /// Sends it home: the server is stopped already.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            // A broken pipe means that it is gone already.
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
