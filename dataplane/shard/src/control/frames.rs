//! Frames and descriptors on a blocking Unix socket, byte by byte as `tollgate_config::link` lays them out.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tollgate_config::link::{MAX_FDS_PER_MESSAGE, MAX_FRAME_BYTES};

/// The byte that descriptors travel with.
const CARRIER: u8 = 0;

/// The next frame's JSON; `None` when the peer has closed between two frames.
pub fn read_frame(mut stream: &UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > MAX_FRAME_BYTES {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    // Grows with what comes: a length alone costs nothing.
    let mut frame = Vec::new();
    stream.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(frame))
}

pub fn write_frame(mut stream: &UnixStream, json: &[u8]) -> io::Result<()> {
    let length = u32::try_from(json.len())
        .ok()
        .filter(|length| *length as usize <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| io::Error::other(format!("a frame of {} bytes", json.len())))?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(json)
}

/// The `count` descriptors that follow a frame.
pub fn read_descriptors(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::with_capacity(count);
    while descriptors.len() < count {
        let expected = (count - descriptors.len()).min(MAX_FDS_PER_MESSAGE);
        let before = descriptors.len();
        let mut byte = [CARRIER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut byte)];
        let received = rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = message {
                descriptors.extend(came);
            }
        }
        if byte[0] != CARRIER || descriptors.len() - before != expected {
            return Err(io::Error::other("descriptors were announced and did not follow"));
        }
    }
    Ok(descriptors)
}

pub fn write_descriptors(stream: &UnixStream, descriptors: &[OwnedFd]) -> io::Result<()> {
    for batch in descriptors.chunks(MAX_FDS_PER_MESSAGE) {
        let batch: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_MESSAGE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&batch)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        rustix::net::sendmsg(stream, &[IoSlice::new(&[CARRIER])], &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        let one = |_| rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("an eventfd");
        (0..count).map(one).collect()
    }

    #[test]
    fn frames_and_descriptors_keep_their_order() {
        let (left, right) = UnixStream::pair().expect("a pair");
        write_frame(&left, b"{\"listeners\":300}").expect("written");
        write_descriptors(&left, &descriptors(300)).expect("written");
        write_frame(&left, b"{}").expect("written");
        drop(left);
        assert_eq!(
            read_frame(&right).expect("read").as_deref(),
            Some(&b"{\"listeners\":300}"[..])
        );
        let came = read_descriptors(&right, 300).expect("all");
        assert!(came.iter().all(|fd| fd.as_raw_fd() > 2));
        assert_eq!(read_frame(&right).expect("read").as_deref(), Some(&b"{}"[..]));
        assert_eq!(read_frame(&right).expect("the end"), None);
    }

    #[test]
    fn lies_are_refused() {
        let lies: [&[u8]; 4] = [&[0, 0, 0, 0], &[255, 255, 255, 255], &[5, 0, 0, 0, b'{'], &[1, 0]];
        for lie in &lies[..3] {
            let (mut left, right) = UnixStream::pair().expect("a pair");
            left.write_all(lie).expect("written");
            drop(left);
            assert!(read_frame(&right).is_err(), "{lie:?}");
        }
        let (left, right) = UnixStream::pair().expect("a pair");
        write_frame(&left, b"{}").expect("written");
        assert!(
            read_descriptors(&right, 1).is_err(),
            "a frame where descriptors were announced"
        );
    }
}
