//! Limits that change while a guest runs.

use serde_json::json;
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{DEADLINE, Limit, MockContainerd, Task, guests};

use crate::signal;

fn limit(task: &Task<'_>, containerd: &MockContainerd, limit: Limit) -> u64 {
    limit.of(&format!("{}/{}", containerd.cell().name(), task.id()))
}

#[test]
fn limits_change_while_a_guest_runs() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    let bytes: u64 = 64 << 20;
    task.update(&json!({
        "memory": { "limit": bytes, "swap": bytes },
        "cpu": { "shares": 512, "quota": 50000, "period": 100_000 },
        "pids": { "limit": 7 },
    }))
    .unwrap();
    assert_eq!(limit(&task, &containerd, Limit::Memory), bytes);
    assert_eq!(limit(&task, &containerd, Limit::CpuQuota), 50000);
    assert_eq!(limit(&task, &containerd, Limit::Pids), 7);
    let refusal =
        task.update(&json!({ "memory": { "limit": 4096, "checkBeforeUpdate": true } })).unwrap_err();
    assert!(refusal.message.contains(Limit::Memory.file()), "{refusal}");
    let refusal = task.update(&json!({ "network": { "classID": 1 } })).unwrap_err();
    assert!(refusal.message.contains("network"), "{refusal}");
    task.kill(signal::KILL).unwrap();
    task.wait();
    assert_eq!(task.update(&json!({})).unwrap_err().code, Code::FAILED_PRECONDITION);
    task.delete();
}

#[test]
fn an_exec_that_is_killed_for_want_of_memory_is_told_once() {
    let containerd = MockContainerd::start();
    let limit = json!({ "limit": 48 << 20, "swap": 48 << 20 });
    let task = containerd.task(guests::PROBE).args(&["sleep"]);
    let task = task.configure(|config| config["linux"]["resources"]["memory"] = limit).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(task.run_exec("greedy", &["/app.wasm", "allocate", "200"]).0, 137);
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
    let names = ["create", "start", "exec-added", "exec-started", "oom", "exec-exit", "exit", "delete"];
    task.expect_events(&names);
}

#[test]
fn a_limit_that_does_not_hold_the_guest_is_told() {
    let containerd = MockContainerd::start();
    let limit = json!({ "limit": 1 << 20, "swap": 1 << 20 });
    let task = containerd.task(guests::HELLO);
    let task = task.configure(|config| config["linux"]["resources"]["memory"] = limit);
    let refusal = task.try_create().err().expect("refused");
    assert!(refusal.message.contains("limit of 1048576 bytes"), "{refusal}");
    assert_eq!(containerd.task(guests::HELLO).create().start().finish(), 0);
}
