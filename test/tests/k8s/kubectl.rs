//! What a person does at a running pod: logs, exec, attach, cp, and the figures that `kubectl top` is made of.

use std::io::Write;
use std::process::Stdio;

use wasmedge_shim_tests::{
    Captured, Cluster, DEADLINE, Image, Namespace, PodManifest, eventually, guests, part,
};

/// Runs a pod until it is ready.
fn ready(namespace: &Namespace, pod: &PodManifest) {
    namespace.run(pod);
    namespace.wait(&format!("pod/{}", pod.name()), "condition=Ready");
}

/// A pod of the image `probe:1`.
fn probe(name: &str, args: &[&str]) -> PodManifest {
    PodManifest::new(name, "probe:1").args(args)
}

#[test]
fn logs_are_followed_and_those_of_the_previous_run_kept() {
    let namespace = Cluster::shared().namespace("logs");
    ready(&namespace, &probe("app", &["echo"]).container("stdin: true"));
    let logs = namespace.start(&["logs", "--follow", "app"]);
    let mut typed = namespace.start(&["attach", "--quiet", "--stdin", "app"]);
    typed.say("first line\n");
    logs.stdout().wait_for("first line\n", DEADLINE);
    typed.say("second line\n");
    logs.stdout().wait_for("first line\nsecond line\n", DEADLINE);
    let timed = namespace.kubectl(&["logs", "app", "--timestamps", "--tail=1"]).success().stdout;
    assert!(timed.starts_with("20") && timed.ends_with("Z second line\n"), "{timed}");
    drop(typed);

    ready(&namespace, &probe("twice", &["udp-echo", "7777"]));
    namespace.eventually_says(&["twice"], "listening");
    let pid = namespace.cluster().node("wasm").cell().processes_named("/app.wasm udp-echo 7777");
    namespace.cluster().node("wasm").cell().kill("KILL", &pid).success();
    namespace.eventually_has("pod/twice", "{.status.containerStatuses[0].restartCount}", "1");
    namespace.kubectl(&["logs", "--previous", "twice"]).success().printing("listening\n");
    let code = "{.status.containerStatuses[0].lastState.terminated.exitCode}";
    assert_eq!(namespace.field("pod/twice", code), "137");
}

#[test]
fn commands_are_executed_with_input_exit_code_and_terminal() {
    let namespace = Cluster::shared().namespace("exec");
    ready(&namespace, &probe("app", &["sleep"]));
    namespace.exec("app", &["/app.wasm", "say", "hello"]).success().printing("hello\n");
    let failed = namespace.exec("app", &["/app.wasm", "exit", "42"]).with_code(42);
    assert!(failed.stderr.contains("exit code 42"), "{failed}");
    namespace.exec("app", &["/missing"]).with_code(1).complaining(&["/missing: no such file or directory"]);
    namespace.exec("app", &["/app.wasm", "tty"]).success().printing("false false\n");

    let mut echo = namespace.start(&["exec", "--stdin", "app", "--", "/app.wasm", "echo"]);
    echo.say("there and back\n");
    echo.stdout().wait_for("there and back\n", DEADLINE);
    echo.end_input();
    assert_eq!(echo.wait(), 0);

    let seen = on_a_terminal(&namespace, &["exec", "-it", "app", "--", "/app.wasm", "tty"], &[]);
    assert!(seen.contains("true true\r\n"), "{seen:?}");
    let keys = [("spinning", "\u{3}")];
    let seen = on_a_terminal(&namespace, &["exec", "-it", "app", "--", "/app.wasm", "spin"], &keys);
    assert!(seen.contains("exit code 130"), "{seen:?}");
}

#[test]
fn a_person_attaches_to_a_guest_on_a_terminal() {
    let namespace = Cluster::shared().namespace("attach");
    ready(&namespace, &probe("app", &["echo"]).container("stdin: true").container("tty: true"));
    let keys = [("", "typed\n"), ("typed\r\ntyped\r\n", "\u{4}")];
    let seen = on_a_terminal(&namespace, &["attach", "-it", "app"], &keys);
    assert!(seen.contains("typed\r\ntyped\r\n"), "{seen:?}");
    let code = "{.status.containerStatuses[0].lastState.terminated.exitCode}";
    namespace.eventually_has("pod/app", code, "0");
}

#[test]
fn files_are_copied_into_and_out_of_a_pod_whose_image_has_tar() {
    let cluster = Cluster::shared();
    let tar = part("busybox/bin/busybox");
    cluster.import(&Image::classic(guests::PROBE).named("probe-with-tar").add(&tar, "/bin/tar"));
    let namespace = cluster.namespace("copy");
    ready(&namespace, &PodManifest::new("app", "probe-with-tar:1").args(&["sleep"]));
    let directory = cluster.control().cell().directory();
    let (here, back) = (directory.join("copied"), directory.join("copied-back"));
    std::fs::write(&here, "over and back").unwrap();
    namespace.kubectl(&["cp", &here.display().to_string(), "app:/copied"]).success();
    namespace.exec("app", &["/app.wasm", "cat", "/copied"]).success().printing("over and back");
    namespace.exec("app", &["/app.wasm", "write", "/copied", "changed"]).success();
    namespace.kubectl(&["cp", "app:/copied", &back.display().to_string()]).success();
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "changed");
    for file in [here, back] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn the_kubelet_tells_a_pods_use_of_processor_and_memory() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("figures");
    ready(&namespace, &probe("busy", &["spin"]));
    ready(&namespace, &probe("large", &["allocate", "40"]));
    let figures = |name: &str| {
        let summary = cluster.kubectl(&["get", "--raw", "/api/v1/nodes/wasm/proxy/stats/summary"]).success();
        let summary: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
        let pods = summary["pods"].as_array().unwrap();
        let of_pod = |pod: &&serde_json::Value| {
            pod["podRef"]["name"] == name && pod["podRef"]["namespace"] == namespace.name()
        };
        let pod = pods.iter().find(of_pod)?;
        let container = &pod["containers"][0];
        Some((container["cpu"]["usageNanoCores"].as_u64()?, container["memory"]["workingSetBytes"].as_u64()?))
    };
    eventually("the processor time of a busy guest", DEADLINE * 2, || {
        figures("busy").filter(|(cores, _)| *cores > 100_000_000)
    });
    eventually("the memory of a large guest", DEADLINE * 2, || {
        figures("large").filter(|(_, bytes)| (40 << 20..80 << 20).contains(bytes))
    });
    let metrics =
        cluster.kubectl(&["get", "--raw", "/api/v1/nodes/wasm/proxy/metrics/resource"]).success().stdout;
    for metric in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
        let labels =
            format!("{metric}{{container=\"busy\",namespace=\"{}\",pod=\"busy\"}}", namespace.name());
        assert!(metrics.contains(&labels), "{labels}\n{metrics}");
    }
}

/// Runs kubectl on a terminal of its own and types the keys, each after what has to be seen first; what was seen.
#[track_caller]
fn on_a_terminal(namespace: &Namespace, words: &[&str], keys: &[(&str, &str)]) -> String {
    let control = namespace.cluster().control();
    let kubectl = part("kubectl/bin/kubectl").display().to_string();
    let kubectl = [kubectl.as_str(), "--kubeconfig", control.kubeconfig(), "-n", namespace.name()].join(" ");
    let line = format!("{kubectl} {}", words.join(" "));
    let mut script = control.cell().command("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = script.spawn().unwrap();
    let seen = Captured::from_reader(running.stdout.take().unwrap());
    let mut typed = running.stdin.take().unwrap();
    for (seen_first, key) in keys {
        seen.wait_for(seen_first, DEADLINE);
        typed.write_all(key.as_bytes()).unwrap();
    }
    let seen = seen.to_end(DEADLINE);
    running.wait().unwrap();
    seen
}
