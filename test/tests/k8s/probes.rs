//! Probes: liveness, readiness and startup, by HTTP, TCP and exec.

use wasmedge_shim_tests::{Cluster, DEADLINE, PodManifest, eventually};

#[test]
fn a_pod_is_ready_when_its_probes_by_http_tcp_and_exec_say_so() {
    let namespace = Cluster::shared().namespace("ready");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 2
  containers:
  - name: http
    image: http:1
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    livenessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
  - name: tcp
    image: probe:1
    args: [listen, "9000"]
    startupProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
    readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
  - name: exec
    image: probe:1
    args: [sleep]
    startupProbe: {exec: {command: [/app.wasm, say, started]}, periodSeconds: 1}
    readinessProbe: {exec: {command: [/app.wasm, cat, /ready]}, periodSeconds: 1}
"#,
    );
    let ready = "{range .status.containerStatuses[*]}{.name}={.ready} {end}";
    namespace.eventually_has("pod/app", ready, "exec=false http=true tcp=true ");
    let described = namespace.describe_until("app", "Readiness probe failed");
    assert!(described.contains("No such file or directory"), "{described}");
    let exec = |words: &[&str]| {
        namespace.kubectl(&[&["exec", "app", "-c", "exec", "--", "/app.wasm"], words].concat()).success()
    };
    exec(&["write", "/ready", "yes"]);
    namespace.wait("pod/app", "condition=Ready");
    exec(&["remove", "/ready"]);
    namespace.wait("pod/app", "condition=Ready=false");
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[*].restartCount}"), "0 0 0");
}

#[test]
fn a_container_whose_liveness_probe_fails_is_started_again() {
    let namespace = Cluster::shared().namespace("alive");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 1
  containers:
  - name: exec
    image: probe:1
    args: [sleep]
    livenessProbe: {exec: {command: [/app.wasm, exit, "3"]}, periodSeconds: 1, failureThreshold: 2}
  - name: tcp
    image: probe:1
    args: [sleep]
    livenessProbe: {tcpSocket: {port: 9999}, periodSeconds: 1, failureThreshold: 2}
  - name: http
    image: http:1
    livenessProbe: {httpGet: {port: 8080, scheme: HTTPS}, periodSeconds: 1, failureThreshold: 2}
"#,
    );
    for name in ["exec", "tcp", "http"] {
        let count = format!("{{.status.containerStatuses[?(@.name=='{name}')].restartCount}}");
        namespace.eventually_is("pod/app", &count, |count| count.parse::<u32>().is_ok_and(|count| count > 0));
    }
    let described = namespace.describe_until("app", "Liveness probe failed");
    assert!(described.contains("failed liveness probe, will be restarted"), "{described}");
    let ended = "{.status.containerStatuses[?(@.name=='http')].lastState.terminated.exitCode}";
    assert_eq!(namespace.field("pod/app", ended), "143");
}

#[test]
fn an_exec_probe_that_takes_too_long_has_failed() {
    let namespace = Cluster::shared().namespace("slow-probe");
    let probe = "{exec: {command: [/app.wasm, allocate, '1']}, periodSeconds: 1, timeoutSeconds: 1}";
    let pod = PodManifest::new("app", "probe:1").args(&["sleep"]);
    let pod = pod.container(&format!("readinessProbe: {probe}"));
    let described = namespace.run_until_described(&pod, "timed out");
    assert!(described.contains("Readiness probe"), "{described}");
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].ready}"), "false");
    // What timed out is gone: after many probes, at most that of this second is there.
    let count = "{.items[?(@.reason=='Unhealthy')].count}";
    namespace.eventually_is("events", count, |count| count.parse::<u32>().is_ok_and(|count| count > 5));
    let cell = namespace.cluster().node("wasm").cell();
    eventually("the end of what timed out", DEADLINE, || {
        (cell.processes_named("/app.wasm allocate 1").len() < 2).then_some(())
    });
}
