//! The kernel's side of a shard, and all the `unsafe` there is: one io_uring per shard behind five verbs (accept,
//! connect, receive, send, close). Nothing above knows which ring carries the sockets.
//!
//! The ring is the shard's own rather than glommio's: sleeping in it costs one `io_uring_enter` a turn where glommio's
//! reactor makes eight (docs/performance.md has the figures). glommio hosts the loop and pins it.

mod buffers;
pub mod memory;
pub mod ring;
pub mod segment;
mod sends;
pub mod shared;
pub mod socket;
#[cfg(test)]
mod tests;

pub use ring::{Event, OnSent, Ring, SendName, Token, UnderWay};
pub use sends::{Message, Shared};
