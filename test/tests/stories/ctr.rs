//! `ctr`: what its flags promise, a Wasm container keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use wasmedge_shim_tests::{Containerd, DEADLINE, Image, eventually, guests, has_cgroup_version_2};

#[test]
fn arguments_environment_directory_mounts_and_user() {
    let containerd = Containerd::start();
    let shared = containerd.cell().directory().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("note"), "from the host").unwrap();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let mount = format!("type=bind,src={},dst=/data,options=rbind:rw", shared.display());
    let run = |flags: &[&str], words: &[&str]| {
        containerd.container(&image).flags(flags).args(words).run().success()
    };

    run(&[], &["args", "a", "b c"]).printing("/app.wasm\nargs\na\nb c\n");
    let environment = run(&["--env", "COLOUR=green"], &["env"]).stdout;
    assert!(environment.contains("COLOUR=green\n"), "{environment}");
    run(&["--mount", &mount], &["cat", "/data/note"]).printing("from the host");
    run(&["--mount", &mount, "--cwd", "/data"], &["cat", "note"]).printing("from the host");
    assert!(run(&["--cwd", "/not/there/yet"], &["env"]).stdout.contains("PWD=/not/there/yet\n"));
    run(&["--mount", &mount, "--cwd", "/data/new"], &["write", "note", "in a new directory"]);
    assert_eq!(fs::read_to_string(shared.join("new/note")).unwrap(), "in a new directory");
    run(&["--mount", &mount], &["write", "/data/answer", "from the guest"]);
    assert_eq!(fs::read_to_string(shared.join("answer")).unwrap(), "from the guest");

    let nobody = containerd.container(&image).flags(&["--mount", &mount, "--user", "65534:65534"]);
    nobody.args(&["write", "/data/forbidden", "x"]).run().with_code(1);
    assert!(!shared.join("forbidden").exists());
}

#[test]
fn a_network_of_ones_own_has_its_loopback_as_under_runc() {
    let containerd = Containerd::start();
    let native = Image::of_files("probe-native", "/app.wasm").add(&guests::NATIVE_PROBE.path(), "/app.wasm");
    let flags = |runtime: &str, image: &Image| {
        let image = containerd.import(image);
        let container = containerd.container(&image).runtime(runtime);
        container.args(&["cat", "/sys/devices/virtual/net/lo/flags"]).run().success().stdout
    };
    let ours = flags("io.containerd.wasmedge.v1", &Image::classic(guests::PROBE));
    assert_eq!((ours.as_str(), &ours), ("0x9\n", &flags("io.containerd.runc.v2", &native)));
}

#[test]
fn exit_codes_and_signals_come_back_through_ctr() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    containerd.container(&image).args(&["exit", "42"]).run().with_code(42);
    let trapped = containerd.container(&image).args(&["trap", "memory"]).run().with_code(134);
    trapped.complaining(&["out of bounds memory access", "trap_memory"]);
    for (signal, code) in [("SIGTERM", 143), ("SIGINT", 130), ("SIGKILL", 137)] {
        let container = containerd.container(&image).args(&["sleep"]).attached();
        container.stdout().wait_for("sleeping", DEADLINE);
        container.kill(signal);
        assert_eq!(container.wait(), code, "{signal}");
    }
}

#[test]
fn task_metrics_and_processes_are_listed() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let container = containerd.container(&image).args(&["spin"]).attached();
    container.stdout().wait_for("spinning", DEADLINE);
    let metrics = containerd.ctr(&["task", "metrics", container.id()]).success().stdout;
    let names = match has_cgroup_version_2() {
        false => ["memory.usage_in_bytes", "cpuacct.usage"],
        true => ["memory.usage ", "cpu.usage_usec"],
    };
    assert!(names.iter().all(|name| metrics.contains(name)), "{metrics}");
    let processes = containerd.ctr(&["task", "ps", container.id()]).success().stdout;
    assert!(processes.contains(&container.pid().to_string()), "{processes}");
    container.kill("SIGKILL");
    assert_eq!(container.wait(), 137);
}

#[test]
fn exec_pause_and_resume_by_ctr() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let container = containerd.container(&image).args(&["sleep"]).attached();
    container.stdout().wait_for("sleeping", DEADLINE);
    let exec = |id: &str, words: &[&str]| {
        containerd.ctr(&[&["task", "exec", "--exec-id", id, container.id()], words].concat())
    };
    exec("e1", &["/app.wasm", "say", "hi"]).success().printing("hi\n");
    exec("e1", &["/app.wasm", "exit", "42"]).with_code(42);
    exec("e2", &["/missing.wasm"]).with_code(1).complaining(&["/missing.wasm", "no such file or directory"]);
    let terminal =
        "ctr --address \"$1\" --namespace \"$2\" task exec --tty --exec-id e3 \"$3\" /app.wasm tty";
    let socket = containerd.socket().display().to_string();
    let typed = format!(
        "script -qec '{}' /dev/null",
        terminal
            .replace("\"$1\"", &socket)
            .replace("\"$2\"", containerd.namespace())
            .replace("\"$3\"", container.id())
    );
    let shown = containerd.cell().run(&["sh", "-c", &typed]).success().stdout;
    assert!(shown.contains("true true"), "{shown}");

    containerd.ctr(&["task", "pause", container.id()]).success();
    assert!(containerd.ctr(&["task", "list"]).success().stdout.contains("PAUSED"));
    containerd.ctr(&["task", "resume", container.id()]).success();
    container.kill("SIGTERM");
    assert_eq!(container.wait(), 143);
}

#[test]
fn the_module_of_a_layer_can_be_executed_again() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE).flag("--layer"));
    let container =
        containerd.container(&image).flags(&["--platform", "wasip1/wasm"]).args(&["sleep"]).attached();
    container.stdout().wait_for("sleeping", DEADLINE);
    let exec = ["task", "exec", "--exec-id", "e1", container.id(), "/app.wasm", "say", "hi"];
    containerd.ctr(&exec).success().printing("hi\n");
    container.kill("SIGTERM");
    assert_eq!(container.wait(), 143);
}

#[test]
fn a_failure_is_told_in_ctrs_own_output_and_leaves_nothing() {
    let containerd = Containerd::start();
    let told = |image: &Image, words: &[&str]| {
        let image = containerd.import(image);
        let id = containerd.new_id();
        containerd.container(&image).id(&id).run().with_code(1).complaining(words);
        containerd.expect_nothing_left();
        containerd.container(&image).id(&id).run().with_code(1).complaining(words);
    };
    let unchecked = |guest| Image::classic(guest).flag("--no-check");
    told(&unchecked(guests::COMPONENT), &["/app.wasm", "component", "wasm32-wasip1"]);
    told(&unchecked(guests::MISSING_IMPORT), &["/app.wasm", "nobody", "provides_this"]);
    told(&unchecked(guests::START_TRAPS), &["/app.wasm", "unreachable"]);
    told(&unchecked(guests::TRUNCATED), &["/app.wasm", "truncated"]);
}

#[test]
fn a_detached_container_runs_until_it_is_killed() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let id = containerd.container(&image).args(&["sleep"]).detached();
    assert!(containerd.pid_of(&id) > 0);
    containerd.ctr(&["task", "kill", "--all", "--signal", "SIGKILL", &id]).success();
}

#[test]
fn output_goes_to_the_file_or_program_that_a_uri_names() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let directory = containerd.cell().directory();
    let (file, program, logged) = (directory.join("log"), directory.join("logger"), directory.join("logged"));
    fs::write(&program, "#!/bin/sh\nexec 5>&-\n{ echo \"for $CONTAINER_ID\"; cat <&3; } > $2\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |uri: &str| {
        let id = containerd.new_id();
        let container = containerd.container(&image).id(&id).flags(&["--log-uri", uri]);
        container.args(&["say", "to the log"]).run().success().printing("");
        id
    };
    run(&format!("file://{}", file.display()));
    assert_eq!(fs::read_to_string(file).unwrap(), "to the log\n");
    let id = run(&format!("binary://{}?to={}", program.display(), logged.display()));
    eventually("the program's file", DEADLINE, || {
        (fs::read_to_string(&logged).ok()? == format!("for {id}\nto the log\n")).then_some(())
    });
}

#[test]
fn metrics_have_the_parts_that_runcs_have() {
    let containerd = Containerd::start();
    let native = Image::of_files("probe-native", "/app.wasm").add(&guests::NATIVE_PROBE.path(), "/app.wasm");
    let parts = |runtime: &str, image: &Image| {
        let image = containerd.import(image);
        let container = containerd.container(&image).runtime(runtime).flags(&["--memory-limit", "268435456"]);
        let container = container.args(&["allocate", "20"]).attached();
        container.stdout().wait_for("allocated", DEADLINE);
        let metrics = containerd.ctr(&["task", "metrics", "--format=json", container.id()]).success().stdout;
        container.kill("SIGKILL");
        container.wait();
        let metrics: Value = serde_json::from_str(&metrics).unwrap();
        let mut parts = Vec::new();
        for (name, part) in metrics.as_object().unwrap() {
            let below = part.as_object().into_iter().flatten().map(|(below, _)| format!("{name}.{below}"));
            parts.extend(std::iter::once(name.clone()).chain(below.filter(|name| !is_by_chance(name))));
        }
        parts
    };
    let theirs = parts("io.containerd.runc.v2", &native);
    let ours = parts("io.containerd.wasmedge.v1", &Image::classic(guests::PROBE));
    let missing: Vec<_> = theirs.iter().filter(|part| !ours.contains(part)).collect();
    assert!(missing.is_empty(), "{missing:?} of {theirs:?}");
    assert!(theirs.len() > 10, "{theirs:?}");
}

/// Whether a figure may be zero, and then is not told, without anything being amiss.
fn is_by_chance(name: &str) -> bool {
    let names = [
        "fault",
        "active_anon",
        "file",
        "cache",
        "dirty",
        "writeback",
        "pg_",
        "pg",
        "huge",
        "thp",
        "workingset",
        "sock",
        "shmem",
    ];
    names.iter().any(|chance| name.contains(chance))
}
