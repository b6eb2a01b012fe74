//! The runtime comes to a node of the pool by helm, is upgraded, and goes again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use wasmedge_shim_tests::{Cluster, DEADLINE, Finished, Namespace, PodManifest, finish, part, repository};

const NODE: &str = "plain";
const POOL: &str = "containerd-shim-wasmedge/pool";
const SYSTEM: &str = "wasmedge-system";
/// What the story's pods have, since other stories have a class of their own by the usual name.
const CLASS: &str = "from-the-chart";

/// As a node's service manager would, by the one who knows how this containerd was started.
const RESTART: &str = r#"#!/bin/bash
set -eu
# What is started here is to outlive the pod that asks for it.
for hierarchy in /sys/fs/cgroup/*/cgroup.procs; do echo $$ > "$hierarchy" || true; done
for process in /proc/[0-9]*; do
    program=$(readlink "$process/exe" || true)
    if [ "${program##*/}" = containerd ]; then
        mapfile -d '' -t words < "$process/cmdline"
        mapfile -d '' -t environment < "$process/environ"
        kill -TERM "${process#/proc/}"
        while [ -e "$process" ]; do read -rt 0.02 <> <(:) || true; done
    fi
done
setsid env -i "${environment[@]}" "${words[@]}" > /dev/null 2>> /var/log/containerd.log < /dev/null &
for _ in $(seq 500); do
    ! @ctr@ --timeout 1s version > /dev/null 2>&1 || exit 0
    read -rt 0.02 <> <(:) || true
done
exit 1
"#;

fn helm(cluster: &Cluster, words: &[&str]) -> Finished {
    let mut helm = cluster.control().cell().command(part("helm/bin/helm"));
    helm.args(["--kubeconfig", cluster.control().kubeconfig(), "--namespace", SYSTEM]).args(words);
    finish(&mut helm, DEADLINE * 8)
}

/// The archive of `make image`.
fn archive() -> PathBuf {
    let dist = repository().join("build/dist");
    let mut files = fs::read_dir(&dist).into_iter().flatten().flatten().map(|entry| entry.path());
    let archive = files.find(|path| path.extension().is_some_and(|extension| extension == "tar"));
    archive.unwrap_or_else(|| panic!("no image in {}: run `make image` first", dist.display()))
}

fn pod(name: &str, image: &str) -> PodManifest {
    PodManifest::new(name, image).class(CLASS).once()
}

/// The files that the installer could have changed on the node.
fn files(cluster: &Cluster) -> String {
    let mut find = cluster.node(NODE).cell().command("bash");
    let script = "find /etc/containerd /opt /var/cache/containerd-shim-wasmedge -printf '%p %m %s\\n' 2> /dev/null | sort; \
                  cat /etc/containerd/config.toml";
    finish(find.args(["-c", script]), DEADLINE).success().stdout
}

fn prepare(cluster: &Cluster) {
    let cell = cluster.node(NODE).cell();
    let script = cell.outside("/usr/local/bin/restart-containerd");
    let ctr = part("containerd/bin/ctr").display().to_string();
    let text = RESTART.replace("@ctr@", &ctr);
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    cluster.import_archive(&archive());
    cluster.kubectl(&["label", "node", NODE, &format!("{POOL}=true")]).success();
}

fn runs_to_its_end(namespace: &Namespace, name: &str) {
    namespace.run(&pod(name, "hello:1"));
    namespace.wait(&format!("pod/{name}"), "jsonpath={.status.phase}=Succeeded");
    namespace.kubectl(&["logs", name]).success().printing("hello from wasm\n");
}

#[test]
fn helm_brings_the_runtime_to_a_pool_upgrades_it_under_pods_and_takes_it_away() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace_alone("install");
    let before = files(cluster);
    prepare(cluster);
    let class = format!("runtimeClass.name={CLASS}");
    let restart = "node.restartCommand=/usr/local/bin/restart-containerd";
    let chart = repository().join("deploy/chart").display().to_string();
    let with = [chart.as_str(), "--set", &class, "--set", restart, "--wait", "--timeout=150s"];
    helm(cluster, &[&["install", "wasmedge", "--create-namespace"], &with[..]].concat()).success();

    let ready = r"jsonpath={.metadata.labels.containerd-shim-wasmedge/ready}";
    cluster.kubectl(&["get", "node", NODE, "-o", ready]).success().printing("true");
    let events = cluster.kubectl(&["-n", SYSTEM, "get", "events"]).success();
    assert!(
        events.stdout.contains("Installed") && events.stdout.contains("is ready, handler wasmedge"),
        "{events}"
    );
    runs_to_its_end(&namespace, "first");
    namespace.run(&pod("sleeper", "probe:1").args(&["sleep"]));
    namespace.eventually_says(&["sleeper"], "sleeping");

    helm(cluster, &[&["upgrade", "wasmedge"], &with[..], &["--set", "options.Compile=off"]].concat())
        .success();
    runs_to_its_end(&namespace, "second");
    assert_eq!(
        namespace.field("pod/sleeper", "{.status.phase} {.status.containerStatuses[0].restartCount}"),
        "Running 0",
        "containerd, started again by the story, says:\n{}",
        fs::read_to_string(cluster.node(NODE).cell().outside("/var/log/containerd.log")).unwrap_or_default()
    );

    let refused = helm(cluster, &["uninstall", "wasmedge", "--timeout=60s"]);
    assert!(!refused.status.success(), "{refused}");
    cluster.kubectl(&["get", "node", NODE, "-o", ready]).success().printing("true");

    namespace.kubectl(&["delete", "pod", "--all", "--timeout=60s"]).success();
    helm(cluster, &["uninstall", "wasmedge", "--timeout=150s"]).success();
    cluster.kubectl(&["get", "node", NODE, "-o", ready]).success().printing("");
    cluster.kubectl(&["label", "node", NODE, &format!("{POOL}-")]).success();
    cluster.kubectl(&["delete", "namespace", SYSTEM]).success();
    assert_eq!(files(cluster), before);
}
