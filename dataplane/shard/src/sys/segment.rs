//! A file as memory: what is written there is the kernel's at once, and outlives a process that is killed.

use std::{
    fs::File,
    io, ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use memmap2::{Advice, MmapOptions, MmapRaw};

/// The one writer of a mapped file.
#[derive(Debug)]
pub struct Writer(Arc<MmapRaw>);

/// The same file's pages, to have them ready before they are written.
#[derive(Debug)]
pub struct Pages(Arc<MmapRaw>);

/// Maps the first `bytes` of a file, shared. The file must be that long on disk, and nobody may shorten it: a write
/// beyond its end would kill the process (SIGBUS).
pub fn map(file: &File, bytes: usize) -> io::Result<(Writer, Pages)> {
    let mapped = Arc::new(MmapOptions::new().len(bytes).map_raw(file)?);
    Ok((Writer(Arc::clone(&mapped)), Pages(mapped)))
}

impl Writer {
    /// The pages it writes to.
    pub fn pages(&self) -> Pages {
        Pages(Arc::clone(&self.0))
    }

    /// Puts `frame` at `at`, its first four bytes last: who reads the file sees all of it or nothing.
    pub fn publish(&mut self, at: usize, frame: &[u8]) {
        assert!(
            at.is_multiple_of(4) && frame.len() >= 4 && at + frame.len() <= self.0.len(),
            "a frame lies within its segment"
        );
        let [a, b, c, d] = [frame[0], frame[1], frame[2], frame[3]];
        // SAFETY: both ranges are within bounds (asserted) and cannot overlap, for the mapping is never lent. This is the
        // mapping's only writer in this process (`map` makes one, it is not cloned, and `&mut self`), and nobody reads
        // through it; other processes read the file. `at` is a multiple of 4 and the mapping begins at a page, so the
        // length is an aligned word.
        unsafe {
            let to = self.0.as_mut_ptr().add(at);
            ptr::copy_nonoverlapping(frame.as_ptr().add(4), to.add(4), frame.len() - 4);
            AtomicU32::from_ptr(to.cast()).store(u32::from_ne_bytes([a, b, c, d]), Ordering::Release);
        }
    }
}

impl Pages {
    /// Makes all pages present and writable; may wait for a disk. Where the kernel cannot, each is made when first written.
    pub fn populate(&self) {
        let _ = self.0.advise(Advice::PopulateWrite);
    }

    /// Has the kernel take all pages for written, though nothing in them changes: what it could not bring to the disk it has told
    /// once, and takes for clean since. (madvise(2): MADV_POPULATE_WRITE faults each page in as a write to it does.)
    pub fn dirty(&self) -> io::Result<()> {
        self.0.advise(Advice::PopulateWrite)
    }

    /// Has all that was written brought to the disk, and waits for it (msync(2), MS_SYNC).
    pub fn sync(&self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_in_the_file_and_stays_when_the_mapping_is_gone() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(8192).expect("long enough");
        let (mut writer, pages) = map(&file, 8192).expect("mapped");
        pages.populate();
        writer.publish(64, b"1234567890ab");
        writer.publish(8188, b"last");
        let read = |at: u64, bytes: usize| {
            let mut read = vec![0; bytes];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, at).expect("read");
            read
        };
        assert_eq!(read(60, 20), b"\0\0\0\x001234567890ab\0\0\0\0");
        drop((writer, pages));
        assert_eq!(read(8188, 4), b"last");
    }

    #[test]
    #[should_panic(expected = "within its segment")]
    fn nothing_is_written_beyond_the_end() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(4096).expect("long enough");
        let (mut writer, _pages) = map(&file, 4096).expect("mapped");
        writer.publish(4092, b"12345678");
    }
}
