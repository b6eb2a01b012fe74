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

#[test]
fn what_the_kernel_does_not_execute_is_not_given_to_a_shell() {
    let containerd = MockContainerd::start();
    let module = guests::HELLO.bytes().unwrap();
    let all: [(&str, &[u8], &str); 3] = [
        ("/badelf", b"\x7fELFnonsense", "exec /badelf: exec format error"),
        ("/wasmscript", b"#!/app.wasm with args\nexit 0\n", "exec /wasmscript: exec format error"),
        ("/orphan", b"#!/no/such/interpreter\n", "exec /orphan: no such file or directory"),
    ];
    for (path, bytes, says) in all {
        let task = busybox(&containerd).file("/app.wasm", &module, 0o755).file(path, bytes, 0o755);
        let task = task.command(&[path]).create();
        let refusal = task.try_start().unwrap_err();
        assert!(refusal.message.contains(says), "{refusal}");
        assert_eq!(task.finish(), 1);
        assert_eq!(task.stdout().so_far() + &task.stderr().so_far(), "");
    }
}

#[test]
fn a_home_is_the_images_or_the_root() {
    let containerd = MockContainerd::start();
    let users = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n";
    let home = |uid: u32, users: &[u8]| {
        let probe = guests::PROBE.bytes().unwrap();
        let task = busybox(&containerd).file("/app.wasm", &probe, 0o644).file("/etc/passwd", users, 0o644);
        let task = task.command(&["/bin/sh", "-c", "echo $HOME; read forever"]).with_input();
        let user = serde_json::json!({ "uid": uid, "gid": uid });
        let task = task.configure(|config| config["process"]["user"] = user).create().start();
        task.stdout().wait_for("\n", DEADLINE);
        let (_, environment) = task.run_exec("e1", &["/app.wasm", "env"]);
        task.kill(signal::KILL).unwrap();
        task.finish();
        let guests = environment.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap_or_default();
        (task.stdout().so_far().trim().to_owned(), guests.to_owned())
    };
    let expected = [(33, &users[..], "/srv/web"), (0, users, "/root"), (77, users, "/"), (0, b"", "/")];
    for (uid, users, expected) in expected {
        let (native, guest) = home(uid, users);
        assert_eq!((native.as_str(), guest.as_str()), (expected, expected), "{uid}");
    }
}
