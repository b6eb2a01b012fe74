//! A node: a cell that looks like a machine of its own, with containerd, a kubelet and kube-proxy.
//!
//! `/etc`, `/var/lib` and `/var/log` in it are its own, so everything is where it is on a real node:
//! `/etc/containerd/config.toml`, `/run/containerd/containerd.sock`, `/var/lib/kubelet`.

mod configuration;

use std::fs;
use std::time::Duration;

pub use configuration::has_pause_containers;

use super::control_plane::{ADDRESS, ControlPlane};
use super::daemon::Daemon;
use super::{eventually_answers, network};
use crate::parts::{search_path, search_path_without_product};
use crate::{Cell, DEADLINE, Finished, Image, eventually, finish, guests, part};

/// The directories that a node has for itself, on top of the machine's.
const OWN: &str = r#"
set -e
for own in etc var/lib var/log opt usr/local; do
    mkdir -p "$0/own/$own" "$0/work/$own" "/$own"
    mount -t overlay -o "lowerdir=/$own,upperdir=$0/own/$own,workdir=$0/work/$own" overlay "/$own"
done
for real in var/lib/containerd var/lib/kubelet; do
    mkdir -p "/$real" "$0/$real"
    mount --bind "$0/$real" "/$real"
done
rm -rf /etc/containerd
mkdir -p /etc/containerd/conf.d /etc/cni/net.d
hostname "$1"
echo "$1" > /etc/hostname
"#;

/// What a node is to be.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    name: String,
    labels: Vec<String>,
    runtime: bool,
    drop_ins: Vec<(String, String)>,
    max_pods: u32,
    sync_frequency: &'static str,
}

impl NodeSpec {
    /// An ordinary node of that name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: Vec::new(),
            runtime: false,
            drop_ins: Vec::new(),
            max_pods: 110,
            sync_frequency: "10s",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With a label, `KEY=VALUE`.
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    /// With the product in containerd's `PATH`, and the runtime handler `wasmedge` as `deploy/containerd.toml` has it.
    ///
    /// `WITH_SANDBOXER=shim` in the environment makes it a handler without pause containers.
    pub fn with_runtime(mut self) -> Self {
        self.runtime = true;
        self.containerd("wasmedge.toml", &configuration::handler())
    }

    /// With one more file in `/etc/containerd/conf.d`, which containerd's configuration imports.
    pub fn containerd(mut self, file: &str, text: &str) -> Self {
        self.drop_ins.push((file.to_owned(), text.to_owned()));
        self
    }

    /// With room for so many pods, of which the kubelet looks at each as often as by default, every minute. (For stories
    /// it does so every ten seconds, so that they have to wait less for it.)
    pub fn max_pods(mut self, max_pods: u32) -> Self {
        (self.max_pods, self.sync_frequency) = (max_pods, "1m");
        self
    }
}

/// A running node.
pub struct Node {
    cell: Cell,
    spec: NodeSpec,
    number: usize,
    address: String,
    containerd: Daemon,
    kubelet: Daemon,
    proxy: Daemon,
}

impl Node {
    /// Boots a node and lets it join.
    pub(super) fn boot(control: &ControlPlane, spec: NodeSpec, number: usize) -> Self {
        let cell = Cell::new();
        let directory = cell.directory().display().to_string();
        finish(cell.command("bash").args(["-c", OWN, &directory, &spec.name]), DEADLINE).success();
        network::connect(control.cell(), &cell, number);
        let address = network::address_of(number);
        configuration::write(&cell, &spec, number);
        make_cgroup_root(&cell);

        let path = if spec.runtime { search_path() } else { search_path_without_product() };
        let containerd = Daemon::start_with_path(&cell, &part("containerd/bin/containerd"), &[], Some(path));
        wait_for_containerd(&cell, &containerd);
        import_pause(&cell);

        let credentials = control.credentials();
        let user = credentials.kubeconfig(ADDRESS, &format!("system:node:{}", spec.name));
        let labels = format!("--node-labels={}", spec.labels.join(","));
        let (ip, name) = (format!("--node-ip={address}"), format!("--hostname-override={}", spec.name));
        let config = "--config=/etc/kubelet.yaml";
        let args = [config, "--kubeconfig", &user, &labels, &ip, &name];
        let kubelet = Daemon::start(&cell, &part("kubernetes/bin/kubelet"), &args);
        let user = credentials.kubeconfig(ADDRESS, "system:kube-proxy");
        let proxy = configuration::write_proxy(&cell, &user, &spec.name);
        let proxy = Daemon::start(&cell, &part("kubernetes/bin/kube-proxy"), &["--config", &proxy]);
        Self { cell, spec, number, address, containerd, kubelet, proxy }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The cell it lives in.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Its address, in the network that the nodes share.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Runs `ctr` on it, in the namespace that the kubelet's containers are in.
    #[track_caller]
    pub fn ctr(&self, words: &[&str]) -> Finished {
        finish(self.cell.command("ctr").args(["--namespace", "k8s.io"]).args(words), DEADLINE * 2)
    }

    /// Kills containerd, not its shims, and starts it again.
    pub fn restart_containerd(&self) {
        self.containerd.restart(&self.cell, || ());
        wait_for_containerd(&self.cell, &self.containerd);
    }

    /// Kills the kubelet and starts it again after `between`.
    pub fn restart_kubelet(&self, between: impl FnOnce()) {
        self.kubelet.restart(&self.cell, between);
    }

    pub(super) fn wait_until_ready(&self, control: &ControlPlane) {
        let ready = r#"{.status.conditions[?(@.type=="Ready")].status}"#;
        let words = ["get", "node", self.name(), "-o", &format!("jsonpath={ready}")];
        eventually_answers(control, &words, |answer| {
            self.kubelet.expect_alive();
            self.proxy.expect_alive();
            answer.stdout == "True"
        });
    }

    /// What its daemons said last.
    pub fn last_words(&self) -> String {
        [&self.containerd, &self.kubelet].map(Daemon::last_words).join("\n")
    }
}

/// The kubelet wants the cgroup that it is to stay below in every hierarchy.
fn make_cgroup_root(cell: &Cell) {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let hierarchy = hierarchy.unwrap().path();
        if !hierarchy.is_symlink() && hierarchy.join("cgroup.procs").exists() {
            fs::create_dir_all(hierarchy.join(cell.name())).unwrap();
        }
    }
}

fn wait_for_containerd(cell: &Cell, containerd: &Daemon) {
    eventually("containerd's answer", Duration::from_secs(20), || {
        containerd.expect_alive();
        cell.run(&["ctr", "--timeout=2s", "version"]).status.success().then_some(())
    });
}

fn import_pause(cell: &Cell) {
    let pause = Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause");
    let archive = pause.pack(cell.directory());
    cell.run(&["ctr", "--namespace=k8s.io", "image", "import", &archive.display().to_string()]).success();
    fs::remove_file(archive).unwrap();
}
