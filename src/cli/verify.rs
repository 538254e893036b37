//! `verify`: the API against the table.

use indicatif::MultiProgress;

use super::progress;
use super::table::{render, thousands};
use super::{CliError, Exit};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::sync::status::Board;
use crate::sync::verify::{Verified, verify};
use crate::window::Window;

/// Compares every account within `span`; changes nothing.
pub(super) async fn run(config: &Config, span: Window, clock: Clock) -> Result<Exit, CliError> {
    let store = App::store(config)?;
    let app = App::build(config, store).await?;
    let bars = MultiProgress::new();
    let mut rows = Vec::new();
    let mut equal = true;
    for account in app.accounts {
        let (name, board) = (account.name.clone(), Board::default());
        let shown = progress::show(&bars, &name, board.clone());
        let verified = verify(account, &app.store, clock.clone(), span, board).await?;
        drop(shown);
        let _ = bars.clear();
        for hole in &verified.unread {
            eprintln!("cdr-sync: account {name}: the API did not give out {hole} in full");
        }
        equal &= verified.is_equal();
        rows.push(row(name, &verified));
    }
    println!("{}", render(&HEADING, &rows));
    Ok(if equal { Exit::Done } else { Exit::Incomplete })
}

/// The heading of the comparison.
pub(crate) const HEADING: [&str; 7] =
    ["account", " at the API", " in the table", " missing", " different", " extra", " rejected"];

fn row(name: String, verified: &Verified) -> Vec<String> {
    let counts = [
        verified.at_the_api,
        verified.in_the_table,
        verified.missing,
        verified.different,
        verified.extra,
        verified.rejected,
    ];
    std::iter::once(name).chain(counts.map(thousands)).collect()
}
