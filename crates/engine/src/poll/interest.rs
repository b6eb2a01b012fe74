//! An interest: what a poll waits for on one descriptor. It is told to the kernel only where it has changed.
//!
//! For each `poll_oneoff` WasmEdge tells the kernel every interest twice (reading, then reading and writing), though
//! a server's are the same from one poll to the next: of the 11 system calls that a request cost a hyper server, 4
//! were these, and each further open connection added two to a poll. So changes are kept here until the next wait, and
//! by then most have been taken back.

use std::io::Error;
use std::sync::{Mutex, PoisonError};

use libc::{ENOENT, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLONESHOT, c_int, epoll_event};

use super::short_read;

static INTERESTS: Mutex<Interests> = Mutex::new(Interests { of: Vec::new(), changed: Vec::new() });

/// Those of this process, by their descriptors' numbers.
struct Interests {
    of: Vec<Option<Interest>>,
    changed: Vec<c_int>,
}

/// As the kernel knows it in one epoll instance, and as it shall be there.
#[derive(Clone, Copy)]
struct Interest {
    epoll: c_int,
    told: epoll_event,
    wanted: epoll_event,
}

/// libc's `epoll_ctl`, for everything in this process; a change waits for [`settle`].
#[unsafe(no_mangle)]
extern "C" fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    let mut interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if operation == EPOLL_CTL_DEL || event.is_null() {
        interests.forget(epoll, fd);
        return tell(epoll, operation, fd, event);
    }
    // SAFETY: not null, and epoll_ctl(2) has the caller pass a valid event.
    let wanted = unsafe { *event };
    if operation == EPOLL_CTL_MOD && interests.change(epoll, fd, wanted) {
        return 0;
    }
    let mut done = tell(epoll, operation, fd, event);
    let mut is_new = operation == EPOLL_CTL_ADD;
    if done != 0 && operation == EPOLL_CTL_MOD && Error::last_os_error().raw_os_error() == Some(ENOENT) {
        // WasmEdge takes a descriptor for the one that had its number before and was closed.
        done = tell(epoll, EPOLL_CTL_ADD, fd, event);
        is_new = true;
    }
    if done == 0 && is_new {
        interests.add(epoll, fd, wanted);
    }
    done
}

/// libc's `close`, for everything in this process: the kernel forgets what a closed descriptor was waited for.
#[unsafe(no_mangle)]
extern "C" fn close(fd: c_int) -> c_int {
    let mut interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = usize::try_from(fd).ok().and_then(|index| interests.of.get_mut(index)) {
        *known = None;
    }
    drop(interests);
    short_read::forget(fd);
    // SAFETY: the argument is the caller's, who keeps the contract of close(2).
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// Tells the kernel what has changed in an epoll instance, before it is waited for.
pub(super) fn settle(epoll: c_int) {
    INTERESTS.lock().unwrap_or_else(PoisonError::into_inner).settle(epoll);
}

/// What a wait on one descriptor in an epoll instance would be for; `None` if it is unknown.
pub(super) fn of(epoll: c_int, fd: c_int) -> Option<u32> {
    let interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = interests.of.get(usize::try_from(fd).ok()?).copied().flatten();
    known.filter(|known| known.epoll == epoll).map(|known| known.wanted.events)
}

/// All that a wait on an epoll instance would be for.
pub(super) fn all(epoll: c_int) -> Vec<(c_int, u32)> {
    let interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = (0..).zip(&interests.of).filter_map(|(fd, known)| Some((fd, (*known)?)));
    known.filter(|(_, known)| known.epoll == epoll).map(|(fd, known)| (fd, known.wanted.events)).collect()
}

impl Interests {
    fn add(&mut self, epoll: c_int, fd: c_int, event: epoll_event) {
        let Ok(index) = usize::try_from(fd) else { return };
        if self.of.len() <= index {
            self.of.resize(index + 1, None);
        }
        // One descriptor in two instances: the first is no longer followed, once it is as it should be.
        if let Some(other) = self.of[index].filter(|known| known.epoll != epoll) {
            self.settle(other.epoll);
        }
        self.of[index] = Some(Interest { epoll, told: event, wanted: event });
    }

    /// Keeps a change for later; false if it has to be told at once. With these flags, telling it again has a meaning.
    fn change(&mut self, epoll: c_int, fd: c_int, event: epoll_event) -> bool {
        let again = (EPOLLET | EPOLLONESHOT) as u32;
        let Some(known) = usize::try_from(fd).ok().and_then(|index| self.of.get_mut(index)?.as_mut()) else {
            return false;
        };
        if known.epoll != epoll {
            return false;
        }
        if (event.events | known.wanted.events) & again != 0 {
            self.forget(epoll, fd);
            return false;
        }
        if same(known.told, known.wanted) && !same(known.told, event) {
            self.changed.push(fd);
        }
        known.wanted = event;
        true
    }

    fn forget(&mut self, epoll: c_int, fd: c_int) {
        if let Some(known) = usize::try_from(fd).ok().and_then(|index| self.of.get_mut(index)) {
            known.take_if(|known| known.epoll == epoll);
        }
    }

    fn settle(&mut self, epoll: c_int) {
        let of = &mut self.of;
        self.changed.retain(|fd| {
            let Some(known) = of.get_mut(*fd as usize).and_then(Option::as_mut) else { return false };
            if known.epoll != epoll {
                return true;
            }
            if !same(known.told, known.wanted) {
                tell(epoll, EPOLL_CTL_MOD, *fd, &mut known.wanted.clone());
                known.told = known.wanted;
            }
            false
        });
    }
}

fn same(one: epoll_event, other: epoll_event) -> bool {
    (one.events, one.u64) == (other.events, other.u64)
}

fn tell(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: the arguments are the caller's, who keeps the contract of epoll_ctl(2).
    unsafe { libc::syscall(libc::SYS_epoll_ctl, epoll, operation, fd, event) as c_int }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::pipe;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use libc::{EPOLLIN, EPOLLOUT};

    use super::*;

    struct Epoll(OwnedFd);

    impl Epoll {
        fn new() -> Self {
            // SAFETY: makes a descriptor that nobody else has.
            Self(unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(0)) })
        }

        fn control(&self, operation: c_int, fd: &impl AsRawFd, events: c_int) -> c_int {
            let mut event = epoll_event { events: events as u32, u64: fd.as_raw_fd() as u64 };
            epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), &mut event)
        }

        /// What the kernel has, in the words of proc_pid_fdinfo(5).
        fn told(&self, fd: &impl AsRawFd) -> Option<c_int> {
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd())).unwrap();
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let fd = fd.as_raw_fd().to_string();
            let mut lines = lines.filter(|words| words.first() == Some(&"tfd:") && words[1] == fd);
            // Errors and hang-ups are always reported.
            lines
                .next()
                .map(|words| u32::from_str_radix(words[3], 16).unwrap() as c_int & (EPOLLIN | EPOLLOUT))
        }

        fn settle(&self) {
            settle(self.0.as_raw_fd());
        }
    }

    /// The same file under a number that no other test's descriptors come to, since the kernel gives the lowest free
    /// one: `cargo test` runs tests as threads of one process.
    fn numbered(number: c_int, file: &impl AsRawFd) -> OwnedFd {
        // SAFETY: makes a descriptor that nobody else has.
        let made =
            unsafe { OwnedFd::from_raw_fd(libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number)) };
        assert_eq!(made.as_raw_fd(), number);
        made
    }

    #[test]
    fn a_change_is_told_before_the_next_wait() {
        let (epoll, (reader, _writer)) = (Epoll::new(), pipe().unwrap());
        assert_eq!(epoll.control(EPOLL_CTL_ADD, &reader, EPOLLIN), 0);
        assert_eq!(epoll.control(EPOLL_CTL_MOD, &reader, EPOLLIN | EPOLLOUT), 0);
        assert_eq!(epoll.told(&reader), Some(EPOLLIN));
        epoll.settle();
        assert_eq!(epoll.told(&reader), Some(EPOLLIN | EPOLLOUT));
    }

    #[test]
    fn the_last_of_many_changes_counts() {
        let (epoll, (reader, _writer)) = (Epoll::new(), pipe().unwrap());
        epoll.control(EPOLL_CTL_ADD, &reader, EPOLLIN | EPOLLOUT);
        for events in [EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLOUT, EPOLLIN] {
            assert_eq!(epoll.control(EPOLL_CTL_MOD, &reader, events), 0);
        }
        epoll.settle();
        assert_eq!(epoll.told(&reader), Some(EPOLLIN));
    }

    #[test]
    fn a_descriptor_with_a_closed_ones_number_is_another() {
        let (epoll, (reader, _writer)) = (Epoll::new(), pipe().unwrap());
        let number = 900;
        let closed = numbered(number, &reader);
        epoll.control(EPOLL_CTL_ADD, &closed, EPOLLIN);
        close(std::os::fd::IntoRawFd::into_raw_fd(closed));
        let (other, _writer) = pipe().unwrap();
        let reused = numbered(number, &other);
        assert_eq!(epoll.control(EPOLL_CTL_MOD, &reused, EPOLLIN), 0);
        epoll.settle();
        assert_eq!(epoll.told(&reused), Some(EPOLLIN));
    }

    #[test]
    fn a_removed_descriptor_is_gone_at_once_and_unknown_ones_are_refused() {
        let (epoll, (reader, writer)) = (Epoll::new(), pipe().unwrap());
        epoll.control(EPOLL_CTL_ADD, &reader, EPOLLIN);
        epoll.control(EPOLL_CTL_MOD, &reader, EPOLLOUT);
        assert_eq!(epoll.control(EPOLL_CTL_DEL, &reader, 0), 0);
        assert_eq!(epoll.told(&reader), None);
        let closed = std::os::fd::IntoRawFd::into_raw_fd(numbered(901, &writer));
        close(closed);
        assert_eq!(epoll.control(EPOLL_CTL_MOD, &closed, EPOLLIN), -1);
        epoll.settle();
    }

    #[test]
    fn a_descriptor_in_two_instances_is_right_in_both() {
        let (first, second, (reader, _writer)) = (Epoll::new(), Epoll::new(), pipe().unwrap());
        first.control(EPOLL_CTL_ADD, &reader, EPOLLIN);
        first.control(EPOLL_CTL_MOD, &reader, EPOLLOUT);
        second.control(EPOLL_CTL_ADD, &reader, EPOLLIN);
        assert_eq!((first.told(&reader), second.told(&reader)), (Some(EPOLLOUT), Some(EPOLLIN)));
        first.control(EPOLL_CTL_MOD, &reader, EPOLLIN);
        assert_eq!(first.told(&reader), Some(EPOLLIN));
    }

    #[test]
    fn an_edge_is_armed_again_each_time() {
        let (epoll, (reader, _writer)) = (Epoll::new(), pipe().unwrap());
        epoll.control(EPOLL_CTL_ADD, &reader, EPOLLIN);
        epoll.control(EPOLL_CTL_MOD, &reader, EPOLLOUT | EPOLLET);
        assert_eq!(epoll.told(&reader), Some(EPOLLOUT));
    }
}
