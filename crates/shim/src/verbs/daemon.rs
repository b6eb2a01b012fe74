//! `daemon`: becomes the daemon. Only `start` runs it, with the listening socket as standard input.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::process::{setsid, umask};

use crate::daemon::{self, READY, Setup};
use crate::engine::Engine;
use crate::invocation::Invocation;
use crate::rendezvous::Rendezvous;

/// Serves until there is nothing left to serve.
pub(crate) fn daemon(invocation: &Invocation) -> Result<()> {
    close_inherited();
    let pipe = std::io::stdout().as_fd().try_clone_to_owned().context("keeping the ready pipe")?;
    let pipe = Cell::new(Some(File::from(pipe)));
    // Heard by `start`, unless it has given up; closed with the first word.
    let say = |word: &str| pipe.take().map(|mut pipe| pipe.write_all(word.as_bytes()));
    let served = listener().and_then(|listener| serve(invocation, listener, || drop(say(READY))));
    if let Err(error) = &served {
        say(&format!("{error:#}"));
    }
    served
}

/// Closes what containerd itself has inherited from whoever started it, and passes on without knowing.
fn close_inherited() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let fds: Vec<i32> = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in fds.into_iter().filter(|fd| *fd > 2) {
        // The listing's own descriptor is among them, and closed already.
        let _ = nix::unistd::close(fd);
    }
}

fn listener() -> Result<UnixListener> {
    let listener: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().context("taking the socket")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .context("opening /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("closing standard input")?;
    rustix::stdio::dup2_stdout(&null).context("closing standard output")?;
    Ok(listener.into())
}

fn serve(invocation: &Invocation, listener: UnixListener, ready: impl FnOnce()) -> Result<()> {
    // A session and process group of its own: containerd's signals are not ours.
    let _ = setsid();
    umask(Mode::from_raw_mode(0o022));
    prefer_to_be_killed_after_containers();
    let setup = Setup {
        namespace: invocation.namespace.clone(),
        grpc_address: invocation.grpc_address.clone(),
        ttrpc_address: invocation.ttrpc_address.clone(),
        rendezvous: Rendezvous::of_socket(&invocation.socket)?,
        engine: Engine::locate()?,
        debug: invocation.debug,
    };
    daemon::serve(setup, listener, ready)
}

/// As containerd's own shims do it: one above containerd, well below the containers. Where that is not allowed the
/// score stays as it was inherited, which is containerd's.
fn prefer_to_be_killed_after_containers() {
    let path = "/proc/self/oom_score_adj";
    let ours = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(score) = ours.filter(|score| *score < 1000) {
        let _ = std::fs::write(path, (score + 1).to_string());
    }
}
