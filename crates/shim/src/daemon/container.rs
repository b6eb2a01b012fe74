//! A container, as the daemon knows it: a bundle, its first process and its execs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context;
use rustix::process::Signal;
use tokio::sync::{Notify, watch};

use super::Daemon;
use super::channel::AsyncChannel;
use super::event::{Event, Subject};
use super::execs::Execs;
use super::lifecycle::Phase;
use super::logger::Whose;
use super::process::Process;
use super::stdio::Streams;
use crate::bundle::{Bundle, Config};
use crate::cgroup::Cgroup;
use crate::content::Layer;
use crate::failure::{Failure, Result};
use crate::kernel_log::{Victim, tells_out_of_memory};
use crate::member::Member;
use crate::options::RuntimeOptions;
use crate::remains::Exit;

/// The status of a process that was killed, 128 + SIGKILL.
const KILLED: u32 = 137;

/// One container, from its registration to its delete.
#[derive(Debug)]
pub(super) struct Container {
    bundle: Bundle,
    /// Its first process, whose lifecycle is the container's.
    pub(super) first: Arc<Process>,
    pub(super) execs: Execs,
    made: OnceLock<Made>,
    /// The bundle of the pod that it is in, whose delete is its own if the daemon dies.
    pod: OnceLock<Bundle>,
    told_oom_kills: AtomicU64,
    /// Gives up a create that is under way.
    pub(super) cancel: Notify,
    /// Tells that the create is over, either way.
    pub(super) settled: watch::Sender<bool>,
}

/// What a container has once it was created.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) config: Config,
    pub(super) options: RuntimeOptions,
    pub(super) cgroup: Cgroup,
    /// The image layer that is its module, kept for its execs and for other containers.
    pub(super) layer: Option<Arc<Layer>>,
    /// On which the engine says that the guest runs.
    pub(super) replies: AsyncChannel,
    /// When that was.
    pub(super) at: Instant,
}

impl Container {
    pub(super) fn new(bundle: Bundle, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            bundle,
            first: Process::first(streams),
            execs: Execs::default(),
            made: OnceLock::new(),
            pod: OnceLock::new(),
            told_oom_kills: AtomicU64::new(0),
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

    /// Makes it a member of the pod with this bundle.
    pub(super) fn enter(&self, pod: &Bundle, member: &Member) -> Result<()> {
        member.note(pod)?;
        let _ = self.pod.set(pod.clone());
        Ok(())
    }

    /// The bundle of its pod, if it is a member of one.
    pub(super) fn pod(&self) -> Option<&Bundle> {
        self.pod.get()
    }

    pub(super) fn leave_pod(&self) {
        if let Some(pod) = self.pod() {
            Member::forget(pod, self.id());
        }
    }

    /// What it has since it was created. Before, it is not found, as runc's shim answers: a containerd that was started
    /// while another's create is being undone then removes what it finds of it.
    pub(super) fn made(&self) -> Result<&Made> {
        self.made
            .get()
            .ok_or_else(|| Failure::not_found(format!("container {} is still being created", self.id())))
    }

    /// The process that containerd means: the first if it names no exec.
    pub(super) fn process(&self, exec_id: &str) -> Result<Arc<Process>> {
        if exec_id.is_empty() {
            return Ok(self.first.clone());
        }
        self.execs.get(exec_id).map(|exec| exec.process.clone())
    }

    /// The process as the subject of an event.
    pub(super) fn subject<'a>(&'a self, process: &'a Process) -> Subject<'a> {
        Subject {
            container: self.id(),
            bundle: self.bundle.dir(),
            exec: process.exec_id(),
            streams: process.streams(),
        }
    }

    /// Sends a signal to one process, or to all of the container.
    pub(super) fn kill(&self, process: &Process, signal: Signal, all: bool) -> Result<()> {
        let cgroup = &self.made()?.cgroup;
        match all && process.exec_id().is_none() {
            true if !cgroup.signal_all(signal) => {
                return Err(Failure::not_found(format!("container {}: process already finished", self.id())));
            }
            true => {}
            false => process.signal(signal)?,
        }
        // What is frozen does not die before it is thawed, if the cgroup is of version 1.
        if signal == Signal::KILL && self.first.phase() == Phase::Paused {
            cgroup.thaw().context("thawing the container, so that it can die")?;
        }
        Ok(())
    }
}

impl Daemon {
    /// Takes a process that was just told as a container's, and tells containerd. From here on its exit is too.
    pub(super) fn adopt(self: &Arc<Self>, container: &Arc<Container>, pid: i32, made: Made) -> Result<u32> {
        let exit = self.reaper.watch(pid);
        let pid = container.first.hold(pid)?;
        let _ = container.made.set(made);
        let events = container.first.lifecycle().created(pid);
        self.publish(container, &container.first, events);

        let (daemon, container) = (self.clone(), container.clone());
        tokio::spawn(async move {
            if let Ok(exit) = exit.await {
                daemon.ended(&container, exit).await;
            }
        });
        Ok(pid)
    }

    /// The end of the first process is the end of all; containerd hears of the execs' first, as from runc's shim.
    async fn ended(&self, container: &Container, exit: Exit) {
        if let Err(error) = exit.record(container.bundle()) {
            log::warn!(target: container.id(), "{error:#}");
        }
        let execs = container.execs.close();
        if let Some(made) = container.made.get().filter(|made| !made.config.has_pid_namespace()) {
            made.cgroup.signal_all(Signal::KILL);
        }
        for exec in execs {
            exec.process.wait().await;
        }
        self.tell_out_of_memory(container);
        self.tell_out_of_memory_of_the_gone(container, exit).await;
        container.first.close_streams().await;
        let events = container.first.lifecycle().exited(exit);
        self.publish(container, &container.first, events);
    }

    /// Whose output a logger gets.
    pub(super) fn whose<'a>(&'a self, container: &'a Container) -> Whose<'a> {
        Whose { id: container.id(), namespace: &self.namespace }
    }

    /// Tells that the kernel has killed for want of memory, if it has since the last time.
    pub(super) fn tell_out_of_memory(&self, container: &Container) {
        let kills = container.made.get().map_or(0, |made| made.cgroup.oom_kills());
        if container.told_oom_kills.fetch_max(kills, Ordering::Relaxed) < kills {
            self.events.publish(container.subject(&container.first), Event::OutOfMemory);
        }
    }

    /// Tells the same when the cgroup is gone, which systemd removes as soon as a scope is empty.
    async fn tell_out_of_memory_of_the_gone(&self, container: &Container, exit: Exit) {
        let Some(made) = container.made.get() else { return };
        let may_be = exit.status == KILLED || made.config.memory_limit().is_some();
        let Some(cgroup) = made.cgroup.path_if_gone().filter(|_| may_be) else { return };
        let victim = Victim { pid: container.first.lifecycle().pid(), cgroup, age: made.at.elapsed() };
        let told = tokio::task::spawn_blocking(move || tells_out_of_memory(&victim)).await;
        if told.unwrap_or(false) && container.told_oom_kills.fetch_max(1, Ordering::Relaxed) == 0 {
            self.events.publish(container.subject(&container.first), Event::OutOfMemory);
        }
    }

    /// Tells containerd, and those who wait for an exit.
    pub(super) fn publish(&self, container: &Container, process: &Process, events: Vec<Event>) {
        for event in events {
            self.events.publish(container.subject(process), event);
            if let Event::Exited { exit, .. } = event {
                process.tell_exit(exit);
            }
        }
    }
}
