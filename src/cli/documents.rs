//! `completions` and `man`: made from the same definitions as `--help`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CliError, Exit};

#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync completions bash > /etc/bash_completion.d/cdr-sync\n  cdr-sync completions zsh > ~/.zfunc/_cdr-sync\n  cdr-sync completions fish > ~/.config/fish/completions/cdr-sync.fish"
)]
pub(super) struct CompletionsArgs {
    /// Print completions for this shell.
    shell: Shell,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync man | man -l -\n  cdr-sync man --dir /usr/local/share/man/man1"
)]
pub(super) struct ManArgs {
    /// Write one page per command to this directory instead.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cdr-sync", &mut script);
    let script = String::from_utf8_lossy(&script);
    // For bash, clap_complete takes the hyphen of the program's name for the border of a subcommand in the labels that it
    // jumps to, but not where it jumps: no option of any subcommand was completed.
    let script = script.replace("cdr__subcmd__sync", "cdr__sync");
    std::io::stdout().lock().write_all(script.as_bytes())?;
    Ok(Exit::Done)
}

pub(super) fn man(args: ManArgs) -> Result<Exit, CliError> {
    let command = Cli::command().disable_help_subcommand(true);
    match args.dir {
        Some(dir) => {
            let failed = |error| CliError::Failed(format!("{}: {error}", dir.display()));
            std::fs::create_dir_all(&dir).map_err(failed)?;
            clap_mangen::generate_to(command.clone(), &dir).map_err(failed)?;
            std::fs::write(dir.join("cdr-sync.1"), main_page(command)?).map_err(failed)?;
        }
        None => std::io::stdout().lock().write_all(&main_page(command)?)?,
    }
    Ok(Exit::Done)
}

/// What stands in the page of the program itself, besides what clap knows.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("DATABASE_URL", "The database: postgres://user:password@host/database (the key database.url)."),
    ("VOICENTER_CODE", "The credential of the only account: its code ..."),
    ("VOICENTER_TOKEN", "... or its bearer token."),
    ("VOICENTER_URL", "The API's address, if it is another than Voicenter's (the key api.url)."),
    (
        "DATABASE_URL_FILE, VOICENTER_CODE_FILE, VOICENTER_TOKEN_FILE, VOICENTER_URL_FILE",
        "The same, read from a file. A changed file is noticed within 30 seconds.",
    ),
    ("CDR_SYNC_CONFIG", "The configuration file, unless --config names one."),
    (
        "CDR_SYNC__SECTION__KEY",
        "Any key of the configuration: CDR_SYNC__SYNC__POLL_INTERVAL=30s is sync.poll_interval. Accounts are numbered: \
         CDR_SYNC__ACCOUNTS__0__NAME. Wins over files.",
    ),
    ("RUST_LOG", "What is logged, such as debug or info,cdr_sync=trace. Wins over log.level, -v and -q."),
    ("NO_COLOR", "If set, no colours on a terminal."),
    ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "The proxy for requests to the API."),
];
const FILES: [(&str, &str); 3] = [
    (
        "config/default.toml",
        "Read from the working directory if it is there; the file of --config wins over it.",
    ),
    ("/etc/cdr-sync/config.toml", "The configuration of the systemd unit."),
    (
        "/etc/cdr-sync/secrets/",
        "The secrets of the systemd unit, one file each: database_url, voicenter_code.",
    ),
];

fn main_page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    for (title, entries) in [("ENVIRONMENT", &ENVIRONMENT[..]), ("FILES", &FILES[..])] {
        writeln!(page, ".SH {title}")?;
        for (name, text) in entries {
            writeln!(page, ".TP\n\\fB{}\\fR\n{}", roff(name), roff(text))?;
        }
    }
    Ok(page)
}

/// Text as roff shows it unchanged: a bare hyphen may be typeset as a longer one, which nobody can paste into a shell.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
