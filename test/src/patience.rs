//! Patience: how long a story waits, and how it waits for what tells nobody when it happens.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take, unless a story says otherwise. Long enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `look` sees something and returns it; panics with `what` after the deadline.
///
/// For things that give no event: a process gone, a directory empty, a port open. Whatever gives one
/// (output, an exit, a task event) is waited for by that instead.
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}
