//! A channel end of the daemon: [`wasmedge_messages::Channel`] without blocking the event loop.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;
use wasmedge_messages::{Channel, ChannelError};

/// One end, non-blocking.
#[derive(Debug)]
pub(super) struct AsyncChannel(AsyncFd<Raw>);

#[derive(Debug)]
struct Raw(Channel);

impl AsRawFd for Raw {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsyncChannel {
    /// A pair: our end, and the one that is given away, which blocks.
    #[expect(deprecated, reason = "the successor is an unsafe function; our descriptor never changes")]
    pub(super) fn pair() -> Result<(Self, Channel), ChannelError> {
        let (ours, theirs) = Channel::pair()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self(AsyncFd::new(Raw(ours))?), theirs))
    }

    /// Sends one message with its descriptors.
    pub(super) async fn send<T: Serialize>(
        &self,
        message: &T,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        loop {
            let mut ready = self.0.writable().await?;
            match self.0.get_ref().0.send(message, fds) {
                Err(error) if is_would_block(&error) => ready.clear_ready(),
                sent => return sent,
            }
        }
    }

    /// Receives one message; `None` at the end.
    pub(super) async fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, ChannelError> {
        Ok(self.receive_with_fds().await?.map(|(message, _fds)| message))
    }

    /// As [`Self::receive`], with the message's descriptors.
    pub(super) async fn receive_with_fds<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.0.get_ref().0.receive() {
                Err(error) if is_would_block(&error) => ready.clear_ready(),
                received => return received,
            }
        }
    }
}

fn is_would_block(error: &ChannelError) -> bool {
    matches!(error, ChannelError::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use wasmedge_messages::Reply;

    use super::*;

    #[test]
    fn a_reply_is_awaited_without_blocking() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = AsyncChannel::pair().unwrap();
            let reply = tokio::spawn(async move { ours.receive::<Reply>().await });
            tokio::task::yield_now().await;
            theirs.send(&Reply::Running, &[]).unwrap();
            assert_eq!(reply.await.unwrap().unwrap(), Some(Reply::Running));
        });
    }
}
