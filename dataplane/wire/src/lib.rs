//! Bytes, without I/O: HTTP/1.1 framing, server-sent events, AWS event streams, a JSON cursor and edits.
//!
//! Nothing here knows a socket, a clock, a thread or a configuration. Parsers take a whole buffer and answer
//! complete, incomplete or bad; what they find are spans into that buffer.

#![forbid(unsafe_code)]

pub mod eventstream;
pub mod head;
pub mod http1;
pub mod json;
mod known;
pub mod multipart;
pub mod span;
pub mod sse;

pub use span::Span;
