//! `start`: lets the guest of a created container run.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result as Anyhow};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use tokio::time::timeout;
use wasmedge_messages::Reply;

use super::container::{Container, Made};
use super::lifecycle::Phase;
use super::{Daemon, hooks};
use crate::bundle::Bundle;
use crate::failure::{Failure, Result};

/// A process that has said why it does not run ends on its own, with a status of its own.
const PATIENCE: Duration = Duration::from_secs(2);

impl Daemon {
    /// Returns the pid once the guest runs.
    pub(super) async fn start(self: &Arc<Self>, container: Arc<Container>) -> Result<u32> {
        // A task of its own: a start is not left half done by a caller who goes away.
        let daemon = self.clone();
        tokio::spawn(async move { daemon.start_in_turn(&container).await }).await.context("the start died")?
    }

    async fn start_in_turn(&self, container: &Container) -> Result<u32> {
        let _turn = container.first.turn.lock().await;
        let made = container.made()?;
        container.first.lifecycle().starting().map_err(|phase| {
            let why = match phase {
                Phase::Stopped(_) => "its process has ended",
                _ => "it is already started",
            };
            Failure::precondition(format!("container {} cannot be started: {why}", container.id()))
        })?;
        match self.run_guest(container, made).await {
            Ok(()) => {
                let events = container.first.lifecycle().started();
                self.publish(container, &container.first, events);
                Ok(container.first.lifecycle().pid())
            }
            Err(NotRunning { failure, patience }) => {
                let events = container.first.lifecycle().start_failed();
                self.publish(container, &container.first, events);
                if timeout(patience, container.first.wait()).await.is_err() {
                    let _ = container.first.signal(Signal::KILL);
                    container.first.wait().await;
                }
                Err(failure)
            }
        }
    }

    async fn run_guest(&self, container: &Container, made: &Made) -> std::result::Result<(), NotRunning> {
        notify(container.bundle()).context("starting the container")?;
        // A hook in the container may take its time. A native program closes the channel by being executed.
        let hooks = made.config.spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
        let heard = match hooks.is_some_and(|hooks| !hooks.is_empty()) {
            true => match made.replies.receive().await.context("hearing the engine")? {
                Some(Reply::Hooked) => made.replies.hear_of_start().await?,
                other => other,
            },
            false => made.replies.hear_of_start().await?,
        };
        if let Some(Reply::Failed(failure)) = heard {
            return Err(NotRunning { failure: failure.into(), patience: PATIENCE });
        }
        let state = hooks::State {
            oci_version: made.config.spec.version(),
            id: container.id(),
            status: "running",
            pid: container.first.lifecycle().pid(),
            bundle: container.bundle().dir(),
        };
        Ok(hooks::poststart(made.config.spec.hooks().as_ref(), &state, &self.reaper).await?)
    }
}

/// Why the guest does not run, and how long its process is given to end by itself.
struct NotRunning {
    failure: Failure,
    patience: Duration,
}

impl<E: Into<Failure>> From<E> for NotRunning {
    fn from(error: E) -> Self {
        Self { failure: error.into(), patience: Duration::ZERO }
    }
}

/// Tells libcontainer's init process to go on. Its socket's path may be too long for a socket address, so it is
/// reached through the directory's descriptor.
fn notify(bundle: &Bundle) -> Anyhow<()> {
    let state = bundle.state();
    let dir = rustix::fs::open(&state, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("opening {}", state.display()))?;
    let socket = format!("/proc/self/fd/{}/notify.sock", dir.as_raw_fd());
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("connecting to {}", state.display()))?;
    stream.write_all(b"start container").context("telling the container to start")
}
