//! The task API: its versions, its bootstrap, what it refuses and how.

use wasmedge_shim_tests::protobuf::Message;
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{
    ApiVersion, BootstrapParams, BootstrapResult, DEADLINE, MockContainerd, Refusal, Task, api, cgroups,
    cgroups_v2, finish, guests, has_cgroup_version_2, product,
};

use crate::signal;

#[test]
fn task_api_v2_is_spoken_as_well() {
    let containerd = MockContainerd::speaking(ApiVersion::V2);
    let task = containerd.task(guests::HELLO).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    task.expect_events(&["create", "start", "exit", "delete"]);
}

#[test]
fn the_bootstrap_of_containerd_2_3_is_answered_in_its_own_form() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO);
    task.write_config();
    let address = containerd.address().display().to_string();
    let parameters = BootstrapParams {
        instance_id: task.id().to_owned(),
        namespace: containerd.cell().name().to_owned(),
        containerd_version: "2.3.7".to_owned(),
        containerd_ttrpc_address: format!("{address}.ttrpc"),
        containerd_grpc_address: address,
        containerd_binary: "containerd".to_owned(),
        ..Default::default()
    };
    let input = parameters.write_to_bytes().unwrap();
    let answer = containerd.verb_with_input("start", task.id(), task.bundle(), &input).success();
    let answer = BootstrapResult::parse_from_bytes(&answer.bytes).unwrap();
    assert_eq!((answer.version, answer.protocol.as_str()), (3, "ttrpc"));

    let old = MockContainerd::address_in(&containerd.verb("start", task.id(), task.bundle()).success());
    assert_eq!(answer.address, old, "old and new find the same daemon");
    assert_eq!(task.create().start().finish(), 0);
}

#[test]
fn only_root_can_reach_the_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).create().start();
    let answer = containerd.verb("start", task.id(), task.bundle()).success();
    let address = MockContainerd::address_in(&answer);
    let socket = containerd.cell().outside(address.strip_prefix("unix://").unwrap());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket) & 0o077, 0);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    task.finish();
}

#[test]
fn version_and_information_are_told_without_a_containerd() {
    let shim = || std::process::Command::new(product("bin/containerd-shim-wasmedge-v1"));
    let version = finish(shim().arg("-v"), DEADLINE).success();
    assert!(version.stdout.contains("containerd-shim-wasmedge-v1"), "{version}");
    let information = finish(shim().arg("-info"), DEADLINE).success();
    assert!(information.stdout.contains("io.containerd.wasmedge.v1"), "{information}");
}

#[test]
fn the_shim_is_one_static_executable() {
    let bytes = std::fs::read(product("bin/containerd-shim-wasmedge-v1")).unwrap();
    assert_eq!(&bytes[..4], b"\x7fELF");
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!has(b"ld-linux-x86-64.so.2\0") && !has(b"ld-musl"), "it has no interpreter");
    assert!(!has(b"WasmEdge_VMCreate"), "it links no WasmEdge");
}

#[test]
fn what_is_not_done_is_refused_by_its_name() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let id = || task.id().to_owned();
    refuses_by_name(&task, "Checkpoint", &api::CheckpointTaskRequest { id: id(), ..Default::default() });
    task.kill(signal::KILL).unwrap();
    task.finish();
}

#[track_caller]
fn refuses_by_name(task: &Task<'_>, method: &str, request: &impl Message) {
    let refusal = task.call::<_, api::Empty>(method, request).unwrap_err();
    assert_eq!(refusal.code, Code::UNIMPLEMENTED, "{method}: {refusal}");
    let plain = refusal.message.to_lowercase().replace('_', "");
    assert!(plain.contains(&method.to_lowercase()), "{method}: {refusal}");
}

#[test]
fn a_call_at_the_wrong_time_is_refused_with_the_code_that_containerd_expects() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let code = |answer: Result<u32, Refusal>| answer.unwrap_err().code;
    assert_eq!(code(task.try_delete()), Code::FAILED_PRECONDITION);
    assert_eq!(code(task.try_start()), Code::FAILED_PRECONDITION);
    let nobody = api::StateRequest { id: "nobody".to_owned(), ..Default::default() };
    assert_eq!(task.call::<_, api::StateResponse>("State", &nobody).unwrap_err().code, Code::NOT_FOUND);
    task.kill(signal::KILL).unwrap();
    task.wait();
    assert_eq!(task.kill(signal::TERM).unwrap_err().code, Code::NOT_FOUND);
    task.delete();
}

#[test]
fn a_shutdown_with_containers_left_is_refused() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let daemon = task.connect().shim_pid;
    for now in [false, true] {
        let request = api::ShutdownRequest { id: task.id().to_owned(), now, ..Default::default() };
        task.call::<_, api::Empty>("Shutdown", &request).unwrap();
        assert_eq!(task.connect().shim_pid, daemon, "runc's shim answers, and stays too");
    }
    task.kill(signal::KILL).unwrap();
    task.finish();
}

#[test]
fn pids_and_statistics_are_those_of_the_container() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["allocate", "20"]).create().start();
    task.stdout().wait_for("allocated", DEADLINE);
    assert_eq!(task.pids(), [task.pid()]);
    let (kind, bytes) = task.stats();
    let (memory, nanoseconds, pids) = match has_cgroup_version_2() {
        false => {
            assert_eq!(kind, "io.containerd.cgroups.v1.Metrics");
            let metrics = cgroups::metrics::Metrics::parse_from_bytes(&bytes).unwrap();
            (metrics.memory.usage.usage, metrics.cpu.usage.total, metrics.pids.current)
        }
        true => {
            assert_eq!(kind, "io.containerd.cgroups.v2.Metrics");
            let metrics = cgroups_v2::metrics::Metrics::parse_from_bytes(&bytes).unwrap();
            (metrics.memory.usage, metrics.cpu.usage_usec * 1000, metrics.pids.current)
        }
    };
    assert!(memory > 20 << 20, "{memory}");
    assert!(nanoseconds > 1_000_000, "{nanoseconds}");
    assert_eq!(pids, 1);
    task.kill_all(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
}
