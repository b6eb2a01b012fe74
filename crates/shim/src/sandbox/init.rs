//! The init of a pod whose containers share their processes, as a container: this executable and nothing else, locked
//! up as any container is, since what is root in the pod can look at it and stop it.
//!
//! A process namespace is the one that nobody can hold without a process in it.

use std::path::Path;

use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};
use serde_json::{Value, json};

use super::Pod;
use super::namespaces::Namespaces;
use crate::bundle::Bundle;

/// Nobody, as in Kubernetes' own pause image.
const USER: u32 = 65535;

/// Its configuration, in the pod's other namespaces.
pub(super) fn configuration(bundle: &Bundle, pod: &Pod, held: &Namespaces) -> Result<Spec> {
    let executable = std::env::current_exe().context("finding the shim's executable")?;
    let bind = |source: &Path| json!({"destination": "/init", "type": "bind", "source": source, "options": ["bind", "ro"]});
    let joined = [(Kind::Network, "network"), (Kind::Ipc, "ipc"), (Kind::Uts, "uts")];
    let joined =
        joined.into_iter().filter_map(|(kind, name)| Some(json!({"type": name, "path": held.path(kind)?})));
    let namespaces: Vec<Value> = joined.chain([json!({"type": "pid"}), json!({"type": "mount"})]).collect();
    let mut linux = json!({ "namespaces": namespaces });
    if let Some(parent) = &pod.cgroup {
        linux["cgroupsPath"] = json!(cgroups_path(parent, bundle.id()));
    }
    let spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": bundle.init_root(), "readonly": true},
        "process": {
            "args": ["/init", "init"], "cwd": "/", "noNewPrivileges": true, "user": {"uid": USER, "gid": USER},
            "capabilities": {},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "noexec", "mode=755", "size=65536k"]},
            bind(&executable),
        ],
        "linux": linux,
    });
    serde_json::from_value(spec).context("making the configuration of the pod's init")
}

/// As CRI names the cgroup of a pause container: below a slice it is a scope.
fn cgroups_path(parent: &Path, id: &str) -> String {
    match parent.file_name().and_then(|name| name.to_str()) {
        Some(slice) if slice.ends_with(".slice") => format!("{slice}:cri-containerd:{id}"),
        _ => parent.join(id).display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_cgroup_is_below_the_pods() {
        assert_eq!(cgroups_path(Path::new("/kubepods/pod1"), "s1"), "/kubepods/pod1/s1");
        let slice = Path::new("/kubepods.slice/kubepods-pod1.slice");
        assert_eq!(cgroups_path(slice, "s1"), "kubepods-pod1.slice:cri-containerd:s1");
    }
}
