//! `tollgate-loadtest`: the command line, and nothing else.

mod calendar;
mod dialect;
mod mapped;
mod mix;
mod net;
mod plan;
mod report;
mod run;
mod sandbox;
mod signed_text;
mod sweep;
mod watch;
mod yaml;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "tollgate-loadtest",
    version,
    about = "Sandbox provider for trying and testing Tollgate"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A provider that answers deterministically, at a chosen rate, with the faults asked for.
    Sandbox(sandbox::Options),
    Run(Box<run::Options>),
    /// From a demand and measurements to machines: shards, nodes, memory, network, and what breaks first.
    Plan(plan::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Sandbox(options) => match sandbox::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("tollgate-loadtest sandbox: {reason}");
                ExitCode::FAILURE
            }
        },
        Command::Run(options) => run::run(*options),
        Command::Plan(options) => plan::main(&options),
    }
}
