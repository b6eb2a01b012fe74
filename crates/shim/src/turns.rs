//! Turns: how many compilers a node runs at a time, whoever starts them.
//!
//! One for each processor. One more that only small modules get, so that they need not wait for the large ones. And one
//! more for what a start waits for, as long as it does: others may take minutes, and nobody waits that long.

use std::future::pending;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmedge_cache::{Cache, CacheError, Turn};

use crate::waiters::Waiters;

/// The largest module that is small: it takes some seconds, if it has no large functions.
const SMALL: u64 = 1 << 20;
/// How often the turns of other processes are looked at: one cannot wait for a lock on any one of several files.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// The queues of this process.
#[derive(Debug)]
pub(crate) struct Turns {
    large: Semaphore,
    small: Semaphore,
}

/// A turn among all processes of the node, and a place in this one.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _turn: Turn,
    /// Whether it is the one for what is waited for.
    is_lent: bool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        let all = processors();
        Self { large: Semaphore::new(all), small: Semaphore::new(all + 1) }
    }

    /// Waits for a turn to compile a module of that size, for which these wait.
    pub(crate) async fn take(
        &self,
        cache: &Cache,
        size: u64,
        waiters: &Waiters,
    ) -> Result<Taken<'_>, CacheError> {
        tokio::select! {
            biased;
            taken = self.in_line(cache, size) => taken,
            taken = Self::lent(cache, waiters) => taken,
        }
    }

    async fn in_line(&self, cache: &Cache, size: u64) -> Result<Taken<'_>, CacheError> {
        let queue = if size < SMALL { &self.small } else { &self.large };
        let place = queue.acquire().await.ok();
        loop {
            if let Some(turn) = cache.try_turn(open_to(size))? {
                return Ok(Taken { _place: place, _turn: turn, is_lent: false });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn lent(cache: &Cache, waiters: &Waiters) -> Result<Taken<'static>, CacheError> {
        let number = processors() + 1;
        loop {
            waiters.some().await;
            if let Some(turn) = cache.try_turn(number..number + 1)? {
                return Ok(Taken { _place: None, _turn: turn, is_lent: true });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Taken<'_> {
    /// Returns when the turn has to be given up: nobody waits for what it was lent for, and there is no other one.
    pub(crate) async fn is_over(&mut self, cache: &Cache, size: u64, waiters: &Waiters) {
        if self.is_lent {
            waiters.none().await;
            let Ok(Some(turn)) = cache.try_turn(open_to(size)) else { return };
            (self._turn, self.is_lent) = (turn, false);
        }
        pending().await
    }
}

/// The turns that a module of that size may have, whoever waits for it.
pub(crate) fn open_to(size: u64) -> Range<usize> {
    0..processors() + usize::from(size < SMALL)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_small_module_does_not_wait_for_large_ones() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let turns = Turns::new();
        let nobody = Waiters::default();
        let mut large = Vec::new();
        for _ in 0..processors() {
            large.push(turns.take(&cache, SMALL, &nobody).await.unwrap());
        }
        // Neither here nor in another process.
        for turns in [&turns, &Turns::new()] {
            assert!(timeout(PATIENCE, turns.take(&cache, SMALL, &nobody)).await.is_err());
            assert!(timeout(PATIENCE, turns.take(&cache, SMALL - 1, &nobody)).await.is_ok());
        }
        large.pop();
        assert!(timeout(PATIENCE, turns.take(&cache, SMALL, &nobody)).await.is_ok());
    }

    #[tokio::test]
    async fn what_somebody_waits_for_gets_a_turn_and_keeps_it_as_long_as_somebody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let (turns, nobody) = (Turns::new(), Waiters::default());
        let mut others = Vec::new();
        for _ in open_to(0) {
            others.push(turns.take(&cache, 0, &nobody).await.unwrap());
        }
        for give_up in [true, false] {
            let waiters = Waiters::default();
            let (one, another) = (waiters.join(), waiters.join());
            let mut taken = timeout(PATIENCE, turns.take(&cache, SMALL, &waiters)).await.unwrap().unwrap();
            drop(one);
            assert!(timeout(PATIENCE, taken.is_over(&cache, SMALL, &waiters)).await.is_err());
            if !give_up {
                others.clear();
            }
            drop(another);
            let over = timeout(PATIENCE, taken.is_over(&cache, SMALL, &waiters)).await;
            assert_eq!(over.is_ok(), give_up, "with another turn it may go on");
        }
    }
}
