//! Patience: how long a story waits, and how it waits for what tells nobody when it happens.

use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take, unless a story says otherwise. Long enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How much slower than an ordinary machine this one is, as the environment variable `PATIENCE` says; an emulated
/// one is slow.
static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    std::env::var("PATIENCE").map_or(1, |factor| factor.parse().expect("PATIENCE is a whole number"))
});

/// How long something that takes so long on an ordinary machine may take on this one. All that waits in the harness
/// has it applied; a story applies it to a time that it measures itself.
pub fn here(time: Duration) -> Duration {
    time * *FACTOR
}

/// Waits until `look` sees something and returns it; panics with `what` after the deadline.
///
/// For things that give no event: a process gone, a directory empty, a port open. Whatever gives one
/// (output, an exit, a task event) is waited for by that instead.
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = here(deadline);
    let end = Instant::now() + deadline;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}
