//! Waiting for many descriptors at once: epoll, edge-triggered, so that a descriptor is registered once in its life.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};

/// Events taken from the kernel by one call.
const EVENTS: usize = 512;

/// What became of a descriptor. All flags may hold; an error or a hang-up shows as all, and is read by using it.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// As given to [`Poller::add`].
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The peer has sent its last byte. That is told once, with what came before it: whoever hears it reads until a
    /// read says [`Closed`](super::socket::Read::Closed); a short one has not reached the end.
    pub hung_up: bool,
}

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Watches a descriptor until it is closed. Each change is told once: read or write until it would block (a read
    /// that fills less than the room it had has reached that point, too).
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let interest = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        Ok(epoll::add(
            &self.epoll,
            descriptor,
            epoll::EventData::new_u64(token),
            interest,
        )?)
    }

    /// Watches a listening socket, level-triggered: it is told as long as somebody waits to be accepted.
    pub fn add_listener(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)?)
    }

    /// Watches it no more, until it is added again.
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// Waits until something happens or the time is over; `None` waits for ever. An interrupted wait yields nothing.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = Ready> + '_> {
        self.events.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(bad) => return Err(bad.into()),
        }
        Ok(self.events.iter().map(|event| {
            use epoll::EventFlags as Flags;
            let flags = event.flags;
            let ended = flags.intersects(Flags::ERR | Flags::HUP);
            Ready {
                token: event.data.u64(),
                readable: ended || flags.intersects(Flags::IN | Flags::RDHUP),
                writable: ended || flags.contains(Flags::OUT),
                hung_up: ended || flags.contains(Flags::RDHUP),
            }
        }))
    }
}
