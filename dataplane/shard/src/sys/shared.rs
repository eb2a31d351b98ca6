//! The balances of limits in a file: what is written to them is in the kernel's hands at once, and survives a process that
//! is killed.

use std::{fs::File, io, slice};

use memmap2::{MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, fallocate};
use tollgate_engine::limits::Cell;

/// Maps so many cells of a file, for as long as the process lives. Their room on the disk is taken first: a page that a full
/// disk has no room for would end the process when it is written.
pub fn cells(file: &File, count: usize) -> io::Result<&'static [Cell]> {
    let bytes = count * size_of::<Cell>();
    if file.metadata()?.len() < bytes as u64 {
        fallocate(file, FallocateFlags::empty(), 0, bytes as u64)?;
    }
    // SAFETY: the file lies in the state directory, whose lock this process holds, and nobody makes it shorter.
    let map: MmapMut = unsafe { MmapOptions::new().len(bytes).map_mut(file)? };
    let map: &'static MmapMut = Box::leak(Box::new(map));
    // SAFETY: the mapping begins at a page, which `Cell`'s 64 bytes divide, is `bytes` long and is never unmapped; a `Cell` is
    // of atomics alone, which any bytes are valid for and which may change under a shared reference.
    Ok(unsafe { slice::from_raw_parts(map.as_ptr().cast::<Cell>(), count) })
}
