//! The messages between the shim daemon and the engine.
//!
//! The daemon sends a [`Request`] over the zygote's [`Channel`] (`SOCK_SEQPACKET`, JSON, file
//! descriptors by `SCM_RIGHTS`). Every request carries, as its first descriptor, the far end of a
//! channel of its own on which the processes that serve it send their [`Reply`]s. So a slow request
//! holds up no other, and a process that dies is an end of file on its own channel.
//!
//! This crate does no more than say what is sent; who sends when is in ARCHITECTURE.md.

#![forbid(unsafe_code)]

mod channel;
mod command;
mod compile;
mod create;
mod exec;
mod reply;

pub use channel::{Channel, ChannelError, MAX_FDS, MAX_MESSAGE};
pub use command::command;
pub use compile::{COMPILE_ARTIFACT_FD, COMPILE_MODULE_FD, COMPILE_REPORT_FD, CompileReport};
pub use create::{Create, CreateFds, Native};
pub use exec::{Exec, PROCESS_FILE};
pub use reply::{Failure, FailureKind, Mode, Reply};

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

/// The file descriptor on which `wasmedge-engine zygote` finds its [`Channel`].
pub const ZYGOTE_CHANNEL_FD: i32 = 3;

/// What the daemon asks of the zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Make a container and leave it waiting for its start. Descriptors: [`CreateFds`].
    Create(Create),
    /// Make a process in a running container and start it. Descriptors: [`CreateFds`].
    Exec(Exec),
}

impl Request {
    /// The descriptors that came with it; `None` if they are not those that it announces.
    pub fn take_fds(&self, fds: Vec<OwnedFd>) -> Option<CreateFds> {
        let (layer, native) = match self {
            Self::Create(create) => (create.layer.is_some(), create.native.is_some()),
            Self::Exec(exec) => (exec.layer.is_some(), exec.native.is_some()),
        };
        CreateFds::from_received(fds, layer, native)
    }
}
