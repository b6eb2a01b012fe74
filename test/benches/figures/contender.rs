//! A contender is a way to run a program: a runtime, and what the program was built to.

use std::path::PathBuf;

use crate::program::Program;

/// The ways that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// runc, and a static native program.
    Runc,
    /// The shim that runwasi's crate makes, with WasmEdge's interpreter.
    Peer,
    /// This shim with its compiler switched off.
    Interpreted,
    /// This shim.
    Native,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Runc, Self::Peer, Self::Interpreted, Self::Native];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Peer => "runwasi",
            Self::Interpreted => "interpreted",
            Self::Native => "native",
        }
    }

    pub(crate) fn runtime(self) -> &'static str {
        match self {
            Self::Runc => "io.containerd.runc.v2",
            Self::Peer => "io.containerd.wasmedgepeer.v1",
            Self::Interpreted | Self::Native => "io.containerd.wasmedge.v1",
        }
    }

    /// Whether it runs machine code.
    pub(crate) fn is_fast(self) -> bool {
        matches!(self, Self::Runc | Self::Native)
    }

    /// The program as this one runs it.
    pub(crate) fn file(self, program: Program) -> PathBuf {
        if self == Self::Runc { program.native() } else { program.module() }
    }

    /// The node's settings, as far as they are the shim's.
    pub(crate) fn settings(self) -> &'static str {
        if self == Self::Native { "Compile = \"require\"\n" } else { "Compile = \"off\"\n" }
    }
}
