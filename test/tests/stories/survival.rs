//! Survival: a daemon, a zygote or containerd dies at a bad moment, and nobody else suffers.

use wasmedge_shim_tests::protobuf::Message;
use wasmedge_shim_tests::{Containerd, DEADLINE, Image, MockContainerd, api, eventually, guests};

use crate::signal;

#[test]
fn events_wait_for_a_containerd_that_is_away() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["echo"]).with_input().create().start();
    containerd.expect_events(task.id(), &["create", "start"]);
    containerd.stop_events();
    task.close_input();
    assert_eq!(task.finish(), 0);
    containerd.resume_events();
    task.expect_events(&["create", "start", "exit", "delete"]);
}

#[test]
fn a_zygote_that_dies_takes_no_container_with_it_and_is_replaced() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["echo"]).with_input().create().start();
    for pid in containerd.cell().processes_named("wasmedge-engine zygote") {
        containerd.cell().kill("KILL", &[pid]).success();
    }
    let other = containerd.task(guests::HELLO).create().start();
    assert_eq!(other.finish(), 0);
    task.type_in("still here\n");
    task.stdout().wait_for("still here", DEADLINE);
    task.close_input();
    assert_eq!(task.finish(), 0);
}

#[test]
fn an_upgrade_leaves_running_containers_to_the_old_build_and_gives_new_ones_the_new() {
    let containerd = MockContainerd::start();
    let sleeping = || {
        let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
        task.stdout().wait_for("sleeping", DEADLINE);
        task
    };
    containerd.install();
    let old = sleeping();
    containerd.install();
    let new = sleeping();
    let [old_daemon, new_daemon] = [&old, &new].map(|task| task.connect().shim_pid as i32);
    assert_ne!(old_daemon, new_daemon);
    assert_eq!(old.run_exec("e1", &["/app.wasm", "say", "hi"]), (0, "hi\n".to_owned()));

    old.kill(signal::TERM).unwrap();
    assert_eq!(old.finish(), 143);
    eventually("the old daemon leaves with its last container", DEADLINE, || {
        (!containerd.cell().process_ids().contains(&old_daemon)).then_some(())
    });
    assert!(containerd.cell().process_ids().contains(&new_daemon));
    new.kill(signal::TERM).unwrap();
    assert_eq!(new.finish(), 143);
}

#[test]
fn after_a_daemons_death_the_delete_verb_cleans_up_and_a_new_daemon_serves() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    containerd.cell().kill("KILL", &[task.connect().shim_pid]).success();

    let answer = containerd.verb("delete", task.id(), task.bundle()).success();
    let answer = api::DeleteResponse::parse_from_bytes(&answer.bytes).unwrap();
    assert_eq!(answer.exit_status, 137);
    eventually("the container is gone", DEADLINE, || {
        (!containerd.cell().process_ids().contains(&(task.pid() as i32))).then_some(())
    });
    let next = containerd.task(guests::HELLO).create().start();
    assert_eq!(next.finish(), 0);
}

#[test]
fn a_socket_of_a_dead_daemon_does_not_keep_the_next_from_starting() {
    let containerd = MockContainerd::start();
    for _ in 0..3 {
        let task = containerd.task(guests::HELLO).create().start();
        assert_eq!(task.wait(), 0);
        containerd.cell().kill("KILL", &[task.connect().shim_pid]).success();
        containerd.verb("delete", task.id(), task.bundle()).success();
    }
    let task = containerd.task(guests::HELLO).create().start();
    assert_eq!(task.finish(), 0);
}

#[test]
fn a_container_survives_its_containerd_and_the_next_one_sees_it_end() {
    let mut containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let id = containerd.container(&image).args(&["sleep"]).detached();
    containerd.restart();
    assert!(containerd.pid_of(&id) > 0);
    containerd.ctr(&["task", "kill", "--signal", "SIGTERM", &id]).success();
    eventually("the task has stopped", DEADLINE, || {
        let list = containerd.ctr(&["task", "list"]).success().stdout;
        list.lines().any(|line| line.starts_with(&id) && line.contains("STOPPED")).then_some(())
    });
    containerd.ctr(&["task", "delete", &id]).complaining(&["non-zero exit code 143"]);
}

#[test]
fn a_container_that_is_killed_from_outside_is_noticed() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    containerd.cell().kill("KILL", &[task.pid()]).success();
    assert_eq!(task.finish(), 128 + signal::KILL);
    task.expect_events(&["create", "start", "exit", "delete"]);
}
