//! The node installer, on the containerd that systemd runs.

use std::fs;
use std::process::Command;

use wasmedge_shim_tests::{DEADLINE, Finished, finish, repository};

use crate::node::Node;

const CONFIG: &str = "/etc/containerd/config.toml";

/// Runs the program that `make image` packs, with a payload if it takes one.
fn installer(verb: &str, more: &[&str]) -> Finished {
    let mut installer = Command::new(repository().join("build/image/wasmedge-node-installer"));
    finish(installer.arg(verb).args(["--patience=300"]).args(more), DEADLINE * 10)
}

fn payload() -> String {
    let files = fs::read_dir(repository().join("build/dist")).unwrap().flatten().map(|entry| entry.path());
    let mut tarballs = files.filter(|path| path.extension().is_some_and(|extension| extension == "gz"));
    format!("--payload={}", tarballs.next().unwrap().display())
}

#[test]
fn systemd_restarts_containerd_once_and_the_configuration_comes_and_goes() {
    let node = Node::take();
    let started = || node.unit("containerd", "ExecMainStartTimestampMonotonic");
    let (before, first) = (fs::read_to_string(CONFIG).ok(), started());
    installer("install", &[&payload()]).success();
    let second = started();
    assert_ne!(first, second, "containerd was restarted");
    assert_eq!(node.unit("containerd", "ActiveState"), "ActiveState=active\n");
    installer("install", &[&payload()]).success();
    assert_eq!(second, started(), "and not again");

    // A module may still be compiled, which takes an emulated machine minutes.
    installer("uninstall", &["--wait=900"]).success();
    assert_eq!(fs::read_to_string(CONFIG).ok(), before);
    assert!(!fs::exists("/opt/containerd-shim-wasmedge").unwrap());
}
