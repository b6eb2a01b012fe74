//! Scopes: systemd manages the container's cgroup, where Docker says so by the cgroup's path, or the option
//! `SystemdCgroup`.

use std::path::Path;

use wasmedge_shim_tests::{Image, guests};

use crate::node::{Node, RUNTIME, cgroup_file, cgroup_of};

#[test]
fn docker_gets_a_scope_for_each_container_with_its_limits() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let limits = ["--memory=64m", "--memory-swap=64m", "--pids-limit=50", "--cpus=0.5"];
    let id = node.detached(&[&limits[..], &[&image, "sleep"]].concat(), "sleeping");
    let unit = format!("docker-{id}.scope");
    let properties = node.unit(&unit, "ActiveState,Slice,Delegate,MemoryMax,TasksMax,CPUQuotaPerSecUSec");
    let expected = [
        "ActiveState=active",
        "Slice=system.slice",
        "Delegate=yes",
        "MemoryMax=67108864",
        "TasksMax=50",
        "CPUQuotaPerSecUSec=500ms",
    ];
    for line in expected {
        assert!(properties.lines().any(|property| property == line), "no {line} in\n{properties}");
    }
    let cgroup = format!("/system.slice/{unit}");
    assert_eq!(cgroup_of(&node.inspect(&id, "{{.State.Pid}}")), cgroup);
    let files = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"];
    let expected = ["67108864", "0", "50000 100000", "50"];
    assert_eq!(files.map(|file| cgroup_file(&cgroup, file)), expected);
    // systemd writes its own limits again when it reloads; they are the same.
    node.docker(&["update", "--memory=96m", "--memory-swap=96m", &id]).success();
    node.run(&["systemctl", "daemon-reload"]).success();
    assert_eq!(cgroup_file(&cgroup, "memory.max"), (96 << 20).to_string());
    node.docker(&["stop", &id]).success();
    node.expect_nothing_left_of(&id);
}

#[test]
fn a_slice_of_the_users_choice_holds_the_scope() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&["--cgroup-parent=guests-wasm.slice", &image, "sleep"], "sleeping");
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    assert_eq!(cgroup, format!("/guests.slice/guests-wasm.slice/docker-{id}.scope"));
    node.docker(&["rm", "--force", &id]).success();
    node.expect_nothing_left_of(&id);
}

#[test]
fn the_option_makes_scopes_for_ctr() {
    let node = Node::take();
    let image = node.import(&Image::classic(guests::PROBE));
    let options = node.file("options.toml", "SystemdCgroup = true\n");
    let run = ["run", "--detach", "--null-io", "--runtime", RUNTIME, "--cgroup=system.slice:story:scoped"];
    let options = format!("--runtime-config-path={}", options.display());
    let words = [&run[..], &[&options, "--memory-limit=67108864", &image, "scoped", "/app.wasm", "sleep"]];
    node.ctr(&words.concat()).success();
    assert!(node.unit("story-scoped.scope", "MemoryMax").contains("67108864"));
    node.ctr(&["task", "kill", "--signal=KILL", "scoped"]).success();
    node.ctr(&["task", "delete", "scoped"]);
    node.ctr(&["container", "delete", "scoped"]).success();
    node.expect_nothing_left_of("story-scoped");
    assert!(!Path::new("/sys/fs/cgroup/system.slice:story:scoped").exists());
}
