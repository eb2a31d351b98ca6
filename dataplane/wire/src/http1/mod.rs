//! HTTP/1.1 messages (RFC 9112): heads, chunked bodies, and what is written back.

pub mod chunked;
mod diagnose;
mod fields;
pub mod read;
mod target;
pub mod write;
