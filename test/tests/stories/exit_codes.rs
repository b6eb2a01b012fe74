//! Exit codes: exited, trapped and killed stay distinct, and a trap says where.

use std::time::{Duration, Instant};

use wasmedge_shim_tests::guests::{self, Guest};
use wasmedge_shim_tests::{DEADLINE, MockContainerd, Task, here};

use crate::signal;

#[test]
fn an_exit_code_is_the_guests_own() {
    let containerd = MockContainerd::start();
    for code in ["0", "1", "42", "134", "255"] {
        let task = containerd.task(guests::PROBE).args(&["exit", code]).create().start();
        assert_eq!(task.finish().to_string(), code);
        assert_eq!(task.stderr().so_far(), "");
    }
}

#[test]
fn a_signal_ends_a_guest_at_once_whether_it_sleeps_or_computes() {
    let containerd = MockContainerd::start();
    let signals = [(signal::TERM, 143), (signal::INT, 130), (signal::QUIT, 131), (signal::KILL, 137)];
    for (work, sign) in [("sleep", "sleeping"), ("spin", "spinning")] {
        for (number, status) in signals {
            let task = containerd.task(guests::PROBE).args(&[work]).create().start();
            task.stdout().wait_for(sign, DEADLINE);
            let sent = Instant::now();
            task.kill(number).unwrap();
            assert_eq!(task.wait(), status, "{work}, signal {number}");
            assert!(
                sent.elapsed() < here(Duration::from_secs(1)),
                "{work}, signal {number}: {:?}",
                sent.elapsed()
            );
            task.delete();
        }
    }
}

#[test]
fn a_signal_that_a_guest_does_not_know_leaves_it_alone() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["echo"]).with_input().create().start();
    let (usr1, winch) = (10, 28);
    task.kill(usr1).unwrap();
    task.kill(winch).unwrap();
    task.type_in("still here\n");
    task.stdout().wait_for("still here", DEADLINE);
    task.close_input();
    assert_eq!(task.finish(), 0);
}

#[test]
fn a_trap_is_134_and_one_line_that_names_it_and_its_function() {
    let containerd = MockContainerd::start();
    let trap = |guest: Guest, args: &[&str], says: &[&str]| {
        let task = containerd.task(guest).args(args).create().start();
        assert_eq!(task.finish(), 134, "{}", task.stderr().so_far());
        assert_eq!(task.stdout().so_far(), "");
        last_line_says(&task, says);
        task.expect_events(&["create", "start", "exit", "delete"]);
    };
    trap(guests::NAMED_TRAP, &[], &["/app.wasm", "unreachable", "inner_function"]);
    trap(guests::DIVIDE, &[], &["/app.wasm", "divide by zero", "divide_by_zero"]);
    trap(guests::PROBE, &["trap", "unreachable"], &["unreachable", "trap_unreachable"]);
    trap(guests::PROBE, &["trap", "memory"], &["out of bounds memory access", "trap_memory"]);
    trap(guests::PROBE, &["trap", "stack"], &["stack"]);
    trap(guests::PROBE, &["trap", "panic"], &["unreachable"]);
}

#[track_caller]
fn last_line_says(task: &Task<'_>, words: &[&str]) {
    let text = task.stderr().so_far();
    let line = text.lines().last().unwrap_or_default();
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} expected in the last line of\n{text}");
    assert_eq!(text.matches("trap: ").count(), 1, "one line tells of it:\n{text}");
}

#[test]
fn an_exit_before_the_entrypoint_is_the_guests_exit() {
    let containerd = MockContainerd::start();
    let wat = br#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func $leave i32.const 6 call $exit)
        (start $leave)
        (func (export "_start")))"#;
    let task = containerd.bare_task().file("/app.wat", wat, 0o644).command(&["/app.wat"]).create().start();
    assert_eq!(task.finish(), 6);
    assert_eq!(task.stderr().so_far(), "");
}
