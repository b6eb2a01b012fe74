//! A channel: a connected pair of `SOCK_SEQPACKET` sockets that carries one JSON message and its
//! file descriptors per packet.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message, in bytes of JSON.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// The most file descriptors that one message carries.
pub const MAX_FDS: usize = 8;

/// One end of a channel. Blocking or not is the descriptor's own setting (blocking by default).
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message that could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The socket failed; `WouldBlock` is among these for a non-blocking end.
    #[error("channel: {0}")]
    Io(#[from] std::io::Error),
    /// The packet holds no message of the expected type.
    #[error("channel: malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The packet or its descriptors were longer than [`MAX_MESSAGE`] or [`MAX_FDS`].
    #[error("channel: message of more than {MAX_MESSAGE} bytes or {MAX_FDS} descriptors")]
    TooLong,
}

impl From<rustix::io::Errno> for ChannelError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl Channel {
    /// A connected pair, both ends close-on-exec.
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// Sends one message with its descriptors, whole or not at all.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
            return Err(ChannelError::TooLong);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(ChannelError::TooLong);
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Receives one message with its descriptors (close-on-exec); `None` when the far end is closed.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        let fds = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(ChannelError::TooLong);
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&bytes[..received.bytes])?, fds)))
    }
}

/// Whether nobody holds the far end of a channel any more.
pub(crate) fn is_abandoned(end: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&end, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&now))).is_ok()
        && polled[0].revents().contains(PollFlags::HUP)
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::Reply;

    #[test]
    fn a_channel_is_abandoned_once_its_far_end_is_closed_everywhere() {
        let (ours, theirs) = Channel::pair().unwrap();
        let again = theirs.0.try_clone().unwrap();
        drop(theirs);
        assert!(!is_abandoned(&ours));
        drop(again);
        assert!(is_abandoned(&ours));
    }

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (here, there) = Channel::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        here.send(&Reply::Created { pid: 7 }, &[writer.as_fd()]).unwrap();
        drop(writer);
        let (reply, fds) = there.receive::<Reply>().unwrap().unwrap();
        assert_eq!(reply, Reply::Created { pid: 7 });
        let [fd] = <[OwnedFd; 1]>::try_from(fds).unwrap();
        std::fs::File::from(fd).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_closed_far_end_is_the_end_and_no_error() {
        let (here, there) = Channel::pair().unwrap();
        drop(there);
        assert!(here.receive::<Reply>().unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_sent() {
        let (here, _there) = Channel::pair().unwrap();
        assert!(matches!(here.send(&"x".repeat(MAX_MESSAGE), &[]), Err(ChannelError::TooLong)));
    }
}
