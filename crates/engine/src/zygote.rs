//! The zygote: the process that has WasmEdge loaded and forks the others.
//!
//! It stays single-threaded from birth to every fork and never touches a module. Each request gets a
//! process of its own, forked as the zygote's sibling, so that the daemon is its parent and sees
//! its end; a request that hangs therefore holds up only itself.

use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use wasmedge_messages::{Channel, Failure, FailureKind, Job, Reply, Request, ZYGOTE_CHANNEL_FD};

use crate::container;
use crate::ending;
use crate::name_service;
use crate::title;
use crate::tree;
use crate::vm::Vm;

/// Serves requests until the daemon closes its end.
///
/// # Errors
/// When descriptor 3 is no channel, or WasmEdge cannot be set up.
pub fn serve() -> Result<()> {
    title::learn();
    title::set(&["wasmedge-engine".to_owned(), "zygote".to_owned()]);
    let channel = inherited_channel()?;
    name_service::settle()?;
    let mut vm = Some(Vm::prepare().context("setting up WasmEdge")?);
    ending::destroy_nothing();
    while let Some((request, fds)) = channel.receive::<Request>().context("receiving a request")? {
        let Some(job) = request.with_fds(fds) else { bail!("request without its descriptors") };
        match fork_sibling() {
            Ok(Fork::Child) => {
                drop(channel);
                if job.is_withdrawn() {
                    std::process::exit(0);
                }
                let Some(vm) = vm.take() else { bail!("the VM is gone") };
                match job {
                    Job::Create(create, fds) => container::create(vm, create, fds),
                    Job::Exec(exec, fds) => container::exec(vm, exec, fds),
                    Job::MapUsers(map, reply) => tree::answer(&map, reply),
                }
            }
            Ok(Fork::Parent) => {}
            Err(error) => refuse(job.into_reply(), &error)?,
        }
    }
    Ok(())
}

fn refuse(reply: OwnedFd, error: &std::io::Error) -> Result<()> {
    let failure = Failure { kind: FailureKind::Runtime, message: format!("forking the container: {error}") };
    Ok(Channel::from(reply).send(&Reply::Failed(failure), &[])?)
}

fn inherited_channel() -> Result<Channel> {
    // SAFETY: asks about a number; a closed one is an error.
    if unsafe { libc::fcntl(ZYGOTE_CHANNEL_FD, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        let error = std::io::Error::last_os_error();
        return Err(error)
            .context(format!("descriptor {ZYGOTE_CHANNEL_FD}: the zygote is started by the shim"));
    }
    // SAFETY: the descriptor was just seen to be open, and only this function takes it.
    Ok(Channel::from(unsafe { OwnedFd::from_raw_fd(ZYGOTE_CHANNEL_FD) }))
}

enum Fork {
    Parent,
    Child,
}

/// Forks a process whose parent is this one's parent.
fn fork_sibling() -> std::io::Result<Fork> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: a fork without a new stack in a single-threaded process: no lock is held by another thread.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        _pid => Ok(Fork::Parent),
    }
}
