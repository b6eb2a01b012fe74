//! A task's life: created, started, ended, deleted, with its events in this order.

use wasmedge_shim_tests::{DEADLINE, MockContainerd, api, guests};

use crate::signal;

#[test]
fn a_guest_runs_and_its_events_come_in_order() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    assert_eq!(task.stderr().so_far(), "");
    let events = task.expect_events(&["create", "start", "exit", "delete"]);
    assert!(events.iter().all(|event| event.pid == task.pid()), "{events:?}");
}

#[test]
fn create_answers_with_the_real_pid_and_everyone_sees_it_at_once() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create();
    let parent = containerd.cell().outside(format!("/proc/{}/stat", task.pid()));
    let parent = std::fs::read_to_string(parent).unwrap();
    let daemon = task.connect().shim_pid;
    assert_eq!(parent.rsplit(") ").next().unwrap().split(' ').nth(1), Some(daemon.to_string().as_str()));
    let state = task.state().unwrap();
    assert_eq!((state.pid, state.status()), (task.pid(), api::Status::CREATED));
    assert_eq!(task.connect().task_pid, task.pid());
    let network = containerd.cell().outside(format!("/proc/{}/ns/net", task.pid()));
    assert!(network.exists() || network.is_symlink(), "its network namespace can be joined");

    let task = task.start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(task.state().unwrap().status(), api::Status::RUNNING);
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.wait(), 137);
    let state = task.state().unwrap();
    assert_eq!((state.status(), state.exit_status), (api::Status::STOPPED, 137));
    task.delete();
}

#[test]
fn a_guest_that_ends_at_once_has_still_started_before_it_exits() {
    let containerd = MockContainerd::start();
    for _ in 0..20 {
        let task = containerd.task(guests::PROBE).args(&["exit", "5"]).create().start();
        assert_eq!(task.finish(), 5);
        task.expect_events(&["create", "start", "exit", "delete"]);
    }
}

#[test]
fn a_created_task_can_be_killed_without_ever_having_started() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).create();
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
    assert_eq!(task.stdout().so_far(), "");
    task.expect_events(&["create", "exit", "delete"]);
}

#[test]
fn arguments_environment_and_working_directory_reach_the_guest() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["args", "two words", "ünï", ""]).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "/app.wasm\nargs\ntwo words\nünï\n\n");

    let task = containerd.task(guests::PROBE).args(&["env"]);
    let task =
        task.configure(|config| config["process"]["env"] = ["ONE=1", "TWO=2=2"].into()).create().start();
    assert_eq!(task.finish(), 0);
    let environment = task.stdout().so_far();
    assert!(environment.contains("ONE=1\nPWD=/\nTWO=2=2\n"), "{environment}");
    assert!(!environment.contains("TTRPC_ADDRESS"), "nothing of the shim's own: {environment}");
}

#[test]
fn relative_paths_begin_in_the_working_directory_and_absolute_ones_in_the_root() {
    let containerd = MockContainerd::start();
    for (directory, path) in [
        ("/deep/er", "notes.txt"),
        ("/deep/er", "./notes.txt"),
        ("/deep/er", "/deep/er/notes.txt"),
        ("/deep", "er/notes.txt"),
        ("/deep", "/deep/er/notes.txt"),
        ("/", "/deep/er/notes.txt"),
        ("/", "deep/er/notes.txt"),
    ] {
        let task = containerd.task(guests::PROBE).args(&["cat", path]);
        let task = task.file("/deep/er/notes.txt", b"found", 0o644);
        let task = task.configure(|config| config["process"]["cwd"] = directory.into()).create().start();
        assert_eq!(task.finish(), 0, "{path} in {directory}: {}", task.stderr().so_far());
        assert_eq!(task.stdout().so_far(), "found");
    }
}

#[test]
fn standard_input_comes_to_the_guest_and_its_end_too() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["echo"]).with_input().create().start();
    task.type_in("one\n");
    task.stdout().wait_for("one\n", DEADLINE);
    task.type_in("two\n");
    task.close_input();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "one\ntwo\n");
}

#[test]
fn the_shim_mounts_the_root_filesystem_and_takes_it_away_again() {
    let containerd = MockContainerd::start();
    let layer = containerd.cell().directory().join("layer");
    std::fs::create_dir_all(&layer).unwrap();
    std::fs::write(layer.join("app.wasm"), guests::HELLO.bytes().unwrap()).unwrap();
    let task = containerd.bare_task().command(&["/app.wasm"]);
    let task = task.rootfs("bind", &layer.display().to_string(), &["rbind"]).create();
    let rootfs = task.bundle().join("rootfs").display().to_string();
    assert!(containerd.cell().mounts().contains(&rootfs), "{:?}", containerd.cell().mounts());
    let task = task.start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    assert!(!containerd.cell().mounts().contains(&rootfs), "{:?}", containerd.cell().mounts());
}
