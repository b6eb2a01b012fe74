//! A replaced function: one of a library for which this program has its own, and that it calls itself in the end.

use std::ffi::{CStr, c_void};
use std::mem;
use std::sync::OnceLock;

/// The library's function behind ours, looked up when it is first wanted.
pub(crate) struct Replaced<F> {
    name: &'static CStr,
    found: OnceLock<Option<F>>,
}

impl<F: Copy> Replaced<F> {
    /// # Safety
    /// `F` must be the type of a pointer to the function of that name.
    pub(crate) const unsafe fn new(name: &'static CStr) -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        Self { name, found: OnceLock::new() }
    }

    /// `None` if no library has it.
    pub(crate) fn original(&self) -> Option<F> {
        *self.found.get_or_init(|| {
            // SAFETY: the name is NUL-terminated; what it names has this type, as the maker of `self` promised.
            unsafe {
                let found = libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr());
                (!found.is_null()).then(|| mem::transmute_copy::<*mut c_void, F>(&found))
            }
        })
    }
}

/// The end of a replaced function that fails, as libc has it.
pub(crate) fn fail(errno: libc::c_int) -> libc::c_int {
    // SAFETY: the location is this thread's own, and always there.
    unsafe { *libc::__errno_location() = errno };
    -1
}
