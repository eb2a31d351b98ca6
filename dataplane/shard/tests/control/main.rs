//! The data plane as a process, driven over its control socket as a control plane does.

#![allow(clippy::disallowed_methods)] // A test may block.

mod plane;

#[path = "../../src/control/frames.rs"]
#[allow(dead_code)]
mod frames;

#[path = "../../../../controlplane/tests/e2e/harness/ports.rs"]
#[allow(clippy::disallowed_types)] // Tests of one process share it.
mod ports;

mod credentials;
mod drain;
mod listeners;
mod log;
mod revisions;
mod tls;
mod versions;
