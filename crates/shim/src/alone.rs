//! Alone: what a test is, among the threads of its process, when a child of another test would spoil it.
//!
//! Until it executes, a child has copies of all descriptors of the process that made it. So a lock or a socket that one
//! test lets go can seem held because of a child of another, and one that looks for the holders of a descriptor finds
//! that child. Tests that make children, and tests that children could disturb, hold this.

use std::sync::{Mutex, MutexGuard, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other test holds it.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
