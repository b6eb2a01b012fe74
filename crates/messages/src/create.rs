//! A create request: one OCI bundle that is to become a container.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One container to make. The bundle's `config.json` says the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The container's id, as containerd gave it.
    pub id: String,
    /// The OCI bundle, absolute, its root filesystem mounted.
    pub bundle: PathBuf,
    /// libcontainer's root: the container's state is kept in `<state>/<id>/`.
    pub state: PathBuf,
    /// Whether systemd manages the container's cgroup (`linux.cgroupsPath` is `slice:prefix:name`).
    pub systemd_cgroup: bool,
    /// Digest of the image layer that is the module. `None`: the entrypoint is a file in the root filesystem.
    pub layer: Option<String>,
    /// The largest module that is loaded, in bytes.
    pub module_size_limit: u64,
}

/// The descriptors that travel with a [`Create`], in this order.
#[derive(Debug)]
pub struct CreateFds<F = OwnedFd> {
    /// Far end of the reply channel.
    pub reply: F,
    /// The container's standard input.
    pub stdin: F,
    /// The container's standard output.
    pub stdout: F,
    /// The container's standard error.
    pub stderr: F,
    /// The module's bytes (a file or a sealed memfd, read from its start), when [`Create::layer`] is set.
    pub layer: Option<F>,
}

impl<'a> CreateFds<BorrowedFd<'a>> {
    /// The descriptors in the order in which they are sent.
    pub fn as_array(&self) -> Vec<BorrowedFd<'a>> {
        [self.reply, self.stdin, self.stdout, self.stderr].into_iter().chain(self.layer).collect()
    }
}

impl CreateFds {
    /// Takes apart what [`CreateFds::as_array`] put together; `None` if the number is not right for it.
    pub fn from_received(fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        let received = Self {
            reply: fds.next()?,
            stdin: fds.next()?,
            stdout: fds.next()?,
            stderr: fds.next()?,
            layer: fds.next(),
        };
        fds.next().is_none().then_some(received)
    }
}
