//! What a container's configuration says of rights, paths and cgroups is what its process finds, as under runc.

use std::fs;

use serde_json::json;
use wasmedge_shim_tests::{DEADLINE, MockContainerd, TaskBuilder, guests, part};

use crate::signal;

fn shell<'a>(containerd: &'a MockContainerd, script: &str) -> TaskBuilder<'a> {
    let busybox = fs::read(part("busybox/bin/busybox")).unwrap();
    containerd.bare_task().file("/bin/sh", &busybox, 0o755).command(&["/bin/sh", "-c", script])
}

#[test]
fn sets_of_capabilities_that_are_not_given_are_empty() {
    let containerd = MockContainerd::start();
    let all = ["bounding", "permitted", "inheritable", "effective", "ambient"];
    for given in [&all[..1], &all[..2], &all[..3], &all] {
        let sets = given.iter().map(|set| ((*set).to_owned(), json!(["CAP_CHOWN"])));
        let sets = sets.collect::<serde_json::Map<_, _>>();
        let set = |task: TaskBuilder<'_>| {
            let task =
                task.configure(|config| config["process"]["capabilities"] = json!(sets)).create().start();
            assert_eq!(task.finish(), 0, "{given:?}: {}", task.stderr().so_far());
            let status = task.stdout().so_far();
            status.lines().filter(|line| line.starts_with("Cap")).map(str::to_owned).collect::<Vec<_>>()
        };
        let native = set(shell(&containerd, "while read -r l; do echo \"$l\"; done < /proc/self/status"));
        let guests = set(containerd.task(guests::PROBE).args(&["cat", "/proc/self/status"]));
        assert_eq!((native.len(), &native), (5, &guests), "{given:?}");
        let bounding = "CapBnd:\t0000000000000001";
        assert!(native.iter().any(|line| line == bounding), "{given:?}: {native:?}");
    }
}

#[test]
fn a_capability_that_nobody_knows_is_left_out_and_logged() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).with_log();
    let task = task.configure(|config| {
        config["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_FOO"));
    });
    let task = task.create().start();
    task.log().wait_for("ignoring the unknown capability CAP_FOO", DEADLINE);
    let exec = task.exec("e", &["/app.wasm", "exit", "3"]);
    let exec = exec.configure(|process| process["capabilities"] = json!({ "bounding": ["CAP_FOO"] }));
    let exec = exec.add();
    exec.start();
    assert_eq!(exec.finish(), 3);
    task.kill(signal::KILL).unwrap();
    task.finish();
}

#[test]
fn a_root_filesystem_can_be_used_again() {
    let containerd = MockContainerd::start();
    let root = containerd.cell().directory().join("used");
    fs::create_dir_all(root.join("dev")).unwrap();
    fs::copy(guests::HELLO.path(), root.join("app.wasm")).unwrap();
    for _ in 0..2 {
        let task = containerd.task(guests::HELLO).configure(|config| {
            config["root"]["path"] = json!(root);
            config["mounts"]
                .as_array_mut()
                .unwrap()
                .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        });
        let task = task.create().start();
        assert_eq!(task.finish(), 0);
        assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    }
}

#[test]
fn below_a_read_only_path_programs_can_be_executed() {
    let containerd = MockContainerd::start();
    let task = shell(&containerd, "echo > /bin/new || exec /bin/sh -c 'exit 7'");
    let task = task.configure(|config| config["linux"]["readonlyPaths"] = json!(["/bin"])).create().start();
    assert_eq!(task.finish(), 7, "{}", task.stderr().so_far());
    assert!(task.stderr().so_far().contains("Read-only file system"), "{}", task.stderr().so_far());
}

#[test]
fn a_cgroup_that_nobody_has_named_has_the_containers_name() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]);
    let task = task.configure(|config| drop(config["linux"].as_object_mut().unwrap().remove("cgroupsPath")));
    let task = task.create().start();
    let cgroups =
        fs::read_to_string(containerd.cell().outside(format!("/proc/{}/cgroup", task.pid()))).unwrap();
    let own = format!(":/{}", task.id());
    assert!(cgroups.lines().any(|line| line.ends_with(&own)), "{cgroups}");
    task.kill(signal::KILL).unwrap();
    task.finish();
}

#[test]
fn a_filter_is_set_where_new_privileges_are_allowed_in_so_many_words() {
    let containerd = MockContainerd::start();
    let task = shell(&containerd, "exit 4").configure(|config| {
        config["process"]["noNewPrivileges"] = json!(false);
        config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    });
    assert_eq!(task.create().start().finish(), 4);
}
