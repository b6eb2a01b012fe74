//! Native entrypoints: an ELF file or a script runs as under runc, whatever it is called.

use wasmedge_shim_tests::{DEADLINE, MockContainerd, TaskBuilder, eventually, guests, part};

use crate::signal;

fn busybox(containerd: &MockContainerd) -> TaskBuilder<'_> {
    let bytes = std::fs::read(part("busybox/bin/busybox")).unwrap();
    containerd.bare_task().file("/bin/sh", &bytes, 0o755).file("/bin/sleep", &bytes, 0o755)
}

#[test]
fn an_elf_file_runs_whatever_its_name() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().file("/pause.wasm", &guests::PAUSE.bytes().unwrap(), 0o755);
    let task = task.command(&["/pause.wasm"]).create().start();
    let link = containerd.cell().outside(format!("/proc/{}/exe", task.pid()));
    eventually("it is executed", DEADLINE, || {
        std::fs::read_link(&link).unwrap().ends_with("pause.wasm").then_some(())
    });
    let status = containerd.cell().outside(format!("/proc/{}/status", task.pid()));
    eventually("it has its handlers", DEADLINE, || {
        let status = std::fs::read_to_string(&status).unwrap();
        (!status.contains("SigCgt:\t0000000000000000")).then_some(())
    });
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 0, "pause ends well");
}

#[test]
fn a_shell_has_its_arguments_environment_directory_and_exit_code() {
    let containerd = MockContainerd::start();
    let script = "echo \"$0 $1 $NAME $(pwd)\"; echo error >&2; exit 9";
    let task = busybox(&containerd).command(&["/bin/sh", "-c", script, "zero", "one"]).configure(|config| {
        config["process"]["env"] = ["NAME=value", "PATH=/bin"].into();
        config["process"]["cwd"] = "/bin".into();
    });
    let task = task.create().start();
    assert_eq!(task.finish(), 9);
    assert_eq!(task.stdout().so_far(), "zero one value /bin\n");
    assert_eq!(task.stderr().so_far(), "error\n");
    task.expect_events(&["create", "start", "exit", "delete"]);
}

#[test]
fn a_script_runs_by_its_interpreter() {
    let containerd = MockContainerd::start();
    let task = busybox(&containerd).file("/run.wasm", b"#!/bin/sh\necho script $1\n", 0o755);
    let task = task.command(&["/run.wasm", "argument"]).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "script argument\n");
}

#[test]
fn a_native_process_has_only_its_streams_and_default_signals() {
    let containerd = MockContainerd::start();
    let bytes = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let run = |words: &[&str]| {
        let task = containerd.bare_task().file(words[0], &bytes, 0o755).command(words).create().start();
        assert_eq!(task.finish(), 0, "{}", task.stderr().so_far());
        task.stdout().so_far()
    };
    assert_eq!(
        run(&["/bin/ls", "-1", "/proc/self/fd"]),
        "0\n1\n2\n3\n",
        "the fourth is the directory itself"
    );
    for set in ["SigBlk", "SigIgn"] {
        let line = run(&["/bin/grep", set, "/proc/self/status"]);
        let signals = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // From the 32nd on they belong to libc.
        assert_eq!(signals & 0x7fff_ffff, 0, "{line}");
    }
}

#[test]
fn kill_all_reaches_every_process_of_the_container() {
    let containerd = MockContainerd::start();
    let task =
        busybox(&containerd).command(&["/bin/sh", "-c", "sleep 1000 & sleep 1001 & echo up; wait; wait"]);
    let task = task.create().start();
    task.stdout().wait_for("up", DEADLINE);
    eventually("three processes", DEADLINE, || (task.pids().len() == 3).then_some(()));
    task.kill_all(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
}

#[test]
fn a_native_file_that_is_not_executable_is_refused() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().file("/tool", &guests::PAUSE.bytes().unwrap(), 0o644);
    let refusal = task.command(&["/tool"]).try_create().err().unwrap();
    assert!(refusal.message.contains("/tool") && refusal.message.contains("permission denied"), "{refusal}");
}
