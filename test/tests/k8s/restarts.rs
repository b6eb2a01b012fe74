//! Restarts: of containerd, of the kubelet, of the shim's daemon. Pods go on or come back, and none stays `Terminating`.

use wasmedge_shim_tests::{Cluster, DEADLINE, Namespace, eventually};

const PODS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      runtimeClassName: wasmedge
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: http:1
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: native}
spec:
  selector: {matchLabels: {app: native}}
  template:
    metadata: {labels: {app: native}}
    spec:
      nodeSelector: {pool: wasm}
      terminationGracePeriodSeconds: 2
      containers: [{name: native, image: "native-probe:1", args: [sleep]}]
"#;

fn running(story: &str) -> Namespace {
    let namespace = Cluster::shared().namespace_alone(story);
    namespace.apply(PODS);
    namespace.rolled_out("deployment/web");
    namespace.rolled_out("deployment/native");
    namespace
}

/// Each pod with its containers' ids and how often they were started again.
fn state(namespace: &Namespace) -> String {
    let pod = "{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}";
    namespace.field("pods", &format!("{{range .items[*]}}{pod}{{\"\\n\"}}{{end}}"))
}

/// That the pods can still be worked with.
fn expect_to_work(namespace: &Namespace) {
    namespace.rolled_out("deployment/web");
    let pods = namespace.field("pods", "{.items[?(@.metadata.labels.app=='web')].metadata.name}");
    for pod in pods.split(' ') {
        namespace.eventually_says(&[pod], "listening on");
    }
    namespace.kubectl(&["scale", "deployment/web", "--replicas=4"]).success();
    namespace.rolled_out("deployment/web");
}

#[test]
fn pods_go_on_while_containerd_is_restarted() {
    let namespace = running("containerd");
    let before = state(&namespace);
    namespace.cluster().node("wasm").restart_containerd();
    namespace.cluster().wait_until_ready();
    assert_eq!(state(&namespace), before);
    expect_to_work(&namespace);
}

#[test]
fn pods_go_on_while_the_kubelet_is_restarted() {
    let namespace = running("kubelet");
    let before = state(&namespace);
    let node = namespace.cluster().node("wasm");
    let removed = namespace.field("pods", "{.items[?(@.metadata.labels.app=='web')].metadata.name}");
    let removed = removed.split(' ').next().unwrap();
    node.restart_kubelet(|| {
        // Deleted while no kubelet is there: the next one does it.
        namespace.kubectl(&["delete", "pod", removed, "--wait=false"]).success();
    });
    namespace.wait(&format!("pod/{removed}"), "delete");
    namespace.cluster().wait_until_ready();
    let after = state(&namespace);
    for line in before.lines().filter(|line| !line.starts_with(removed)) {
        assert!(after.contains(line), "{line}\nis not in\n{after}");
    }
    expect_to_work(&namespace);
}

#[test]
fn pods_come_back_after_the_shims_daemon_was_killed() {
    let namespace = running("daemon");
    let cell = namespace.cluster().node("wasm").cell();
    let native = namespace.field(
        "pods",
        "{.items[?(@.metadata.labels.app=='native')].status.containerStatuses[0].containerID}",
    );
    let daemons = cell.processes_named("containerd-shim-wasmedge-v1 -namespace k8s.io");
    assert!(!daemons.is_empty(), "no daemon");
    cell.kill("KILL", &daemons).success();
    eventually("every pod's containers started again", DEADLINE * 4, || {
        let path = "{.items[?(@.metadata.labels.app=='web')].status.containerStatuses[0].restartCount}";
        let counts = namespace.field("pods", path);
        let again = counts.split(' ').filter(|count| count.parse().is_ok_and(|count: u32| count > 0)).count();
        (again >= 3).then_some(())
    });
    expect_to_work(&namespace);
    let now = namespace.field(
        "pods",
        "{.items[?(@.metadata.labels.app=='native')].status.containerStatuses[0].containerID}",
    );
    assert_eq!(now, native, "a native pod does not notice");
}
