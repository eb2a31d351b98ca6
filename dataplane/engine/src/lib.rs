//! The request machine, without I/O.
//!
//! `Exchange` is one request's life. It is fed inputs with `now` and yields actions; it never waits, and knows no
//! socket, clock, file, thread or randomness. `Snapshot` is a configuration compiled for it.

pub mod exchange;
pub mod failure;
pub mod identity;
pub mod outputs;
pub mod record;
pub mod snapshot;
pub mod tick;

pub use exchange::{Exchange, Input, Io, Local, Peer};
pub use outputs::{Action, Outputs, Piece};
pub use snapshot::Snapshot;
pub use tick::Tick;
