//! OCI hooks: programs of the host, or of the container, that run at fixed points of a container's life.

use serde_json::{Value, json};
use wasmedge_shim_tests::{DEADLINE, MockContainerd, eventually, guests, part};

use crate::signal;

/// The kinds that run on the host, in the order in which they do (runtime-spec, "Lifecycle").
const ON_THE_HOST: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

#[test]
fn hooks_run_in_their_order_and_know_the_container() {
    let containerd = MockContainerd::start();
    let told = containerd.cell().directory().join("told");
    let busybox = part("busybox/bin/busybox");
    let hook = |kind: &str| {
        let script = format!("echo {kind} $(tr -d '\\n') >> {}", told.display());
        json!([{ "path": busybox, "args": ["busybox", "sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }])
    };
    let hooks: Value = ON_THE_HOST
        .iter()
        .map(|kind| ((*kind).to_owned(), hook(kind)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let task = containerd.task(guests::HELLO).configure(|config| config["hooks"] = hooks);
    let task = task.create().start();
    let (id, pid) = (task.id().to_owned(), task.pid());
    assert_eq!(task.finish(), 0);
    let lines = eventually("all hooks have run", DEADLINE, || {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        (text.lines().count() == ON_THE_HOST.len()).then_some(text)
    });
    for (line, kind) in lines.lines().zip(ON_THE_HOST) {
        let (found, state) = line.split_once(' ').unwrap();
        let state: Value = serde_json::from_str(state).unwrap();
        assert_eq!((found, state["id"].as_str()), (kind, Some(id.as_str())), "{lines}");
        // Within the container's own process libcontainer tells none, which the specification leaves open.
        if !["createContainer", "poststop"].contains(&kind) {
            assert_eq!(state["pid"], pid, "{line}");
        }
    }
}

#[test]
fn a_hook_in_the_container_runs_before_its_program() {
    let containerd = MockContainerd::start();
    let shell = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo before it > /told"] }]);
    let task = containerd.task(guests::PROBE).args(&["cat", "/told"]).file("/bin/sh", &shell, 0o755);
    let task = task.configure(|config| config["hooks"] = json!({ "startContainer": hook })).create().start();
    assert_eq!(task.finish(), 0, "{}", task.stderr().so_far());
    assert_eq!(task.stdout().so_far(), "before it\n");
}

#[test]
fn a_start_section_that_runs_for_ever_after_a_hook_does_not_hold_up_the_start() {
    let containerd = MockContainerd::start();
    let shell = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "exit 0"] }]);
    let endless = br#"(module (func $spin (loop br 0)) (start $spin) (func (export "_start")))"#;
    let task = containerd.bare_task().file("/app.wat", endless, 0o644).command(&["/app.wat"]);
    let task = task.file("/bin/sh", &shell, 0o755);
    let task = task.configure(|config| config["hooks"] = json!({ "startContainer": hook })).create().start();
    task.kill(signal::KILL).unwrap();
    assert_eq!(task.finish(), 137);
}

#[test]
fn a_hook_that_fails_fails_the_create_names_itself_and_those_of_the_end_run() {
    let containerd = MockContainerd::start();
    let busybox = part("busybox/bin/busybox");
    let hook = |script: &str| json!([{ "path": busybox, "args": ["busybox", "sh", "-c", script] }]);
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let told = containerd.cell().directory().join(kind);
        let after = hook(&format!("echo > {}", told.display()));
        let task = containerd.task(guests::HELLO);
        let task = task.configure(|config| {
            config["hooks"] = json!({ "poststop": after });
            config["hooks"][kind] = hook("exit 3");
        });
        let refusal = task.try_create().err().unwrap();
        let named = format!("running the {kind} hook {}: exit status 3", busybox.display());
        assert!(refusal.message.contains(&named), "{refusal}");
        assert!(told.exists(), "the poststop hook has run");
        containerd.cell().expect_nothing_left(&[], DEADLINE);
    }
}

#[test]
fn a_hook_of_the_start_that_fails_fails_the_start_and_names_itself() {
    let containerd = MockContainerd::start();
    let shell = std::fs::read(part("busybox/bin/busybox")).unwrap();
    let cases = [("/bin/sh", "exit status 3"), ("/bin/missing", "No such file")];
    for (path, why) in cases {
        let hook = json!([{ "path": path, "args": ["sh", "-c", "exit 3"] }]);
        let task = containerd.task(guests::HELLO).file("/bin/sh", &shell, 0o755);
        let task = task.configure(|config| config["hooks"] = json!({ "startContainer": hook })).create();
        let refusal = task.try_start().unwrap_err();
        let named = format!("running the startContainer hook {path}: ");
        assert!(refusal.message.contains(&named) && refusal.message.contains(why), "{refusal}");
        task.finish();
        assert_eq!(task.stdout().so_far(), "", "the guest has not run");
    }
}
