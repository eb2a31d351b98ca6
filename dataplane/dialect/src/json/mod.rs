//! JSON as dialects read and write it: nodes over the bytes that came, and a writer that copies them.

mod node;
mod out;
mod text;

pub use node::{Elements, Members, Node};
pub use out::Out;
pub use text::{Json, Number, Text};
