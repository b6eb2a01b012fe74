//! Terminals: what is typed comes to the guest, what it shows comes out, keys are signals, sizes change.

use wasmedge_shim_tests::{DEADLINE, MockContainerd, TaskBuilder, eventually, guests, part};

use crate::signal;

fn shell<'a>(containerd: &'a MockContainerd, script: &str) -> TaskBuilder<'a> {
    let busybox = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let task = containerd.bare_task().file("/bin/sh", &busybox, 0o755).file("/bin/stty", &busybox, 0o755);
    task.command(&["/bin/sh", "-c", script])
}

#[test]
fn a_guest_knows_whether_it_has_a_terminal() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["tty"]).with_terminal().create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "true true\r\n");
    let task = containerd.task(guests::PROBE).args(&["tty"]).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "false false\n");
}

#[test]
fn lines_are_typed_edited_and_ended() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["echo"]).with_terminal().create().start();
    assert!(task.state().unwrap().terminal);
    task.type_in("wrong\u{15}right\n");
    task.stdout().wait_for("right\r\n", DEADLINE);
    eventually("the guest's answer", DEADLINE, || {
        task.stdout().so_far().ends_with("\r\nright\r\n").then_some(())
    });
    task.type_in("\u{4}");
    assert_eq!(task.finish(), 0);
}

#[test]
fn control_c_interrupts_the_guest() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["spin"]).with_terminal().create().start();
    task.stdout().wait_for("spinning", DEADLINE);
    task.type_in("\u{3}");
    assert_eq!(task.finish(), 130);
}

#[test]
fn a_terminal_has_the_size_that_it_was_given() {
    let containerd = MockContainerd::start();
    let script = "read -r _; stty size; read -r _; stty size";
    let task = shell(&containerd, script).with_terminal();
    let task = task.configure(|config| {
        config["process"]["consoleSize"] = serde_json::json!({ "width": 90, "height": 30 });
    });
    let task = task.create().start();
    task.type_in("\n");
    task.stdout().wait_for("30 90\r\n", DEADLINE);
    task.resize(132, 50).unwrap();
    task.type_in("\n");
    task.stdout().wait_for("50 132\r\n", DEADLINE);
    assert_eq!(task.finish(), 0);
}

#[test]
fn an_exec_has_a_terminal_of_its_own() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let exec = task.exec("e", &["/app.wasm", "tty"]).with_terminal().add();
    exec.start();
    assert_eq!(exec.finish(), 0);
    assert_eq!(exec.stdout().so_far(), "true true\r\n");
    let exec = task.exec("spin", &["/app.wasm", "spin"]).with_terminal().add();
    exec.start();
    exec.stdout().wait_for("spinning", DEADLINE);
    exec.resize(100, 20).unwrap();
    exec.type_in("\u{3}");
    assert_eq!(exec.finish(), 130);
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
}

#[test]
fn a_killed_guest_leaves_no_terminal_open_and_an_idle_one_costs_no_time() {
    let containerd = MockContainerd::start();
    let witness = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let daemon = containerd.cell().outside(format!("/proc/{}", witness.connect().shim_pid));
    let descriptors = || std::fs::read_dir(daemon.join("fd")).unwrap().count();
    let before = descriptors();
    let task =
        shell(&containerd, "stty raw; echo up; while :; do read -r _; done").with_terminal().create().start();
    task.stdout().wait_for("up", DEADLINE);
    let time = || {
        let stat = std::fs::read_to_string(daemon.join("stat")).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .skip(11)
            .take(2)
            .map(|f| f.parse().unwrap())
            .collect();
        fields.iter().sum::<u64>()
    };
    let begun = time();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(time() - begun < 10, "the daemon is busy with an idle terminal");
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
    drop(task);
    eventually("the descriptors are closed", DEADLINE, || (descriptors() <= before).then_some(()));
    witness.kill(signal::KILL).unwrap();
    witness.finish();
}

#[test]
fn all_output_comes_before_the_end() {
    let containerd = MockContainerd::start();
    let task =
        containerd.task(guests::PROBE).args(&["fill", "stdout", "1000000"]).with_terminal().create().start();
    assert_eq!(task.finish(), 0);
    let lines = 1_000_000 / 64;
    assert_eq!(task.stdout().length(), 1_000_000 + lines, "each of {lines} lines has one more byte");
}

#[test]
fn resizing_without_a_terminal_does_nothing_as_under_runc() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    task.resize(80, 25).unwrap();
    task.kill(signal::KILL).unwrap();
    task.finish();
}
