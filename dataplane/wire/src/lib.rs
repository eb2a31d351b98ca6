//! Bytes, without I/O: HTTP/1.1 framing, server-sent events, a JSON cursor and edits.
//!
//! Nothing here knows a socket, a clock, a thread or a configuration. Parsers take a whole buffer and answer
//! complete, incomplete or bad; what they find are spans into that buffer.

pub mod head;
pub mod http1;
pub mod json;
pub mod span;
pub mod sse;

pub use span::Span;
