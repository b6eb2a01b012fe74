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
    /// The native code of the module, if there is any.
    pub native: Option<Native>,
    /// The largest module that is loaded, in bytes.
    pub module_size_limit: u64,
    /// Where to send the terminal's controlling side, when the process has a terminal: a listening Unix socket. The
    /// terminal is then all three streams.
    pub console: Option<PathBuf>,
}

/// Native code that was made from a module. The container process uses it only for that very module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// SHA-256 of the module's bytes, in hexadecimal.
    pub module: String,
    /// Whether the container shall not be made if the native code cannot be used.
    pub required: bool,
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
    /// The native code, when [`Create::native`] is set: a file that nobody changes.
    pub artifact: Option<F>,
}

impl<'a> CreateFds<BorrowedFd<'a>> {
    /// The descriptors in the order in which they are sent.
    pub fn as_array(&self) -> Vec<BorrowedFd<'a>> {
        let streams = [self.reply, self.stdin, self.stdout, self.stderr];
        streams.into_iter().chain(self.layer).chain(self.artifact).collect()
    }
}

impl CreateFds {
    /// Takes apart what [`CreateFds::as_array`] put together; `None` if the number is not right for it.
    pub(crate) fn from_received(fds: Vec<OwnedFd>, layer: bool, artifact: bool) -> Option<Self> {
        let mut fds = fds.into_iter();
        let mut next_if = |wanted: bool| if wanted { fds.next().map(Some) } else { Some(None) };
        let received = Self {
            reply: next_if(true)??,
            stdin: next_if(true)??,
            stdout: next_if(true)??,
            stderr: next_if(true)??,
            layer: next_if(layer)?,
            artifact: next_if(artifact)?,
        };
        fds.next().is_none().then_some(received)
    }
}
