//! `--output json`: the report as the contract names its fields, which scripts and the planner read.

use std::io::{self, Write};

use super::{Measured, frontier::Frontier};

pub fn write(measured: &Measured, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, &measured.report)?;
    writeln!(to)
}

/// A sweep's frontier.
pub fn write_frontier(frontier: &Frontier, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, frontier)?;
    writeln!(to)
}
