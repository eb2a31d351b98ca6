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
const OP_TIMER: u64 = 7;

/// What a send's end means to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSent {
    /// Something waits for it: the turn that submits it does not sleep.
    Act,
    /// Nothing follows from success but bookkeeping, which may wait until the shard wakes for something else.
    Nothing,
}

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
    /// Sends were queued since the last turn whose outcome somebody waits for.
    sends_awaited: bool,
    /// Sends queued since the last turn that need no answer when they succeed.
    sends_quiet: usize,
    /// When the timeout armed in the kernel fires, in the caller's nanoseconds. It stands from turn to turn.
    timer_ns: Option<u64>,
    /// Read by the kernel when it takes the timeout's entry. Boxed: the ring may move before that.
    timer: Box<types::Timespec>,
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
            sends_awaited: false,
            sends_quiet: 0,
            timer_ns: None,
            timer: Box::default(),
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

    /// Receives once, one buffer at most: for a peer that must not be read faster than somebody takes it. A receive of the
    /// other kind may deliver all buffers there are before it can be stopped.
    pub fn receive_once(&mut self, fd: RawFd, token: Token) {
        let entry = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), 0)
            .buf_group(GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        self.push(entry.user_data(name(OP_RECEIVE, token)));
    }

    /// Stops a receive; bytes already taken from the socket still arrive, then `ReceiveStopped`.
    pub fn stop_receive(&mut self, token: Token) {
        self.cancel(name(OP_RECEIVE, token));
    }

    /// Sends all of `message`. One send at a time per socket; its name is what `close` wants to know.
    pub fn send(&mut self, fd: RawFd, message: Message, token: Token, on_sent: OnSent) -> SendName {
        let index = self.sends.insert(token, fd, message);
        // The first try completes while it is submitted, nearly always with everything sent.
        let flags = libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let Some(entry) = self.send_entry(index, flags) else {
            return SendName(index);
        };
        match on_sent {
            OnSent::Act => {
                self.push(entry);
                self.sends_awaited = true;
            }
            OnSent::Nothing => {
                // The turn sleeps for one event more than these sends, so that their own do not end its sleep. One
                // that did not send everything breaks its link, and the link's end reports that: the event more.
                let link = opcode::Nop::new()
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(OP_IGNORE << OP_SHIFT);
                self.push_linked([entry.flags(squeue::Flags::IO_LINK), link]);
                self.sends_quiet += 1;
            }
        }
        SendName(index)
    }

    /// Somebody waits for the end of a send queued since the last turn after all.
    pub fn await_sends(&mut self) {
        self.sends_awaited = true;
    }

    /// Sends what is left of a message, when the socket has room.
    fn push_rest(&mut self, index: u32) {
        if let Some(entry) = self.send_entry(index, 0) {
            self.push(entry);
        }
    }

    fn send_entry(&mut self, index: u32, flags: i32) -> Option<squeue::Entry> {
        let send = self.sends.get(index)?;
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
        Some(entry.user_data(OP_SEND << OP_SHIFT | u64::from(index)))
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
        self.push_linked([entry]);
    }

    /// Queues entries that must be submitted together.
    fn push_linked<const N: usize>(&mut self, entries: [squeue::Entry; N]) {
        loop {
            // SAFETY: every pointer in `entries` stays valid as long as the kernel reads it: sends are owned by
            // `self.sends` (leaked on drop) until they complete, connect addresses by `self.addresses` and the timeout
            // by `self.timer` until they are submitted, the wake target is leaked, provided buffers outlive the ring.
            if unsafe { self.inner.submission().push_multiple(&entries) }.is_ok() {
                return;
            }
            // A full queue is submitted without waiting. An error here would be our own mistake or ENOMEM: the next
            // turn reports it. What the sends among it came to may be read before that turn: it must not count them.
            let _ = self.inner.submit();
            self.sends_awaited = true;
        }
    }

    /// Submits what was queued and sleeps until something happens or `wake_at_ns` comes (`None`: never); both times are
    /// of one clock of the caller's. Does not sleep when somebody waits for the outcome of a send: it is there at once.
    pub fn turn(&mut self, now_ns: u64, wake_at_ns: Option<u64>) -> io::Result<()> {
        let quiet = std::mem::take(&mut self.sends_quiet);
        let awaited = std::mem::take(&mut self.sends_awaited);
        let is_due = wake_at_ns.is_some_and(|at_ns| at_ns <= now_ns);
        let result = if awaited || is_due {
            self.look()
        } else {
            self.stand_timer(now_ns, wake_at_ns);
            self.inner.submit_and_wait(1 + quiet)
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

    /// Makes sure that the kernel wakes us no later than `wake_at_ns`. A timeout that stands already and is earlier is
    /// left as it is: waking once for nothing costs less than arming a timer at every sleep.
    fn stand_timer(&mut self, now_ns: u64, wake_at_ns: Option<u64>) {
        let Some(at_ns) = wake_at_ns else { return };
        if self.timer_ns.is_some_and(|standing_ns| standing_ns <= at_ns) {
            return;
        }
        *self.timer = types::Timespec::from(Duration::from_nanos(at_ns - now_ns));
        let timer: *const types::Timespec = &*self.timer;
        let entry = match self.timer_ns {
            None => opcode::Timeout::new(timer).build().user_data(OP_TIMER << OP_SHIFT),
            // Should it fire meanwhile, its own event says so.
            Some(_) => opcode::TimeoutUpdate::new(OP_TIMER << OP_SHIFT, timer)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(OP_IGNORE << OP_SHIFT),
        };
        self.timer_ns = Some(at_ns);
        self.push(entry);
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
            OP_TIMER => {
                self.timer_ns = None;
                None
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
                    self.push_rest(index);
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
                self.push_rest(index);
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
