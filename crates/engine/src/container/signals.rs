//! The signals that end a guest.
//!
//! A guest has no handlers, and as process 1 of its pid namespace it gets no signal that it has not
//! asked for, so the engine asks for those that mean "end" and ends at once, with the status that a
//! shell would show for the signal.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};

const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

extern "C" fn end(signal: libc::c_int) {
    // SAFETY: `_exit` is async-signal-safe.
    unsafe { libc::_exit(128 + signal) }
}

/// Lets SIGTERM, SIGINT and SIGQUIT end this process with 128 + the signal's number.
pub(super) fn end_on_request() {
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    for signal in ENDING {
        // SAFETY: the handler does nothing but leave.
        let _ = unsafe { sigaction(signal, &action) };
    }
    unblock();
}

/// Gives a native program the signal set-up that it would get from a shell.
pub(super) fn restore_defaults() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: restores the default; Rust's runtime had ignored it.
    let _ = unsafe { sigaction(Signal::SIGPIPE, &default) };
    unblock();
}

fn unblock() {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}
