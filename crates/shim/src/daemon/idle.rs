//! Idleness is the state of a daemon that has no container; after a while of it the daemon leaves.
//!
//! It stays a few seconds after its last container, since the next one often follows and a warm engine saves it the
//! time to load WasmEdge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rendezvous::Rendezvous;

/// How long a new daemon waits for its first container.
const FIRST: Duration = Duration::from_secs(30);
/// How long it stays after its last one.
const LINGER: Duration = Duration::from_secs(5);

/// The signals that ask a daemon to leave; as long as it has containers it stays.
///
/// A signal that is listened to is not ignored by children either, whatever this process has inherited.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    _hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            _hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// When and how to leave.
#[derive(Debug)]
pub(super) struct Idle {
    rendezvous: Rendezvous,
    changed: Notify,
    at_once: Notify,
}

impl Idle {
    pub(super) fn new(rendezvous: Rendezvous) -> Self {
        Self { rendezvous, changed: Notify::new(), at_once: Notify::new() }
    }

    /// The daemon's own directory, which only root can enter.
    pub(super) fn directory(&self) -> &Path {
        self.rendezvous.directory()
    }

    /// Where the guests are told.
    pub(super) fn guests_socket(&self) -> PathBuf {
        self.rendezvous.guests_socket()
    }

    /// To be called when a container has gone.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Asks to leave without waiting for another container.
    pub(super) fn leave_now(&self) {
        self.at_once.notify_one();
    }

    /// Returns when the daemon has left: no container, nobody on the way to it, the socket gone.
    pub(super) async fn until_left(&self, mut signals: Signals, is_empty: impl Fn() -> bool) -> Result<()> {
        let mut linger = FIRST;
        let mut deadline = Instant::now() + FIRST;
        loop {
            tokio::select! {
                () = self.changed.notified() => {
                    linger = LINGER;
                    deadline = Instant::now() + linger;
                    continue;
                }
                () = self.at_once.notified() => {}
                _ = signals.terminate.recv() => {}
                _ = signals.interrupt.recv() => {}
                _ = signals.quit.recv() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            if is_empty() && self.leave(linger)? {
                return Ok(());
            }
            deadline = Instant::now() + linger;
        }
    }

    fn leave(&self, recently: Duration) -> Result<bool> {
        match self.rendezvous.try_lock()? {
            Some(lock) if !lock.is_promised(recently.min(LINGER)) => {
                self.rendezvous.remove(lock)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
