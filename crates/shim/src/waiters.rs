//! Waiters: the starts that wait for one and the same compile.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// All waiters of a compile, those to come too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiters(Arc<State>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter(Waiters);

#[derive(Debug, Default)]
struct State {
    count: watch::Sender<usize>,
    first: OnceLock<Instant>,
}

impl Waiters {
    /// Waits with them from now on.
    pub(crate) fn join(&self) -> Waiter {
        self.0.first.get_or_init(Instant::now);
        self.0.count.send_modify(|count| *count += 1);
        Waiter(self.clone())
    }

    /// Returns when there are some.
    pub(crate) async fn some(&self) {
        self.until(|count| *count > 0).await;
    }

    /// Returns when there are none.
    pub(crate) async fn none(&self) {
        self.until(|count| *count == 0).await;
    }

    async fn until(&self, is_so: impl FnMut(&usize) -> bool) {
        // The sender is there as long as this is.
        let _ = self.0.count.subscribe().wait_for(is_so).await;
    }
}

impl Waiter {
    /// How long ago the first of all waiters joined.
    pub(crate) fn since_the_first(&self) -> Duration {
        self.0.0.first.get().map(Instant::elapsed).unwrap_or_default()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.0.count.send_modify(|count| *count -= 1);
    }
}
