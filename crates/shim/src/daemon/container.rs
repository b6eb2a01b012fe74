//! A container, as the daemon knows it: a bundle, a lifecycle, and what is held open for it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Context;
use containerd_shim_protos::ttrpc::Code;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{Notify, watch};

use super::Daemon;
use super::channel::AsyncChannel;
use super::events::Event;
use super::lifecycle::{Lifecycle, Phase};
use super::stdio::{Kept, Streams};
use crate::bundle::{Bundle, Config};
use crate::cgroup::Cgroup;
use crate::failure::{Failure, Result};
use crate::remains::Exit;

/// One container, from its registration to its delete.
#[derive(Debug)]
pub(super) struct Container {
    bundle: Bundle,
    streams: Streams,
    lifecycle: Mutex<Lifecycle>,
    exit: watch::Sender<Option<Exit>>,
    kept: Mutex<Kept>,
    made: OnceLock<Made>,
    /// Held by start and delete, which exclude each other.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Gives up a create that is under way.
    pub(super) cancel: Notify,
    /// Tells that the create is over, either way.
    pub(super) settled: watch::Sender<bool>,
}

/// What a container has once it was created.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) config: Config,
    pub(super) cgroup: Cgroup,
    /// On which the engine says that the guest runs.
    pub(super) replies: AsyncChannel,
    pidfd: OwnedFd,
}

impl Container {
    pub(super) fn new(bundle: Bundle, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            bundle,
            streams,
            lifecycle: Mutex::new(Lifecycle::new()),
            exit: watch::Sender::new(None),
            kept: Mutex::default(),
            made: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
            cancel: Notify::new(),
            settled: watch::Sender::new(false),
        })
    }

    pub(super) fn id(&self) -> &str {
        self.bundle.id()
    }

    pub(super) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(super) fn lifecycle(&self) -> MutexGuard<'_, Lifecycle> {
        self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has since it was created; an error before.
    pub(super) fn made(&self) -> Result<&Made> {
        self.made
            .get()
            .ok_or_else(|| Failure::precondition(format!("container {} is being created", self.id())))
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

    /// Sends a signal to its first process, or to all.
    pub(super) fn kill(&self, signal: Signal, all: bool) -> Result<()> {
        let made = self.made()?;
        let over = || Failure::not_found(format!("container {}: process already finished", self.id()));
        if all {
            return if made.cgroup.signal_all(signal) { Ok(()) } else { Err(over()) };
        }
        if let Phase::Stopped(_) = self.lifecycle().phase() {
            return Err(over());
        }
        match pidfd_send_signal(&made.pidfd, signal) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(over()),
            Err(error) => {
                Err(Failure::new(Code::UNKNOWN, anyhow::Error::from(error).context("sending the signal")))
            }
        }
    }
}

impl Daemon {
    /// Takes a process that was just told as a container's, and tells containerd. From here on its exit is too.
    pub(super) fn adopt(
        self: &Arc<Self>,
        container: &Arc<Container>,
        pid: i32,
        config: Config,
        cgroup: Cgroup,
        replies: AsyncChannel,
    ) -> Result<u32> {
        let exit = self.reaper.watch(pid);
        let pid = Pid::from_raw(pid).context("the engine told no pid")?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("opening the container's process")?;
        let _ = container.made.set(Made { config, cgroup, replies, pidfd });
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        let events = container.lifecycle().created(pid);
        self.publish(container, events);

        let (daemon, container) = (self.clone(), container.clone());
        tokio::spawn(async move {
            if let Ok(exit) = exit.await {
                daemon.ended(&container, exit);
            }
        });
        Ok(pid)
    }

    fn ended(&self, container: &Container, exit: Exit) {
        if let Some(made) = container.made.get() {
            if !made.config.has_pid_namespace() {
                made.cgroup.signal_all(Signal::KILL);
            }
            if made.cgroup.oom_kills() > 0 {
                self.events.publish(container, Event::OutOfMemory);
            }
        }
        *container.kept() = Kept::default();
        if let Err(error) = exit.record(container.bundle()) {
            log::warn!(target: container.id(), "{error:#}");
        }
        let events = container.lifecycle().exited(exit);
        self.publish(container, events);
    }

    /// Tells containerd, and those who wait for an exit.
    pub(super) fn publish(&self, container: &Container, events: Vec<Event>) {
        for event in events {
            self.events.publish(container, event);
            if let Event::Exited { exit, .. } = event {
                container.exit.send_replace(Some(exit));
            }
        }
    }
}
