//! `tollgate`: the control plane, and the command line for operators.

mod admin;
mod api;
mod cli;
mod client;
mod drain;
mod events;
mod identity;
mod identity_shared;
mod link;
mod listeners;
mod log;
mod metering;
mod metric_names;
mod paths;
mod plane;
mod postgres;
mod rollout;
mod store;
#[cfg(test)]
mod testing;
mod time;
mod truth;
mod up;
mod webhooks;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
