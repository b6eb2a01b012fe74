//! Pods of several containers: init containers, sidecars, native beside Wasm, debug containers.

use wasmedge_shim_tests::{Cluster, Image, PodManifest, guests, has_pause_containers};

#[test]
fn init_containers_run_in_their_order_before_the_others() {
    let namespace = Cluster::shared().namespace("init");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: first
    image: probe:1
    args: [write, /shared/said, from a module]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: second
    image: busybox:1
    args: [-c, "echo ', then a native program' >> /shared/said"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: app
    image: probe:1
    args: [cat, /shared/said]
    volumeMounts: [{name: shared, mountPath: /shared}]
"#,
    );
    namespace.wait("pod/app", "jsonpath={.status.phase}=Succeeded");
    namespace.kubectl(&["logs", "app"]).success().printing("from a module, then a native program\n");
}

#[test]
fn a_failing_init_container_keeps_the_others_from_starting() {
    let namespace = Cluster::shared().namespace("init-fails");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  initContainers: [{name: first, image: probe:1, args: [exit, "7"]}]
  containers: [{name: app, image: probe:1, args: [say, never]}]
"#,
    );
    namespace.wait("pod/app", "jsonpath={.status.phase}=Failed");
    assert_eq!(
        namespace.field("pod/app", "{.status.initContainerStatuses[0].state.terminated.exitCode}"),
        "7"
    );
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].started}"), "false");
}

#[test]
fn a_sidecar_is_there_before_the_main_container_and_ends_after_it() {
    let namespace = Cluster::shared().namespace("sidecar");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  terminationGracePeriodSeconds: 2
  initContainers:
  - name: server
    image: http:1
    restartPolicy: Always
    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
  containers:
  - name: client
    image: client:1
    args: ["127.0.0.1", "8080", /from-beside]
"#,
    );
    namespace.wait("pod/app", "jsonpath={.status.phase}=Succeeded");
    let said = namespace.kubectl(&["logs", "app", "-c", "client"]).success();
    said.printing("hello from wasm, you asked for /from-beside\n");
    namespace.eventually_is(
        "pod/app",
        "{.status.initContainerStatuses[0].state.terminated.exitCode}",
        |code| !code.is_empty(),
    );
}

#[test]
fn a_module_and_a_native_program_share_a_pods_address_volume_and_processes() {
    let namespace = Cluster::shared().namespace("mixed");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: mixed}
spec:
  runtimeClassName: wasmedge
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 2
  volumes: [{name: shared, emptyDir: {}}]
  containers:
  - name: module
    image: http:1
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: native
    image: busybox:1
    args: [-c, "echo written natively > /shared/file; sleep 1000"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: reader
    image: probe:1
    args: [sleep]
    volumeMounts: [{name: shared, mountPath: /shared, readOnly: true}]
"#,
    );
    namespace.wait("pod/mixed", "condition=Ready");
    let native =
        |script: &str| namespace.kubectl(&["exec", "mixed", "-c", "native", "--", "sh", "-c", script]);
    native("wget -q -O - http://127.0.0.1:8080/x").success().printing("hello from wasm, you asked for /x\n");
    let processes = native("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").success().stdout;
    let first = if has_pause_containers() { "/pause" } else { "/init init" };
    assert!(processes.contains("/app.wasm") && processes.contains(first), "{processes}");
    let reader = |words: &[&str]| {
        namespace.kubectl(&[&["exec", "mixed", "-c", "reader", "--", "/app.wasm"], words].concat())
    };
    reader(&["cat", "/shared/file"]).success().printing("written natively\n");
    reader(&["write", "/shared/file", "no"]).with_code(1);
    // As natively: a signal to the module, and the kubelet starts it again.
    let kill = "for p in /proc/[0-9]*; do [ \"$(tr -d '\\0' < $p/cmdline)\" != /app.wasm ] || kill ${p#/proc/}; done";
    native(kill).success();
    namespace.eventually_is("pod/mixed", "{.status.containerStatuses[*].restartCount}", |counts| {
        counts.contains('1')
    });
}

#[test]
fn a_wasm_pod_is_debugged_with_a_native_shell_that_sees_its_processes() {
    let namespace = Cluster::shared().namespace("debug");
    namespace.run(&PodManifest::new("app", "http:1"));
    namespace.wait("pod/app", "condition=Ready");
    let script = "tr '\\0' ' ' < /proc/1/cmdline; wget -q -O - http://127.0.0.1:8080/debug; sleep 1000";
    let debug = ["debug", "app", "--image=busybox:1", "--target=app", "-c", "shell", "--profile=general"];
    namespace.kubectl(&[&debug[..], &["--", "sh", "-c", script]].concat()).success();
    let said = namespace.eventually_says(&["app", "-c", "shell"], "you asked for /debug\n");
    assert_eq!(said, "/app.wasm hello from wasm, you asked for /debug\n");
    namespace.kubectl(&["exec", "app", "-c", "shell", "--", "sh", "-c", "kill 1"]);
    namespace.eventually_has("pod/app", "{.status.containerStatuses[0].restartCount}", "1");
}

#[test]
fn an_image_whose_layer_is_the_module_is_pulled_if_it_is_for_the_nodes_platform() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("layer");
    let image = Image::layer(guests::HELLO).named("hello-layer").option("--platform", "linux/amd64");
    namespace.run(&PodManifest::new("app", &cluster.push(&image)).once());
    namespace.wait("pod/app", "jsonpath={.status.phase}=Succeeded");
    namespace.kubectl(&["logs", "app"]).success().printing("hello from wasm\n");
}
