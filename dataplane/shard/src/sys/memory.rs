//! The allocator's own side of memory.

/// Gives free pages of this thread's heap back to the system now.
pub fn give_back() {
    // SAFETY: mi_collect takes no pointers and may be called at any time by any thread that allocates.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
