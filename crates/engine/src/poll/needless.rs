//! A needless event: a poll that ends with what the guest knows already, that it could write.
//!
//! An event loop made for edges (tokio's, on WASI) waits for *can be read* and *can be written* of each connection at
//! once, and as a connection can nearly always be written, WASI's polls end at once: a server kept a core busy as long
//! as a connection was open and idle. So when polls have told the same a few times, and the guest has written nothing,
//! the next one first waits a while for anything else. It still ends with that event then: a guest that means it is
//! held up by milliseconds, and only if it neither reads nor writes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use libc::{EPOLLOUT, c_int, epoll_event, iovec, msghdr, pollfd, ssize_t};

use super::interest;

/// So many needless events in a row are nothing special: a connection was made, or somebody else is slow.
const FREE: u32 = 3;
/// The longest wait, in milliseconds, as a power of two.
const LONGEST: u32 = 6;

static IN_A_ROW: AtomicU32 = AtomicU32::new(0);
static HAS_WRITTEN: AtomicBool = AtomicBool::new(false);

/// To be called before a wait without end: may wait for all but needless events.
pub(super) fn hold(epoll: c_int) {
    let beyond = IN_A_ROW.load(Ordering::Relaxed).saturating_sub(FREE);
    if beyond == 0 || HAS_WRITTEN.load(Ordering::Relaxed) {
        return;
    }
    let awaited = |(fd, wanted): (c_int, u32)| {
        let wanted = if is_both(wanted) { wanted & !(EPOLLOUT as u32) } else { wanted };
        // poll(2) has the same bits.
        pollfd { fd, events: wanted as i16, revents: 0 }
    };
    let mut all: Vec<pollfd> = interest::all(epoll).into_iter().map(awaited).collect();
    let milliseconds = 1 << (beyond - 1).min(LONGEST);
    // SAFETY: the array is alive. A signal may end it early, which is no harm.
    unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, milliseconds) };
}

/// To be called with what a wait has ended with.
pub(super) fn note(epoll: c_int, events: &[epoll_event]) {
    let is_needless = |event: &epoll_event| {
        // WasmEdge fills in the lower half only.
        let wanted = interest::of(epoll, event.u64 as u32 as c_int);
        event.events == EPOLLOUT as u32 && wanted.is_some_and(is_both)
    };
    let has_written = HAS_WRITTEN.swap(false, Ordering::Relaxed);
    match !events.is_empty() && events.iter().all(is_needless) {
        true if !has_written => drop(IN_A_ROW.fetch_add(1, Ordering::Relaxed)),
        is_first => IN_A_ROW.store(u32::from(is_first), Ordering::Relaxed),
    }
}

fn is_both(wanted: u32) -> bool {
    wanted & EPOLLOUT as u32 != 0 && wanted & libc::EPOLLIN as u32 != 0
}

/// libc's `sendmsg`, for everything in this process, which is noticed.
#[unsafe(no_mangle)]
extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    HAS_WRITTEN.store(true, Ordering::Relaxed);
    // SAFETY: the arguments are the caller's, who keeps the contract of sendmsg(2).
    unsafe { libc::syscall(libc::SYS_sendmsg, fd, message, flags) as ssize_t }
}

/// libc's `writev`, for everything in this process, which is noticed.
#[unsafe(no_mangle)]
extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    HAS_WRITTEN.store(true, Ordering::Relaxed);
    // SAFETY: the arguments are the caller's, who keeps the contract of writev(2).
    unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as ssize_t }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use libc::{EPOLL_CTL_ADD, EPOLLIN};

    use super::*;

    fn wait(epoll: c_int) -> (u32, Duration) {
        let mut events = [epoll_event { events: 0, u64: 0 }; 4];
        let begun = Instant::now();
        // SAFETY: the array is alive and of that length.
        assert_eq!(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 4, -1) }, 1);
        (events[0].events, begun.elapsed())
    }

    // One story, since what it is about is the whole process's.
    #[test]
    fn a_guest_that_is_told_that_it_can_write_and_does_not_is_told_less_often() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        // SAFETY: makes a descriptor.
        let epoll = unsafe { libc::epoll_create1(0) };
        let both = (EPOLLIN | EPOLLOUT) as u32;
        let mut event = epoll_event { events: both, u64: near.as_raw_fd() as u64 };
        // SAFETY: the event is alive.
        unsafe { libc::epoll_ctl(epoll, EPOLL_CTL_ADD, near.as_raw_fd(), &mut event) };
        let waited: Duration = (0..FREE + LONGEST + 2).map(|_| wait(epoll).1).sum();
        assert!(waited >= Duration::from_millis((1 << (LONGEST + 1)) - 1), "{waited:?}");

        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            far.write_all(b"x").unwrap();
            far
        });
        // On a busy machine the byte may come after the longest wait.
        let told = std::iter::repeat_with(|| wait(epoll).0).find(|events| *events != EPOLLOUT as u32);
        assert_eq!(told, Some(both), "what comes to be read ends the wait, and all is told");
        let _far = writer.join().unwrap();
        near.read_exact(&mut [0]).unwrap();

        (0..FREE + 3).for_each(|_| assert_eq!(wait(epoll).0, EPOLLOUT as u32));
        let parts = [iovec { iov_base: b"y".as_ptr().cast_mut().cast(), iov_len: 1 }];
        assert_eq!(writev(near.as_raw_fd(), parts.as_ptr(), 1), 1);
        (0..FREE).for_each(|_| assert_eq!(wait(epoll).0, EPOLLOUT as u32));
        assert_eq!(IN_A_ROW.load(Ordering::Relaxed), FREE, "who writes begins anew");
    }
}
