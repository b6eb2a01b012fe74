//! The files of a pod that every container of it sees, kept in the sandbox's bundle.
//!
//! ```text
//! <bundle>/wasmedge/.pod/hostname, hosts, resolv.conf     as CRI writes them for a pause container
//! <bundle>/wasmedge/.pod/shm/                             a tmpfs
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

use super::Pod;
use crate::bundle::Bundle;
use crate::remains::unmount_all;

/// What CRI gives a pause container.
const SHM: &std::ffi::CStr = c"mode=1777,size=67108864";

/// Makes all of them.
pub(super) fn make(pod: &Pod, bundle: &Bundle) -> Result<()> {
    let dir = bundle.pod_files();
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let hostname = match pod.hostname.as_str() {
        "" => nodes_own("/proc/sys/kernel/hostname").trim_end().to_owned(),
        name => name.to_owned(),
    };
    write("hostname", &format!("{hostname}\n"))?;
    write("hosts", &nodes_own("/etc/hosts"))?;
    write("resolv.conf", &pod.resolver.clone().unwrap_or_else(|| nodes_own("/etc/resolv.conf")))?;
    if pod.ipc {
        let shm = bundle.pod_shm();
        fs::create_dir_all(&shm).with_context(|| format!("making {}", shm.display()))?;
        let flags = MountFlags::NOEXEC | MountFlags::NOSUID | MountFlags::NODEV;
        mount("shm", &shm, "tmpfs", flags, SHM).with_context(|| format!("mounting {}", shm.display()))?;
    }
    Ok(())
}

/// Where each is seen in a container, and where it is.
pub(super) fn seen_in_containers(bundle: &Bundle) -> Vec<(&'static str, PathBuf)> {
    let dir = bundle.pod_files();
    let all = [
        ("/etc/hostname", dir.join("hostname")),
        ("/etc/hosts", dir.join("hosts")),
        ("/etc/resolv.conf", dir.join("resolv.conf")),
        ("/dev/shm", bundle.pod_shm()),
    ];
    all.into_iter().filter(|(_, path)| path.exists()).collect()
}

/// Unmounts what has to be before the bundle can be removed; containers keep what they see.
pub(super) fn unmount(bundle: &Bundle) -> Result<()> {
    unmount_all(&bundle.pod_shm())
}

/// A node may lack such a file.
fn nodes_own(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
