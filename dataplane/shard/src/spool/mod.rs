//! The usage spool: a record of each call that goes to a provider, before its first byte goes up and before its last byte
//! goes down, in files that outlive the process. A shard writes memory alone; a side thread makes the files ahead of it.
//! What becomes of the records is the control plane's.

mod lines;
mod maker;
mod oldest;
mod sync;
#[cfg(test)]
mod tests;
mod writer;

pub use maker::{Handle, Told, start};
pub use writer::{Counts, Opened, Spool};

use crate::sys::segment;

/// An empty segment, for one shard.
#[derive(Debug)]
pub struct Segment {
    writer: segment::Writer,
    number: u32,
    /// Records that nobody has read and that made room for it.
    overwritten: u64,
    /// Given to the side thread before this one is written.
    pages: Option<segment::Pages>,
}
