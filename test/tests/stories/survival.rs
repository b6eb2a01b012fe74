//! Survival: a daemon, a zygote or containerd dies at a bad moment, and nobody else suffers.

use std::fs;
use std::process::{Child, Stdio};

use wasmedge_shim_tests::protobuf::Message;
use wasmedge_shim_tests::{Captured, Containerd, DEADLINE, Image, MockContainerd, api, eventually, guests};

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
        let daemon = task.connect().shim_pid;
        containerd.cell().kill("KILL", &[daemon]).success();
        // Until it is dead it may be found listening.
        eventually("the daemon is gone", DEADLINE, || {
            (!containerd.cell().process_ids().contains(&(daemon as i32))).then_some(())
        });
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

#[test]
fn containerd_cleans_up_after_a_killed_daemon_and_tells_the_codes_that_are_known() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let mut events = containerd.cell().command("ctr");
    events.arg("--address").arg(containerd.socket()).args(["--namespace", containerd.namespace(), "events"]);
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    let told = Captured::from_reader(events.stdout.take().unwrap());
    let running = containerd.container(&image).args(&["sleep"]).detached();
    let ended = containerd.container(&image).args(&["exit", "42"]).detached();
    eventually("one has ended", DEADLINE, || {
        containerd.ctr(&["task", "list"]).success().stdout.contains("STOPPED").then_some(())
    });
    let daemon = containerd.cell().processes_named("containerd-shim-wasmedge-v1");
    containerd.cell().kill("KILL", &daemon).success();

    let end = |id: &str, topic: &str| {
        eventually(&format!("{topic} of {id}"), DEADLINE, || {
            let told = told.so_far();
            told.lines().find(|line| line.contains(topic) && line.contains(id)).map(str::to_owned)
        })
    };
    // Nobody saw how the first one ended: that it was killed is all that can be said.
    assert!(end(&running, "/tasks/exit").contains("\"exit_status\":137"));
    assert!(end(&ended, "/tasks/delete").contains("\"exit_status\":42"));
    containerd.cell().kill("KILL", &containerd.cell().processes_named(" events")).success();
    events.wait().unwrap();
    containerd.remove_all();
    containerd.expect_nothing_left();
    containerd.container(&image).args(&["say", "next"]).run().success().printing("next\n");
}

/// Has ctr run a container that sleeps, and does not wait for it.
fn run(containerd: &Containerd, image: &str) -> (String, Child) {
    let id = containerd.new_id();
    let mut run = containerd.cell().command("ctr");
    run.arg("--address").arg(containerd.socket()).args(["--namespace", containerd.namespace()]);
    run.args(["run", "--detach", "--null-io", "--runtime", "io.containerd.wasmedge.v1"]);
    run.args(["--cgroup", &format!("/{}/{id}", containerd.namespace()), image, &id, "/app.wasm", "sleep"]);
    (id, run.stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn a_containerd_that_is_killed_while_containers_are_created_loses_none() {
    let mut containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let runs: Vec<_> = (0..8).map(|_| run(&containerd, &image)).collect();
    // Earlier, it could be killed in the middle of making a snapshot, of which it does not recover.
    let bundles = containerd.cell().directory().join("state/io.containerd.runtime.v2.task");
    let bundles = bundles.join(containerd.namespace());
    eventually("all have a bundle", DEADLINE, || {
        (fs::read_dir(&bundles).into_iter().flatten().count() == runs.len()).then_some(())
    });
    containerd.restart();
    for (id, mut run) in runs {
        // Its ctr was told that it runs, so it does.
        if run.wait().unwrap().success() {
            assert!(containerd.pid_of(&id) > 0);
        }
    }
    let said = containerd.container(&image).args(&["say", "next"]).run().success();
    said.printing("next\n");
    containerd.remove_all();
    containerd.expect_nothing_left();
}

#[test]
fn a_create_that_is_given_up_before_the_engine_has_seen_it_leaves_nothing() {
    let mut containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    containerd.container(&image).args(&["sleep"]).detached();
    let zygotes = containerd.cell().processes_named("wasmedge-engine zygote");
    containerd.cell().kill("STOP", &zygotes).success();
    let (id, mut run) = run(&containerd, &image);
    let rootfs = format!("{id}/rootfs");
    eventually("its root filesystem is mounted, so that it is the engine's turn", DEADLINE, || {
        containerd.cell().mounts().iter().any(|mount| mount.ends_with(&rootfs)).then_some(())
    });
    containerd.restart_after(|cell| {
        eventually("it is undone", DEADLINE, || {
            cell.mounts().iter().all(|mount| !mount.ends_with(&rootfs)).then_some(())
        });
        cell.kill("CONT", &zygotes).success();
    });
    assert!(!run.wait().unwrap().success());
    containerd.container(&image).args(&["say", "next"]).run().success().printing("next\n");
    assert_eq!(containerd.cell().processes_named("wasmedge-engine zygote"), zygotes);
    containerd.remove_all();
    containerd.expect_nothing_left();
}
