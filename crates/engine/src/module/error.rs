//! A module error: why bytes cannot run as a module, told to the one who built the image.

use wasmedge_messages::{Failure, FailureKind};

use super::foreign;

/// Why a module is refused. The text does not name the file: see [`ModuleError::in_file`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// There are no bytes.
    #[error("the file is empty, not a WebAssembly module")]
    Empty,
    /// There are more bytes than allowed.
    #[error("the module has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are something else.
    #[error("not a WebAssembly module: starts with {start}{}", .looks_like.map(|what| format!(" ({what})")).unwrap_or_default())]
    Foreign {
        /// The first bytes, in hexadecimal.
        start: String,
        /// What begins like that.
        looks_like: Option<&'static str>,
    },
    /// The bytes end too early.
    #[error("the module is truncated: {what} at byte {at} lacks its last {missing} bytes")]
    Truncated {
        /// Where the unfinished part begins.
        at: u64,
        /// What the unfinished part is.
        what: &'static str,
        /// How many bytes are missing, at least.
        missing: u64,
    },
    /// It is a binary of another version of the format.
    #[error("WebAssembly binary version {0:#x} is not supported, only version 1 is")]
    Version(u32),
    /// It is a component, not a core module.
    #[error(
        "this is a WebAssembly component (WASI 0.2 or later), and components are not supported by this \
         engine, which runs core modules: rebuild it for WASI 0.1 (Rust: --target wasm32-wasip1; TinyGo \
         and Go: wasip1; C: wasm32-wasi)"
    )]
    Component,
    /// The text form does not parse.
    #[error("WebAssembly text, line {line}, column {column}: {message}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The binary form does not parse.
    #[error("malformed module: {message} (at byte {at})")]
    Malformed {
        /// Where.
        at: u64,
        /// What is wrong there.
        message: String,
    },
    /// It has more of something than this implementation takes.
    #[error("the module has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The most that is taken.
        limit: usize,
    },
    /// No function was asked for by name, and it has no `_start`.
    #[error(
        "the module has no _start function, so it is a library: name one of its exported functions in the \
         entrypoint, as in /app.wasm#function ({exports})"
    )]
    NoStart {
        /// The functions there are, as a phrase.
        exports: String,
    },
    /// The function asked for is not there.
    #[error("the module exports no function named {name:?} ({exports})")]
    NoSuchFunction {
        /// The name.
        name: String,
        /// The functions there are, as a phrase.
        exports: String,
    },
    /// The function asked for cannot be called without arguments.
    #[error("function {name:?} takes arguments ({params}), an entrypoint can take none ({exports})")]
    TakesArguments {
        /// The name.
        name: String,
        /// The number of its parameters.
        params: u32,
        /// The functions there are, as a phrase.
        exports: String,
    },
}

impl ModuleError {
    /// The class of the cause.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::TooLarge { .. } | Self::TooMany { .. } => FailureKind::LimitExceeded,
            Self::Component | Self::Version(_) | Self::TakesArguments { .. } => FailureKind::Unsupported,
            Self::NoSuchFunction { .. } => FailureKind::NotFound,
            Self::Empty
            | Self::Foreign { .. }
            | Self::Truncated { .. }
            | Self::Text { .. }
            | Self::Malformed { .. }
            | Self::NoStart { .. } => FailureKind::InvalidModule,
        }
    }

    /// The failure that is told to the daemon; `file` names the module, as the user knows it.
    pub fn in_file(&self, file: &str) -> Failure {
        Failure { kind: self.kind(), message: format!("{file}: {self}") }
    }

    pub(super) fn foreign(bytes: &[u8]) -> Self {
        Self::Foreign { start: foreign::first_bytes(bytes), looks_like: foreign::looks_like(bytes) }
    }
}

impl From<wasmparser::BinaryReaderError> for ModuleError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed { at: error.offset() as u64, message: error.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_file_and_the_cause() {
        let failure = ModuleError::foreign(b"\x7fELF\x02\x01").in_file("/app.wasm");
        assert_eq!(
            failure.message,
            "/app.wasm: not a WebAssembly module: starts with 7f 45 4c 46 (an ELF executable or library)"
        );
        assert_eq!(failure.kind, FailureKind::InvalidModule);
    }
}
