//! Reads request and response heads, strictly about framing (RFC 9112 §6, §11.2).

use crate::head::{Method, RequestHead, ResponseHead};

/// Bounds on a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_head_bytes: usize,
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head_bytes: 64 * 1024, max_headers: 128 }
    }
}

/// Whether the head is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Complete,
    /// More bytes are needed; the structure's contents mean nothing yet.
    Incomplete,
}

/// Why a head was refused. `status` is what a server answers (400, 431, 501, 505); `reason` names the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadHead {
    pub status: u16,
    pub reason: &'static str,
    /// Byte offset of the fault in the head, where known.
    pub offset: u32,
}

/// Parses the request head at the start of `buf` into `head`, which is cleared first.
pub fn request(buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Progress, BadHead> {
    let _ = (buf, limits, head);
    todo!()
}

/// Parses the final response head at the start of `buf`; 1xx heads before it are skipped (and counted in `head.len`).
/// `request_method` decides whether a body follows (HEAD has none).
pub fn response(buf: &[u8], request_method: Method, limits: &Limits, head: &mut ResponseHead) -> Result<Progress, BadHead> {
    let _ = (buf, request_method, limits, head);
    todo!()
}
