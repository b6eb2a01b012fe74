//! A process, as the task API sees it: the first one of a container, or an exec, one more in it. Both have a
//! lifecycle, streams or a terminal, an exit to wait for, and take signals.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use wasmedge_messages::Mode;

use super::console::Console;
use super::lifecycle::{Lifecycle, Phase};
use super::stdio::{Kept, Streams};
use crate::failure::{Failure, Result};
use crate::remains::Exit;

/// How long the last output of a terminal may take to be read by somebody.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// One process, from its registration to its delete.
#[derive(Debug)]
pub(super) struct Process {
    /// `None` for a container's first.
    exec_id: Option<String>,
    streams: Streams,
    lifecycle: Mutex<Lifecycle>,
    exit: watch::Sender<Option<Exit>>,
    kept: Mutex<Kept>,
    pidfd: OnceLock<OwnedFd>,
    console: Mutex<Option<Arc<Console>>>,
    mode: OnceLock<Mode>,
    /// Held by start, pause and delete, which exclude each other.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Process {
    /// A container's first process.
    pub(super) fn first(streams: Streams) -> Arc<Self> {
        Self::new(None, streams)
    }

    /// One more.
    pub(super) fn exec(id: String, streams: Streams) -> Arc<Self> {
        Self::new(Some(id), streams)
    }

    fn new(exec_id: Option<String>, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            exec_id,
            streams,
            lifecycle: Mutex::new(Lifecycle::new()),
            exit: watch::Sender::new(None),
            kept: Mutex::default(),
            pidfd: OnceLock::new(),
            console: Mutex::default(),
            mode: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn exec_id(&self) -> Option<&str> {
        self.exec_id.as_deref()
    }

    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(super) fn lifecycle(&self) -> MutexGuard<'_, Lifecycle> {
        self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.lifecycle().phase()
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds on to the process, so that no other can be meant by its pid; returns the pid.
    pub(super) fn hold(&self, pid: i32) -> Result<u32> {
        let pid = Pid::from_raw(pid).context("the engine told no pid")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("opening the process")?;
        let _ = self.pidfd.set(pidfd);
        Ok(pid.as_raw_nonzero().get().unsigned_abs())
    }

    pub(super) fn set_console(&self, console: Console) {
        *self.console.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(console));
    }

    fn console(&self) -> Option<Arc<Console>> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How its module is run; `None` for a native program.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode.get().cloned()
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        let _ = self.mode.set(mode);
    }

    /// Sets the size of its terminal; without one there is nothing to do, as under runc.
    pub(super) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        if let Phase::Stopped(_) = self.phase() {
            return Err(Failure::precondition("cannot resize a stopped process"));
        }
        match self.console() {
            Some(console) => Ok(console.resize(columns, rows)?),
            None => Ok(()),
        }
    }

    /// Its process has ended, if it has, and containerd was told.
    pub(super) async fn wait(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        match exit.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            // The sender lives as long as we do.
            _ => Exit::now(255),
        }
    }

    /// Tells those who wait.
    pub(super) fn tell_exit(&self, exit: Exit) {
        self.exit.send_replace(Some(exit));
    }

    /// Whether it is dead, or is within that time, reaped or not.
    #[expect(deprecated, reason = "the successor is an unsafe function; our descriptor never changes")]
    pub(super) async fn ends_within(&self, time: Duration) -> bool {
        let dead = async {
            let pidfd = self.pidfd.get()?.try_clone().ok()?;
            let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE).ok()?;
            pidfd.readable().await.ok().map(drop)
        };
        matches!(tokio::time::timeout(time, dead).await, Ok(Some(())))
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let over = || Failure::not_found("process already finished");
        if let Phase::Stopped(_) = self.phase() {
            return Err(over());
        }
        let pidfd = self.pidfd.get().ok_or_else(|| Failure::precondition("process not created"))?;
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(over()),
            Err(error) => Err(anyhow::Error::from(error).context("sending the signal").into()),
        }
    }

    /// Lets go of its streams, now that nothing can come from it any more; returns when the end may be told without a loss of
    /// its output.
    pub(super) async fn close_streams(&self) {
        let kept = std::mem::take(&mut *self.kept());
        kept.let_go().await;
        if let Some(console) = self.console() {
            console.end_input();
            console.attended().await;
        }
    }

    /// Waits until what its terminal showed last has been passed on, then closes the terminal.
    pub(super) async fn close_console(&self) {
        if let Some(console) = self.console() {
            let _ = tokio::time::timeout(LAST_OUTPUT, console.drained()).await;
        }
        *self.console.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
