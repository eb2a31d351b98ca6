//! Frames and descriptors on the Unix socket between the planes, as `tollgate_config::link` lays them out. Knows bytes
//! and descriptors, not what is asked.
//!
//! Every read uses `recvmsg`, because a descriptor that arrives with a byte read any other way is lost.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::{io::Interest, net::UnixStream};
use tollgate_config::link::{MAX_FDS_PER_MESSAGE, MAX_FRAME_BYTES};

/// The one byte that carries descriptors.
const DESCRIPTOR_BYTE: u8 = 0;
const READ_BYTES: usize = 64 * 1024;

/// The receiving half: bytes and descriptors not yet consumed.
#[derive(Default)]
pub struct Inbound {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Inbound {
    /// The next frame's JSON; `None` at the end of the stream between two frames.
    pub async fn frame(&mut self, stream: &UnixStream) -> io::Result<Option<Vec<u8>>> {
        if !self.fill(stream, 4).await? {
            return Ok(None);
        }
        let header = [self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]];
        let length = u32::from_le_bytes(header) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(io::Error::other(format!(
                "a frame of {length} bytes exceeds the limit of {MAX_FRAME_BYTES}"
            )));
        }
        if !self.fill(stream, 4 + length).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let rest = self.bytes.split_off(4 + length);
        let mut frame = std::mem::replace(&mut self.bytes, rest);
        frame.drain(..4);
        Ok(Some(frame))
    }

    /// Takes `count` descriptors and the bytes that carry them, as they follow a frame that announces them.
    pub async fn descriptors(&mut self, stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
        for _ in 0..count.div_ceil(MAX_FDS_PER_MESSAGE) {
            if !self.fill(stream, 1).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.bytes.remove(0) != DESCRIPTOR_BYTE {
                return Err(io::Error::other("descriptors were announced and did not follow"));
            }
        }
        if self.descriptors.len() < count {
            let came = self.descriptors.len();
            return Err(io::Error::other(format!(
                "{count} descriptors were announced and {came} came"
            )));
        }
        Ok(self.descriptors.drain(..count).collect())
    }

    /// Reads until `wanted` bytes are there; `false` when the stream ended before the first of them.
    async fn fill(&mut self, stream: &UnixStream, wanted: usize) -> io::Result<bool> {
        while self.bytes.len() < wanted {
            let received = stream.async_io(Interest::READABLE, || self.receive(stream)).await?;
            if received == 0 {
                return if self.bytes.is_empty() {
                    Ok(false)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
        Ok(true)
    }

    fn receive(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut chunk = [0u8; READ_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut chunk)];
        let received = rustix::net::recvmsg(stream.as_fd(), &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes)
    }
}

/// Writes one frame. The caller holds the writing half to itself.
pub async fn write_frame(stream: &UnixStream, json: &[u8]) -> io::Result<()> {
    let length = u32::try_from(json.len())
        .ok()
        .filter(|n| *n as usize <= MAX_FRAME_BYTES);
    let Some(length) = length else {
        let bytes = json.len();
        return Err(io::Error::other(format!(
            "a frame of {bytes} bytes exceeds the limit of {MAX_FRAME_BYTES}"
        )));
    };
    write_all(stream, &length.to_le_bytes()).await?;
    write_all(stream, json).await
}

/// Sends descriptors, each message on one byte of its own.
pub async fn write_descriptors<Fd: AsFd>(stream: &UnixStream, descriptors: &[Fd]) -> io::Result<()> {
    for batch in descriptors.chunks(MAX_FDS_PER_MESSAGE) {
        let borrowed: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        stream
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_MESSAGE))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
                    return Err(io::Error::other("too many descriptors for one message"));
                }
                let byte = [IoSlice::new(&[DESCRIPTOR_BYTE])];
                Ok(rustix::net::sendmsg(
                    stream.as_fd(),
                    &byte,
                    &mut control,
                    SendFlags::NOSIGNAL,
                )?)
            })
            .await?;
    }
    Ok(())
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(stream.as_fd(), bytes, SendFlags::NOSIGNAL)?)
            })
            .await?;
        bytes = &bytes[sent..];
    }
    Ok(())
}
