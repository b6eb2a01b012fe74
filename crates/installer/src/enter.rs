//! `enter`: becomes a program of the node's, in the mount namespace of the node's first process.
//!
//! A process of its own, since only a process with one thread may change that namespace.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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
        let namespace = File::open("/proc/1/ns/mnt")
            .context("opening the mount namespace of the node's first process (is hostPID set?)")?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
            .context("entering the node's mount namespace")?;
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";
        let error = Command::new(program).args(arguments).current_dir("/").env("PATH", path).exec();
        Err(error).with_context(|| format!("running {}", program.display()))
    }
}
