//! Security: the `restricted` level, users, read-only root file systems, seccomp, capabilities.

use wasmedge_shim_tests::{Cluster, PodManifest};

const RESTRICTED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 1
  securityContext:
    runAsNonRoot: true
    runAsUser: 1234
    runAsGroup: 2345
    fsGroup: 3456
    seccompProfile: {type: RuntimeDefault}
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: app
    image: http:1
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
  - name: probe
    image: probe:1
    args: [sleep]
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts: [{name: data, mountPath: /data}]
"#;

#[test]
fn a_restricted_namespace_takes_wasm_pods_and_confines_them() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("restricted");
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), label]).success();
    namespace.apply(RESTRICTED);
    namespace.wait("pod/app", "condition=Ready");
    let guest = |words: &[&str]| {
        namespace.kubectl(&[&["exec", "app", "-c", "probe", "--", "/app.wasm"], words].concat())
    };
    guest(&["write", "/data/file", "mine"]).success();
    guest(&["write", "/file", "no"]).with_code(1).complaining(&["Read-only file system"]);

    let cell = cluster.node("wasm").cell();
    let id = namespace.field("pod/app", "{.status.containerStatuses[?(@.name=='probe')].containerID}");
    let id = id.strip_prefix("containerd://").unwrap();
    let tasks = cluster.node("wasm").ctr(&["task", "list"]).success().stdout;
    let line = tasks.lines().find(|line| line.starts_with(id)).unwrap();
    let pid = line.split_whitespace().nth(1).unwrap();
    let status = std::fs::read_to_string(cell.outside(format!("/proc/{pid}/status"))).unwrap();
    let has = |line: &str| assert!(status.lines().any(|found| found == line), "{line}\n{status}");
    has("Uid:\t1234\t1234\t1234\t1234");
    has("Gid:\t2345\t2345\t2345\t2345");
    has("CapEff:\t0000000000000000");
    has("CapBnd:\t0000000000000000");
    has("NoNewPrivs:\t1");
    has("Seccomp:\t2");
    let groups = status.lines().find(|line| line.starts_with("Groups:")).unwrap();
    assert!(groups.split_whitespace().any(|group| group == "3456"), "{groups}");

    let privileged =
        RESTRICTED.replace("name: app}", "name: other}").replace("runAsNonRoot: true", "runAsNonRoot: false");
    namespace.try_apply(&privileged).with_code(1).complaining(&["violates PodSecurity", "runAsNonRoot"]);
}

#[test]
fn an_image_of_root_is_refused_by_its_cause_where_root_is_not_allowed() {
    let namespace = Cluster::shared().namespace("non-root");
    let pod =
        PodManifest::new("app", "probe:1").args(&["sleep"]).pod("securityContext: {runAsNonRoot: true}");
    namespace.run_until_described(&pod, "container has runAsNonRoot and image will run as root");
}

#[test]
fn a_pod_without_the_hosts_users_is_as_any_other() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("users");
    let class = namespace.name();
    // The handler of which containerd 2.1 tells the kubelet that it knows user namespaces.
    cluster.apply(&format!(
        r#"
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {{name: {class}}}
handler: wasmedge-users
scheduling: {{nodeSelector: {{pool: wasm}}}}
"#
    ));
    let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: @class@
  hostUsers: false
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: "probe:1"
    args: [sleep]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {}}]
"#;
    namespace.apply(&pod.replace("@class@", class));
    namespace.wait("pod/app", "condition=Ready");
    let exec = |words: &[&str]| namespace.exec("app", &[&["/app.wasm"], words].concat()).success().stdout;
    exec(&["write", "/scratch/note", "mine"]);
    assert_eq!(exec(&["cat", "/scratch/note"]), "mine");
    let map = exec(&["cat", "/proc/self/uid_map"]);
    assert_ne!(map.split_whitespace().nth(1), Some("0"), "{map}");
    cluster.kubectl(&["delete", "runtimeclass", class]).success();
}
