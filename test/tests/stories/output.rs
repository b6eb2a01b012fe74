//! Output: a guest writes to a FIFO that somebody reads, or nobody, or nobody any more.

use std::fs::File;
use std::time::Duration;

use wasmedge_shim_tests::{Captured, DEADLINE, MockContainerd, eventually, guests};

use crate::signal;

#[test]
fn a_gigabyte_of_output_goes_through() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["fill", "stdout", "1073741824"]).only_counting_output();
    let task = task.create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().length(), 1 << 30);
}

#[test]
fn output_that_nobody_reads_blocks_the_guest_and_nobody_else() {
    let containerd = MockContainerd::start();
    let blocked = containerd.task(guests::PROBE).args(&["fill", "stdout", "10000000"]).without_reader();
    let blocked = blocked.create().start();
    eventually("the guest waits for a reader", DEADLINE, || {
        let state = containerd.cell().outside(format!("/proc/{}/stat", blocked.pid()));
        let state = std::fs::read_to_string(state).unwrap();
        state.contains(") S ").then_some(())
    });
    let other = containerd.task(guests::HELLO).within(Duration::from_secs(2)).create().start();
    assert_eq!(other.finish(), 0);
    blocked.kill(signal::TERM).unwrap();
    assert_eq!(blocked.finish(), 143);
}

#[test]
fn the_output_of_a_guest_that_ends_before_somebody_reads_it_is_not_lost() {
    let containerd = MockContainerd::start();
    for terminal in [false, true] {
        let task = containerd.task(guests::HELLO).with_fifos_that_nobody_opens();
        let task = if terminal { task.with_terminal() } else { task };
        let task = task.create().start();
        let process = containerd.cell().outside(format!("/proc/{}", task.pid()));
        eventually("the guest has ended", DEADLINE, || (!process.exists()).then_some(()));
        let fifo = task.bundle().join("stdout");
        let late = Captured::from_opening(move || File::open(fifo).unwrap());
        assert_eq!(late.to_end(DEADLINE).trim_end(), "hello from wasm");
        assert_eq!(task.finish(), 0);
    }
}

#[test]
fn output_that_is_closed_is_an_error_to_the_guest_as_to_a_native_program() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).without_output().create().start();
    assert_eq!(task.finish(), 0, "no output wanted is /dev/null");
}

#[test]
fn a_log_without_a_reader_disturbs_nobody() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).with_log_that_nobody_reads();
    let task = task.create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
}

#[test]
fn a_log_whose_reader_leaves_disturbs_nobody() {
    let containerd = MockContainerd::start();
    let first = containerd.task(guests::PROBE).args(&["sleep"]).with_log_that_nobody_reads().create().start();
    let second = containerd.task(guests::HELLO).with_log_that_nobody_reads().create().start();
    assert_eq!(second.finish(), 0);
    std::fs::remove_dir_all(second.bundle()).unwrap();
    let third = containerd.task(guests::HELLO).create().start();
    assert_eq!(third.finish(), 0);
    first.kill(signal::KILL).unwrap();
    first.finish();
}
