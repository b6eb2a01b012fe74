//! Pause and resume: a paused guest gets no time, and goes on where it was.

use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{DEADLINE, MockContainerd, Task, api, guests};

use crate::signal;

fn spinner(containerd: &MockContainerd) -> Task<'_> {
    let task = containerd.task(guests::PROBE).args(&["spin"]).create().start();
    task.stdout().wait_for("spinning", DEADLINE);
    task
}

fn time_of(containerd: &MockContainerd, pid: u32) -> u64 {
    let stat = std::fs::read_to_string(containerd.cell().outside(format!("/proc/{pid}/stat"))).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(11).unwrap().parse().unwrap()
}

#[test]
fn a_paused_guest_gets_no_time_until_it_is_resumed() {
    let containerd = MockContainerd::start();
    let task = spinner(&containerd);
    task.pause().unwrap();
    assert_eq!(task.state().unwrap().status(), api::Status::PAUSED);
    let before = time_of(&containerd, task.pid());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(time_of(&containerd, task.pid()), before);
    task.resume().unwrap();
    assert_eq!(task.state().unwrap().status(), api::Status::RUNNING);
    wasmedge_shim_tests::eventually("it goes on", DEADLINE, || {
        (time_of(&containerd, task.pid()) > before).then_some(())
    });
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
    task.expect_events(&["create", "start", "paused", "resumed", "exit", "delete"]);
}

#[test]
fn a_paused_guest_can_be_killed() {
    let containerd = MockContainerd::start();
    let task = spinner(&containerd);
    task.pause().unwrap();
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
    task.expect_events(&["create", "start", "paused", "exit", "delete"]);
}

#[test]
fn only_what_runs_is_paused_and_only_what_is_paused_resumed() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["spin"]).create();
    let code = |answer: Result<(), wasmedge_shim_tests::Refusal>| answer.unwrap_err().code;
    assert_eq!(code(task.pause()), Code::FAILED_PRECONDITION);
    let task = task.start();
    assert_eq!(code(task.resume()), Code::FAILED_PRECONDITION);
    task.pause().unwrap();
    assert_eq!(code(task.pause()), Code::FAILED_PRECONDITION);
    assert_eq!(code(task.try_delete().map(drop)), Code::FAILED_PRECONDITION);
    task.kill(signal::KILL).unwrap();
    task.wait();
    assert_eq!(code(task.pause()), Code::FAILED_PRECONDITION);
    assert_eq!(code(task.resume()), Code::FAILED_PRECONDITION);
    task.delete();
}
