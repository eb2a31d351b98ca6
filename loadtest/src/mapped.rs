//! A file mapped into memory: body corpora of gigabytes cost no copy and are shared by processes. All `unsafe` of this
//! crate is here.

use std::{fs::File, ops::Deref, path::Path};

/// The bytes of a file.
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private and read-only. What is left is the kernel's rule that a file cut shorter
        // meanwhile raises SIGBUS on access: a corpus must not be truncated during a run, as the manual says.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
