//! A short read: one that got less than it asked for, and so has emptied the stream it read from.
//!
//! An event loop reads until it is told that nothing is left. Natively tokio takes a short read for that (epoll(7)
//! says so); on WASI it asks again, for each request. So the read after a short one is answered here, once and with
//! EAGAIN, unless a wait has told since that there is something. It is what the kernel would have said a moment ago; a
//! guest that gets it for a stream that is not to block waits, and is told at once if more has come.

use std::sync::{Mutex, PoisonError};

use libc::{EPOLLOUT, F_GETFL, F_SETFL, O_NONBLOCK, SO_TYPE, SOCK_STREAM, SOL_SOCKET};
use libc::{c_int, c_long, epoll_event, iovec, socklen_t, ssize_t};

use crate::replaced;

static STREAMS: Mutex<Vec<Stream>> = Mutex::new(Vec::new());

/// What is known of a descriptor; the vector's index is its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Nothing yet.
    Unknown,
    /// No stream socket, or one that blocks.
    Other,
    /// A stream socket that does not block.
    Filled,
    /// Its last read was short, and no wait has told otherwise since.
    Emptied,
}

/// To be called with what a wait has ended with.
pub(super) fn note(events: &[epoll_event]) {
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    for event in events.iter().filter(|event| event.events != EPOLLOUT as u32) {
        // WasmEdge fills in the lower half only.
        let stream = streams.get_mut(event.u64 as u32 as usize);
        if let Some(stream) = stream.filter(|stream| **stream == Stream::Emptied) {
            *stream = Stream::Filled;
        }
    }
}

/// To be called when a descriptor is closed: its number may be another's then.
pub(super) fn forget(fd: c_int) {
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stream) = usize::try_from(fd).ok().and_then(|fd| streams.get_mut(fd)) {
        *stream = Stream::Unknown;
    }
}

/// libc's `readv`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if take_emptied(fd) {
        return replaced::fail(libc::EAGAIN) as ssize_t;
    }
    // SAFETY: the arguments are the caller's, who keeps the contract of readv(2).
    let read = unsafe { libc::syscall(libc::SYS_readv, fd, parts, count) as ssize_t };
    if let (Ok(read @ 1..), Ok(count)) = (usize::try_from(read), usize::try_from(count)) {
        // SAFETY: the kernel has just taken them for that many valid parts.
        let parts = unsafe { std::slice::from_raw_parts(parts, count) };
        if read < parts.iter().map(|part| part.iov_len).sum() {
            set_emptied(fd);
        }
    }
    read
}

/// libc's `fcntl`, for everything in this process: whether a descriptor blocks may change.
#[unsafe(no_mangle)]
extern "C" fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    if command == F_SETFL {
        forget(fd);
    }
    control(fd, command, argument)
}

fn control(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: the arguments are those of a caller who keeps the contract of fcntl(2).
    unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) as c_int }
}

fn take_emptied(fd: c_int) -> bool {
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    match usize::try_from(fd).ok().and_then(|fd| streams.get_mut(fd)) {
        Some(stream @ Stream::Emptied) => {
            *stream = Stream::Filled;
            true
        }
        _ => false,
    }
}

fn set_emptied(fd: c_int) {
    let Ok(index) = usize::try_from(fd) else { return };
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if streams.len() <= index {
        streams.resize(index + 1, Stream::Unknown);
    }
    streams[index] = match streams[index] {
        Stream::Unknown if !does_not_block(fd) => Stream::Other,
        Stream::Other => Stream::Other,
        Stream::Unknown | Stream::Filled | Stream::Emptied => Stream::Emptied,
    };
}

/// Whether it is a stream socket that does not block.
fn does_not_block(fd: c_int) -> bool {
    let (mut kind, mut length) = (0, size_of::<c_int>() as socklen_t);
    let value: *mut c_int = &mut kind;
    // SAFETY: the kernel writes one integer.
    let asked = unsafe { libc::syscall(libc::SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, value, &mut length) };
    let flags = control(fd, F_GETFL, 0);
    asked == 0 && kind == SOCK_STREAM && flags != -1 && flags & O_NONBLOCK != 0
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, IoSliceMut, Read, Write};
    use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use libc::EPOLLIN;

    use super::*;

    fn streams() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    /// Reads up to two bytes, as WasmEdge does.
    fn read(mut stream: &UnixStream) -> Result<String, ErrorKind> {
        let mut buffer = [0; 2];
        let read = stream.read_vectored(&mut [IoSliceMut::new(&mut buffer)]).map_err(|error| error.kind())?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }

    fn told(stream: &UnixStream, events: c_int) {
        note(&[epoll_event { events: events as u32, u64: stream.as_raw_fd() as u64 }]);
    }

    #[test]
    fn after_a_short_read_nothing_is_left_once() {
        let (near, mut far) = streams();
        far.write_all(b"abc").unwrap();
        assert_eq!(read(&near).unwrap(), "ab", "a full read says nothing of what is left");
        assert_eq!(read(&near).unwrap(), "c");
        far.write_all(b"d").unwrap();
        assert_eq!(read(&near), Err(ErrorKind::WouldBlock));
        assert_eq!(read(&near).unwrap(), "d", "a guest that asks again gets it");
    }

    #[test]
    fn what_a_wait_tells_is_read() {
        let (near, mut far) = streams();
        far.write_all(b"a").unwrap();
        assert_eq!(read(&near).unwrap(), "a");
        far.write_all(b"b").unwrap();
        told(&near, EPOLLIN | EPOLLOUT);
        assert_eq!(read(&near).unwrap(), "b");
        drop(far);
        told(&near, EPOLLIN | libc::EPOLLHUP);
        assert_eq!(read(&near).unwrap(), "", "the end is told as well");
    }

    #[test]
    fn that_it_can_be_written_does_not_say_that_it_can_be_read() {
        let (near, mut far) = streams();
        far.write_all(b"a").unwrap();
        assert_eq!(read(&near).unwrap(), "a");
        far.write_all(b"b").unwrap();
        told(&near, EPOLLOUT);
        assert_eq!(read(&near), Err(ErrorKind::WouldBlock));
    }

    #[test]
    fn a_stream_that_blocks_is_never_told_to_come_again() {
        let (near, mut far) = streams();
        far.write_all(b"a").unwrap();
        assert_eq!(read(&near).unwrap(), "a");
        let flags = fcntl(near.as_raw_fd(), F_GETFL, 0);
        assert_eq!(fcntl(near.as_raw_fd(), F_SETFL, c_long::from(flags & !O_NONBLOCK)), 0);
        for byte in ["b", "c"] {
            far.write_all(byte.as_bytes()).unwrap();
            assert_eq!(read(&near).unwrap(), byte);
        }
    }

    #[test]
    fn a_datagram_is_not_a_short_read() {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = UnixStream::from(OwnedFd::from(near));
        for byte in ["a", "b"] {
            far.send(byte.as_bytes()).unwrap();
            assert_eq!(read(&near).unwrap(), byte);
        }
    }

    #[test]
    fn a_closed_descriptors_number_says_nothing() {
        let (near, mut far) = streams();
        far.write_all(b"a").unwrap();
        assert_eq!(read(&near).unwrap(), "a");
        let number = near.as_raw_fd();
        assert!(STREAMS.lock().unwrap()[number as usize] == Stream::Emptied);
        // The number may be another test's as soon as it is closed.
        forget(near.into_raw_fd());
        assert!(STREAMS.lock().unwrap()[number as usize] == Stream::Unknown);
    }
}
