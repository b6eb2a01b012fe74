//! A failure is an error with the gRPC code that containerd gets for it.

use containerd_shim_protos::ttrpc::{self, Code, get_status};
use wasmedge_messages::FailureKind;

/// What an RPC can end in instead of an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    error: anyhow::Error,
}

/// A result that containerd can be told.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NOT_FOUND, anyhow::Error::msg(message.into()))
    }

    pub(crate) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(Code::ALREADY_EXISTS, anyhow::Error::msg(message.into()))
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(Code::FAILED_PRECONDITION, anyhow::Error::msg(message.into()))
    }

    /// The request asks for something that this version does not do.
    pub(crate) fn unimplemented(what: &str) -> Self {
        Self::new(Code::UNIMPLEMENTED, anyhow::anyhow!("{what} is not implemented"))
    }

    /// Whether nobody could say whose fault it is.
    pub(crate) fn is_unexplained(&self) -> bool {
        self.code == Code::UNKNOWN
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

/// Attaches a gRPC code to any error.
pub(crate) trait OrFail<T> {
    /// The request itself is at fault.
    fn or_invalid(self) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for std::result::Result<T, E> {
    fn or_invalid(self) -> Result<T> {
        self.map_err(|error| Failure::new(Code::INVALID_ARGUMENT, error))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Code::UNKNOWN, error)
    }
}

/// Without the code, for people.
impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<wasmedge_messages::Failure> for Failure {
    fn from(failure: wasmedge_messages::Failure) -> Self {
        let code = match failure.kind {
            FailureKind::NotFound => Code::NOT_FOUND,
            FailureKind::PermissionDenied => Code::PERMISSION_DENIED,
            FailureKind::InvalidModule => Code::INVALID_ARGUMENT,
            FailureKind::Unsupported => Code::UNIMPLEMENTED,
            FailureKind::LimitExceeded => Code::RESOURCE_EXHAUSTED,
            FailureKind::Trapped => Code::ABORTED,
            FailureKind::Runtime => Code::UNKNOWN,
        };
        Self::new(code, failure)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<Failure> for ttrpc::Error {
    fn from(failure: Failure) -> Self {
        Self::RpcStatus(get_status(failure.code, failure.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn containerd_is_told_the_whole_chain() {
        let error: std::result::Result<(), _> = Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        let failure = Failure::from(error.context("mounting the root filesystem").unwrap_err());
        assert_eq!(failure.to_string(), "mounting the root filesystem: entity not found");
    }

    #[test]
    fn the_engines_words_are_passed_on_unchanged() {
        let said = wasmedge_messages::Failure {
            kind: FailureKind::NotFound,
            message: "exec: \"/app.wasm\": no such file or directory".into(),
        };
        let failure = Failure::from(said.clone());
        assert_eq!((failure.code(), failure.to_string()), (Code::NOT_FOUND, said.message));
    }
}
