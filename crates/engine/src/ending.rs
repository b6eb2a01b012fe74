//! The ending of a process that the zygote has forked: at once, by the kernel alone.
//!
//! LLVM, WasmEdge and their kin have thousands of objects to destroy when a process exits, in memory that a forked
//! process shares with the zygote and would have to copy for it. Builders, libcontainer's intermediate processes and
//! guests have nothing in there that must be destroyed, and there are three of them per container.

use std::ffi::{c_int, c_void};

unsafe extern "C" {
    /// glibc's, see on_exit(3): as atexit, and the function learns the status.
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// From now on an exit of this process, or of one forked from it, destroys nothing. What Rust has buffered for standard
/// output is written all the same, before this.
pub(crate) fn destroy_nothing() {
    // SAFETY: the function may be called at any time, and does not use its argument.
    unsafe { on_exit(leave, std::ptr::null_mut()) };
}

/// Called before all destructors: what was registered last comes first.
extern "C" fn leave(status: c_int, _argument: *mut c_void) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}
