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
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(args: ManArgs) -> Result<Exit, CliError> {
    let command = Cli::command().disable_help_subcommand(true);
    match args.dir {
        Some(dir) => {
            let failed = |error| CliError::Failed(format!("{}: {error}", dir.display()));
            std::fs::create_dir_all(&dir).map_err(failed)?;
            clap_mangen::generate_to(command, &dir).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            std::io::stdout().lock().write_all(&page)?;
        }
    }
    Ok(Exit::Done)
}
