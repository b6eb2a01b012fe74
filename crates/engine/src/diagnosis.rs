//! A diagnosis: what WasmEdge logged about its last failure.
//!
//! WasmEdge writes its log to standard output, which is the guest's. Here it goes to memory instead,
//! and is kept just long enough to say why a module was refused or where it trapped.

use std::cell::RefCell;

use wasmedge_sys::ffi;

/// More lines than this are dropped, oldest kept: a deep stack is told by its first frames.
const MAX_LINES: usize = 64;
/// A longer line is cut.
pub(crate) const MAX_LINE: usize = 1024;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Takes WasmEdge's log away from standard output; errors are remembered from now on.
pub fn listen() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe {
        ffi::WasmEdge_LogSetErrorLevel();
        ffi::WasmEdge_LogSetCallback(Some(remember));
    }
}

/// What was logged since the last call.
pub fn take() -> Vec<String> {
    LINES.with_borrow_mut(std::mem::take)
}

unsafe extern "C" fn remember(message: *const ffi::WasmEdge_LogMessage) {
    // SAFETY: WasmEdge passes a message that is valid during the call, its text `Length` bytes long.
    let text = unsafe {
        let Some(message) = message.as_ref() else { return };
        if message.Message.Buf.is_null() {
            return;
        }
        std::slice::from_raw_parts(message.Message.Buf.cast::<u8>(), message.Message.Length as usize)
    };
    let line = String::from_utf8_lossy(&text[..text.len().min(MAX_LINE)]).trim().to_owned();
    LINES.with_borrow_mut(|lines| {
        if lines.len() < MAX_LINES {
            lines.push(line);
        }
    });
}
