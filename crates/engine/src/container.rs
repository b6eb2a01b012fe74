//! A container: the builder process that makes one with libcontainer.
//!
//! The builder is forked from the zygote for one request, makes the container's init process (its
//! sibling, so a child of the daemon too), tells the daemon what became of it and ends. What runs in
//! the init process is the [`executor`].

mod entrypoint;
mod executor;
mod signals;

use std::os::fd::{AsFd, OwnedFd};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use wasmedge_messages::{Channel, ChannelError, Create, CreateFds, Failure, FailureKind, Reply};

use crate::title;
use crate::vm::Vm;
use executor::GuestExecutor;

/// Makes the container that `create` asks for, replies, and ends the process.
pub fn create(vm: Vm, create: Create, fds: CreateFds) -> ! {
    let reply = Channel::from(fds.reply);
    let streams = [fds.stdin, fds.stdout, fds.stderr];
    let answer = match build(vm, &create, &reply, streams, fds.layer) {
        Ok(pid) => Reply::Created { pid },
        Err(failure) => Reply::Failed(failure),
    };
    // The daemon may be gone; then there is nobody to tell, and its successor cleans up.
    let told = reply.send(&answer, &[]);
    std::process::exit(if told.is_ok() { 0 } else { 1 })
}

fn build(
    vm: Vm,
    create: &Create,
    reply: &Channel,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    layer: Option<OwnedFd>,
) -> Result<i32, Failure> {
    show_title(create);
    let (verdict, init_verdict) = Channel::pair().map_err(|error| runtime(&error))?;
    let init_reply = reply.as_fd().try_clone_to_owned().map_err(|error| runtime(&error))?;
    let executor = GuestExecutor::new(vm, create, layer, init_reply.into(), init_verdict);
    let built = ContainerBuilder::new(create.id.clone(), SyscallType::Linux)
        .with_executor(executor)
        .with_root_path(&create.state)
        .map(|builder| builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr))
        .map(|builder| builder.as_init(&create.bundle))
        .and_then(|init| init.with_systemd(create.systemd_cgroup).as_sibling(true).with_detach(true).build());
    match built {
        Ok(container) => container.pid().map(|pid| pid.as_raw()).ok_or_else(|| Failure {
            kind: FailureKind::Runtime,
            message: format!("container {}: no process after its creation", create.id),
        }),
        // The init process knows best why it refused; it has told before libcontainer noticed.
        Err(error) => Err(told(&verdict).unwrap_or_else(|| setup_failure(&error))),
    }
}

/// Shows the container's own arguments before libcontainer forks its processes; all inherit them.
fn show_title(create: &Create) {
    let args = Spec::load(create.bundle.join("config.json"))
        .ok()
        .and_then(|spec| spec.process().as_ref().and_then(|process| process.args().clone()));
    if let Some(args) = args {
        title::set(&args);
    }
}

/// What the init process said, if anything. Never waits: whatever it said was sent before it ended.
fn told(verdict: &Channel) -> Option<Failure> {
    rustix::io::ioctl_fionbio(verdict, true).ok()?;
    match verdict.receive::<Failure>() {
        Ok(Some((failure, _))) => Some(failure),
        Ok(None) | Err(ChannelError::Io(_) | ChannelError::Malformed(_) | ChannelError::TooLong) => None,
    }
}

fn setup_failure(error: &LibcontainerError) -> Failure {
    let kind = match error {
        LibcontainerError::InvalidSpec(_) | LibcontainerError::MissingSpec(_) => FailureKind::Unsupported,
        _ => FailureKind::Runtime,
    };
    Failure { kind, message: format!("setting up the container: {}", chain(error)) }
}

fn runtime(error: &dyn std::error::Error) -> Failure {
    Failure { kind: FailureKind::Runtime, message: format!("setting up the container: {}", chain(error)) }
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
