//! Membership in a pod is what makes a container's configuration that of one in a sandbox.
//!
//! containerd writes the namespaces of a pod as those of the sandbox's process, `/proc/PID/ns/KIND`, and mounts the
//! pod's files only if there is a pause container for which it has made them.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType as Kind, Mount, Spec};

use super::namespaces::Namespaces;

/// Replaces the namespaces of this process by the pod's own; what the pod has of the node is this process's too.
pub(super) fn join(spec: &mut Spec, pod: &Namespaces) {
    let linux = spec.linux_mut().as_mut();
    for namespace in linux.and_then(|linux| linux.namespaces_mut().as_mut()).into_iter().flatten() {
        let is_ours = namespace.path().as_deref() == Some(&ours(namespace.typ()));
        if let Some(path) = pod.path(namespace.typ()).filter(|_| is_ours) {
            namespace.set_path(Some(path));
        }
    }
}

/// Mounts the pod's files where nothing else is wanted.
pub(super) fn show(spec: &mut Spec, files: &[(&str, PathBuf)]) {
    let is_read_only = spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false);
    let mounts = spec.mounts_mut().get_or_insert_default();
    for (seen, path) in files {
        let is_shm = path.is_dir();
        let mount = bind(seen, path, is_read_only && !is_shm);
        match mounts.iter_mut().find(|mount| mount.destination() == Path::new(seen)) {
            None => mounts.push(mount),
            // The one that every container has for itself by default.
            Some(default) if is_shm && default.typ().as_deref() == Some("tmpfs") => *default = mount,
            Some(_) => {}
        }
    }
}

fn ours(kind: Kind) -> PathBuf {
    // The kernel's and containerd's name, such as `net`.
    format!("/proc/{}/ns/{kind}", std::process::id()).into()
}

fn bind(seen: &str, path: &Path, is_read_only: bool) -> Mount {
    let access = if is_read_only { "ro" } else { "rw" };
    let mut mount = Mount::default();
    mount
        .set_destination(seen.into())
        .set_typ(Some("bind".to_owned()))
        .set_source(Some(path.to_owned()))
        .set_options(Some(["rbind", "rprivate", access].map(str::to_owned).into()));
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Spec {
        serde_json::from_str(&json.replace("@self@", &std::process::id().to_string())).unwrap()
    }

    #[test]
    fn a_file_is_shown_where_nothing_else_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(
            r#"{"ociVersion":"1.2.0","root":{"path":"rootfs","readonly":true},"mounts":[
                {"destination":"/etc/hosts","type":"bind","source":"/kubelets"},
                {"destination":"/dev/shm","type":"tmpfs","source":"shm"}]}"#,
        );
        let files = [
            ("/etc/hosts", PathBuf::from("/pods/hosts")),
            ("/etc/hostname", PathBuf::from("/pods/hostname")),
            ("/dev/shm", dir.path().to_owned()),
        ];
        show(&mut spec, &files);
        let mounts: Vec<_> = spec.mounts().iter().flatten().collect();
        let source = |at: usize| mounts[at].source().as_deref().unwrap();
        assert_eq!((source(0), source(1)), (Path::new("/kubelets"), dir.path()));
        assert_eq!(source(2), Path::new("/pods/hostname"));
        assert_eq!(mounts[1].options().as_ref().unwrap()[2], "rw");
        assert_eq!(mounts[2].options().as_ref().unwrap()[2], "ro");
    }

    #[test]
    fn only_the_sandboxs_own_namespaces_are_replaced() {
        let pod = Namespaces::of_network("/run/netns/cni-1");
        let mut spec = spec(
            r#"{"ociVersion":"1.2.0","linux":{"namespaces":[
                {"type":"network","path":"/proc/@self@/ns/net"},{"type":"ipc","path":"/proc/@self@/ns/ipc"},
                {"type":"pid","path":"/proc/1/ns/pid"},{"type":"mount"}]}}"#,
        );
        join(&mut spec, &pod);
        let namespaces = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
        let paths: Vec<_> = namespaces.iter().map(|one| one.path().clone()).collect();
        assert_eq!(paths[0].as_deref(), Some(Path::new("/run/netns/cni-1")));
        assert_eq!(paths[1].as_deref(), Some(&*ours(Kind::Ipc)), "it is the node's");
        assert_eq!((paths[2].as_deref(), paths[3].as_deref()), (Some(Path::new("/proc/1/ns/pid")), None));
    }
}
