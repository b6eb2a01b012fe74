//! Restarting: a wait of a guest goes on when it was interrupted.
//!
//! A process that is frozen, or stopped by SIGSTOP, finds its `epoll_wait` ended with EINTR when it goes on, though
//! it has no handler for anything (signal(7)). WasmEdge hands that to the guest as the result of its sleep or poll,
//! and a Rust guest panics of it. Whatever a signal is to do to a guest, its handler has done it by then.

use std::time::{Duration, Instant};

use super::{interest, needless, short_read, size};

/// libc's `epoll_wait`, for everything in this process, but never ended by a signal, told of what has
/// changed, and without needless events.
#[unsafe(no_mangle)]
extern "C" fn epoll_wait(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    most: libc::c_int,
    timeout: libc::c_int,
) -> libc::c_int {
    interest::settle(epoll);
    if timeout < 0 {
        needless::hold(epoll);
    }
    let begun = Instant::now();
    let mut left = timeout;
    loop {
        // SAFETY: the arguments are the caller's, who keeps the contract of epoll_wait(2).
        let count = unsafe { libc::syscall(libc::SYS_epoll_wait, epoll, events, most, left) };
        if let Ok(count) = usize::try_from(count) {
            // SAFETY: the kernel has written that many.
            let events = unsafe { std::slice::from_raw_parts(events, count) };
            needless::note(epoll, events);
            short_read::note(events);
            size::note(events);
        }
        if count >= 0 || std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return count as libc::c_int;
        }
        if let Ok(milliseconds) = u64::try_from(timeout) {
            let left_over = Duration::from_millis(milliseconds).saturating_sub(begun.elapsed());
            left = libc::c_int::try_from(left_over.as_millis()).unwrap_or(timeout);
        }
    }
}
