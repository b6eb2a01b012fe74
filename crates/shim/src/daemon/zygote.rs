//! The zygote is the engine process that has WasmEdge loaded and forks the containers off; this is the handle on it.
//!
//! There is one at a time. If it dies, the next request starts another; running containers do not notice.

use std::io::{BufRead, BufReader};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::sync::{Mutex, watch};
use wasmedge_messages::{ChannelError, Request, ZYGOTE_CHANNEL_FD};

use super::channel::AsyncChannel;
use super::reaper::Reaper;
use crate::engine::Engine;

/// The longest that a process takes to die once it has closed its files.
const DYING: Duration = Duration::from_millis(200);

/// The zygote of this daemon, running or not.
#[derive(Debug)]
pub(super) struct Zygote {
    engine: Engine,
    reaper: Reaper,
    files: Rlimit,
    running: Mutex<Option<Running>>,
    last_words: LastWords,
}

/// What an engine wrote last, so that its end can be explained to whoever waits for it.
type LastWords = Arc<watch::Sender<Option<String>>>;

#[derive(Debug)]
struct Running {
    channel: AsyncChannel,
    life: Life,
}

/// Whether the process that took a request is still there to serve it.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pid: u32,
    over: watch::Receiver<bool>,
}

impl Life {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Whether it is over, or about to be: a dying process closes its channels before its exit is seen.
    pub(super) async fn ends(&mut self) -> bool {
        matches!(tokio::time::timeout(DYING, self.over.wait_for(|over| *over)).await, Ok(Ok(_)))
    }
}

impl Zygote {
    /// The zygote and its children may have as many files open as `files` says.
    pub(super) fn new(engine: Engine, reaper: Reaper, files: Rlimit) -> Self {
        Self {
            engine,
            reaper,
            files,
            running: Mutex::new(None),
            last_words: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Starts it, if it does not run, so that the first request need not wait.
    pub(super) async fn warm(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        self.ensure(&mut running).map(drop)
    }

    /// Hands a request over. What becomes of it is told on the request's own channel; if nothing is and the process
    /// is dead by then, it may not have seen the request.
    pub(super) async fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Life> {
        let mut slot = self.running.lock().await;
        let running = self.ensure(&mut slot)?;
        match running.channel.send(request, fds).await {
            Ok(()) => return Ok(running.life.clone()),
            Err(ChannelError::Io(error)) => {
                log::warn!("the engine does not listen, starting another: {error}")
            }
            Err(error) => return Err(error).context("asking the engine"),
        }
        *slot = None;
        let running = self.ensure(&mut slot)?;
        running.channel.send(request, fds).await.context("asking the engine")?;
        Ok(running.life.clone())
    }

    /// What an engine that has died wrote last, if it wrote anything: it may be on its way still.
    pub(super) async fn last_words(&self) -> Option<String> {
        let mut words = self.last_words.subscribe();
        let heard = tokio::time::timeout(DYING, words.wait_for(Option::is_some)).await;
        heard.ok()?.ok()?.clone()
    }

    fn ensure<'a>(&self, slot: &'a mut Option<Running>) -> Result<&'a Running> {
        if slot.as_ref().is_some_and(|running| running.life.is_over()) {
            *slot = None;
        }
        match slot {
            Some(running) => Ok(running),
            None => Ok(slot.insert(self.spawn().context("starting the engine")?)),
        }
    }

    /// Nothing of this process's environment reaches the engine, where a variable could name a plugin to load.
    fn spawn(&self) -> Result<Running> {
        let (ours, theirs) = AsyncChannel::pair()?;
        let (errors, stderr) = std::io::pipe().context("making a pipe")?;
        // What its predecessor said explains nothing any more.
        self.last_words.send_replace(None);
        let (mut command, _program) = self.engine.sealed_command()?;
        command
            .arg("zygote")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: ZYGOTE_CHANNEL_FD }])
            .context("passing the channel")?;
        let child =
            command.spawn().with_context(|| format!("running {}", self.engine.executable().display()))?;
        drop(command);
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            // What a container may open is its configuration's or containerd's to say, not ours.
            let _ = prlimit(Some(pid), Resource::Nofile, self.files);
        }
        log_lines(errors.into(), self.last_words.clone());

        let (told, over) = watch::channel(false);
        let exit = self.reaper.watch(i32::try_from(child.id()).context("the engine's pid")?);
        tokio::spawn(async move {
            if let Ok(exit) = exit.await {
                told.send_replace(true);
                log::warn!("the engine ended with status {}; the next container gets another", exit.status);
            }
        });
        Ok(Running { channel: ours, life: Life { pid: child.id(), over } })
    }
}

/// Logs what the engine writes to its standard error, on a thread, since nothing must ever wait for it.
fn log_lines(pipe: OwnedFd, last_words: LastWords) {
    std::thread::spawn(move || {
        for line in BufReader::new(std::fs::File::from(pipe)).lines().map_while(Result::ok) {
            log::warn!("engine: {line}");
            last_words.send_replace(Some(line));
        }
    });
}
