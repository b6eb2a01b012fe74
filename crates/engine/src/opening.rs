//! An opening of a file, as WasmEdge does it for a guest: by libc's `openat` and `open`, which are replaced here.
//!
//! - No process's memory is opened as a file. A guest is confined by what WasmEdge lets it do to its linear memory; with
//!   `/proc/self/mem` it would write over the code of the engine itself, and by that run any native code.
//! - A directory that may be searched and not read is a preopen all the same, as it is a root for a native program.
//!
//! WasmEdge looks up a path by its parts, follows links itself and gives the kernel one name at a time with
//! `O_NOFOLLOW`. So the name of what is opened is known without a system call, and only a file called `mem` costs one.

use std::ffi::CStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use libc::{AT_FDCWD, EACCES, O_DIRECTORY, O_NOFOLLOW, O_PATH, c_char, c_int, mode_t};

use crate::replaced::fail;

/// The file in `/proc/PID` and `/proc/PID/task/TID` that is a process's memory (proc_pid_mem(5)).
const MEMORY: &[u8] = b"mem";

/// libc's `openat`, for everything in this process that is linked to libc.
#[unsafe(no_mangle)]
extern "C" fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let opened = open_in(directory, path, flags, mode);
    match opened {
        -1 if directory == AT_FDCWD && flags & O_DIRECTORY != 0 && errno() == EACCES => {
            open_in(directory, path, flags | O_PATH, mode)
        }
        0.. if flags & O_PATH == 0 && is_memory(opened, path, flags) => {
            // SAFETY: the descriptor was made just now, and nobody else knows it.
            unsafe { libc::syscall(libc::SYS_close, opened) };
            fail(EACCES)
        }
        opened => opened,
    }
}

/// libc's `open`, for everything in this process that is linked to libc.
#[unsafe(no_mangle)]
extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    openat(AT_FDCWD, path, flags, mode)
}

fn open_in(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of a caller who keeps the contract of openat(2).
    unsafe { libc::syscall(libc::SYS_openat, directory, path, flags, mode) as c_int }
}

/// Whether an opened file is a process's memory. Where a link may have been followed, the kernel is asked for its name.
fn is_memory(opened: c_int, path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the kernel has just taken it for a path.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let is_called_memory = last_part(path) == MEMORY;
    if !is_called_memory && flags & O_NOFOLLOW != 0 {
        return false;
    }
    if !is_on_procfs(opened) {
        return false;
    }
    // A name that cannot be had may be that one.
    is_called_memory
        || !fs::read_link(format!("/proc/self/fd/{opened}"))
            .is_ok_and(|name| last_part(name.as_os_str().as_bytes()) != MEMORY)
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn is_on_procfs(opened: c_int) -> bool {
    // SAFETY: a structure of integers, for the kernel to fill.
    let mut filesystem: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let asked = unsafe { libc::fstatfs(opened, &raw mut filesystem) };
    asked != 0 || filesystem.f_type == libc::PROC_SUPER_MAGIC
}

fn errno() -> c_int {
    // SAFETY: the location is this thread's own, and always there.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The error, or 0.
    fn opening(path: &str, flags: c_int) -> c_int {
        let path = CString::new(path).unwrap();
        match open(path.as_ptr(), flags, 0) {
            -1 => errno(),
            opened => {
                // SAFETY: the descriptor is this function's own.
                unsafe { libc::close(opened) };
                0
            }
        }
    }

    #[test]
    fn no_process_s_memory_is_opened_under_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link").display().to_string();
        symlink("/proc/self/mem", &link).unwrap();
        let task = format!("/proc/{0}/task/{0}/mem", std::process::id());
        for path in ["/proc/self/mem", "/proc/thread-self/mem", "/proc/self/../self/mem", &link, &task] {
            for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
                assert_eq!(opening(path, flags), EACCES, "{path}");
            }
        }
        assert_eq!(opening("/proc/self/mem", libc::O_RDWR | O_NOFOLLOW), EACCES);
    }

    #[test]
    fn other_files_are_opened_also_those_of_that_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mem").display().to_string();
        fs::write(&file, "").unwrap();
        for path in ["/proc/self/status", "/etc/passwd", &file] {
            assert_eq!(opening(path, libc::O_RDONLY), 0, "{path}");
        }
        assert_eq!(opening("/no/such/mem", libc::O_RDONLY), libc::ENOENT);
    }
}
