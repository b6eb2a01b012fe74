//! An event's size: how many bytes could be read or written, which WASI's events carry.
//!
//! WasmEdge asks the kernel, with one system call for an event of reading and two for one of writing. It tells the
//! guest 1 for reading, whatever the answer is, and 1 for writing if there is none; there is at least one. So it gets no
//! answer, for the events that it has just been told, and only then: a guest's own question is the kernel's.

use std::cell::RefCell;

use libc::{
    EPOLLIN, EPOLLOUT, FIONREAD, SO_SNDBUF, SOL_SOCKET, TIOCOUTQ, c_int, c_ulong, c_void, epoll_event,
    socklen_t,
};

use crate::replaced;

thread_local! {
    static DUE: RefCell<Due> = const { RefCell::new(Due { questions: Vec::new(), next: 0 }) };
}

/// The questions that WasmEdge will ask about the events of this thread's last wait, in its order.
struct Due {
    questions: Vec<(c_int, Question)>,
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Readable,
    BufferSize,
    BufferUsed,
}

/// To be called with what a wait has ended with.
pub(super) fn note(events: &[epoll_event]) {
    DUE.with_borrow_mut(|due| {
        due.next = 0;
        due.questions.clear();
        for event in events {
            // WasmEdge fills in the lower half only.
            let (fd, events) = (event.u64 as u32 as c_int, event.events as c_int);
            if events & EPOLLIN != 0 {
                due.questions.push((fd, Question::Readable));
            }
            if events & EPOLLOUT != 0 {
                due.questions.extend([(fd, Question::BufferSize), (fd, Question::BufferUsed)]);
            }
        }
    });
}

/// Whether it is asked for an event; each is, once.
fn is_due(fd: c_int, question: Question) -> bool {
    DUE.with_borrow_mut(|due| {
        let place = due.questions[due.next..].iter().position(|asked| *asked == (fd, question));
        due.next += place.map_or(0, |place| place + 1);
        place.is_some()
    })
}

/// libc's `ioctl`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    match request {
        FIONREAD if is_due(fd, Question::Readable) => return 0,
        TIOCOUTQ if is_due(fd, Question::BufferUsed) => return unknown(),
        _ => {}
    }
    // SAFETY: the arguments are the caller's, who keeps the contract of ioctl(2).
    unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) as c_int }
}

/// libc's `getsockopt`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if (level, name) == (SOL_SOCKET, SO_SNDBUF) && is_due(fd, Question::BufferSize) {
        return unknown();
    }
    // SAFETY: the arguments are the caller's, who keeps the contract of getsockopt(2).
    unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, length) as c_int }
}

fn unknown() -> c_int {
    replaced::fail(libc::ENOTSUP)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn buffer_size(socket: &UnixStream) -> Option<c_int> {
        let (mut size, mut length) = (0, size_of::<c_int>() as socklen_t);
        let (fd, value) = (socket.as_raw_fd(), (&raw mut size).cast());
        (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, &mut length) == 0).then_some(size)
    }

    fn number(socket: &UnixStream, request: c_ulong) -> Option<c_int> {
        let mut number = -1;
        (ioctl(socket.as_raw_fd(), request, (&raw mut number).cast()) == 0).then_some(number)
    }

    #[test]
    fn what_is_asked_for_an_event_is_answered_here_and_anything_else_by_the_kernel() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(buffer_size(&one) > Some(0));
        let event = |socket: &UnixStream, events| epoll_event {
            events: events as u32,
            u64: socket.as_raw_fd() as u64,
        };
        note(&[event(&one, EPOLLIN | EPOLLOUT), event(&other, EPOLLOUT)]);
        assert_eq!(number(&one, FIONREAD), Some(-1), "taken for an answer, which WasmEdge ignores");
        assert_eq!((buffer_size(&one), number(&one, TIOCOUTQ)), (None, None));
        assert_eq!((buffer_size(&other), number(&other, TIOCOUTQ)), (None, None));
        assert_eq!((number(&one, FIONREAD), number(&one, TIOCOUTQ)), (Some(0), Some(0)));
        assert!(buffer_size(&other) > Some(0));

        note(&[event(&one, EPOLLIN)]);
        note(&[]);
        assert_eq!(number(&one, FIONREAD), Some(0), "another wait, another set of events");
    }
}
