//! A thread of one's own, for work that changes what the kernel keeps for each thread: its working directory, its
//! namespaces. Such a thread ends with the work, and serves nobody else.

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// Runs `work` on one.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.await.context("a worker thread died")?
}
