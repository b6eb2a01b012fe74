//! Turns: how many compilers a node runs at a time, whoever starts them.
//!
//! One for each processor, and one more that only small modules get, so that they need not wait for the large ones.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmedge_cache::{Cache, CacheError, Turn};

/// The largest module that is small: it takes some seconds.
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
}

impl Turns {
    pub(crate) fn new() -> Self {
        let all = processors();
        Self { large: Semaphore::new(all), small: Semaphore::new(all + 1) }
    }

    /// Waits for a turn to compile a module of that size.
    pub(crate) async fn take(&self, cache: &Arc<Cache>, size: u64) -> Result<Taken<'_>, CacheError> {
        let queue = if size < SMALL { &self.small } else { &self.large };
        let place = queue.acquire().await.ok();
        loop {
            if let Some(turn) = cache.try_turn(open_to(size))? {
                return Ok(Taken { _place: place, _turn: turn });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The turns that a module of that size may have.
pub(crate) fn open_to(size: u64) -> Range<usize> {
    0..processors() + usize::from(size < SMALL)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_module_does_not_wait_for_large_ones() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let turns = Turns::new();
        let mut large = Vec::new();
        for _ in 0..processors() {
            large.push(turns.take(&cache, SMALL).await.unwrap());
        }
        let patience = Duration::from_millis(200);
        // Neither here nor in another process.
        for turns in [&turns, &Turns::new()] {
            assert!(tokio::time::timeout(patience, turns.take(&cache, SMALL)).await.is_err());
            assert!(tokio::time::timeout(patience, turns.take(&cache, SMALL - 1)).await.is_ok());
        }
        large.pop();
        assert!(tokio::time::timeout(patience, turns.take(&cache, SMALL)).await.is_ok());
    }
}
