//! The search of a directory, for one name of a path: what WasmEdge asks the kernel about before it is done.
//!
//! WasmEdge walks a path name by name, so that no symbolic link leads out of a preopen, and each step costs it four
//! system calls. The first asks whether the directory may be searched. It needs no answer: where it may not, the
//! second, which looks the name up, is refused with the same error.

use std::ffi::{CStr, c_char, c_int};

use libc::X_OK;

use crate::replaced::Replaced;

type Faccessat = unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int;

/// libc's `faccessat`, for everything in this process.
#[unsafe(no_mangle)]
unsafe extern "C" fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the C library has this type for it.
    static LIBRARYS: Replaced<Faccessat> = unsafe { Replaced::new(c"faccessat") };
    // SAFETY: faccessat(2) has the caller pass a string; a null pointer is seen before.
    let is_search = mode == X_OK && !path.is_null() && unsafe { CStr::from_ptr(path) } == c".";
    match LIBRARYS.original() {
        Some(original) if !is_search => {
            // SAFETY: the caller's promises are passed on.
            unsafe { original(directory, path, mode, flags) }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whether_a_directory_may_be_searched_is_left_to_the_search_and_no_other_question_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let opened = File::open(directory.path()).unwrap();
        // SAFETY: both are strings.
        let ask = |path: &CStr, mode| unsafe { faccessat(opened.as_raw_fd(), path.as_ptr(), mode, 0) };
        assert_eq!(ask(c".", X_OK), 0);
        assert_eq!(ask(c"file", libc::R_OK), 0);
        assert_eq!(ask(c"file", X_OK), -1, "nobody may execute it");
        assert_eq!(ask(c"missing", libc::F_OK), -1);
        // SAFETY: as above; there is no such descriptor.
        assert_eq!(unsafe { faccessat(-1, c".".as_ptr(), libc::F_OK, 0) }, -1);
    }
}
