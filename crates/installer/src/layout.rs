//! A layout is where a Kubernetes distribution keeps its containerd: configuration, socket, service, program.

use std::path::{Path, PathBuf};

use crate::host::Host;

/// What is known of one node's containerd. Paths are the node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// As people call it.
    pub(crate) name: &'static str,
    /// What containerd reads. It may not exist, then containerd runs on its defaults.
    pub(crate) config: PathBuf,
    /// What `config` is made from.
    pub(crate) source: Source,
    /// containerd's gRPC socket, CRI included.
    pub(crate) socket: PathBuf,
    /// The services that containerd may be run by; the one that is active is restarted.
    pub(crate) services: &'static [&'static str],
    /// Where containerd's program may be. A name without a directory is looked for as the node's shell would.
    pub(crate) programs: &'static [&'static str],
}

/// What has to be changed for the configuration to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The configuration is the administrator's own.
    Config,
    /// It is made anew at every start, from that template. The template is TOML itself.
    TomlTemplate(PathBuf),
    /// It is made anew at every start, from a Go template in that directory if there is one:
    /// `config-v3.toml.tmpl` for a configuration of version 3, `config.toml.tmpl` for version 2.
    GoTemplates(PathBuf),
}

impl Layout {
    /// The layout of the node. Where the marks of several are found, one whose containerd is there goes first.
    pub(crate) fn detect(host: &Host) -> Self {
        let special = [Self::microk8s(), Self::k3s(), Self::rke2(), Self::k0s()];
        let found: Vec<_> = special.into_iter().filter(|layout| host.has(layout.mark())).collect();
        let runs = found.iter().find(|layout| host.has(&layout.socket));
        let standard = Self::standard();
        match (runs, found.first()) {
            (Some(layout), _) => layout.clone(),
            (None, Some(layout)) if !host.has(&standard.socket) => layout.clone(),
            _ => standard,
        }
    }

    /// containerd as its own packages have it: kubeadm, kind, and the images of most clouds.
    pub(crate) fn standard() -> Self {
        Self {
            name: "containerd's own",
            config: "/etc/containerd/config.toml".into(),
            source: Source::Config,
            socket: "/run/containerd/containerd.sock".into(),
            services: &["containerd"],
            programs: &["containerd"],
        }
    }

    fn microk8s() -> Self {
        let arguments = Path::new("/var/snap/microk8s/current/args");
        Self {
            name: "MicroK8s",
            config: arguments.join("containerd.toml"),
            source: Source::TomlTemplate(arguments.join("containerd-template.toml")),
            socket: "/var/snap/microk8s/common/run/containerd.sock".into(),
            services: &["snap.microk8s.daemon-containerd"],
            programs: &["/snap/microk8s/current/bin/containerd"],
        }
    }

    fn k3s() -> Self {
        let directory = Path::new("/var/lib/rancher/k3s/agent/etc/containerd");
        Self {
            name: "k3s",
            config: directory.join("config.toml"),
            source: Source::GoTemplates(directory.to_owned()),
            socket: "/run/k3s/containerd/containerd.sock".into(),
            services: &["k3s", "k3s-agent"],
            programs: &["/var/lib/rancher/k3s/data/current/bin/containerd"],
        }
    }

    fn rke2() -> Self {
        let directory = Path::new("/var/lib/rancher/rke2/agent/etc/containerd");
        Self {
            name: "RKE2",
            config: directory.join("config.toml"),
            source: Source::GoTemplates(directory.to_owned()),
            services: &["rke2-server", "rke2-agent"],
            programs: &["/var/lib/rancher/rke2/bin/containerd"],
            ..Self::k3s()
        }
    }

    fn k0s() -> Self {
        Self {
            name: "k0s",
            config: "/etc/k0s/containerd.toml".into(),
            source: Source::Config,
            socket: "/run/k0s/containerd.sock".into(),
            services: &["k0sworker", "k0scontroller"],
            programs: &["/var/lib/k0s/bin/containerd"],
        }
    }

    /// The file by which a node is known to have this layout.
    fn mark(&self) -> &Path {
        match &self.source {
            Source::TomlTemplate(template) => template,
            Source::Config | Source::GoTemplates(_) => &self.config,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn detected(files: &[&str]) -> &'static str {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Layout::detect(&Host::new(root.path())).name
    }

    const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";

    #[test]
    fn a_node_is_known_by_its_files() {
        assert_eq!(detected(&[]), "containerd's own");
        assert_eq!(detected(&["/etc/containerd/config.toml"]), "containerd's own");
        assert_eq!(detected(&["/var/snap/microk8s/current/args/containerd-template.toml"]), "MicroK8s");
        assert_eq!(detected(&[K3S]), "k3s");
        assert_eq!(detected(&["/var/lib/rancher/rke2/agent/etc/containerd/config.toml"]), "RKE2");
        assert_eq!(detected(&["/etc/k0s/containerd.toml"]), "k0s");
    }

    #[test]
    fn what_an_uninstalled_k3s_left_does_not_hide_the_containerd_that_runs() {
        assert_eq!(detected(&[K3S, "/run/containerd/containerd.sock"]), "containerd's own");
        let both = [K3S, "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"];
        assert_eq!(detected(&both), "k3s");
    }
}
