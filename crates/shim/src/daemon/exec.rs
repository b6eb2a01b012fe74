//! An exec is one more process in a container: added, then made and started at once, then deleted.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::Code;
use oci_spec::runtime;
use tokio::sync::oneshot;
use wasmedge_messages::{self as messages, PROCESS_FILE, Reply, Request};

use super::channel::AsyncChannel;
use super::container::Container;
use super::execs::Exec;
use super::lifecycle::Phase;
use super::process::Process;
use super::request::Enclosed;
use super::stdio::Streams;
use super::wiring::Wiring;
use super::{Daemon, working_directory};
use crate::entrypoint::Entrypoint;
use crate::failure::{Failure, OrFail, Result};
use crate::known_capabilities;
use crate::limits::Refusals;
use crate::remains::Exit;

/// The status of an exec that never ran, for those who wait for it all the same.
const NEVER_RAN: u32 = 255;

/// How long a container's first process may take to be dead once those that were killed with it are.
const ENDING: Duration = Duration::from_millis(200);

/// What containerd asks for.
#[derive(Debug)]
pub(super) struct ExecRequest {
    pub(super) exec_id: String,
    pub(super) streams: Streams,
    /// The process, in JSON, as a `config.json` has it.
    pub(super) process: Option<Any>,
}

/// A process that was made: its pid, and its exit to come. No pid if it is over already.
struct Running {
    pid: u32,
    exit: oneshot::Receiver<Exit>,
}

impl Daemon {
    /// Adds an exec, to be started later.
    pub(super) fn exec(&self, container: &Container, request: ExecRequest) -> Result<()> {
        container.made()?;
        may_exec(container)?;
        self.head_start.take();
        let dir = container.bundle().exec(&request.exec_id).or_invalid()?;
        let wanted = parse(request.process.as_ref(), request.streams.terminal).or_invalid()?;
        let json = serde_json::to_vec(&wanted).context("encoding the process")?;
        let process = Process::exec(request.exec_id.clone(), request.streams);
        let exec = Arc::new(Exec { process, wanted, dir });
        container.execs.add(&request.exec_id, exec.clone())?;
        let written =
            fs::create_dir_all(&exec.dir).and_then(|()| fs::write(exec.dir.join(PROCESS_FILE), json));
        if let Err(error) = written {
            forget(container, &exec);
            return Err(anyhow!(error).context(format!("writing into {}", exec.dir.display())).into());
        }
        let events = exec.process.lifecycle().added();
        self.publish(container, &exec.process, events);
        Ok(())
    }

    /// Makes and starts an exec's process; returns its pid once it runs.
    pub(super) async fn start_exec(
        self: &Arc<Self>,
        container: Arc<Container>,
        exec_id: &str,
    ) -> Result<u32> {
        let exec = container.execs.get(exec_id)?;
        // A task of its own: a start is not left half done by a caller who goes away.
        let daemon = self.clone();
        let start = tokio::spawn(async move { daemon.start_exec_in_turn(container, exec).await });
        start.await.context("the start died")?
    }

    async fn start_exec_in_turn(self: &Arc<Self>, container: Arc<Container>, exec: Arc<Exec>) -> Result<u32> {
        let _turn = exec.process.turn.lock().await;
        may_exec(&container)?;
        let cgroup = &container.made()?.cgroup;
        container.execs.begin(&exec)?;
        let _expected = self.reaper.expect();
        let process = &exec.process;
        let refusals = Refusals::of_processes(cgroup);
        let running = match self.run(&container, &exec).await {
            Ok(running) => running,
            Err(failure) => {
                let failure = explained(failure, &container, refusals).await;
                let exit = Exit::now(NEVER_RAN);
                process.close_streams().await;
                process.lifecycle().never_ran(exit);
                process.tell_exit(exit);
                return Err(failure);
            }
        };
        process.lifecycle().runs_as(running.pid);
        let events = process.lifecycle().started();
        self.publish(&container, process, events);

        let (daemon, exec, container) = (self.clone(), exec.clone(), container.clone());
        tokio::spawn(async move {
            if let Ok(exit) = running.exit.await {
                daemon.tell_out_of_memory(&container);
                exec.process.close_streams().await;
                let events = exec.process.lifecycle().exited(exit);
                daemon.publish(&container, &exec.process, events);
            }
        });
        Ok(running.pid)
    }

    async fn run(&self, container: &Container, exec: &Exec) -> Result<Running> {
        let made = container.made()?;
        let pid = container.first.lifecycle().pid();
        working_directory::check(pid, exec.wanted.cwd())?;
        let limit = made.options.module_size_limit;
        let entrypoint = Entrypoint::beside(pid, &exec.wanted);
        let containers = Entrypoint::of_first(&made.config);
        // The container's own module, if the exec is to run that.
        let layer =
            made.layer.as_deref().filter(|_| containers.is_some_and(|it| it.path() == entrypoint.path()));
        let native = self.native.of_exec(&entrypoint, layer, &made.options).await?;
        let (owner, directory) = (made.options.stream_owner, self.idle.directory());
        let wiring =
            Wiring::open_for(owner, exec.process.streams(), directory, self.whose(container)).await?;
        let asked = Request::Exec(messages::Exec {
            id: container.id().to_owned(),
            bundle: container.bundle().dir().to_owned(),
            state: container.bundle().state_root(),
            dir: exec.dir.clone(),
            layer: layer.map(|layer| layer.digest.clone()),
            native: native.asked(),
            module_size_limit: limit,
            console: wiring.console(),
        });
        let mut strays = None;
        let enclosed = Enclosed { opened: &wiring.opened, layer, artifact: native.artifact() };
        let attempt = exec.dir.join(container.id());
        let asking = self.zygote.ask(&asked, enclosed, &mut strays, || drop(fs::remove_dir_all(&attempt)));
        let heard = asking.await?;
        native.settle(container.id(), &exec.process, heard.mode);
        let running = self.hear(&exec.process, heard.reply, &heard.replies).await?;
        wiring.connect(&exec.process, Some(&exec.wanted)).await?;
        Ok(running)
    }

    /// Hears the pid and that the guest runs, in either order. A native program closes the channel by being executed.
    async fn hear(&self, process: &Process, first: Reply, replies: &AsyncChannel) -> Result<Running> {
        let mut made = None;
        let mut runs = false;
        let mut reply = Some(first);
        loop {
            match reply {
                Some(Reply::Created { pid }) => made = Some(self.take(process, pid)?),
                Some(Reply::Running) => runs = true,
                Some(Reply::Loaded(_) | Reply::Hooked | Reply::Tree) => {}
                Some(Reply::Failed(failure)) => return Err(failure.into()),
                None => runs = true,
            }
            reply = match made {
                Some(made) if runs => return Ok(made),
                None if reply.is_none() => {
                    return Err(anyhow!("the engine process died while it made the process").into());
                }
                None => replies.receive().await.context("hearing the engine")?,
                Some(_) => replies.hear_of_start().await?,
            };
        }
    }

    fn take(&self, process: &Process, pid: i32) -> Result<Running> {
        let mut exit = self.reaper.watch(pid);
        let pid = match exit.try_recv() {
            // It was reaped; by now the pid may be another's.
            Ok(over) => {
                let (sender, receiver) = oneshot::channel();
                let _ = sender.send(over);
                exit = receiver;
                pid.unsigned_abs()
            }
            Err(_) => process.hold(pid)?,
        };
        Ok(Running { pid, exit })
    }

    /// Removes an exec that has ended, or was never started; returns its pid and exit.
    pub(super) async fn delete_exec(&self, container: &Container, exec_id: &str) -> Result<(u32, Exit)> {
        let exec = container.execs.get(exec_id)?;
        let process = &exec.process;
        let _turn = process.turn.lock().await;
        // Another delete may have had the turn before.
        container.execs.get(exec_id)?;
        let exit = match process.phase() {
            Phase::Stopped(exit) => exit,
            Phase::Creating | Phase::Created => Exit::now(0),
            Phase::Starting | Phase::Running | Phase::Paused => {
                return Err(Failure::precondition("cannot delete a running process"));
            }
        };
        process.lifecycle().never_ran(exit);
        process.tell_exit(exit);
        process.close_console().await;
        forget(container, &exec);
        Ok((process.lifecycle().pid(), exit))
    }
}

/// Removes an exec and its directory.
fn forget(container: &Container, exec: &Exec) {
    container.execs.remove(exec);
    match fs::remove_dir_all(&exec.dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!(target: container.id(), "removing {}: {error}", exec.dir.display());
        }
        _ => {}
    }
}

/// A failure that nobody could explain, if what has become of the container explains it.
async fn explained(failure: Failure, container: &Container, refusals: Refusals) -> Failure {
    if !failure.is_unexplained() {
        return failure;
    }
    if container.first.ends_within(ENDING).await {
        return Failure::precondition("cannot exec in a stopped container");
    }
    match refusals.since() {
        Some(limit) => Failure::new(
            Code::RESOURCE_EXHAUSTED,
            anyhow!(
                "the container's pids limit of {limit} is reached, and making a process takes one more for a moment"
            ),
        ),
        None => failure,
    }
}

fn may_exec(container: &Container) -> Result<()> {
    match container.first.phase() {
        Phase::Paused => Err(Failure::precondition("cannot exec in a paused state")),
        Phase::Stopped(_) => Err(Failure::precondition("cannot exec in a stopped state")),
        Phase::Creating | Phase::Created | Phase::Starting | Phase::Running => Ok(()),
    }
}

fn parse(any: Option<&Any>, terminal: bool) -> anyhow::Result<runtime::Process> {
    let any = any.context("the exec names no process")?;
    let known = known_capabilities::only(&any.value);
    for name in known.iter().flat_map(|known| &known.dropped) {
        log::warn!("an exec's process: ignoring the unknown capability {name}");
    }
    let json = known.as_ref().map_or(&any.value, |known| &known.json);
    let mut process: runtime::Process = serde_json::from_slice(json).context("reading the exec's process")?;
    process.set_terminal(Some(terminal));
    Ok(process)
}
