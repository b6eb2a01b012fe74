//! Exec: one more process in a container, as many as one likes.

use serde_json::json;
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{DEADLINE, MockContainerd, Task, api, guests, part};

use crate::signal;

/// A container that sleeps, and has a native program to compare with.
fn sleeper(containerd: &MockContainerd) -> Task<'_> {
    let busybox = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let task = containerd.task(guests::PROBE).file("/bin/sh", &busybox, 0o755);
    let task = task.args(&["sleep"]).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    task
}

fn end(task: &Task<'_>) {
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
}

#[test]
fn an_exec_runs_in_the_container_and_its_events_come_in_order() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let exec = task.exec("e1", &["/app.wasm", "sleep"]).add();
    assert_eq!(exec.state().unwrap().status(), api::Status::CREATED);
    let pid = exec.start();
    exec.stdout().wait_for("sleeping", DEADLINE);
    let state = exec.state().unwrap();
    assert_eq!((state.pid, state.status(), state.exec_id.as_str()), (pid, api::Status::RUNNING, "e1"));
    assert!(task.pids().contains(&pid), "{:?} {pid}", task.pids());
    for namespace in ["pid", "mnt", "net", "ipc", "uts"] {
        let of = |pid| {
            let link = containerd.cell().outside(format!("/proc/{pid}/ns/{namespace}"));
            std::fs::read_link(link).unwrap()
        };
        assert_eq!(of(pid), of(task.pid()), "{namespace}");
    }
    exec.kill(signal::TERM).unwrap();
    assert_eq!(exec.finish(), 143);
    assert_eq!(exec.state().unwrap_err().code, Code::NOT_FOUND);
    assert!(!task.bundle().join("wasmedge/.exec/e1").exists(), "its directory has gone");
    end(&task);
    let events =
        task.expect_events(&["create", "start", "exec-added", "exec-started", "exec-exit", "exit", "delete"]);
    assert_eq!((events[4].exec.as_deref(), events[4].pid, events[4].status), (Some("e1"), pid, Some(143)));
}

#[test]
fn an_exec_ends_in_its_own_way() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    assert_eq!(task.run_exec("says", &["/app.wasm", "say", "hi"]), (0, "hi\n".to_owned()));
    assert_eq!(task.run_exec("exits", &["/app.wasm", "exit", "42"]).0, 42);
    assert_eq!(task.run_exec("traps", &["/app.wasm", "trap", "memory"]).0, 134);
    assert_eq!(task.run_exec("native", &["/bin/sh", "-c", "echo native $$; exit 3"]).0, 3);
    let exec = task.exec("reads", &["/app.wasm", "echo"]).with_input().add();
    exec.start();
    exec.type_in("one\n");
    exec.stdout().wait_for("one\n", DEADLINE);
    exec.close_input();
    assert_eq!(exec.finish(), 0);
    end(&task);
}

#[test]
fn an_exec_has_its_own_environment_directory_and_user() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let exec = task.exec("env", &["/app.wasm", "env"]).configure(|process| {
        process["env"] = ["COLOUR=green"].into();
        process["cwd"] = "/bin".into();
    });
    let exec = exec.add();
    exec.start();
    exec.finish();
    assert_eq!(exec.stdout().so_far(), "COLOUR=green\nHOME=/\nPWD=/bin\n");
    let exec = task.exec("user", &["/app.wasm", "write", "/forbidden", "x"]);
    let exec =
        exec.configure(|process| process["user"] = serde_json::json!({ "uid": 1000, "gid": 1000 })).add();
    exec.start();
    assert_eq!(exec.finish(), 1);
    assert!(!task.bundle().join("rootfs/forbidden").exists());
    end(&task);
}

#[test]
fn an_exec_that_cannot_run_fails_to_start_and_has_no_exit() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    for (id, command, code, says) in [
        ("missing", "/missing.wasm", Code::NOT_FOUND, "no such file or directory"),
        ("unknown", "missing", Code::NOT_FOUND, "executable file not found"),
        ("directory", "/bin", Code::PERMISSION_DENIED, "is a directory"),
    ] {
        let exec = task.exec(id, &[command]).add();
        let refusal = exec.try_start().unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.message.contains(says), "{refusal}");
        assert_eq!(exec.state().unwrap().status(), api::Status::STOPPED);
        exec.try_delete().unwrap();
    }
    end(&task);
    let mut names = vec!["create", "start"];
    names.extend(["exec-added"; 3]);
    names.extend(["exit", "delete"]);
    task.expect_events(&names);
}

#[test]
fn an_exec_at_the_wrong_time_is_refused_with_the_code_that_containerd_expects() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let words = ["/app.wasm", "sleep"];
    let code = |refusal: Result<(), wasmedge_shim_tests::Refusal>| refusal.unwrap_err().code;
    let exec = task.exec("e", &words).add();
    assert_eq!(code(task.exec("e", &words).try_add().map(drop)), Code::ALREADY_EXISTS);
    assert_eq!(code(exec.kill(signal::TERM)), Code::FAILED_PRECONDITION);
    exec.start();
    assert_eq!(code(exec.try_start().map(drop)), Code::FAILED_PRECONDITION);
    assert_eq!(code(exec.try_delete().map(drop)), Code::FAILED_PRECONDITION);
    let nobody = api::KillRequest {
        id: task.id().to_owned(),
        exec_id: "nobody".to_owned(),
        signal: 9,
        ..Default::default()
    };
    assert_eq!(task.call::<_, api::Empty>("Kill", &nobody).unwrap_err().code, Code::NOT_FOUND);
    assert_eq!(code(task.exec("../e", &words).try_add().map(drop)), Code::INVALID_ARGUMENT);

    task.pause().unwrap();
    let refusal = task.exec("paused", &words).try_add().err().unwrap();
    assert_eq!(
        (refusal.code, refusal.message.as_str()),
        (Code::FAILED_PRECONDITION, "cannot exec in a paused state")
    );
    task.resume().unwrap();
    task.kill(signal::KILL).unwrap();
    task.wait();
    assert_eq!(code(task.exec("late", &words).try_add().map(drop)), Code::FAILED_PRECONDITION);
    assert_eq!(code(exec.kill(signal::TERM)), Code::NOT_FOUND);
    task.delete();
}

#[test]
fn execs_end_with_their_container_and_are_told_before_it() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let execs: Vec<_> = (0..5).map(|n| task.exec(&format!("e{n}"), &["/app.wasm", "spin"]).add()).collect();
    for exec in &execs {
        exec.start();
    }
    end(&task);
    let mut names = vec!["create", "start"];
    names.extend(["exec-added"; 5]);
    names.extend(["exec-started"; 5]);
    names.extend(["exec-exit"; 5]);
    names.extend(["exit", "delete"]);
    let events = task.expect_events(&names);
    let mut told: Vec<_> = events[12..17].iter().map(|event| (event.exec.as_deref(), event.status)).collect();
    told.sort_unstable();
    assert_eq!(told, ["e0", "e1", "e2", "e3", "e4"].map(|id| (Some(id), Some(137))));
}

#[test]
fn many_execs_run_at_a_time() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let execs: Vec<_> =
        (0..30).map(|n| task.exec(&format!("e{n}"), &["/app.wasm", "echo"]).with_input().add()).collect();
    for exec in &execs {
        exec.start();
    }
    assert_eq!(task.pids().len(), 31);
    for (n, exec) in execs.iter().enumerate() {
        exec.type_in(&format!("{n}\n"));
        exec.close_input();
    }
    for (n, exec) in execs.iter().enumerate() {
        assert_eq!(exec.finish(), 0);
        assert_eq!(exec.stdout().so_far(), format!("{n}\n"));
    }
    assert_eq!(task.pids(), [task.pid()]);
    end(&task);
}

#[test]
fn a_thousand_execs_leave_nothing_in_the_daemon() {
    let containerd = MockContainerd::start();
    let task = sleeper(&containerd);
    let daemon = containerd.cell().outside(format!("/proc/{}", task.connect().shim_pid));
    let run = |count: usize| {
        for n in 0..count {
            assert_eq!(task.run_exec(&format!("e{n}"), &["/app.wasm", "exit", "7"]).0, 7);
        }
    };
    let resident = || -> u64 {
        let status = std::fs::read_to_string(daemon.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let descriptors = || std::fs::read_dir(daemon.join("fd")).unwrap().count();
    run(100);
    let (memory, open) = (resident(), descriptors());
    run(900);
    assert!(resident() < memory + 512, "{memory} kB before, {} kB after", resident());
    assert_eq!(descriptors(), open);
    assert_eq!(std::fs::read_dir(task.bundle().join("wasmedge/.exec")).unwrap().count(), 0);
    end(&task);
}

#[test]
fn an_exec_that_is_killed_while_it_is_being_made_says_that_its_container_has_stopped() {
    let containerd = MockContainerd::start();
    let mut refused = 0;
    // Wherever in its making it is hit.
    for moment in (0..16).map(|step| step * 700) {
        let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
        let exec = task.exec("e", &["/app.wasm", "sleep"]).add();
        let kill = format!("usleep {moment}; kill -9 {}", task.pid());
        let mut killer = containerd.cell().command(part("busybox/bin/busybox"));
        let mut killer = killer.args(["sh", "-c", &kill]).spawn().unwrap();
        let started = exec.try_start();
        assert!(killer.wait().unwrap().success());
        task.wait();
        match started {
            Ok(_) => assert_eq!(exec.wait(), 137),
            Err(refusal) => {
                refused += 1;
                assert!(refusal.message.contains("cannot exec in a stopped"), "after {moment} µs: {refusal}");
                assert_eq!(refusal.code, Code::FAILED_PRECONDITION, "{refusal}");
            }
        }
        exec.try_delete().unwrap();
        task.delete();
    }
    assert!(refused > 0, "none was hit while it was made");
}

#[test]
fn an_exec_that_the_pids_limit_forbids_names_the_limit() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]);
    let task = task.configure(|config| config["linux"]["resources"]["pids"] = json!({ "limit": 2 }));
    let task = task.create().start();
    let exec = task.exec("e", &["/app.wasm", "args"]).add();
    let refusal = exec.try_start().unwrap_err();
    assert!(refusal.message.contains("pids limit of 2"), "{refusal}");
    assert_eq!(refusal.code, Code::RESOURCE_EXHAUSTED, "{refusal}");
    exec.try_delete().unwrap();
    task.kill(signal::KILL).unwrap();
    task.finish();
}
