//! Docker 28: what its users do with a container, they do with a Wasm one.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::guests::{self, Guest};
use wasmedge_shim_tests::{
    Captured, DEADLINE, Dockerd, Finished, Image, Store, docker_version, eventually, finish, here, part,
};

const STORES: [Store; 2] = [Store::Docker, Store::Containerd];

fn dockerd() -> std::sync::Arc<Dockerd> {
    Dockerd::shared(Store::Docker)
}

/// The answer of an HTTP server in the cell, once it answers.
fn fetch(docker: &Dockerd, url: &str) -> String {
    eventually(&format!("an answer from {url}"), DEADLINE, || {
        let mut wget = docker.cell().command(part("busybox/bin/busybox"));
        let answer = finish(wget.args(["wget", "-q", "-O", "-", url]), DEADLINE);
        answer.status.success().then_some(answer.stdout)
    })
}

/// A directory with a guest and a Dockerfile.
fn build_context(docker: &Dockerd, guest: Guest) -> PathBuf {
    let directory = docker.cell().directory().join(docker.new_name());
    fs::create_dir(&directory).unwrap();
    fs::copy(guest.path(), directory.join("app.wasm")).unwrap();
    let file = "FROM scratch\nCOPY app.wasm /app.wasm\nENV COLOUR=green\nENTRYPOINT [\"/app.wasm\"]\n";
    fs::write(directory.join("Dockerfile"), file).unwrap();
    directory
}

fn native_image() -> Image {
    Image::of_files("native", "/bin/sh").add(&part("busybox/bin/busybox"), "/bin/sh")
}

#[test]
fn hello_runs_on_the_default_bridge_with_either_store() {
    for store in STORES {
        let docker = Dockerd::shared(store);
        let image = docker.load(&Image::classic(guests::HELLO));
        docker.run(&["--rm", &image]).success().printing("hello from wasm\n");
    }
}

#[test]
fn an_image_from_docker_build_runs_with_either_store() {
    for store in STORES {
        let docker = Dockerd::shared(store);
        let image = docker.build(&build_context(&docker, guests::PROBE), &[]);
        let environment = docker.run(&["--rm", &image, "env"]).success().stdout;
        assert!(environment.contains("COLOUR=green\n"), "{environment}");
    }
}

#[test]
fn an_image_for_the_wasm_platform_runs() {
    let docker = Dockerd::shared(Store::Containerd);
    let image = docker.build(&build_context(&docker, guests::PROBE), &["--platform=wasip1/wasm"]);
    docker.run(&["--rm", "--platform=wasip1/wasm", &image, "say", "hi"]).success().printing("hi\n");
}

#[test]
fn an_image_whose_layer_is_the_module_runs_from_containerds_store() {
    let docker = Dockerd::shared(Store::Containerd);
    let image = docker.load(&Image::layer(guests::PROBE).named("probe-layer"));
    let run = docker.run(&["--rm", "--platform=wasip1/wasm", &image, "say", "hi"]);
    if docker_version() < 28 {
        // It does not tell containerd which image a container is of.
        run.with_code(127).complaining(&["/app.wasm", "no such file"]);
        return;
    }
    run.success().printing("hi\n");
}

#[test]
fn an_artifact_runs_from_containerds_store_when_its_command_is_given() {
    let docker = Dockerd::shared(Store::Containerd);
    let image = docker.load(&Image::classic(guests::HELLO).named("hello-artifact").flag("--artifact"));
    let run = docker.run(&["--rm", "--platform=wasip1/wasm", &image, "/app.wasm"]);
    if docker_version() < 28 {
        run.with_code(127).complaining(&["/app.wasm", "no such file"]);
        return;
    }
    run.success().printing("hello from wasm\n");
}

#[test]
fn dockers_own_store_does_not_take_an_image_whose_layer_is_the_module() {
    let docker = dockerd();
    let archive = Image::layer(guests::HELLO).named("hello-layer").pack(docker.cell().directory());
    let refused = docker.docker(&["load", "--input", &archive.display().to_string()]);
    assert_ne!(refused.code(), 0, "the README can be glad and say so: {refused}");
}

#[test]
fn the_alias_of_the_deployed_configuration_is_a_runtime() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::HELLO));
    docker.docker(&["run", "--rm", "--runtime=wasmedge", &image]).success().printing("hello from wasm\n");
}

#[test]
fn arguments_environment_volume_directory_and_user() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let shared = docker.cell().directory().join(docker.new_name());
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("note"), "from the host").unwrap();
    let volume = format!("--volume={}:/data", shared.display());
    let run =
        |flags: &[&str], words: &[&str]| docker.run(&[&["--rm"], flags, &[image.as_str()], words].concat());

    run(&[], &["args", "one", "two words"]).success().printing("/app.wasm\nargs\none\ntwo words\n");
    let environment = run(&["-e", "SIZE=7"], &["env"]).success().stdout;
    assert!(environment.contains("SIZE=7\n"), "{environment}");
    run(&[&volume], &["cat", "/data/note"]).success().printing("from the host");
    run(&[&volume, "-w", "/data"], &["cat", "note"]).success().printing("from the host");
    run(&[&volume], &["write", "/data/answer", "from the guest"]).success();
    assert_eq!(fs::read_to_string(shared.join("answer")).unwrap(), "from the guest");
    run(&[&volume, "-u", "65534"], &["write", "/data/forbidden", "x"]).with_code(1);
    run(&["--read-only"], &["write", "/forbidden", "x"]).with_code(1);
}

#[test]
fn standard_input_is_piped_in() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let input = docker.cell().directory().join(docker.new_name());
    fs::write(&input, "typed\n").unwrap();
    let mut run =
        docker.command(&["run", "--rm", "-i", "--runtime=io.containerd.wasmedge.v1", &image, "echo"]);
    finish(run.stdin(fs::File::open(input).unwrap()), DEADLINE).success().printing("typed\n");
}

#[test]
fn exit_codes_are_the_guests_and_inspect_knows_them() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let code_of = |words: &[&str], code: i32| {
        let name = docker.new_name();
        let run = docker.run(&[&["--name", &name, &image], words].concat()).with_code(code);
        assert_eq!(docker.inspect(&name)["State"]["ExitCode"], code);
        docker.remove(&name);
        run
    };
    code_of(&["exit", "0"], 0);
    code_of(&["exit", "42"], 42);
    code_of(&["trap", "memory"], 134).complaining(&["out of bounds memory access", "trap_memory"]);

    let name = docker.detached(&[&image, "sleep"]);
    docker.docker(&["kill", "--signal=INT", &name]).success();
    docker.docker(&["wait", &name]).success().printing("130\n");
    docker.remove(&name);
}

#[test]
fn stop_is_quick_and_kill_kills() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    for (verb, code) in [("stop", 143), ("kill", 137)] {
        let name = docker.detached(&[&image, "sleep"]);
        docker.follow(&name).wait_for("sleeping", DEADLINE);
        let begun = Instant::now();
        docker.docker(&[verb, &name]).success();
        assert!(begun.elapsed() < here(Duration::from_secs(5)), "{verb}: {:?}", begun.elapsed());
        docker.docker(&["wait", &name]).success().printing(&format!("{code}\n"));
        assert_eq!(docker.inspect(&name)["State"]["ExitCode"], code);
        docker.remove(&name);
    }
}

#[test]
fn a_container_that_heeds_no_signal_is_killed_after_the_time_given() {
    let docker = dockerd();
    let image = docker.load(&native_image());
    let name = docker.detached(&[&image, "-c", "trap '' TERM; echo deaf; while :; do :; done"]);
    docker.follow(&name).wait_for("deaf", DEADLINE);
    let begun = Instant::now();
    docker.docker(&["stop", "--time=1", &name]).success();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(docker.inspect(&name)["State"]["ExitCode"], 137);
    docker.remove(&name);
}

#[test]
fn a_running_container_can_be_removed_by_force() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "spin"]);
    docker.remove(&name);
    assert_ne!(docker.docker(&["inspect", &name]).code(), 0);
}

#[test]
fn logs_are_followed_while_the_guest_runs() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "sleep"]);
    let log = docker.follow(&name);
    log.wait_for("sleeping", DEADLINE);
    docker.docker(&["kill", &name]).success();
    assert_eq!(log.to_end(DEADLINE), "sleeping\n");
    docker.remove(&name);
}

#[test]
fn a_container_runs_again_after_it_has_ended() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::HELLO));
    let name = docker.new_name();
    docker.run(&["--name", &name, &image]).success();
    docker.docker(&["start", "--attach", &name]).success().printing("hello from wasm\n");
    docker.docker(&["logs", &name]).success().printing("hello from wasm\nhello from wasm\n");
    docker.remove(&name);
}

#[test]
fn a_published_port_reaches_the_server_inside() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::HTTP));
    let name = docker.detached(&["--publish=18080:8080", &image]);
    docker.follow(&name).wait_for("listening", DEADLINE);
    assert_eq!(fetch(&docker, "http://127.0.0.1:18080/hi"), "hello from wasm, you asked for /hi\n");
    docker.docker(&["stop", &name]).success();
    assert_eq!(docker.inspect(&name)["State"]["ExitCode"], 143);
    docker.remove(&name);
}

#[test]
fn containers_of_a_network_find_each_other_by_name() {
    let docker = dockerd();
    let [http, client] = [guests::HTTP, guests::CLIENT].map(|guest| docker.load(&Image::classic(guest)));
    let network = docker.new_name();
    docker.docker(&["network", "create", &network]).success();
    let on = format!("--network={network}");
    let server = docker.detached(&[&on, "--network-alias=the-server", &http]);
    docker.follow(&server).wait_for("listening", DEADLINE);
    let answer = docker.run(&["--rm", &on, &client, "the-server", "8080", "/by/name"]);
    answer.success().printing("hello from wasm, you asked for /by/name\n");
    docker.remove(&server);
    docker.docker(&["network", "rm", &network]).success();
}

#[test]
fn no_network_and_the_hosts_network() {
    let docker = dockerd();
    let [probe, http] = [guests::PROBE, guests::HTTP].map(|guest| docker.load(&Image::classic(guest)));
    docker.run(&["--rm", "--network=none", &probe, "connect", "192.0.2.1", "80", "x"]).with_code(1);
    let server = docker.detached(&["--network=host", &http]);
    docker.follow(&server).wait_for("listening", DEADLINE);
    assert_eq!(fetch(&docker, "http://127.0.0.1:8080/host"), "hello from wasm, you asked for /host\n");
    docker.remove(&server);
}

#[test]
fn top_shows_the_guests_arguments_and_stats_its_figures() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "spin"]);
    docker.follow(&name).wait_for("spinning", DEADLINE);
    let top = docker.docker(&["top", &name]).success().stdout;
    assert!(top.contains("/app.wasm spin"), "{top}");
    let stats = docker
        .docker(&["stats", "--no-stream", "--format={{.CPUPerc}} {{.MemUsage}}", &name])
        .success()
        .stdout;
    assert!(!stats.starts_with("0.00%") && !stats.contains(" 0B /"), "{stats}");
    docker.remove(&name);
}

#[test]
fn a_native_container_runs_under_the_same_runtime() {
    let docker = dockerd();
    let image = docker.load(&native_image());
    docker.run(&["--rm", &image, "-c", "echo native; exit 3"]).with_code(3).printing("native\n");
}

#[test]
fn exec_runs_more_in_a_container() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "sleep"]);
    docker.follow(&name).wait_for("sleeping", DEADLINE);
    let exec = |flags: &[&str], words: &[&str]| {
        docker.docker(&[&["exec"], flags, &[name.as_str(), "/app.wasm"], words].concat())
    };
    exec(&[], &["say", "hi"]).success().printing("hi\n");
    exec(&[], &["exit", "42"]).with_code(42);
    exec(&["-e", "COLOUR=green"], &["env"]).success();
    exec(&["-w", "/etc"], &["ls", "."]).success().printing("hostname\nhosts\nmtab\nresolv.conf\n");
    // Under runc, Docker 26 says 126 of everything, too.
    let code = if docker_version() < 28 { 126 } else { 127 };
    let nowhere = exec(&["-w", "/nowhere"], &["say", "hi"]).with_code(code);
    assert!(nowhere.stdout.contains("\"/nowhere\": no such file or directory"), "{nowhere}");
    exec(&["-u", "1000"], &["write", "/forbidden", "x"]).with_code(1);
    docker.docker(&["exec", &name, "/missing.wasm"]).with_code(code);
    docker.docker(&["exec", &name, "/etc"]).with_code(126);
    exec(&["-d"], &["write", "/made", "by exec"]).success();
    eventually("the detached exec's file", DEADLINE, || {
        (exec(&[], &["cat", "/made"]).stdout == "by exec").then_some(())
    });
    docker.docker(&["pause", &name]).success();
    exec(&[], &["say", "hi"]).with_code(1).complaining(&["paused"]);
    docker.docker(&["unpause", &name]).success();
    docker
        .docker(&["update", "--memory=64m", "--memory-swap=64m", "--cpus=0.5", "--pids-limit=50", &name])
        .success();
    docker.remove(&name);
}

#[test]
fn execs_end_with_a_container_that_is_killed_under_them() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "sleep"]);
    docker.follow(&name).wait_for("sleeping", DEADLINE);
    let exec = |words: &[&str]| {
        let mut exec = docker.command(&[&["exec", name.as_str(), "/app.wasm"], words].concat());
        exec.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    // Whoever asked for an exec may go away; it goes on, as under runc.
    let mut left = exec(&["spin"]);
    Captured::from_reader(left.stdout.take().unwrap()).wait_for("spinning", DEADLINE);
    let client = docker.cell().processes_named(&format!("exec {name}"));
    docker.cell().kill("KILL", &client).success();
    left.wait().unwrap();
    let processes = docker.docker(&["top", &name]).success().stdout;
    assert!(processes.contains("/app.wasm spin"), "{processes}");

    let execs = [(); 10].map(|()| exec(&["sleep"]));
    eventually("one of them runs", DEADLINE, || {
        docker.docker(&["top", &name]).stdout.matches("/app.wasm sleep").nth(1).map(drop)
    });
    docker.docker(&["kill", &name]).success();
    docker.docker(&["wait", &name]).success().printing("137\n");
    for exec in execs {
        let ended = exec.wait_with_output().unwrap().status;
        assert!(!ended.success(), "{ended}");
    }
    let late = docker.docker(&["exec", &name, "/app.wasm", "say", "late"]).with_code(1);
    late.complaining(&["is not running"]);
    docker.remove(&name);
}

#[test]
fn an_init_is_no_hindrance() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    docker.run(&["--rm", "--init", &image, "args", "a"]).success().printing("/app.wasm\nargs\na\n");
    docker.run(&["--rm", "--init", &image, "exit", "42"]).with_code(42);
    let native = docker.load(&native_image());
    docker.run(&["--rm", "--init", &native, "-c", "echo $$"]).success().printing("2\n");
}

#[test]
fn a_healthcheck_by_a_module_makes_a_container_healthy() {
    let docker = dockerd();
    let directory = build_context(&docker, guests::PROBE);
    let file = "FROM scratch\nCOPY app.wasm /app.wasm\nENTRYPOINT [\"/app.wasm\"]\n\
                HEALTHCHECK --interval=1s CMD [\"/app.wasm\", \"exit\", \"0\"]\n";
    fs::write(directory.join("Dockerfile"), file).unwrap();
    let image = docker.build(&directory, &[]);
    let name = docker.detached(&[&image, "sleep"]);
    eventually("the container is healthy", DEADLINE, || {
        (docker.inspect(&name)["State"]["Health"]["Status"] == "healthy").then_some(())
    });
    docker.remove(&name);
}

#[test]
fn a_terminal_on_a_terminal() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&[&image, "sleep"]);
    let on_a_terminal = |words: &[&str]| {
        let docker = docker.command(words);
        let line: Vec<_> = docker.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let start = line.iter().position(|word| word == "--").unwrap() + 1;
        line[start..].join(" ")
    };
    let run = |line: &str| {
        let script = format!("exec script -qec '{line}' /dev/null");
        docker.cell().run(&["sh", "-c", &script])
    };
    let runtime = "--runtime=io.containerd.wasmedge.v1";
    let shown = run(&on_a_terminal(&["run", "--rm", "-it", runtime, &image, "tty"])).success().stdout;
    assert!(shown.contains("true true\r\n"), "{shown:?}");
    let shown = run(&on_a_terminal(&["exec", "-it", &name, "/app.wasm", "tty"])).success().stdout;
    assert!(shown.contains("true true\r\n"), "{shown:?}");
    docker.remove(&name);
}

#[test]
fn a_terminal_is_left_and_attached_to_again() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let name = docker.detached(&["-it", &image, "echo"]);
    let socket = docker.host();
    // Types the keys on a terminal of its own, each after what has to be seen first; what was seen in the end.
    let attach = |steps: &[(&str, &str)]| {
        let line = format!("docker --host={socket} attach {name}");
        let mut script = docker.cell().command("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut attached = script.spawn().unwrap();
        let seen = Captured::from_reader(attached.stdout.take().unwrap());
        let mut keys = attached.stdin.take().unwrap();
        for (seen_first, typed) in steps {
            seen.wait_for(seen_first, DEADLINE);
            keys.write_all(typed.as_bytes()).unwrap();
        }
        let seen = seen.to_end(DEADLINE);
        attached.wait().unwrap();
        seen
    };
    let (leave, interrupt) = ("\x10\x11", "\x03");
    let seen = attach(&[("", "one\n"), ("one\r\none\r\n", leave)]);
    assert!(seen.contains("read escape sequence"), "{seen:?}");
    assert_eq!(docker.inspect(&name)["State"]["Running"], true);
    attach(&[("", "two\n"), ("two\r\ntwo\r\n", interrupt)]);
    assert_eq!(docker.docker(&["wait", &name]).success().stdout, "130\n");
    docker.remove(&name);
}

#[test]
fn a_file_is_passed_through_standard_input() {
    let docker = dockerd();
    let image = docker.load(&Image::classic(guests::PROBE));
    let file = docker.cell().directory().join(docker.new_name());
    fs::write(&file, "x".repeat(100_000_000)).unwrap();
    let mut run =
        docker.command(&["run", "--rm", "-i", "--runtime=io.containerd.wasmedge.v1", &image, "echo"]);
    let out = finish(run.stdin(fs::File::open(&file).unwrap()), DEADLINE).success();
    assert_eq!(out.bytes.len(), 100_000_000);
}

/// `docker run` of an image that cannot run, twice under the same name.
#[track_caller]
fn refused(docker: &Dockerd, words: &[&str], code: i32, says: &[&str]) {
    let name = docker.new_name();
    for _ in 0..2 {
        let begun = Instant::now();
        let failed: Finished = docker.run(&[&["--rm", "--name", &name], words].concat());
        failed.with_code(code).complaining(says).printing("");
        assert!(begun.elapsed() < here(Duration::from_secs(10)), "it took {:?}", begun.elapsed());
    }
    assert_ne!(docker.docker(&["inspect", &name]).code(), 0, "nothing is left of {name}");
}

#[test]
fn a_bad_image_is_refused_with_dockers_codes_and_our_words() {
    let docker = dockerd();
    let hello = docker.load(&Image::classic(guests::HELLO));
    refused(
        &docker,
        &["--entrypoint=/missing.wasm", &hello],
        127,
        &["/missing.wasm", "no such file or directory"],
    );
    refused(&docker, &["--entrypoint=missing", &hello], 127, &["missing", "executable file not found"]);
    refused(&docker, &["--entrypoint=/etc", &hello], 126, &["/etc", "is a directory"]);
    let secret = docker.cell().directory().join(docker.new_name());
    fs::write(&secret, guests::HELLO.bytes().unwrap()).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let volume = format!("--volume={}:/secret.wasm", secret.display());
    let words = ["--user=1000", &volume, "--entrypoint=/secret.wasm", &hello];
    refused(&docker, &words, 126, &["/secret.wasm", "permission denied"]);

    let load = |guest: Guest| docker.load(&Image::classic(guest).flag("--no-check"));
    refused(&docker, &[&load(guests::COMPONENT)], 125, &["/app.wasm", "component", "wasm32-wasip1"]);
    refused(&docker, &[&load(guests::EMPTY)], 125, &["/app.wasm", "empty"]);
    refused(&docker, &[&load(guests::MISSING_IMPORT)], 125, &["/app.wasm", "nobody", "provides_this"]);
    refused(&docker, &[&load(guests::EXPORTS)], 125, &["/app.wasm", "_start", "greet"]);
    refused(&docker, &["--pids-limit=1", &hello], 125, &["pids limit is 1"]);
    docker.run(&["--rm", "--pids-limit=2", &hello]).success().printing("hello from wasm\n");
    refused(&docker, &["--memory=64m", &load(guests::BIG_MEMORY)], 125, &["/app.wasm", "memory"]);
}
