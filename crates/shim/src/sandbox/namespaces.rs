//! The namespaces of a pod, held by this process: open for as long as this value lives, whoever is in them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::Pod;

/// What the pod has of its own; the rest is the node's.
#[derive(Debug)]
pub(crate) struct Namespaces {
    network: Option<PathBuf>,
    ipc: Option<File>,
    uts: Option<File>,
    /// The first process of the one for processes.
    init: OnceLock<u32>,
}

impl Namespaces {
    /// Makes them, and sets the host name and the kernel's parameters there. Leaves the calling thread in them.
    pub(super) fn make(pod: &Pod) -> Result<Self> {
        let mut flags = CloneFlags::empty();
        flags.set(CloneFlags::CLONE_NEWIPC, pod.ipc);
        // As under containerd's own sandboxer, who has the node's network has the node's name.
        flags.set(CloneFlags::CLONE_NEWUTS, pod.network.is_some());
        unshare(flags).context("leaving the node's")?;
        if let Some(path) = &pod.network {
            let network = File::open(path).with_context(|| format!("opening {}", path.display()))?;
            setns(network, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("entering {}", path.display()))?;
            if !pod.hostname.is_empty() {
                sethostname(&pod.hostname).with_context(|| format!("the host name {:?}", pod.hostname))?;
            }
        }
        for (name, value) in &pod.sysctls {
            // /proc/sys shows what is of the one who looks.
            fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)
                .with_context(|| format!("setting sysctl {name} to {value:?}"))?;
        }
        Ok(Self {
            network: pod.network.clone(),
            ipc: pod.ipc.then(|| current("ipc")).transpose()?,
            uts: pod.network.is_some().then(|| current("uts")).transpose()?,
            init: OnceLock::new(),
        })
    }

    /// Shares the process namespace of this process.
    pub(super) fn set_init(&self, pid: u32) {
        let _ = self.init.set(pid);
    }

    #[cfg(test)]
    pub(super) fn of_network(path: &str) -> Self {
        Self { network: Some(path.into()), ipc: None, uts: None, init: OnceLock::new() }
    }

    /// Where this one can be entered, by anybody on the node who may look into this process; `None` for the node's.
    pub(super) fn path(&self, kind: Kind) -> Option<PathBuf> {
        let held = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        match kind {
            Kind::Network => self.network.clone(),
            Kind::Ipc => self.ipc.as_ref().map(held),
            Kind::Uts => self.uts.as_ref().map(held),
            Kind::Pid => self.init.get().map(|pid| format!("/proc/{pid}/ns/pid").into()),
            _ => None,
        }
    }
}

fn current(name: &str) -> Result<File> {
    let path = format!("/proc/thread-self/ns/{name}");
    File::open(&path).with_context(|| format!("opening {path}"))
}
