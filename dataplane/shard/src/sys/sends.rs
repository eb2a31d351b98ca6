//! Sends in flight: each owns its bytes until the kernel has answered.

use std::rc::Rc;

use super::ring::Token;

/// What a send carries: bytes of our own, and optionally a slice of a request body that others may still read.
#[derive(Debug, Default)]
pub struct Message {
    pub own: Vec<u8>,
    /// Sent after `own[..split]` and before `own[split..]`, so that a large body goes out without being copied.
    pub shared: Option<Shared>,
}

/// Ranges of a shared body between pieces of our own: (bytes of `own` before it, range of the body).
#[derive(Debug)]
pub struct Shared {
    pub body: Rc<Vec<u8>>,
    pub cuts: Vec<(usize, std::ops::Range<usize>)>,
}

impl Message {
    pub fn of(own: Vec<u8>) -> Self {
        Self { own, shared: None }
    }

    pub fn len(&self) -> usize {
        self.own.len()
            + self
                .shared
                .as_ref()
                .map_or(0, |s| s.cuts.iter().map(|(_, r)| r.len()).sum())
    }
}

pub struct Send {
    pub token: Token,
    pub fd: i32,
    pub message: Message,
    pub sent: usize,
    /// Its socket is closed: the descriptor's number may be another connection's by now.
    pub closed: bool,
    /// Boxed: the kernel may read them after the slab has moved.
    pub vectors: Box<Vectors>,
}

/// The message header and its vectors for `sendmsg`.
pub struct Vectors {
    pub header: libc::msghdr,
    pub slices: Vec<libc::iovec>,
}

impl Default for Vectors {
    fn default() -> Self {
        // SAFETY: a msghdr of zeroes is a valid, empty one.
        Self {
            header: unsafe { std::mem::zeroed() },
            slices: Vec::new(),
        }
    }
}

impl Send {
    /// Points the vectors at what is still to be sent.
    pub fn point(&mut self) -> *const libc::msghdr {
        let vectors = &mut *self.vectors;
        vectors.slices.clear();
        let mut skip = self.sent;
        let mut add = |bytes: &[u8]| {
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            let rest = &bytes[skipped..];
            if !rest.is_empty() {
                vectors.slices.push(libc::iovec {
                    iov_base: rest.as_ptr() as *mut _,
                    iov_len: rest.len(),
                });
            }
        };
        let own = &self.message.own;
        let mut from = 0;
        if let Some(shared) = &self.message.shared {
            for (until, range) in &shared.cuts {
                add(&own[from..*until]);
                add(&shared.body[range.clone()]);
                from = *until;
            }
        }
        add(&own[from..]);
        vectors.header.msg_iov = vectors.slices.as_mut_ptr();
        vectors.header.msg_iovlen = vectors.slices.len();
        &vectors.header
    }
}

/// Slots of sends; an index is the send's name in the ring.
#[derive(Default)]
pub struct Sends {
    slots: Vec<Option<Send>>,
    free: Vec<u32>,
    #[expect(clippy::vec_box)] // The box is what is reused.
    spare: Vec<Box<Vectors>>,
}

impl Sends {
    pub fn insert(&mut self, token: Token, fd: i32, message: Message) -> u32 {
        let vectors = self.spare.pop().unwrap_or_default();
        let send = Send {
            token,
            fd,
            message,
            sent: 0,
            closed: false,
            vectors,
        };
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(send);
                index
            }
            None => {
                self.slots.push(Some(send));
                (self.slots.len() - 1) as u32
            }
        }
    }

    pub fn get(&mut self, index: u32) -> Option<&mut Send> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub fn remove(&mut self, index: u32) -> Option<(Token, Message)> {
        let send = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(index);
        self.spare.push(send.vectors);
        Some((send.token, send.message))
    }

    /// Leaks what is in flight: the kernel may read it until the ring is torn down.
    pub fn forget(&mut self) {
        std::mem::forget(std::mem::take(&mut self.slots));
    }
}
