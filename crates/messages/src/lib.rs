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
mod map_users;
mod reply;

pub use channel::{Channel, ChannelError, MAX_FDS, MAX_MESSAGE};
pub use command::command;
pub use compile::{COMPILE_ARTIFACT_FD, COMPILE_MODULE_FD, COMPILE_REPORT_FD, CompileReport};
pub use create::{Create, CreateFds, Native};
pub use exec::{Exec, PROCESS_FILE};
pub use map_users::{IdMapping, MapUsers, Users};
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
    /// Clone directories, with other users. Descriptor: the far end of the reply channel.
    MapUsers(MapUsers),
}

/// A request with the descriptors that came with it.
#[derive(Debug)]
pub enum Job {
    /// [`Request::Create`]
    Create(Create, CreateFds),
    /// [`Request::Exec`]
    Exec(Exec, CreateFds),
    /// [`Request::MapUsers`]
    MapUsers(MapUsers, OwnedFd),
}

impl Request {
    /// Puts the two together; `None` if the descriptors are not those that it announces.
    pub fn with_fds(self, fds: Vec<OwnedFd>) -> Option<Job> {
        match self {
            Self::Create(create) => {
                let fds = CreateFds::from_received(fds, create.layer.is_some(), create.native.is_some())?;
                Some(Job::Create(create, fds))
            }
            Self::Exec(exec) => {
                let fds = CreateFds::from_received(fds, exec.layer.is_some(), exec.native.is_some())?;
                Some(Job::Exec(exec, fds))
            }
            Self::MapUsers(map) => {
                let [reply] = <[OwnedFd; 1]>::try_from(fds).ok()?;
                Some(Job::MapUsers(map, reply))
            }
        }
    }
}

impl Job {
    /// Whether whoever asked has gone: then nothing is to be done, and what it would do is undone already.
    pub fn is_withdrawn(&self) -> bool {
        channel::is_abandoned(match self {
            Self::Create(_, fds) | Self::Exec(_, fds) => &fds.reply,
            Self::MapUsers(_, reply) => reply,
        })
    }

    /// The far end of the channel on which it is answered.
    pub fn into_reply(self) -> OwnedFd {
        match self {
            Self::Create(_, fds) | Self::Exec(_, fds) => fds.reply,
            Self::MapUsers(_, reply) => reply,
        }
    }
}
