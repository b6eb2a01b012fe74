//! `enter`: becomes a program of the node's, in the namespaces of the node's first process.
//!
//! A process of its own, since only a process with one thread may change its mount namespace. It stays in the cgroup of
//! the installer's container, so what it leaves running ends with that.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// By their names in `/proc`.
const NAMESPACES: [(&str, LinkNameSpaceType); 4] = [
    ("net", LinkNameSpaceType::Network),
    ("ipc", LinkNameSpaceType::InterProcessCommunication),
    ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
    ("mnt", LinkNameSpaceType::Mount),
];

/// See [the module](self).
#[derive(Debug, Args)]
pub(crate) struct Enter {
    /// The program, as the node finds it, and its arguments
    #[arg(required = true, last = true)]
    words: Vec<OsString>,
}

impl Enter {
    /// Returns only if it fails.
    pub(crate) fn run(self) -> Result<()> {
        let (program, arguments) = self.words.split_first().context("a program must be named")?;
        // The mount namespace comes last: with it, this `/proc` is out of sight.
        for (name, kind) in NAMESPACES {
            let entering =
                || format!("entering the {name} namespace of the node's first process (is hostPID set?)");
            let namespace = File::open(format!("/proc/1/ns/{name}")).with_context(entering)?;
            move_into_link_name_space(namespace.as_fd(), Some(kind)).with_context(entering)?;
        }
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";
        let error = Command::new(program).args(arguments).current_dir("/").env("PATH", path).exec();
        Err(error).with_context(|| format!("running {}", program.display()))
    }
}
