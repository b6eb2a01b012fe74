//! The files that a node's daemons are configured by.

use std::fs;

use super::NodeSpec;
use crate::cluster::{network, registry};
use crate::{Cell, part, product, repository};

/// containerd's own, without a runtime but runc.
const CONTAINERD: &str = r#"version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs",
]
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "docker.io/library/pause:1"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["@cni@"]
"#;

const NETWORK: &str = r#"{
  "cniVersion": "1.0.0", "name": "pods",
  "plugins": [
    { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "@pods@" }]],
                "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "portmap", "capabilities": { "portMappings": true } },
    { "type": "loopback" }
  ]
}"#;

const KUBELET: &str = r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /@cell@
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
maxPods: @max-pods@
podPidsLimit: 256
kubeAPIQPS: 200
kubeAPIBurst: 400
registryPullQPS: 0
eventRecordQPS: 0
syncFrequency: @sync@
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
"#;

const PROXY: &str = r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.244.0.0/16
hostnameOverride: @name@
oomScoreAdj: 0
clientConnection: {kubeconfig: @kubeconfig@}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 0s}
"#;

/// Whether the pods of the runtime class `wasmedge` have a pause container: unless `WITH_SANDBOXER=shim`.
pub fn has_pause_containers() -> bool {
    std::env::var("WITH_SANDBOXER").as_deref() != Ok("shim")
}

/// The runtime handlers that users are told to write, with pause containers or without.
pub(super) fn handler() -> String {
    let deployed = |file: &str| fs::read_to_string(repository().join("deploy").join(file)).unwrap();
    let handler = match has_pause_containers() {
        true => deployed("containerd.toml"),
        false => {
            deployed("containerd-sandbox.toml").replace("runtimes.wasmedge-sandbox]", "runtimes.wasmedge]")
        }
    };
    let users = deployed("containerd-users.toml").replace("version = 3\n", "");
    let program = product("bin/containerd-shim-wasmedge-v1").display().to_string();
    handler + &users.replace("/usr/local/bin/containerd-shim-wasmedge-v1", &program)
}

/// Writes all but kube-proxy's.
pub(super) fn write(cell: &Cell, spec: &NodeSpec, number: usize) {
    let etc = cell.outside("/etc");
    let pods = network::pods_of(number);
    fs::write(etc.join("cni/net.d/10-pods.conflist"), NETWORK.replace("@pods@", &pods)).unwrap();
    let plugins = part("cni/bin").display().to_string();
    fs::write(etc.join("containerd/config.toml"), CONTAINERD.replace("@cni@", &plugins)).unwrap();
    for (file, text) in &spec.drop_ins {
        fs::write(etc.join("containerd/conf.d").join(file), text).unwrap();
    }
    let registry = etc.join("containerd/certs.d").join(registry::host());
    fs::create_dir_all(&registry).unwrap();
    fs::write(registry.join("hosts.toml"), format!("server = \"http://{}\"\n", registry::host())).unwrap();
    // No name server: what the cluster's DNS does not know does not exist.
    fs::remove_file(etc.join("resolv.conf")).ok();
    fs::write(etc.join("resolv.conf"), "").unwrap();
    let kubelet = KUBELET
        .replace("@cell@", cell.name())
        .replace("@max-pods@", &spec.max_pods.to_string())
        .replace("@sync@", spec.sync_frequency);
    fs::write(etc.join("kubelet.yaml"), kubelet).unwrap();
}

/// Writes kube-proxy's; its path.
pub(super) fn write_proxy(cell: &Cell, kubeconfig: &str, name: &str) -> String {
    let text = PROXY.replace("@kubeconfig@", kubeconfig).replace("@name@", name);
    fs::write(cell.outside("/etc/kube-proxy.yaml"), text).unwrap();
    "/etc/kube-proxy.yaml".to_owned()
}
