//! The stack limit: what ends a guest that recurses without end.
//!
//! WasmEdge's interpreter keeps the guest's stack in growing vectors and sets them no bound: endless
//! recursion took 14 GB here, and then aborted the process. The vectors grow by C++'s `operator new`, which
//! a program may replace; ours is malloc with an upper bound on one allocation while a guest runs. What is
//! larger than that can only be a stack (or a table of millions of elements), and is a trap.

use std::sync::atomic::{AtomicBool, Ordering};

/// The largest single allocation while a guest runs, in bytes. Linear memory is not allocated this way.
/// A call takes some 50 bytes, so this is about a million nested calls; native stacks hold a tenth of it.
const LARGEST: usize = 64 << 20;

static ARMED: AtomicBool = AtomicBool::new(false);

/// From now on a guest runs in this process.
pub fn arm() {
    ARMED.store(true, Ordering::Relaxed);
}

/// C++'s `operator new(size_t)`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn _Znwm(size: usize) -> *mut libc::c_void {
    if size > LARGEST && ARMED.load(Ordering::Relaxed) {
        end("trap: call stack exhausted\n");
    }
    // SAFETY: a non-zero size, as `operator new` promises a distinct pointer for zero.
    let memory = unsafe { libc::malloc(size.max(1)) };
    if memory.is_null() {
        end("trap: out of memory\n");
    }
    memory
}

/// Ends the process as a trapped guest, from wherever it is.
pub(crate) fn end(line: &str) -> ! {
    // SAFETY: writes from a static string and leaves; both are async-signal-safe.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(crate::guest::Trap::STATUS)
    }
}
