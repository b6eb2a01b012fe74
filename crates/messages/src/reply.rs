//! A reply: what became of a request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the engine's processes answer on a request's reply channel.
///
/// A module is first answered by `Loaded`. A create is answered by `Created`, then after the start by `Running`; an exec
/// by the two in either order. `Failed` ends either.
/// End of file without an answer means that the process died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The module is loaded, and will run like this.
    Loaded(Mode),
    /// The container waits for its start.
    Created {
        /// Its process, a child of the daemon, as the daemon's pid namespace numbers it.
        pid: i32,
    },
    /// The hooks that run in the container before its program have run. Told only where there are any.
    Hooked,
    /// The guest's entrypoint is about to be called (a native one: about to be executed).
    Running,
    /// A directory that was asked for ([`crate::MapUsers`]), mounted nowhere. Descriptor: the tree.
    Tree,
    /// It could not be done.
    Failed(Failure),
}

/// How a module is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As native code.
    Native,
    /// By the interpreter.
    Interpreted {
        /// Why not natively, for a person.
        why: String,
    },
}

/// Why a container could not be created or started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the cause.
    pub kind: FailureKind,
    /// The cause for a person, from the failed step inwards, with the file or value it is about.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The class of a [`Failure`]; it decides the gRPC code that containerd gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The entrypoint (or another thing that the user named) does not exist.
    NotFound,
    /// It exists, but the container's user may not read or execute it, or it is a directory.
    PermissionDenied,
    /// The bytes are no module that can run here.
    InvalidModule,
    /// The configuration or the module asks for something that is not supported.
    Unsupported,
    /// A size or memory limit forbids it.
    LimitExceeded,
    /// The guest trapped before its entrypoint was reached.
    Trapped,
    /// Setting up the container failed: namespaces, mounts, cgroup, hooks.
    Runtime,
}
