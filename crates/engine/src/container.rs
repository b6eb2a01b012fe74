//! A container: the builder process that makes one, or one more process in it, with libcontainer.
//!
//! The builder is forked from the zygote for one request, makes the process (its sibling, so a child of the
//! daemon too), tells the daemon what became of it and ends. What runs in the process that it
//! made is the executor.

mod capabilities;
mod causes;
mod core_link;
mod devices;
mod doubts;
mod entrypoint;
mod executor;
mod home;
mod loading;
mod loopback;
mod preopens;
mod refusals;
mod signals;
mod volumes;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{ContainerStatus, State};
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use libcontainer::syscall::syscall::SyscallType;
use wasmedge_messages::{
    Channel, ChannelError, Create, CreateFds, Exec, Failure, FailureKind, PROCESS_FILE, Reply, command,
};

use crate::module::Limits;
use crate::title;
use crate::vm::Vm;
use causes::Causes;
use executor::GuestExecutor;
use loading::Task;

/// Makes the container that `create` asks for, replies, and ends this process.
pub fn create(vm: Vm, create: Create, fds: CreateFds) -> ! {
    let spec = Spec::load(create.bundle.join("config.json")).ok();
    show_title(spec.as_ref().and_then(|spec| spec.process().as_ref()));
    let task = Task {
        layer: create.layer.zip(fds.layer),
        native: create.native.zip(fds.artifact),
        limits: Limits { size: create.module_size_limit },
        late_seccomp: None,
    };
    let site = Site {
        id: &create.id,
        state: &create.state,
        console: create.console,
        step: "setting up the container",
    };
    end(fds.reply, [fds.stdin, fds.stdout, fds.stderr], |reply, streams| {
        if let Some(spec) = &spec {
            refusals::of_container(spec)?;
        }
        let volumes = spec.as_ref().map_or_else(|| Ok(HashMap::new()), volumes::of);
        let volumes = volumes.map_err(|error| site.failure(&*error))?;
        let made = site.build(vm, task, reply, streams, |builder| {
            let init =
                builder.with_mount_trees(volumes).as_init(&create.bundle).with_systemd(create.systemd_cgroup);
            let container = init.as_sibling(true).with_detach(true).build()?;
            let pid = container.pid().map(|pid| pid.as_raw());
            let pid = pid.ok_or(LibcontainerError::Other("no process after its creation".to_owned()))?;
            if let Some(spec) = &spec {
                let failed = |step| move |error| LibcontainerError::Other(format!("{step}: {error}"));
                devices::restrict(pid, spec).map_err(failed("filtering its devices"))?;
                core_link::rename(pid).map_err(failed("naming /dev/core"))?;
                loopback::bring_up(pid, spec).map_err(failed("bringing up its loopback"))?;
            }
            Ok(pid)
        });
        made.map_err(|failure| explained(failure, spec.as_ref(), &create.bundle))
    })
}

/// A failure that nobody could explain, with what is likely to be its cause.
fn explained(failure: Failure, spec: Option<&Spec>, bundle: &Path) -> Failure {
    let unexplained = failure.kind == FailureKind::Runtime;
    match spec.filter(|_| unexplained).and_then(|spec| doubts::about(spec, bundle)) {
        Some(doubt) => {
            // What libcontainer said itself goes to the daemon's log.
            eprintln!("{failure}");
            Failure { message: format!("setting up the container: {doubt}"), ..failure }
        }
        None => failure,
    }
}

/// Makes and starts the process that `exec` asks for, replies, and ends this process.
pub fn exec(vm: Vm, mut exec: Exec, fds: CreateFds) -> ! {
    let path = exec.dir.join(PROCESS_FILE);
    let process = std::fs::read(&path).ok();
    let process: Option<Process> = process.and_then(|json| serde_json::from_slice(&json).ok());
    show_title(process.as_ref());
    let task = Task {
        layer: exec.layer.take().zip(fds.layer),
        native: exec.native.take().zip(fds.artifact),
        limits: Limits { size: exec.module_size_limit },
        // libcontainer 0.7 starts a container's further processes without the container's filter.
        late_seccomp: seccomp(&exec.bundle),
    };
    let console = exec.console.take();
    let site = Site { id: &exec.id, state: &exec.dir, console, step: "setting up the process" };
    end(fds.reply, [fds.stdin, fds.stdout, fds.stderr], |reply, streams| {
        process.as_ref().map_or(Ok(()), refusals::of_process)?;
        site.build(vm, task, reply, streams, |builder| {
            borrow_state(&exec)?;
            let tenant = builder.as_tenant().with_process(Some(&path)).as_sibling(true).with_detach(true);
            tenant.build().map(|pid| pid.as_raw())
        })
    })
}

/// Lets libcontainer find the container's state in the exec's own directory, where it also leaves a socket behind. Nobody
/// tells libcontainer when the daemon starts a container, but only a running one can have an exec.
fn borrow_state(exec: &Exec) -> Result<(), LibcontainerError> {
    let mut state = State::load(&exec.state.join(&exec.id))?;
    state.status = ContainerStatus::Running;
    let own = exec.dir.join(&exec.id);
    std::fs::create_dir(&own).map_err(LibcontainerError::OtherIO)?;
    Ok(state.save(&own)?)
}

/// Where a process is made, and what to call that in a message.
struct Site<'a> {
    id: &'a str,
    state: &'a Path,
    console: Option<PathBuf>,
    step: &'static str,
}

impl Site<'_> {
    fn build(
        &self,
        vm: Vm,
        task: Task,
        reply: &Channel,
        [stdin, stdout, stderr]: [OwnedFd; 3],
        make: impl FnOnce(ContainerBuilder) -> Result<i32, LibcontainerError>,
    ) -> Result<i32, Failure> {
        let causes = Causes::listen();
        let (verdict, init_verdict) = Channel::pair().map_err(|error| self.failure(&error))?;
        let init_reply = reply.as_fd().try_clone_to_owned().map_err(|error| self.failure(&error))?;
        let executor = GuestExecutor::new(vm, task, init_reply.into(), init_verdict);
        let made = ContainerBuilder::new(self.id.to_owned(), SyscallType::Linux)
            .with_executor(executor)
            .with_root_path(self.state)
            .map(|builder| builder.with_console_socket(self.console.as_ref()))
            .map(|builder| builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr))
            .and_then(make);
        // The process itself knows best why it refused; it has told before libcontainer noticed.
        made.map_err(|error| {
            told(&verdict)
                .unwrap_or_else(|| self.refused(&error, causes.and_then(|causes| causes.innermost())))
        })
    }

    fn refused(&self, error: &LibcontainerError, cause: Option<String>) -> Failure {
        let kind = match error {
            LibcontainerError::InvalidSpec(_) | LibcontainerError::MissingSpec(_) => FailureKind::Unsupported,
            _ => FailureKind::Runtime,
        };
        let mut failure = Failure { kind, ..self.failure(error) };
        let told = |cause: &String| failure.message.contains(cause.rsplit(": ").next().unwrap_or(cause));
        if let Some(cause) = cause.filter(|cause| !told(cause)) {
            // The cause often begins with the step that libcontainer has told already.
            let step = failure.message.rsplit(": ").next().unwrap_or_default();
            let more = cause.strip_prefix(step).map_or_else(|| format!(": {cause}"), str::to_owned);
            failure.message += &more;
        }
        failure
    }

    fn failure(&self, error: &dyn std::error::Error) -> Failure {
        Failure { kind: FailureKind::Runtime, message: format!("{}: {}", self.step, chain(error)) }
    }
}

fn end(
    reply: OwnedFd,
    streams: [OwnedFd; 3],
    build: impl FnOnce(&Channel, [OwnedFd; 3]) -> Result<i32, Failure>,
) -> ! {
    let reply = Channel::from(reply);
    let answer = match build(&reply, streams) {
        Ok(pid) => Reply::Created { pid },
        Err(failure) => Reply::Failed(failure),
    };
    // The daemon may be gone; then there is nobody to tell, and its successor cleans up.
    let told = reply.send(&answer, &[]);
    std::process::exit(if told.is_ok() { 0 } else { 1 })
}

/// Shows the process's own arguments before libcontainer forks; all that it forks inherit them.
fn show_title(process: Option<&Process>) {
    if let Some(args) = process.and_then(|process| process.args().as_deref()) {
        title::set(command(args));
    }
}

fn seccomp(bundle: &Path) -> Option<LinuxSeccomp> {
    Spec::load(bundle.join("config.json")).ok()?.linux().as_ref()?.seccomp().clone()
}

/// What the made process said, if anything. Never waits: whatever it said was sent before it ended.
fn told(verdict: &Channel) -> Option<Failure> {
    rustix::io::ioctl_fionbio(verdict, true).ok()?;
    match verdict.receive::<Failure>() {
        Ok(Some((failure, _))) => Some(failure),
        Ok(None) | Err(ChannelError::Io(_) | ChannelError::Malformed(_) | ChannelError::TooLong) => None,
    }
}

/// An error and its causes, outermost first; a cause that its parent has already quoted is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
