//! The network: services by name, from guest to guest, on every node's port, and forwarded.

use std::process::Command;

use wasmedge_shim_tests::{Cluster, DEADLINE, PodManifest, eventually, finish, part};

const ECHO: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      runtimeClassName: wasmedge
      terminationGracePeriodSeconds: 1
      containers:
      - name: http
        image: http:1
        ports: [{name: web, containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
      - name: udp
        image: probe:1
        args: [udp-echo, "7000"]
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: NodePort
  selector: {app: echo}
  ports:
  - {name: web, port: 80, targetPort: web}
  - {name: udp, port: 7000, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: each}
spec:
  clusterIP: None
  selector: {app: echo}
  ports: [{name: web, port: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 1
  containers:
  - {name: probe, image: "probe:1", args: [sleep]}
  - {name: client, image: "busybox:1", args: [-c, sleep 1000]}
"#;

#[test]
fn a_guest_finds_a_service_by_its_names_and_is_answered() {
    let namespace = Cluster::shared().namespace("service");
    namespace.apply(ECHO);
    namespace.rolled_out("deployment/echo");
    namespace.wait("pod/asks", "condition=Ready");
    let guest = |words: &[&str]| {
        namespace.kubectl(&[&["exec", "asks", "-c", "probe", "--", "/app.wasm"], words].concat())
    };
    let address = namespace.field("service/echo", "{.spec.clusterIP}");
    let full = format!("echo.{}.svc.cluster.local", namespace.name());
    for name in
        ["echo", &format!("echo.{}", namespace.name()), &format!("echo.{}.svc", namespace.name()), &full]
    {
        guest(&["resolve", name]).success().printing(&format!("{address}\n"));
    }
    let each = guest(&["resolve", "each"]).success().stdout;
    let mut each: Vec<_> = each.lines().collect();
    let pods = namespace.field("pods", "{.items[?(@.metadata.labels.app=='echo')].status.podIP}");
    let mut pods: Vec<_> = pods.split(' ').collect();
    each.sort_unstable();
    pods.sort_unstable();
    assert_eq!(each, pods, "a headless service has the address of each pod");
    guest(&["resolve", "there-is-no-such-service"]).with_code(1);

    guest(&["udp-ask", "echo", "7000", "over udp"]).success().printing("over udp\n");
    let asked = "GET /by-name HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n";
    let answer = guest(&["connect", "echo", "80", asked]).success().stdout;
    assert!(answer.contains("hello from wasm, you asked for /by-name"), "{answer}");
}

#[test]
fn a_job_of_one_guest_asks_the_service_of_another() {
    let namespace = Cluster::shared().namespace("guest-to-guest");
    namespace.apply(ECHO);
    namespace.rolled_out("deployment/echo");
    namespace.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: ask}
spec:
  backoffLimit: 0
  completions: 6
  parallelism: 3
  template:
    spec:
      runtimeClassName: wasmedge
      restartPolicy: Never
      containers: [{name: client, image: "client:1", args: [echo, "80", /from-a-job]}]
"#,
    );
    namespace.wait("job/ask", "condition=Complete");
    let said = namespace.kubectl(&["logs", "-l", "job-name=ask"]).success().stdout;
    assert_eq!(said, "hello from wasm, you asked for /from-a-job\n".repeat(6));
}

#[test]
fn a_service_is_reached_on_the_port_of_every_node() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("node-port");
    namespace.apply(ECHO);
    namespace.rolled_out("deployment/echo");
    let port = namespace.field("service/echo", "{.spec.ports[0].nodePort}");
    for node in ["wasm", "plain"] {
        let url = format!("http://{}:{port}/on-{node}", cluster.node(node).address());
        // No event tells when a node's kube-proxy knows a port.
        let answer = eventually("an answer on the node's port", DEADLINE, || {
            let mut wget = cluster.control().cell().command(part("busybox/bin/busybox"));
            let asked = finish(wget.args(["wget", "-q", "-O", "-", &url]), DEADLINE);
            asked.status.success().then_some(asked)
        });
        answer.printing(&format!("hello from wasm, you asked for /on-{node}\n"));
    }
}

#[test]
fn a_port_is_forwarded_to_a_pod() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("forward");
    namespace.apply(ECHO);
    namespace.rolled_out("deployment/echo");
    let forward = namespace.start(&["port-forward", "service/echo", ":80"]);
    forward.stdout().wait_for("Forwarding from 127.0.0.1:", DEADLINE);
    let said = forward.stdout().so_far();
    let port = said.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    for path in ["/one", "/two"] {
        let url = format!("http://127.0.0.1:{port}{path}");
        wget(cluster.control().cell().command(part("busybox/bin/busybox")), &url)
            .printing(&format!("hello from wasm, you asked for {path}\n"));
    }
}

#[test]
fn a_host_port_leads_to_the_guest() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("host-port");
    let pod = PodManifest::new("app", "http:1")
        .container("ports: [{containerPort: 8080, hostPort: 18080}]")
        .container("readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}");
    namespace.run(&pod);
    namespace.wait("pod/app", "condition=Ready");
    let url = format!("http://{}:18080/host-port", cluster.node("wasm").address());
    wget(cluster.control().cell().command(part("busybox/bin/busybox")), &url)
        .printing("hello from wasm, you asked for /host-port\n");
}

#[test]
fn a_pod_on_the_hosts_network_has_the_nodes_address() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("host-network");
    let pod = PodManifest::new("app", "probe:1").args(&["listen", "19000"]);
    namespace.run(&pod.pod("hostNetwork: true").pod("dnsPolicy: ClusterFirstWithHostNet"));
    namespace.wait("pod/app", "condition=Ready");
    let address = cluster.node("wasm").address();
    assert_eq!(namespace.field("pod/app", "{.status.podIP}"), address);
    namespace.eventually_says(&["app"], "listening");
    namespace.exec("app", &["/app.wasm", "connect", address, "19000", "hi"]).success().printing("hi\n");
    namespace.exec("app", &["/app.wasm", "resolve", "kubernetes.default"]).success().printing("10.96.0.1\n");
}

#[track_caller]
fn wget(mut busybox: Command, url: &str) -> wasmedge_shim_tests::Finished {
    finish(busybox.args(["wget", "-q", "-O", "-", url]), DEADLINE).success()
}
