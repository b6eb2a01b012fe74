//! A census of a node: how much is there of what pods bring, to be compared with what is there when they are gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Node, eventually, here};

/// Where pods have files: the names of network namespaces, the addresses in use, bundles, and what the kubelet keeps.
const DIRECTORIES: [&str; 6] = [
    "/run/netns",
    "/var/lib/cni/networks/pods",
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
    "/run/containerd/io.containerd.sandbox.controller.v1.shim/k8s.io",
    "/run/containerd-shim-wasmedge",
    "/var/lib/kubelet/pods",
];
/// For how long after the API knows a pod no more its node may still clean up: the kubelet removes sandboxes once a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// How many there are of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Census(BTreeMap<&'static str, usize>);

impl Census {
    /// Counts.
    pub(super) fn of(node: &Node) -> Self {
        let cell = node.cell();
        let files = DIRECTORIES.map(|path| (path, entries(&cell.outside(path))));
        let cgroups = cell.cgroups().iter().map(|cgroup| directories_in(cgroup)).sum();
        // The node's end of each pod's cable is one.
        let interfaces = cell.run(&["ip", "-oneline", "link"]).success().stdout.lines().count();
        let counts = [
            ("processes", cell.process_ids().len()),
            ("mounts", cell.mounts().len()),
            ("cgroups", cgroups),
            ("network interfaces", interfaces),
        ];
        Self(files.into_iter().chain(counts).collect())
    }

    /// Waits until there is no more of anything than there was; what there still is more of after a while.
    pub(super) fn left_in(&self, node: &Node) -> Vec<String> {
        let end = Instant::now() + here(PATIENCE);
        eventually("what pods leave behind", PATIENCE * 2, || {
            let left = self.more_in(&Self::of(node));
            (left.is_empty() || Instant::now() > end).then_some(left)
        })
    }

    fn more_in(&self, now: &Self) -> Vec<String> {
        let was = |kind: &str| self.0.get(kind).copied().unwrap_or_default();
        let more = now.0.iter().filter(|(kind, count)| **count > was(kind));
        more.map(|(kind, count)| format!("{kind}: {count}, were {}", was(kind))).collect()
    }
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).into_iter().flatten().count()
}

fn directories_in(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| 1 + directories_in(&entry.path())).sum()
}
