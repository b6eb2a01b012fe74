//! A retry is for what gives no event when it becomes true: a daemon that begins to listen, an API that comes back,
//! somebody else's processes that end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How soon the second attempt comes. Each pause is twice as long as the one before, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Attempts until one succeeds. Fails with the error of the attempt after which `patience` was over; there is one at
/// least.
pub(crate) fn until_it_succeeds<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST;
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => sleep(pause),
            done => return done,
        }
        pause = LONGEST.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_first_success_counts() {
        let mut attempts = 0;
        let third = until_it_succeeds(Duration::from_secs(60), || {
            attempts += 1;
            if attempts < 3 { bail!("attempt {attempts}") } else { Ok(attempts) }
        });
        assert_eq!(third.unwrap(), 3);
    }

    #[test]
    fn without_patience_there_is_one_attempt_and_its_error() {
        let mut attempts = 0;
        let failed: Result<()> = until_it_succeeds(Duration::ZERO, || {
            attempts += 1;
            bail!("attempt {attempts}")
        });
        assert_eq!(failed.unwrap_err().to_string(), "attempt 1");
    }
}
