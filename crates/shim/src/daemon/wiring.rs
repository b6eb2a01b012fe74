//! The wiring of a process: its streams as they are opened before it is made, and connected once it is there.
//!
//! Without a terminal the process gets the streams themselves. With one, libcontainer makes the terminal and sends
//! its controlling side to a socket whose path is short and only root's.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use oci_spec::runtime;
use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::net::UnixListener;

use super::console::Console;
use super::logger::{self, Logger, Whose};
use super::process::Process;
use super::stdio::{self, Kept, Opened, Streams, TerminalEnds};
use crate::failure;

/// How long a terminal may take to arrive after its process.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is open for one process on its way.
#[derive(Debug)]
pub(super) struct Wiring {
    /// The process's own descriptors; with a terminal there is nothing behind them.
    pub(super) opened: Opened,
    kept: Kept,
    terminal: Option<(ConsoleSocket, TerminalEnds)>,
}

impl Wiring {
    /// As [`Self::open`], for a process whose root may be somebody else on the host, who owns the streams then.
    pub(super) async fn open_for(
        owner: Option<(u32, u32)>,
        streams: &Streams,
        dir: &Path,
        whose: Whose<'_>,
    ) -> failure::Result<Self> {
        let wiring = Self::open(streams, dir, whose).await?;
        owner.map_or(Ok(()), |owner| wiring.opened.give_to(owner))?;
        Ok(wiring)
    }

    /// Opens the streams, or starts their logger, and with a terminal opens a socket for it below `dir`.
    async fn open(streams: &Streams, dir: &Path, whose: Whose<'_>) -> failure::Result<Self> {
        let logger = match logger::named_in(&streams.stdout) {
            Some(uri) => Some(Logger::start(uri, whose).await?),
            None => None,
        };
        let unlogged = Streams { stdout: String::new(), stderr: String::new(), ..streams.clone() };
        let streams = if logger.is_some() { &unlogged } else { streams };
        if streams.terminal {
            let (opened, mut ends, kept) = stdio::open_terminal(streams)?;
            ends.stdout = logger.map_or(ends.stdout, |logger| logger.stdout);
            return Ok(Self { opened, kept, terminal: Some((ConsoleSocket::listen(dir)?, ends)) });
        }
        let (mut opened, kept) = stdio::open(streams)?;
        if let Some(logger) = logger {
            opened = Opened { stdout: logger.stdout, stderr: logger.stderr, ..opened };
        }
        Ok(Self { opened, kept, terminal: None })
    }

    /// Where the terminal is expected.
    pub(super) fn console(&self) -> Option<PathBuf> {
        self.terminal.as_ref().map(|(socket, _)| socket.path.clone())
    }

    /// Connects a process that was made with these streams.
    pub(super) async fn connect(self, process: &Process, wanted: Option<&runtime::Process>) -> Result<()> {
        *process.kept() = self.kept;
        let Some((socket, ends)) = self.terminal else { return Ok(()) };
        let received = tokio::time::timeout(PATIENCE, socket.receive()).await;
        let console = Console::attach(received.context("no terminal came")??, ends)?;
        if let Some(size) = wanted.and_then(|process| process.console_size()) {
            let cells = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            console.resize(cells(size.width()), cells(size.height()))?;
        }
        process.set_console(console);
        Ok(())
    }
}

/// The socket to which a terminal is sent; it goes with this.
#[derive(Debug)]
struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    fn listen(dir: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = dir.join(format!("console{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let listener =
            UnixListener::bind(&path).with_context(|| format!("listening on {}", path.display()))?;
        Ok(Self { listener, path })
    }

    async fn receive(&self) -> Result<OwnedFd> {
        let (stream, _) = self.listener.accept().await.context("accepting the terminal")?;
        stream.readable().await.context("waiting for the terminal")?;
        let mut name = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut name)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .context("receiving the terminal")?;
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        fd.context("the engine sent no terminal")
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
