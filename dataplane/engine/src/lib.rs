//! The request machine, without I/O.
//!
//! `Exchange` is one request's life. It is fed inputs with `now` and yields actions; it never waits, and knows no
//! socket, clock, file, thread or randomness. `Snapshot` is a configuration compiled for it.

#![forbid(unsafe_code)]

pub mod access;
mod attempt;
pub mod billing;
mod call;
pub mod compress;
mod cors;
pub mod cost;
mod counted;
mod decode;
mod drain;
pub mod exact;
pub mod exchange;
pub mod explain;
mod facts;
pub mod failure;
mod guard;
pub mod identity;
pub mod limits;
mod lines;
mod listing;
mod lru;
pub mod marks;
mod names;
pub mod outputs;
mod passing;
mod patterns;
mod percent;
pub mod pressure;
pub mod record;
mod relay;
pub mod repeats;
mod reply;
pub mod routing;
mod sealing;
pub mod semantic;
mod signers;
pub mod snapshot;
mod speaks;
mod stage;
mod stages;
mod surface;
mod terminal;
mod through;
pub mod tick;
mod upward;
mod visible;

pub use access::AccessTokens;
pub use compress::summary::Summaries;
pub use exact::Answers;
pub use exchange::{Exchange, Input, Io, Local, Peer};
pub use marks::Marks;
pub use outputs::{Action, Outputs, Piece};
pub use repeats::Repeats;
pub use signers::Signers;
pub use snapshot::Snapshot;
pub use tick::Tick;
