//! One io_uring: multishot accepts and receives, sends that own their bytes, one system call a turn.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    rc::Rc,
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::{
    buffers::{Buffers, GROUP, Received},
    sends::{Message, Sends},
    socket::RawAddress,
};

/// Entries of the submission queue: a turn that queues more submits in between.
const QUEUE_ENTRIES: u32 = 1024;

/// Names who asked for an operation; comes back with its events. 56 bits are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u64);

impl Token {
    /// `kind` up to 15, `generation` up to 2^20.
    pub fn new(kind: u8, generation: u32, index: u32) -> Self {
        Self(u64::from(kind & 0xf) << 52 | u64::from(generation & 0xf_ffff) << 32 | u64::from(index))
    }

    pub fn kind(self) -> u8 {
        (self.0 >> 52) as u8 & 0xf
    }

    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0xf_ffff
    }

    pub fn index(self) -> u32 {
        self.0 as u32
    }
}

/// Names a send under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendName(u32);

/// Operations under way on a socket that is to be closed.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnderWay {
    pub accept: bool,
    pub connect: bool,
    pub receive: bool,
    pub send: Option<SendName>,
}

/// What the kernel reported.
#[derive(Debug)]
pub enum Event {
    /// A connection, or why none. `armed`: the accept goes on; otherwise call `accept` again.
    Accepted {
        token: Token,
        result: io::Result<OwnedFd>,
        armed: bool,
    },
    /// Bytes came in. `armed`: the receive goes on; otherwise call `receive` again when more is wanted.
    Received {
        token: Token,
        data: Received,
        armed: bool,
    },
    /// The receive ended without bytes because it was stopped or buffers had run out.
    ReceiveStopped {
        token: Token,
    },
    /// The peer closed (`None`) or the connection failed. No more bytes will come.
    Closed {
        token: Token,
        error: Option<io::Error>,
    },
    /// The socket took only part of a send, or nothing yet; the rest is on its way.
    Sending {
        token: Token,
    },
    /// A send ended; its message comes back for reuse.
    Sent {
        token: Token,
        result: io::Result<()>,
        message: Message,
    },
    Connected {
        token: Token,
        result: io::Result<()>,
    },
    /// The eventfd given to `watch` was written.
    Woken,
}

const OP_SHIFT: u32 = 56;
const OP_ACCEPT: u64 = 1;
const OP_RECEIVE: u64 = 2;
const OP_SEND: u64 = 3;
const OP_CONNECT: u64 = 4;
const OP_WAKE: u64 = 5;
const OP_IGNORE: u64 = 6;

fn name(op: u64, token: Token) -> u64 {
    op << OP_SHIFT | token.0
}

pub struct Ring {
    // Before `buffers`: the kernel must let go of them first.
    inner: IoUring,
    buffers: Rc<Buffers>,
    sends: Sends,
    /// Where connects of this turn go: the kernel copies an address when it takes the entry. Boxed: the vector moves.
    #[expect(clippy::vec_box)]
    addresses: Vec<Box<RawAddress>>,
    /// Sends were queued since the last turn.
    sends_queued: bool,
    wake: Option<(RawFd, &'static mut [u8; 8])>,
}

impl Ring {
    /// Must be called on the thread that will use the ring (IORING_SETUP_SINGLE_ISSUER).
    pub fn new() -> io::Result<Self> {
        let inner = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_defer_taskrun()
            .setup_cqsize(QUEUE_ENTRIES * 8)
            .build(QUEUE_ENTRIES)?;
        let buffers = Buffers::register(&inner)?;
        Ok(Self {
            inner,
            buffers,
            sends: Sends::default(),
            addresses: Vec::new(),
            sends_queued: false,
            wake: None,
        })
    }

    /// Reports `Woken` whenever the eventfd is written.
    pub fn watch(&mut self, eventfd: &OwnedFd) {
        // Eight bytes leaked per shard, so that a read in flight never outlives its target.
        self.wake = Some((eventfd.as_raw_fd(), Box::leak(Box::new([0; 8]))));
        self.arm_wake();
    }

    fn arm_wake(&mut self) {
        if let Some((fd, target)) = &mut self.wake {
            let entry = opcode::Read::new(types::Fd(*fd), target.as_mut_ptr(), 8).build();
            self.push(entry.user_data(OP_WAKE << OP_SHIFT));
        }
    }

    /// Accepts connections on a listening socket until stopped by an error.
    pub fn accept(&mut self, listener: RawFd, token: Token) {
        let flags = libc::SOCK_CLOEXEC;
        let entry = opcode::AcceptMulti::new(types::Fd(listener)).flags(flags).build();
        self.push(entry.user_data(name(OP_ACCEPT, token)));
    }

    /// Connects a socket made by `socket::stream`.
    pub fn connect(&mut self, fd: RawFd, address: &SocketAddr, token: Token) {
        let address = Box::new(RawAddress::new(address));
        let (pointer, len) = address.raw();
        self.addresses.push(address);
        self.push(
            opcode::Connect::new(types::Fd(fd), pointer, len)
                .build()
                .user_data(name(OP_CONNECT, token)),
        );
    }

    /// Receives until the peer closes or `stop_receive`.
    pub fn receive(&mut self, fd: RawFd, token: Token) {
        let entry = opcode::RecvMulti::new(types::Fd(fd), GROUP).build();
        self.push(entry.user_data(name(OP_RECEIVE, token)));
    }

    /// Stops a receive; bytes already taken from the socket still arrive, then `ReceiveStopped`.
    pub fn stop_receive(&mut self, token: Token) {
        self.cancel(name(OP_RECEIVE, token));
    }

    /// Sends all of `message`. One send at a time per socket; its name is what `close` wants to know.
    pub fn send(&mut self, fd: RawFd, message: Message, token: Token) -> SendName {
        let index = self.sends.insert(token, fd, message);
        // The first try completes while it is submitted, nearly always with everything sent.
        self.push_send(index, libc::MSG_DONTWAIT);
        self.sends_queued = true;
        SendName(index)
    }

    fn push_send(&mut self, index: u32, flags: i32) {
        let Some(send) = self.sends.get(index) else { return };
        let flags = flags | libc::MSG_NOSIGNAL;
        let fd = types::Fd(send.fd);
        let entry = if send.message.shared.is_none() {
            let rest = &send.message.own[send.sent..];
            opcode::Send::new(fd, rest.as_ptr(), rest.len() as u32)
                .flags(flags)
                .build()
        } else {
            opcode::SendMsg::new(fd, send.point()).flags(flags as u32).build()
        };
        self.push(entry.user_data(OP_SEND << OP_SHIFT | u64::from(index)));
    }

    /// Ends what is under way on the socket and closes it, in that order. Its events may still come.
    pub fn close(&mut self, fd: OwnedFd, token: Token, under_way: UnderWay) {
        // By name: cancelling by descriptor would walk every operation of the ring, ten thousand idle receives included.
        if under_way.receive {
            self.cancel(name(OP_RECEIVE, token));
        }
        if under_way.connect {
            self.cancel(name(OP_CONNECT, token));
        }
        if under_way.accept {
            self.cancel(name(OP_ACCEPT, token));
        }
        if let Some(SendName(index)) = under_way.send {
            if let Some(send) = self.sends.get(index) {
                send.closed = true;
            }
            self.cancel(OP_SEND << OP_SHIFT | u64::from(index));
        }
        let fd = types::Fd(fd.into_raw_fd());
        self.push(opcode::Close::new(fd).build().user_data(OP_IGNORE << OP_SHIFT));
    }

    fn cancel(&mut self, name: u64) {
        let builder = types::CancelBuilder::user_data(name);
        self.push(
            opcode::AsyncCancel2::new(builder)
                .build()
                .user_data(OP_IGNORE << OP_SHIFT),
        );
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: every pointer in `entry` stays valid as long as the kernel reads it: sends are owned by
            // `self.sends` (leaked on drop) until they complete, connect addresses by `self.addresses` until they are
            // submitted, the wake target is leaked, provided buffers outlive the ring.
            if unsafe { self.inner.submission().push(&entry) }.is_ok() {
                return;
            }
            // A full queue is submitted without waiting. An error here would be our own mistake or ENOMEM: the next
            // turn reports it.
            let _ = self.inner.submit();
        }
    }

    /// Submits what was queued and sleeps until something happens or `timeout` passes (`None`: forever). Does not sleep
    /// when sends were queued: their outcome is there at once and may be that more must be queued.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let sends_queued = std::mem::take(&mut self.sends_queued);
        let result = match timeout {
            _ if sends_queued => self.look(),
            Some(Duration::ZERO) => self.look(),
            None => self.inner.submit_and_wait(1),
            Some(timeout) => {
                let timespec = types::Timespec::from(timeout);
                let arguments = types::SubmitArgs::new().timespec(&timespec);
                self.inner.submitter().submit_with_args(1, &arguments)
            }
        };
        if self.inner.submission().is_empty() {
            self.addresses.clear();
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Submits and collects without sleeping. The flag is what makes the kernel run deferred completions.
    fn look(&mut self) -> io::Result<usize> {
        const GETEVENTS: u32 = 1;
        let queued = self.inner.submission().len() as u32;
        // SAFETY: no argument is passed; the entries are as `push` says.
        unsafe {
            self.inner
                .submitter()
                .enter::<libc::sigset_t>(queued, 0, GETEVENTS, None)
        }
    }

    /// The next event of this turn.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            let entry = self.inner.completion().next()?;
            if let Some(event) = self.read(entry) {
                return Some(event);
            }
        }
    }

    fn read(&mut self, entry: cqueue::Entry) -> Option<Event> {
        let (data, result, flags) = (entry.user_data(), entry.result(), entry.flags());
        let token = Token(data & ((1 << OP_SHIFT) - 1));
        match data >> OP_SHIFT {
            OP_RECEIVE => Some(self.received(token, result, flags)),
            OP_SEND => self.sent(data as u32, result),
            OP_ACCEPT => {
                let armed = cqueue::more(flags);
                // SAFETY: a non-negative result of accept is a descriptor nobody else owns.
                let result = check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                Some(Event::Accepted { token, result, armed })
            }
            OP_CONNECT => Some(Event::Connected {
                token,
                result: check(result).map(drop),
            }),
            OP_WAKE => {
                self.arm_wake();
                Some(Event::Woken)
            }
            _ => None,
        }
    }

    fn received(&mut self, token: Token, result: i32, flags: u32) -> Event {
        let armed = cqueue::more(flags);
        let buffer = cqueue::buffer_select(flags);
        match (result, buffer) {
            (1.., Some(id)) => {
                let data = Received::new(&self.buffers, id, result as usize);
                Event::Received { token, data, armed }
            }
            (0, buffer) => {
                // An end of stream may name a buffer it took and did not fill.
                drop(buffer.map(|id| Received::new(&self.buffers, id, 0)));
                Event::Closed { token, error: None }
            }
            _ => match -result {
                libc::ENOBUFS | libc::ECANCELED => Event::ReceiveStopped { token },
                errno => Event::Closed {
                    token,
                    error: Some(io::Error::from_raw_os_error(errno)),
                },
            },
        }
    }

    fn sent(&mut self, index: u32, result: i32) -> Option<Event> {
        let send = self.sends.get(index)?;
        let token = send.token;
        let result = if send.closed { -libc::ECANCELED } else { result };
        match check(result) {
            Ok(sent) => {
                send.sent += sent as usize;
                if send.sent < send.message.len() {
                    self.push_send(index, 0);
                    return Some(Event::Sending { token });
                }
                let (token, message) = self.sends.remove(index)?;
                Some(Event::Sent {
                    token,
                    result: Ok(()),
                    message,
                })
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {
                self.push_send(index, 0);
                Some(Event::Sending { token })
            }
            Err(error) => {
                let (token, message) = self.sends.remove(index)?;
                Some(Event::Sent {
                    token,
                    result: Err(error),
                    message,
                })
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.sends.forget();
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}
