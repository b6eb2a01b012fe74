//! An invocation is what containerd says when it executes the shim: flags, environment, standard input.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The flags and the environment; what comes on standard input depends on the verb.
#[derive(Debug, Clone, Default)]
pub(crate) struct Invocation {
    /// The verb: `start`, `delete`, or empty.
    pub(crate) action: String,
    /// The container's (a pod's first container's) id.
    pub(crate) id: String,
    /// The containerd namespace.
    pub(crate) namespace: String,
    /// containerd's gRPC socket.
    pub(crate) grpc_address: String,
    /// containerd's ttrpc socket, where events go.
    pub(crate) ttrpc_address: String,
    /// The bundle; the working directory if empty.
    pub(crate) bundle: PathBuf,
    /// The socket that a daemon serves.
    pub(crate) socket: PathBuf,
    /// Whether containerd logs at debug level.
    pub(crate) debug: bool,
    /// `-info`.
    pub(crate) wants_info: bool,
    /// `-v`.
    pub(crate) wants_version: bool,
}

impl Invocation {
    /// Reads this process's arguments and environment.
    pub(crate) fn read() -> Result<Self> {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        Self::parse(&args, |name| std::env::var(name).unwrap_or_default())
    }

    fn parse(args: &[OsString], env: impl Fn(&str) -> String) -> Result<Self> {
        let flags = containerd_shim::parse(args).context("parsing the flags")?;
        let grpc_address = if flags.address.is_empty() { env("GRPC_ADDRESS") } else { flags.address };
        Ok(Self {
            action: flags.action,
            id: flags.id,
            namespace: flags.namespace,
            grpc_address,
            ttrpc_address: env("TTRPC_ADDRESS"),
            bundle: flags.bundle.into(),
            socket: flags.socket.into(),
            debug: flags.debug,
            wants_info: flags.info,
            wants_version: flags.version,
        })
    }

    /// The bundle's directory: the flag's, else the working directory, where containerd runs the verbs.
    pub(crate) fn bundle_dir(&self) -> Result<PathBuf> {
        if self.bundle.as_os_str().is_empty() {
            return std::env::current_dir().context("finding the bundle");
        }
        std::path::absolute(&self.bundle).context("finding the bundle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Invocation {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        Invocation::parse(&args, |name| format!("${name}")).unwrap()
    }

    #[test]
    fn containerds_flags_are_understood() {
        let start =
            parse(&["-namespace", "moby", "-address", "/a", "-publish-binary", "/c", "-id", "x", "start"]);
        assert_eq!(
            (start.action.as_str(), start.id.as_str(), start.namespace.as_str()),
            ("start", "x", "moby")
        );
        assert_eq!((start.grpc_address.as_str(), start.ttrpc_address.as_str()), ("/a", "$TTRPC_ADDRESS"));
        assert!(parse(&["-info"]).wants_info && parse(&["-v"]).wants_version);
    }

    #[test]
    fn an_address_that_is_no_flag_comes_from_the_environment() {
        assert_eq!(parse(&["-id", "x", "start"]).grpc_address, "$GRPC_ADDRESS");
    }
}
