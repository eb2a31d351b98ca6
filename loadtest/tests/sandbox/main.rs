//! The sandbox as a process: what providers' clients see of it.

mod connections;
mod dialects;
mod faults;
mod harness;
mod scenarios;
mod sdk;
