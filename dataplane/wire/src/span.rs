//! A span: a half-open range of offsets into a buffer someone else owns.

use std::ops::Range;

/// Offsets `start..end` into a connection's buffer. 32 bits: no buffer of ours exceeds 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// Panics when an offset exceeds 4 GiB: buffers are bounded far below, so that is our own mistake.
    pub fn new(start: usize, end: usize) -> Self {
        assert!(start <= end && end <= u32::MAX as usize, "span out of range");
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.range()]
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}
