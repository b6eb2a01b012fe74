//! Many at a time: creates do not wait for each other, and a slow one holds up only itself.

use std::thread;
use std::time::Duration;

use serde_json::json;
use wasmedge_shim_tests::{Containerd, DEADLINE, Image, MockContainerd, eventually, guests};

use crate::signal;

#[test]
fn thirty_containers_share_one_daemon() {
    let containerd = MockContainerd::start();
    let daemons: Vec<u32> = thread::scope(|scope| {
        let run = || {
            let task = containerd.task(guests::PROBE).args(&["exit", "7"]).create().start();
            let daemon = task.connect().shim_pid;
            assert_eq!(task.wait(), 7);
            (task.try_delete().unwrap(), daemon).1
        };
        let threads: Vec<_> = (0..30).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(daemons.windows(2).all(|pair| pair[0] == pair[1]), "{daemons:?}");
    let last = containerd.task(guests::HELLO).create().start();
    last.finish();
}

#[test]
fn a_create_that_hangs_holds_up_only_itself() {
    let containerd = MockContainerd::start();
    let directory = containerd.cell().directory().to_path_buf();
    let gate = directory.join("gate").display().to_string();
    containerd.cell().run(&["mkfifo", &gate]).success();
    thread::scope(|scope| {
        let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("cat {gate}")] }]);
        let slow = containerd.task(guests::HELLO);
        let slow = slow.configure(|config| config["hooks"] = json!({ "createRuntime": hook }));
        let slow = scope.spawn(move || slow.create().start().finish());

        let quick = containerd.task(guests::HELLO).within(Duration::from_secs(2)).create().start();
        assert_eq!(quick.wait(), 0);
        quick.try_delete().unwrap();
        assert!(!slow.is_finished(), "it waits at the gate");
        containerd.cell().run(&["sh", "-c", &format!("echo go > {gate}")]).success();
        assert_eq!(slow.join().unwrap(), 0);
    });
}

#[test]
fn ten_ctr_runs_at_a_time_all_print_hello() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::HELLO));
    containerd.container(&image).run().success();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| containerd.container(&image).run().success().printing("hello from wasm\n"));
        }
    });
}

#[test]
fn starts_that_race_find_one_daemon() {
    let containerd = MockContainerd::start();
    let tasks: Vec<_> = (0..8).map(|_| containerd.task(guests::PROBE).args(&["sleep"])).collect();
    let tasks: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = tasks.into_iter().map(|task| scope.spawn(|| task.create())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let daemon = tasks[0].connect().shim_pid;
    for task in &tasks {
        assert_eq!(task.connect().shim_pid, daemon);
        task.kill(signal::KILL).unwrap();
        task.wait();
        task.try_delete().unwrap();
    }
    containerd.task(guests::HELLO).create().start().finish();
}

#[test]
fn a_pod_can_have_a_daemon_of_its_own() {
    let containerd = MockContainerd::start();
    let in_pod = |pod: &str| {
        let pod = pod.to_owned();
        let task = containerd.task(guests::PROBE).args(&["sleep"]).option("DaemonPerPod = true\n");
        task.configure(|config| config["annotations"] = json!({ "io.kubernetes.cri.sandbox-id": pod }))
            .create()
            .start()
    };
    let tasks = [in_pod("one"), in_pod("one"), in_pod("two")];
    let daemons = tasks.each_ref().map(|task| task.connect().shim_pid);
    assert_eq!(daemons[0], daemons[1]);
    assert_ne!(daemons[0], daemons[2]);
    for task in tasks {
        task.kill(signal::KILL).unwrap();
        task.finish();
    }
}

#[test]
fn the_daemon_leaves_with_its_last_container() {
    let containerd = MockContainerd::start();
    let [one, two] = [(); 2].map(|()| containerd.task(guests::PROBE).args(&["sleep"]).create().start());
    one.kill(signal::KILL).unwrap();
    one.finish();
    two.stdout().wait_for("sleeping", DEADLINE);
    two.kill(signal::KILL).unwrap();
    two.finish();
    eventually("the daemon leaves by itself", DEADLINE, || {
        let named = |name: &str| containerd.cell().processes_named(name);
        (named("containerd-shim-wasmedge-v1").is_empty() && named("wasmedge-engine").is_empty()).then_some(())
    });
    let sockets = containerd.cell().outside("/run/containerd-shim-wasmedge");
    assert_eq!(std::fs::read_dir(sockets).unwrap().count(), 0);
}
