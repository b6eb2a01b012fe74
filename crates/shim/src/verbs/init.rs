//! `init`: becomes the first process of a process namespace that the containers of a pod share. It reaps what they
//! leave, and ends when it is told to; the kernel then ends every other process there.
//!
//! Only a sandbox runs it, as a container of its own.

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use rustix::process::{WaitOptions, wait};

/// Serves until a signal asks it to end.
pub(crate) fn init() -> Result<()> {
    // What is blocked is kept until it is waited for, although the first process of a namespace handles no signal.
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("blocking signals")?;
    while signals.wait().context("waiting for a signal")? == Signal::SIGCHLD {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
    Ok(())
}
