//! The calling stack: which functions of native code were being called when the guest trapped.
//!
//! WasmEdge walks the stack at a trap, but tells frames of its own and those of the guest apart by guessing. The
//! unwinder that it calls is a function of a library, which a program may replace: ours notes where each frame is
//! first. Native code is a shared object with a symbol for each function, `f` and its index, by which a frame is
//! recognised later.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::replaced::Replaced;

/// Frames that are noted. WasmEdge's own few come first; then comes the function that is looked for.
const DEPTH: usize = 64;

/// Where the frames of the first walk are, innermost first; 0 behind the last. A guest traps once, and WasmEdge walks
/// again when it is back in its own code.
static FRAMES: [AtomicUsize; DEPTH] = [const { AtomicUsize::new(0) }; DEPTH];
static COUNT: AtomicUsize = AtomicUsize::new(0);

type Callback = extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Walk = unsafe extern "C" fn(Callback, *mut c_void) -> c_int;

/// The innermost function that was being called at the first walk; functions are numbered as in the module.
pub fn innermost() -> Option<u32> {
    FRAMES.iter().map(|frame| frame.load(Ordering::Relaxed)).take_while(|at| *at != 0).find_map(function_at)
}

/// The function whose native code holds this address.
pub fn function_at(address: usize) -> Option<u32> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `found` is written on success, with strings of loaded objects, which here are never unloaded.
    unsafe {
        if libc::dladdr(address as *const c_void, found.as_mut_ptr()) == 0 {
            return None;
        }
        let found = found.assume_init();
        if found.dli_sname.is_null() || found.dli_fname.is_null() {
            return None;
        }
        // Only native code is loaded by descriptor.
        let object = CStr::from_ptr(found.dli_fname).to_bytes();
        let symbol = CStr::from_ptr(found.dli_sname).to_str().ok()?;
        object.starts_with(b"/proc/self/fd/").then(|| symbol.strip_prefix('f')?.parse().ok())?
    }
}

unsafe extern "C" {
    fn _Unwind_GetIPInfo(context: *mut c_void, is_exact: *mut c_int) -> usize;
}

/// The unwinder's walk, for everything in this process.
///
/// # Safety
/// As for the original.
#[unsafe(no_mangle)]
unsafe extern "C" fn _Unwind_Backtrace(callback: Callback, argument: *mut c_void) -> c_int {
    // SAFETY: the unwinder's interface has this type for it.
    static UNWINDER: Replaced<Walk> = unsafe { Replaced::new(c"_Unwind_Backtrace") };
    /// `_URC_END_OF_STACK`: there is nothing to walk.
    const END: c_int = 5;
    let Some(original) = UNWINDER.original() else { return END };
    // SAFETY: `note` takes what the unwinder passes; the caller's promises are passed on.
    unsafe {
        if COUNT.load(Ordering::Relaxed) == 0 {
            original(note, std::ptr::null_mut());
        }
        original(callback, argument)
    }
}

extern "C" fn note(context: *mut c_void, _: *mut c_void) -> c_int {
    /// `_URC_NO_REASON`: go on.
    const GO_ON: c_int = 0;
    let mut is_exact = 0;
    // SAFETY: the unwinder passes a context that is valid during the call.
    let address = unsafe { _Unwind_GetIPInfo(context, &mut is_exact) };
    let index = COUNT.fetch_add(1, Ordering::Relaxed);
    // A return address may lie behind the function that called.
    let at = if is_exact == 0 { address.saturating_sub(1) } else { address };
    for (frame, at) in FRAMES.iter().skip(index).zip([at, 0]) {
        frame.store(at, Ordering::Relaxed);
    }
    GO_ON
}
