//! The result as one HTML file that opens anywhere, offline: no script, no font, nothing fetched. Knows how a page is
//! put together; [`page`] and [`plot`] are for any other report of this program, too.

mod axis;
pub mod page;
pub mod plot;
mod run;
mod run_plots;
mod sweep;

use std::io::{self, Write};

use super::{Measured, frontier::Frontier};

pub fn write(measured: &Measured, to: &mut impl Write) -> io::Result<()> {
    run::page(measured).write(to)
}

/// A sweep's frontier.
pub fn write_frontier(frontier: &Frontier, to: &mut impl Write) -> io::Result<()> {
    sweep::page(frontier).write(to)
}
