//! A removal: a name of the cache that shall be free, whatever has it.

use std::fs::remove_dir_all;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

/// Removes what has that name; nothing is fine. A directory goes with all that is in it, a link alone.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn remove(directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Linux says the first, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) => {
            remove_dir_all(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
        }
        Err(error) => Err(error.into()),
    }
}
