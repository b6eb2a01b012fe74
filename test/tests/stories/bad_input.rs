//! Bad input: each kind makes create (or start, where create cannot know) fail within two seconds, with a
//! message that names the cause and the file, leaves nothing behind, and leaves the id usable at once.
//! What Docker and ctr make of the same messages is told in their own stories.

use std::time::{Duration, Instant};

use serde_json::json;
use wasmedge_shim_tests::guests::{self, Guest};
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{
    MockContainerd, Refusal, TaskBuilder, eventually, has_cgroup_version_2, here, part,
};

use crate::signal;

const SOON: Duration = Duration::from_secs(2);

/// Creates the task, which must fail soon and say those words, and then another of its name.
#[track_caller]
fn create_fails(containerd: &MockContainerd, task: TaskBuilder<'_>, words: &[&str]) -> Refusal {
    let id = task.id().to_owned();
    let begun = Instant::now();
    let refusal = task.try_create().err().unwrap();
    says(&refusal, words);
    assert!(begun.elapsed() < here(SOON), "it took {:?}", begun.elapsed());
    containerd.cell().expect_nothing_left(&[], Duration::from_secs(2));
    assert_eq!(containerd.count_events(&id), 0, "no event tells of a task that never was");
    the_id_is_usable(containerd, &id);
    refusal
}

#[track_caller]
fn says(refusal: &Refusal, words: &[&str]) {
    for word in words {
        assert!(refusal.message.contains(word), "expected to read {word:?} in: {refusal}");
    }
}

#[track_caller]
fn the_id_is_usable(containerd: &MockContainerd, id: &str) {
    let task = containerd.bare_task_named(id).file("/app.wasm", &guests::HELLO.bytes().unwrap(), 0o644);
    let task = task.command(&["/app.wasm"]).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    std::fs::remove_dir_all(task.bundle()).unwrap();
}

/// A story of a guest that is refused at create, in those words.
macro_rules! refused_at_create {
    ($($story:ident: $guest:ident as $entrypoint:literal, $words:expr;)+) => {$(
        #[test]
        fn $story() {
            let containerd = MockContainerd::start();
            let task = containerd.task(guests::$guest).command(&[$entrypoint]);
            create_fails(&containerd, task, &$words);
        }
    )+};
}

refused_at_create! {
    an_empty_file: EMPTY as "/app.wasm", ["/app.wasm", "empty"];
    a_truncated_module: TRUNCATED as "/app.wasm", ["/app.wasm", "truncated"];
    a_wrong_magic_number: WRONG_MAGIC as "/app.wasm", ["/app.wasm", "not a WebAssembly module", "00 61 62 63"];
    a_wrong_version: WRONG_VERSION as "/app.wasm", ["/app.wasm", "version 0x2"];
    a_component: COMPONENT as "/app.wasm", ["/app.wasm", "component", "not supported by this engine", "wasm32-wasip1"];
    no_start_and_no_function_named: EXPORTS as "/app.wasm", ["/app.wasm", "_start", "greet"];
    a_function_that_does_not_exist: EXPORTS as "/app.wasm#dance", ["/app.wasm", "dance", "greet"];
    a_function_that_takes_arguments: EXPORTS as "/app.wasm#add_one", ["/app.wasm", "add_one", "arguments"];
    an_elf_file_given_as_a_module: ELF as "/app.wasm#greet", ["/app.wasm"];
}

/// What only shows when the module is instantiated may fail either create or start.
#[track_caller]
fn create_or_start_fails(guest: Guest, words: &[&str]) {
    let containerd = MockContainerd::start();
    let task = containerd.task(guest);
    let id = task.id().to_owned();
    let begun = Instant::now();
    match task.try_create() {
        Err(refusal) => says(&refusal, words),
        Ok(task) => {
            says(&task.try_start().unwrap_err(), words);
            assert!(begun.elapsed() < here(SOON), "it took {:?}", begun.elapsed());
            task.finish();
            assert_eq!(task.stdout().so_far(), "");
            std::fs::remove_dir_all(task.bundle()).unwrap();
        }
    }
    containerd.cell().expect_nothing_left(&[], Duration::from_secs(2));
    the_id_is_usable(&containerd, &id);
}

#[test]
fn an_import_that_nobody_provides() {
    create_or_start_fails(guests::MISSING_IMPORT, &["/app.wasm", "nobody", "provides_this"]);
}

#[test]
fn an_import_of_another_type() {
    create_or_start_fails(guests::WRONG_IMPORT, &["/app.wasm", "wasi_snapshot_preview1", "proc_exit"]);
}

#[test]
fn a_start_section_that_traps() {
    create_or_start_fails(guests::START_TRAPS, &["/app.wasm", "unreachable", "in_the_start_section"]);
}

#[test]
fn an_entrypoint_that_is_missing() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().command(&["/app.wasm"]);
    let refusal = create_fails(&containerd, task, &["/app.wasm", "no such file or directory"]);
    assert_eq!(refusal.code, Code::NOT_FOUND, "{refusal}");
}

#[test]
fn an_entrypoint_that_is_a_directory() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().file("/app.wasm/file", b"", 0o644).command(&["/app.wasm"]);
    create_fails(&containerd, task, &["/app.wasm", "is a directory"]);
}

#[test]
fn an_entrypoint_that_is_a_fifo() {
    let containerd = MockContainerd::start();
    for policy in ["off", "wait", "require"] {
        let task =
            containerd.bare_task().fifo_in_the_image("/app.wasm").command(&["/app.wasm"]).compiled(policy);
        create_fails(&containerd, task, &["/app.wasm", "not a regular file"]);
    }
}

#[test]
fn an_entrypoint_that_its_user_cannot_read() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().file("/app.wasm", &guests::HELLO.bytes().unwrap(), 0o600);
    let task = task.command(&["/app.wasm"]);
    let task = task.configure(|config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    create_fails(&containerd, task, &["/app.wasm", "permission denied"]);
}

#[test]
fn a_module_that_needs_more_memory_than_the_limit() {
    let containerd = MockContainerd::start();
    let limit = json!({ "limit": 64 << 20 });
    let task = containerd.task(guests::BIG_MEMORY);
    let task = task.configure(|config| config["linux"]["resources"]["memory"] = limit);
    create_fails(&containerd, task, &["/app.wasm", "memory", "4294967296", "67108864"]);
}

#[test]
fn a_module_over_the_size_limit() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).option("ModuleSizeLimit = 1000\n");
    let id = task.id().to_owned();
    let refusal = task.try_create().err().unwrap();
    says(&refusal, &["/app.wasm", "more than the limit of 1000"]);
    the_id_is_usable(&containerd, &id);
}

#[test]
fn a_module_over_the_size_limit_that_nobody_set() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO);
    let file = std::fs::OpenOptions::new().write(true).open(task.bundle().join("rootfs/app.wasm")).unwrap();
    file.set_len((512 << 20) + 1).unwrap();
    create_fails(&containerd, task, &["/app.wasm", "more than the limit of 536870912"]);
}

#[test]
fn a_config_that_does_not_parse() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO);
    let id = task.id().to_owned();
    std::fs::write(task.bundle().join("config.json"), "{\n  \"ociVersion\": 7,\n").unwrap();
    let refusal = task.try_create_as_written().err().unwrap();
    says(&refusal, &["config.json", "line"]);
    the_id_is_usable(&containerd, &id);
}

#[test]
fn a_config_that_asks_for_something_unsupported() {
    let containerd = MockContainerd::start();
    let unknown = json!([{ "type": "pid" }, { "type": "mount" }, { "type": "weather" }]);
    let task = containerd.task(guests::HELLO);
    let task = task.configure(|config| config["linux"]["namespaces"] = unknown);
    let id = task.id().to_owned();
    let refusal = task.try_create().err().unwrap();
    says(&refusal, &["config.json", "weather"]);
    the_id_is_usable(&containerd, &id);
}

#[test]
fn a_config_without_a_command() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).command(&[]);
    create_fails(&containerd, task, &["args"]);
}

#[test]
fn a_config_that_this_host_cannot_fulfil() {
    let containerd = MockContainerd::start();
    let fails = |change: fn(&mut serde_json::Value), words: &[&str]| {
        create_fails(&containerd, containerd.task(guests::HELLO).configure(change), words);
    };
    fails(
        |config| config["linux"]["sysctl"] = json!({ "net.nope": "1" }),
        &["sysctl net.nope", "/proc/sys/net/nope: no such file or directory"],
    );
    fails(
        |config| config["hooks"] = json!({ "createRuntime": [{ "path": "/nope/hook" }] }),
        &["running the createRuntime hook /nope/hook: ", "No such file or directory"],
    );
    fails(
        |config| config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" }),
        &["the seccomp filter forbids"],
    );
    let name = "a".repeat(100);
    let task = containerd.task(guests::HELLO).configure(|config| config["hostname"] = json!(name));
    let refusal = create_fails(&containerd, task, &["hostname", &name, "invalid argument"]);
    assert_eq!(refusal.message.matches("hostname").count(), 1, "told once: {refusal}");
    fails(
        |config| config["linux"]["namespaces"][1]["path"] = json!("/nope/ipc"),
        &["/nope/ipc: no such file or directory"],
    );
    fails(|config| config["root"]["path"] = json!("/nope/root"), &["/nope/root", "No such file"]);
    let mount = |config: &mut serde_json::Value, mount| config["mounts"].as_array_mut().unwrap().push(mount);
    let task = containerd.task(guests::HELLO).configure(|config| {
        mount(config, json!({ "destination": "/m", "type": "nofs", "source": "x" }));
    });
    create_fails(&containerd, task, &["mounting \"x\" on /m", "no such device"]);
    let task = containerd.task(guests::HELLO).configure(|config| {
        let options = ["rbind"];
        mount(
            config,
            json!({ "destination": "/app.wasm", "type": "bind", "source": "/", "options": options }),
        );
    });
    create_fails(&containerd, task, &["on /app.wasm: not a directory"]);
}

#[test]
fn a_config_that_asks_for_what_would_be_ignored() {
    let containerd = MockContainerd::start();
    for (field, value) in [("cwd", "relative"), ("selinuxLabel", "system_u:system_r:container_t:s0")] {
        let task = containerd.task(guests::HELLO).configure(|config| config["process"][field] = json!(value));
        create_fails(&containerd, task, &["config.json", field, value]);
    }
    let task = containerd.task(guests::HELLO).args(&["a\0b"]);
    create_fails(&containerd, task, &["process.args", "NUL"]);
    let label = json!("system_u:object_r:container_file_t:s0");
    let task = containerd.task(guests::HELLO).configure(|config| config["linux"]["mountLabel"] = label);
    create_fails(&containerd, task, &["linux.mountLabel", "SELinux"]);
    let limits = json!({ "mlx5_0": { "hcaHandles": 1 } });
    let task = containerd.task(guests::HELLO);
    let task = task.configure(|config| config["linux"]["resources"]["rdma"] = limits);
    create_fails(&containerd, task, &["linux.resources.rdma"]);
    for limits in
        [json!({ "leafWeight": 7 }), json!({ "weightDevice": [{ "major": 8, "minor": 0, "leafWeight": 7 }] })]
    {
        let task = containerd.task(guests::HELLO);
        let task = task.configure(|config| config["linux"]["resources"]["blockIO"] = limits);
        create_fails(&containerd, task, &["linux.resources.blockIO.leafWeight 7"]);
    }
    if !has_cgroup_version_2() {
        let unified = json!({ "memory.high": "1000000" });
        let task = containerd.task(guests::HELLO);
        let task = task.configure(|config| config["linux"]["resources"]["unified"] = unified);
        create_fails(&containerd, task, &["linux.resources.unified", "memory.high"]);
    }
}

#[test]
fn a_library_that_is_not_installed() {
    let containerd = MockContainerd::start();
    let prefix = containerd.install();
    std::fs::remove_file(prefix.join("lib/containerd-shim-wasmedge/libwasmedge.so.0")).unwrap();
    let refusal = containerd.task(guests::HELLO).try_create().err().unwrap();
    says(&refusal, &["the engine", "libwasmedge.so.0"]);
    containerd.cell().expect_nothing_left(&[], Duration::from_secs(2));
}

#[test]
fn runtime_options_of_an_unknown_type() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).options("example.com/weather.v1.Options", b"rain".to_vec());
    let refusal = create_fails(&containerd, task, &["example.com/weather.v1.Options"]);
    assert_eq!(refusal.code, Code::INVALID_ARGUMENT, "{refusal}");
}

#[test]
fn runtime_options_with_an_unknown_name() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).option("DaemonPerPot = true\n");
    create_fails(&containerd, task, &["DaemonPerPot"]);
}

#[test]
fn a_wasmedge_section_is_ignored_and_never_executed() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::WASMEDGE_SECTION).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    assert!(!task.bundle().join("rootfs/native-code-ran").exists());
}

#[test]
fn an_elf_file_given_as_a_module_is_never_loaded() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::ELF).command(&["/app.wasm#greet"]);
    let marker = task.bundle().join("rootfs/native-code-ran");
    let output = task.bundle().join("stdout");
    assert!(task.try_create().is_err());
    assert!(!marker.exists() && !output.exists());
}

#[test]
fn failed_creates_leave_the_daemon_as_it_was() {
    let containerd = MockContainerd::start();
    let companion = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let daemon = companion.connect().shim_pid;
    let descriptors = || {
        let directory = containerd.cell().outside(format!("/proc/{daemon}/fd"));
        std::fs::read_dir(directory).unwrap().count()
    };
    let fail = || drop(containerd.task(guests::COMPONENT).try_create().err().unwrap());
    fail();
    let before = descriptors();
    for _ in 0..20 {
        fail();
        containerd.bare_task().command(&["/missing"]).try_create().err().unwrap();
    }
    eventually("as many descriptors as before", SOON, || (descriptors() <= before).then_some(()));
    let bundles = containerd.cell().directory().join("bundles");
    assert_eq!(std::fs::read_dir(bundles).unwrap().count(), 1, "only the companion's");
    companion.kill(signal::KILL).unwrap();
    companion.finish();
}

#[test]
fn a_table_that_is_too_large() {
    let containerd = MockContainerd::start();
    let wat = br#"(module (table 9999999 funcref) (func (export "_start")))"#;
    let task = containerd.bare_task().file("/app.wasm", wat, 0o644).command(&["/app.wasm"]);
    create_fails(&containerd, task, &["/app.wasm", "9999999 elements", "4194304"]);
}

#[test]
fn names_of_a_module_are_shown_as_one_short_line() {
    let containerd = MockContainerd::start();
    let name = format!("\\1b[2J\\n{}", "x".repeat(50_000));
    let import = format!(r#"(module (import "{name}" "f" (func)) (func (export "_start")))"#);
    let export = format!(r#"(module (func (export "{name}")) (func (export "")))"#);
    for wat in [import, export] {
        let task = containerd.bare_task().file("/app.wasm", wat.as_bytes(), 0o644).command(&["/app.wasm"]);
        let refusal = create_fails(&containerd, task, &["/app.wasm", "\u{fffd}[2J"]);
        assert!(refusal.message.len() < 500, "{refusal}");
        assert!(!refusal.message.contains(char::is_control), "{refusal}");
    }
}

#[test]
fn a_user_that_the_kernel_would_take_for_root() {
    let containerd = MockContainerd::start();
    let all = [
        json!({ "uid": u32::MAX, "gid": 0 }),
        json!({ "uid": 0, "gid": 1u32 << 31 }),
        json!({ "uid": 0, "gid": 0, "additionalGids": [5, u32::MAX] }),
    ];
    let words = ["uids and gids must be in range 0-2147483647"];
    for user in &all {
        let task = containerd.task(guests::HELLO);
        create_fails(&containerd, task.configure(|config| config["process"]["user"] = user.clone()), &words);
    }
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    for (id, user) in [("e1", &all[0]), ("e2", &all[1]), ("e3", &all[2])] {
        let exec = task.exec(id, &["/app.wasm", "say", "hi"]);
        let exec = exec.configure(|process| process["user"] = user.clone()).add();
        says(&exec.try_start().unwrap_err(), &words);
        exec.try_delete().unwrap();
    }
    task.kill(signal::KILL).unwrap();
    task.finish();
}

#[test]
fn an_environment_without_a_value() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO);
    let task = task.configure(|config| config["process"]["env"] = json!(["A=b", "LONELY"]));
    create_fails(&containerd, task, &["process.env", "\"LONELY\": missing '='"]);
}

#[test]
fn an_rlimit_under_which_nothing_starts() {
    let containerd = MockContainerd::start();
    let fails = |kind: &str, limit: u64, words: &[&str]| {
        let limits = json!([{ "type": kind, "soft": limit, "hard": limit }]);
        let task = containerd.task(guests::HELLO);
        create_fails(&containerd, task.configure(|config| config["process"]["rlimits"] = limits), words);
    };
    fails("RLIMIT_NOFILE", 4, &["rlimit nofile of 4: too many open files"]);
    fails("RLIMIT_AS", 100_000_000, &["rlimit as of 100000000: cannot allocate memory"]);
}

#[test]
fn an_entrypoint_that_is_no_regular_file() {
    let containerd = MockContainerd::start();
    let task = containerd.bare_task().command(&["/fifo"]);
    let fifo = task.bundle().join("rootfs/fifo").display().to_string();
    let busybox = part("busybox/bin/busybox").display().to_string();
    containerd.cell().run(&[&busybox, "mkfifo", &fifo]).success();
    let refusal = create_fails(&containerd, task, &["/fifo", "permission denied"]);
    assert_eq!(refusal.code, Code::PERMISSION_DENIED, "{refusal}");
}
