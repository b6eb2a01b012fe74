//! An end is one side of a stream that the daemon itself reads or writes, without blocking the event loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// A descriptor of a terminal, a FIFO or a file.
#[derive(Debug)]
pub(super) enum End {
    /// Tells when it can be read or written.
    Telling(AsyncFd<OwnedFd>),
    /// A file: always ready.
    Ready(OwnedFd),
}

impl End {
    /// Takes a descriptor and makes it non-blocking.
    #[expect(deprecated, reason = "the successor is an unsafe function; our descriptor never changes")]
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        match AsyncFd::try_new(fd) {
            Ok(fd) => Ok(Self::Telling(fd)),
            Err(error) => match error.into_parts() {
                (fd, error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                    Ok(Self::Ready(fd))
                }
                (_, error) => Err(error),
            },
        }
    }

    /// Reads some bytes; none at the end.
    pub(super) async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Ready(fd) => Ok(rustix::io::read(fd, into)?),
            Self::Telling(fd) => loop {
                let mut ready = fd.readable().await?;
                match rustix::io::read(fd.get_ref(), &mut *into) {
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    read => return Ok(read?),
                }
            },
        }
    }

    /// Writes all of it.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Ready(fd) => rustix::io::write(fd, bytes),
                Self::Telling(fd) => {
                    let mut ready = fd.writable().await?;
                    let written = rustix::io::write(fd.get_ref(), bytes);
                    if written == Err(Errno::AGAIN) {
                        ready.clear_ready();
                    }
                    written
                }
            };
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Telling(fd) => fd.get_ref().as_fd(),
            Self::Ready(fd) => fd.as_fd(),
        }
    }
}
