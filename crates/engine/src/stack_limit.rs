//! The stack limit: what ends a guest that recurses without end.
//!
//! WasmEdge's interpreter keeps the guest's stack in growing vectors and sets them no bound: endless
//! recursion took 14 GB here, and then aborted the process. The vectors grow by C++'s `operator new`, which
//! a program may replace; ours is malloc with an upper bound on one allocation while a guest runs. What is
//! larger than that can only be a stack (or a table of millions of elements), and is a trap. A segment of data is copied
//! by it as well, so the bound is by the module's size higher.

use std::sync::OnceLock;

/// The largest single allocation while a guest runs, in bytes. Linear memory is not allocated this way.
/// A call takes some 50 bytes, so this is about a million nested calls; native stacks hold a tenth of it.
const LARGEST: usize = 64 << 20;

/// The most elements that a module's tables may have together: WasmEdge keeps 16 bytes of each, allocated this way.
pub const LARGEST_TABLE: u64 = (LARGEST / 16) as u64;

/// Ends a guest whose stack is exhausted, or that got no memory.
type End = Box<dyn Fn(&'static str) + Send + Sync>;

static ARMED: OnceLock<(usize, End)> = OnceLock::new();

/// From now on a guest runs in this process, of a module of so many bytes; `end` tells why it cannot go on, and ends it.
pub fn arm(module: usize, end: impl Fn(&'static str) + Send + Sync + 'static) {
    let _ = ARMED.set((LARGEST.saturating_add(module), Box::new(end)));
}

/// C++'s `operator new(size_t)`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn _Znwm(size: usize) -> *mut libc::c_void {
    if size > LARGEST
        && let Some((largest, end)) = ARMED.get()
        && size > *largest
    {
        end("call stack exhausted");
    }
    // SAFETY: a non-zero size, as `operator new` promises a distinct pointer for zero.
    let memory = unsafe { libc::malloc(size.max(1)) };
    if memory.is_null() {
        if let Some((_, end)) = ARMED.get() {
            end("out of memory");
        }
        std::process::abort();
    }
    memory
}
