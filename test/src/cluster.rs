//! A Kubernetes cluster on this machine: a control plane and nodes, each in a [`Cell`](crate::Cell) of its own, joined by a
//! bridge in the control plane's cell.
//!
//! One cluster serves all stories of a run ([`Cluster::shared`]); each has a [`Namespace`] of its own in it. Images are
//! imported on every node; only stories of pulling push theirs to a registry in the control plane's cell.
//!
//! ```text
//! cell "control"                    cell "wasm" (label pool=wasm)      cell "plain" (label pool=plain)
//!   etcd, kube-apiserver,             containerd, kubelet,               containerd, kubelet,
//!   kube-controller-manager,          kube-proxy                         kube-proxy
//!   kube-scheduler, kubectl           pods 10.244.1.0/24                 pods 10.244.2.0/24
//!   172.30.0.1 ── bridge "fabric" ──── 172.30.0.11 ────────────────────── 172.30.0.12
//! ```

mod control_plane;
mod credentials;
mod daemon;
mod janitor;
mod namespace;
mod network;
mod node;
mod pod_manifest;
mod registry;

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

pub use control_plane::ControlPlane;
pub use namespace::{Namespace, Running};
pub use node::{Node, NodeSpec, has_pause_containers};
pub use pod_manifest::PodManifest;

use crate::{DEADLINE, Finished, Image, eventually, guests, part};
use janitor::Janitor;
use registry::Registry;

/// The cluster's DNS, as everything in it is deployed.
const COREDNS: &str = include_str!("cluster/coredns.yaml");

/// The runtime class that the stories' pods name, as the README has it.
const RUNTIME_CLASS: &str = r#"
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: wasmedge}
handler: wasmedge
scheduling: {nodeSelector: {pool: wasm}}
"#;

static SHARED: OnceLock<Cluster> = OnceLock::new();

/// A running cluster.
pub struct Cluster {
    control: ControlPlane,
    nodes: Vec<Node>,
    namespaces: AtomicU32,
    files: AtomicU32,
    quiet: RwLock<()>,
    registry: Registry,
    _janitor: Janitor,
}

impl Cluster {
    /// The cluster of this run: a node `wasm` with the runtime, and a node `plain` that has never heard of it.
    ///
    /// It lives as long as the test process; whatever way that ends, a janitor process sees to what is left.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| {
            Self::start(vec![
                NodeSpec::new("wasm").label("pool=wasm").with_runtime(),
                NodeSpec::new("plain").label("pool=plain"),
            ])
        })
    }

    /// Starts a cluster of those nodes: they are ready, and so is its DNS.
    pub fn start(specs: Vec<NodeSpec>) -> Self {
        let names: Vec<_> = specs.iter().map(NodeSpec::name).collect();
        let control = ControlPlane::boot(&names);
        let nodes: Vec<_> = thread::scope(|scope| {
            let booting: Vec<_> = specs
                .into_iter()
                .zip(1..)
                .map(|(spec, number)| {
                    let control = &control;
                    scope.spawn(move || Node::boot(control, spec, number))
                })
                .collect();
            booting.into_iter().map(|node| node.join().expect("a node boots")).collect()
        });
        network::route(&control, &nodes);
        let janitor = Janitor::of(nodes.iter().map(Node::cell).chain([control.cell()]));
        let cluster = Self {
            control,
            nodes,
            namespaces: AtomicU32::new(0),
            files: AtomicU32::new(0),
            quiet: RwLock::new(()),
            registry: Registry::default(),
            _janitor: janitor,
        };
        thread::scope(|scope| {
            scope.spawn(|| ours().iter().for_each(|image| cluster.import(image)));
            for node in &cluster.nodes {
                node.wait_until_ready(&cluster.control);
            }
        });
        cluster.apply(COREDNS);
        cluster.apply(RUNTIME_CLASS);
        let dns = ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"];
        cluster.kubectl(&dns).success();
        cluster
    }

    /// The control plane.
    pub fn control(&self) -> &ControlPlane {
        &self.control
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.name() == name)
            .unwrap_or_else(|| panic!("no node is named {name}"))
    }

    /// A namespace for one story, removed with all that is in it when it is dropped.
    pub fn namespace(&'static self, story: &str) -> Namespace {
        Namespace::beside_others(self, &self.new_name(story))
    }

    /// A namespace for a story that restarts a node's daemons: no other story runs meanwhile.
    pub fn namespace_alone(&'static self, story: &str) -> Namespace {
        Namespace::alone(self, &self.new_name(story))
    }

    fn new_name(&self, story: &str) -> String {
        format!("{story}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until every node is ready, also after a restart of its daemons.
    pub fn wait_until_ready(&self) {
        self.nodes.iter().for_each(|node| node.wait_until_ready(&self.control));
    }

    /// Packs an image and imports it on every node.
    #[track_caller]
    pub fn import(&self, image: &Image) {
        let archive = image.pack(self.control.cell().directory());
        self.import_archive(&archive);
        fs::remove_file(archive).unwrap();
    }

    /// Packs an image and pushes it to the cluster's registry, so that nodes pull it: its name there.
    #[track_caller]
    pub fn push(&self, image: &Image) -> String {
        self.registry.push(&self.control, image)
    }

    /// Imports an archive on every node.
    #[track_caller]
    pub fn import_archive(&self, archive: &std::path::Path) {
        for node in &self.nodes {
            let archive = archive.display().to_string();
            node.ctr(&["image", "import", "--all-platforms", &archive]).success();
        }
    }

    /// Runs kubectl as the cluster's administrator.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> Finished {
        self.control.kubectl(words)
    }

    /// Applies manifests as a user would write them.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        self.try_apply(&[], manifests).success();
    }

    /// Applies manifests with more flags of kubectl, whatever comes of it.
    #[track_caller]
    pub(crate) fn try_apply(&self, flags: &[&str], manifests: &str) -> Finished {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let file = self.control.cell().directory().join(format!("manifest-{number}.yaml"));
        fs::write(&file, manifests).unwrap();
        let applied = self.kubectl(&[flags, &["apply", "-f", &file.display().to_string()]].concat());
        fs::remove_file(file).unwrap();
        applied
    }

    /// Held by a story that can be disturbed by a restart of what all share.
    pub(crate) fn undisturbed(&self) -> RwLockReadGuard<'_, ()> {
        self.quiet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by a story that restarts a node's daemons: no other runs meanwhile.
    pub(crate) fn disturbing(&self) -> RwLockWriteGuard<'_, ()> {
        self.quiet.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The images that every node has. The pause image is there before a kubelet is.
fn ours() -> Vec<Image> {
    let coredns = Image::of_files("coredns", "/coredns").add(&part("coredns/bin/coredns"), "/coredns");
    let native = Image::of_files("native-probe", "/probe").add(&guests::NATIVE_PROBE.path(), "/probe");
    let classic = [guests::HELLO, guests::PROBE, guests::HTTP, guests::CLIENT].map(Image::classic);
    [coredns, native, busybox()].into_iter().chain(classic).collect()
}

/// busybox as an image: a shell and what it needs to be of use.
fn busybox() -> Image {
    let file = part("busybox/bin/busybox");
    let names = ["/bin/sh", "/bin/tar", "/bin/wget", "/bin/sleep", "/bin/cat"];
    names.iter().fold(Image::of_files("busybox", "/bin/sh"), |image, path| image.add(&file, path))
}

/// Waits until kubectl's answer to those words is of use.
#[track_caller]
pub(crate) fn eventually_answers(control: &ControlPlane, words: &[&str], good: impl Fn(&Finished) -> bool) {
    eventually(&words.join(" "), DEADLINE * 2, || {
        let answer = control.kubectl(words);
        (answer.status.success() && good(&answer)).then_some(())
    });
}
