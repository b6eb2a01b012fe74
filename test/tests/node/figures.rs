//! A container's figures, field by field as runc's shim tells them.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmedge_shim_tests::{Image, part};

use crate::node::{Node, RUNTIME};

/// Makes figures of most kinds, as far as limits let it: files, memory, time above its share, a process that waits.
const WORK: &str = "head -c 8000000 /dev/zero > /file; sync; cat /file > /dev/null; i=0; \
                    while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; read line";

/// Figures that are nothing in one run and something in the next, for reasons of the kernel's own.
const CHANCE: &[&str] = &[
    "cpu.burst_usec",
    "cpu.nr_bursts",
    "cpu.nr_throttled",
    "cpu.throttled_usec",
    "io.usage[].rbytes",
    "io.usage[].rios",
    "memory.active_file",
    "memory.anon_thp",
    "memory.file_dirty",
    "memory.file_mapped",
    "memory.file_writeback",
    "memory.pgactivate",
    "memory.pgdeactivate",
    "memory.pgmajfault",
    "memory.pgrefill",
    "memory.pgscan",
    "memory.pgsteal",
    "memory.sock",
    "memory.thp_collapse_alloc",
    "memory.thp_fault_alloc",
    "memory.unevictable",
];

#[test]
fn a_container_has_every_figure_that_it_has_under_runc() {
    let node = Node::take();
    let image = Image::of_files("native", "/bin/sh").add(&part("busybox/bin/busybox"), "/bin/sh");
    let image = node.load(&image);
    let [theirs, ours] = ["io.containerd.runc.v2", RUNTIME].map(|runtime| figures(&node, runtime, &image));
    let names = |figures: &BTreeMap<String, Value>| {
        figures.keys().filter(|name| !CHANCE.contains(&name.as_str())).cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(&ours), names(&theirs), "runc's: {theirs:#?}, ours: {ours:#?}");
    for name in ["memory.usage_limit", "memory.swap_limit", "pids.current", "pids.limit"] {
        assert_eq!(ours[name], theirs[name], "{name}");
    }
}

/// The figures of a container that has done its work, each by its name in containerd's message. containerd leaves out
/// those that are 0.
fn figures(node: &Node, runtime: &str, image: &str) -> BTreeMap<String, Value> {
    let limits = ["--memory=64m", "--memory-swap=96m", "--cpus=0.5"];
    let run = ["run", "--detach", "--interactive", "--runtime", runtime];
    let id = node.docker(&[&run[..], &limits, &[image, "-c", WORK]].concat()).success().stdout;
    let id = id.trim();
    node.wait_for_log(id, "ready");
    let metrics = node.ctr(&["--namespace=moby", "task", "metrics", "--format=json", id]).success().stdout;
    let mut figures = BTreeMap::new();
    flatten(String::new(), &serde_json::from_str(&metrics).unwrap(), &mut figures);
    node.docker(&["rm", "--force", id]).success();
    figures
}

fn flatten(name: String, value: &Value, figures: &mut BTreeMap<String, Value>) {
    match value {
        // How long it had to wait is chance, that it is told is not.
        Value::Object(fields) if !fields.is_empty() && !name.ends_with(".psi") => {
            let dot = if name.is_empty() { "" } else { "." };
            fields.iter().for_each(|(field, value)| flatten(format!("{name}{dot}{field}"), value, figures));
        }
        Value::Array(values) => {
            values.iter().for_each(|value| flatten(format!("{name}[]"), value, figures));
        }
        value => drop(figures.insert(name, value.clone())),
    }
}
