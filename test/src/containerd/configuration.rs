//! containerd's configuration file, with everything of its own below the cell's directory.

use std::fs;

use crate::parts::chosen_containerd;
use crate::{Cell, part, product, repository};

/// Plugins that no story uses and that look outside of the cell's directory or take time.
const UNUSED: &str = r#"
"io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing",
"io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
"#;

const CRI_PLUGINS: &str = r#"
"io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
"#;

/// containerd alone.
pub(super) fn plain() -> String {
    base(&format!("{UNUSED}{CRI_PLUGINS}"))
}

/// How a configuration with CRI and without a handler of ours is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CriAlone {
    /// With `imports` of a directory, as packages of containerd 2.x have it.
    Importing,
    /// In one file, as on most nodes.
    OneFile,
}

/// containerd with CRI alone.
pub(super) fn cri_alone(form: CriAlone) -> String {
    let (settings, unused) = cri_settings();
    let text =
        format!("{}\n{settings}\n", base(&unused)).replace("@cni@", &part("cni/bin").display().to_string());
    match form {
        CriAlone::Importing => text.replacen("\n", "\nimports = [\"@cell@/etc/conf.d/*.toml\"]\n", 1),
        CriAlone::OneFile => text,
    }
}

/// CRI's settings, and the plugins that are of no use beside it.
fn cri_settings() -> (&'static str, String) {
    match is_1_7() {
        // The CRI plugin of 1.7 does not load without NRI's.
        true => (CRI_SETTINGS_1_7, UNUSED.replace(r#""io.containerd.nri.v1.nri","#, "")),
        false => (CRI_SETTINGS, UNUSED.to_owned()),
    }
}

/// containerd with CRI; the runtime handlers are those that users are told to write.
pub(super) fn cri() -> String {
    let snippets: &[_] = match is_1_7() {
        true => &["deploy/containerd-1.7.toml"],
        false => {
            &["deploy/containerd.toml", "deploy/containerd-sandbox.toml", "deploy/containerd-users.toml"]
        }
    };
    let (settings, unused) = cri_settings();
    let snippet = |path: &&str| fs::read_to_string(repository().join(path)).unwrap();
    let handlers = snippets.iter().map(snippet).collect::<String>();
    let handlers =
        handlers.lines().filter(|line| !line.starts_with("version")).collect::<Vec<_>>().join("\n");
    format!("{}\n{settings}\n{handlers}\n", base(&unused))
        .replace("@cni@", &part("cni/bin").display().to_string())
        .replace(
            "/usr/local/bin/containerd-shim-wasmedge-v1",
            &product("bin/containerd-shim-wasmedge-v1").display().to_string(),
        )
}

fn is_1_7() -> bool {
    chosen_containerd() == "containerd-1.7"
}

fn base(disabled: &str) -> String {
    let version = if is_1_7() { 2 } else { 3 };
    format!(
        r#"version = {version}
root = "@cell@/root"
state = "@cell@/state"
temp = "@cell@/temp"
disabled_plugins = [{disabled}]
[grpc]
  address = "@cell@/c.sock"
"#
    )
}

const CRI_SETTINGS_1_7: &str = r#"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
  sandbox_image = "docker.io/library/pause:1"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "@cni@"
    conf_dir = "@cell@/net.d"
"#;

const CRI_SETTINGS: &str = r#"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "docker.io/library/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["@cni@"]
    conf_dir = "@cell@/net.d"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
"#;

/// A bridge network of the cell's own.
const NETWORK: &str = r#"{
  "cniVersion": "1.0.0", "name": "story",
  "plugins": [
    { "type": "bridge", "bridge": "cni0", "isGateway": true,
      "ipam": { "type": "host-local", "dataDir": "@cell@/ipam", "ranges": [[{ "subnet": "10.88.0.0/16" }]],
                "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "loopback" }
  ]
}"#;

/// Writes the files that containerd starts with.
pub(super) fn write(cell: &Cell, configuration: &str) {
    let directory = cell.directory().display().to_string();
    fs::create_dir_all(cell.directory().join("net.d")).unwrap();
    fs::write(cell.directory().join("net.d/10-story.conflist"), NETWORK.replace("@cell@", &directory))
        .unwrap();
    fs::write(cell.directory().join("containerd.toml"), configuration.replace("@cell@", &directory)).unwrap();
}
