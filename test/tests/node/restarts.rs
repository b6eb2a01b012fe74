//! The services restart, and containers do not notice.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use wasmedge_shim_tests::{DEADLINE, Image, eventually, guests};

use crate::node::{Node, RUNTIME};

#[test]
fn containers_outlive_a_restart_of_containerd_with_their_logs_and_their_end() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.docker_run(&["--detach", "--interactive", &image, "echo"]).success();
    let id = id.stdout.trim();
    let imported = node.import(&Image::classic(guests::PROBE));
    let log = node.file("log", "");
    let uri = format!("--log-uri=file://{}", log.display());
    let run = ["run", "--detach", "--runtime", RUNTIME, &uri, &imported, "outlives", "/app.wasm", "sleep"];
    node.ctr(&run).success();
    let pid = node.inspect(id, "{{.State.Pid}}");

    node.restart("containerd");
    eventually("docker and containerd speak again", DEADLINE, || {
        (node.docker(&["top", id]).status.success()).then_some(())
    });
    assert_eq!(node.inspect(id, "{{.State.Pid}} {{.State.Running}}"), format!("{pid} true"));

    let typed = node.file("typed", "after the restart\n");
    let mut attach = Command::new("docker");
    attach.args(["attach", "--sig-proxy=false", id]).stdin(fs::File::open(typed).unwrap());
    let mut attached = attach.stdout(Stdio::null()).spawn().unwrap();
    node.wait_for_log(id, "after the restart");
    let _ = attached.kill();
    attached.wait().unwrap();
    node.docker(&["kill", "--signal=TERM", id]).success();
    node.docker(&["wait", id]).success().printing("143\n");

    assert!(fs::read_to_string(&log).unwrap().contains("sleeping"));
    let tasks = node.ctr(&["task", "list"]).success().stdout;
    assert!(tasks.contains("outlives") && tasks.contains("RUNNING"), "{tasks}");
    node.ctr(&["task", "kill", "--signal=TERM", "outlives"]).success();
    eventually("its end is told", DEADLINE, || {
        node.ctr(&["task", "list"]).stdout.contains("STOPPED").then_some(())
    });
    node.ctr(&["task", "delete", "outlives"]).success().complaining(&["exit code 143"]);
    node.ctr(&["container", "delete", "outlives"]).success();
}

#[test]
fn containers_outlive_a_restart_of_docker_and_their_restart_policy_too() {
    let node = Node::take().with_docker_settings(&json!({ "live-restore": true }));
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&["--restart=always", &image, "sleep"], "sleeping");
    let pid = node.inspect(&id, "{{.State.Pid}}");
    node.restart("docker");
    assert_eq!(node.inspect(&id, "{{.State.Pid}} {{.State.Running}}"), format!("{pid} true"));
    node.run(&["kill", "-KILL", &pid]).success();
    eventually("Docker starts it again", DEADLINE, || {
        let now = node.inspect(&id, "{{.State.Running}} {{.State.Pid}}");
        (now.starts_with("true") && !now.ends_with(&pid)).then_some(())
    });
    assert_eq!(node.inspect(&id, "{{.RestartCount}}"), "1");
    node.docker(&["rm", "--force", &id]).success();
    node.expect_nothing_left_of(&id);
}
