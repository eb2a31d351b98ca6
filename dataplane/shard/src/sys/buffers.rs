//! Buffers the kernel picks for receives (io_uring provided buffer ring): idle connections hold none.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    cell::Cell,
    io,
    ops::Deref,
    ptr::NonNull,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::{IoUring, types::BufRingEntry};

/// Large enough for nearly all requests and stream events in one receive; small enough that 256 of them (2 MiB) are
/// within the idle memory budget.
pub const BUFFER_BYTES: usize = 8 * 1024;
/// A power of two, as the kernel asks.
const BUFFER_COUNT: u16 = 256;
const PAGE: usize = 4096;
pub const GROUP: u16 = 0;

/// The ring of free buffers shared with the kernel, and their memory.
#[derive(Debug)]
pub struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: Cell<u16>,
}

fn entries_layout() -> Layout {
    Layout::from_size_align(BUFFER_COUNT as usize * size_of::<BufRingEntry>(), PAGE).expect("a constant layout")
}

fn memory_layout() -> Layout {
    Layout::from_size_align(BUFFER_COUNT as usize * BUFFER_BYTES, PAGE).expect("a constant layout")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: both layouts have a non-zero size.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Buffers {
    /// Registers with `ring`, which must be dropped or closed before the last `Rc` is.
    pub fn register(ring: &IoUring) -> io::Result<Rc<Self>> {
        let buffers = Self {
            entries: allocate(entries_layout()).cast(),
            memory: allocate(memory_layout()),
            tail: Cell::new(0),
        };
        // SAFETY: the entries are page-aligned, zeroed, of BUFFER_COUNT × 16 bytes, and outlive the ring: `Ring`
        // drops its io_uring before its `Rc<Buffers>`, and every `Received` holds another.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(buffers.entries.as_ptr() as u64, BUFFER_COUNT, GROUP, 0)?;
        }
        for id in 0..BUFFER_COUNT {
            buffers.give_back(id);
        }
        Ok(Rc::new(buffers))
    }

    fn address(&self, id: u16) -> *mut u8 {
        // SAFETY: ids come from the kernel, which only returns ids of this ring (below BUFFER_COUNT).
        unsafe { self.memory.as_ptr().add(id as usize * BUFFER_BYTES) }
    }

    fn give_back(&self, id: u16) {
        let tail = self.tail.get();
        // SAFETY: the masked index lies within the ring; only this thread writes entries, and the kernel reads an
        // entry only after the tail below has passed it. The tail's address overlays the first entry's `resv`, which
        // the setters do not touch.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add((tail & (BUFFER_COUNT - 1)) as usize);
            entry.set_addr(self.address(id) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            let shared = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*shared).store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with these layouts; the ring that used them is gone (see `register`).
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout());
            dealloc(self.memory.as_ptr(), memory_layout());
        }
    }
}

/// Received bytes, in a buffer that goes back to the kernel when this is dropped.
#[derive(Debug)]
pub struct Received {
    buffers: Rc<Buffers>,
    id: u16,
    len: u32,
}

impl Received {
    pub(super) fn new(buffers: &Rc<Buffers>, id: u16, len: usize) -> Self {
        assert!(
            len <= BUFFER_BYTES && id < BUFFER_COUNT,
            "the kernel named a buffer that is not ours"
        );
        Self {
            buffers: Rc::clone(buffers),
            id,
            len: len as u32,
        }
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the kernel wrote `len` bytes there and does not touch the buffer until it is given back.
        unsafe { std::slice::from_raw_parts(self.buffers.address(self.id), self.len as usize) }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.buffers.give_back(self.id);
    }
}
