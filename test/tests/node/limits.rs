//! Limits, figures and the freezer of cgroup version 2.

use wasmedge_shim_tests::{DEADLINE, Image, eventually, guests};

use crate::node::{Node, cgroup_file, cgroup_of};

#[test]
fn out_of_memory_is_told_by_docker_and_by_containerd_and_ends_nobody_else() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let other = node.detached(&["--memory=64m", &image, "sleep"], "sleeping");
    let events = node.events("moby");
    let id = node.docker_run(&["--detach", "--memory=64m", &image, "allocate", "200"]).success();
    let id = id.stdout.trim();
    // systemd removes a scope when it is empty, and the count of kills with it: more often than not after the daemon's look.
    for _ in 0..8 {
        node.docker(&["wait", id]).success().printing("137\n");
        assert_eq!(node.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
        events.lines.wait_for("/tasks/oom", DEADLINE);
        // The same container can be started again: no unit is in its way.
        node.docker(&["start", id]).success();
    }
    assert_eq!(node.inspect(&other, "{{.State.Running}}"), "true");
    node.docker(&["rm", "--force", id]).success();
    node.expect_nothing_left_of(id);
}

#[test]
fn stats_are_those_of_the_cgroup() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&["--memory=256m", &image, "spin"], "spinning");
    let stats = ["stats", "--no-stream", "--format={{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", &id];
    let stats = node.docker(&stats).success().stdout;
    assert!(!stats.starts_with("0.00%") && stats.contains("/ 256MiB") && stats.ends_with(" 1\n"), "{stats}");
    let metrics = node.ctr(&["--namespace=moby", "task", "metrics", "--format=json", &id]).success().stdout;
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    let text = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
    assert_eq!(text(&metrics["memory"]["usage_limit"]), cgroup_file(&cgroup, "memory.max"), "{metrics}");
    assert_eq!(text(&metrics["pids"]["current"]), "1", "{metrics}");
    let time: u64 = text(&metrics["cpu"]["usage_usec"]).parse().unwrap();
    assert!(time > 10_000, "{metrics}");
}

#[test]
fn pause_freezes_the_cgroup_and_update_writes_it() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&[&image, "spin"], "spinning");
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    let time = || cgroup_file(&cgroup, "cpu.stat").lines().next().unwrap().to_owned();
    node.docker(&["pause", &id]).success();
    assert!(cgroup_file(&cgroup, "cgroup.events").contains("frozen 1"));
    let before = time();
    node.docker(&["exec", &id, "/app.wasm", "exit", "0"]).with_code(1).complaining(&["paused"]);
    assert_eq!(time(), before, "a frozen guest uses no time");
    node.docker(&["unpause", &id]).success();
    eventually("it goes on", DEADLINE, || (time() != before).then_some(()));
    let update = ["update", "--memory=64m", "--memory-swap=64m", "--cpus=0.5", "--pids-limit=50", &id];
    node.docker(&update).success();
    let files = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"];
    assert_eq!(files.map(|file| cgroup_file(&cgroup, file)), ["67108864", "0", "50000 100000", "50"]);
}

#[test]
fn shares_are_the_same_weight_at_first_and_after_an_update() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&["--cpu-shares=512", &image, "sleep"], "sleeping");
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    let weight = || cgroup_file(&cgroup, "cpu.weight");
    assert_eq!(weight(), "59");
    for (shares, expected) in [("1024", "100"), ("512", "59")] {
        node.docker(&["update", "--cpu-shares", shares, &id]).success();
        assert_eq!(weight(), expected);
    }
}
