//! Requests and limits: classes of service, memory, processes, changes in place, overhead.

use std::fs;
use std::path::{Path, PathBuf};

use wasmedge_shim_tests::{
    Cluster, DEADLINE, Namespace, PodManifest, eventually, has_cgroup_version_2, repository,
};

fn pod(name: &str, args: &[&str], resources: &str) -> PodManifest {
    PodManifest::new(name, "probe:1").once().args(args).container(&format!("resources: {resources}"))
}

/// The cgroup of a pod's container, in one hierarchy.
fn cgroup(namespace: &Namespace, name: &str, hierarchy: &str) -> PathBuf {
    let id = namespace.field(&format!("pod/{name}"), "{.status.containerStatuses[0].containerID}");
    let id = id.strip_prefix("containerd://").unwrap().to_owned();
    let root = PathBuf::from("/sys/fs/cgroup").join(if has_cgroup_version_2() { "" } else { hierarchy });
    let root = root.join(namespace.cluster().node("wasm").cell().name());
    find(&root, &id).unwrap_or_else(|| panic!("no cgroup {id} below {}", root.display()))
}

fn find(below: &Path, name: &str) -> Option<PathBuf> {
    let mut entries =
        fs::read_dir(below).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    entries.find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}

#[test]
fn classes_of_service_are_where_the_kubelet_wants_them() {
    let namespace = Cluster::shared().namespace("qos");
    namespace.run(&pod("guaranteed", &["sleep"], "{limits: {cpu: 200m, memory: 64Mi}}"));
    namespace.run(&pod("burstable", &["sleep"], "{requests: {cpu: 100m, memory: 32Mi}}"));
    namespace.run(&pod("best-effort", &["sleep"], "{}"));
    for (name, class, below) in [
        ("guaranteed", "Guaranteed", "/kubepods/pod"),
        ("burstable", "Burstable", "/kubepods/burstable/pod"),
        ("best-effort", "BestEffort", "/kubepods/besteffort/pod"),
    ] {
        namespace.wait(&format!("pod/{name}"), "condition=Ready");
        assert_eq!(namespace.field(&format!("pod/{name}"), "{.status.qosClass}"), class);
        let cgroup = cgroup(&namespace, name, "memory").display().to_string();
        assert!(cgroup.contains(below), "{cgroup}");
        let processes = fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap();
        assert_eq!(processes.lines().count(), 1, "the guest, and it alone, is in {cgroup}");
    }
    let limit = |hierarchy: &str, one: &str, two: &str| {
        let file = if has_cgroup_version_2() { two } else { one };
        fs::read_to_string(cgroup(&namespace, "guaranteed", hierarchy).join(file)).unwrap().trim().to_owned()
    };
    assert_eq!(limit("memory", "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert!(limit("cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("20000"));
}

#[test]
fn a_guest_over_its_memory_limit_is_oom_killed_and_told_so() {
    let namespace = Cluster::shared().namespace("oom");
    namespace.run(&pod("greedy", &["allocate", "200"], "{limits: {memory: 48Mi}}"));
    namespace.wait("pod/greedy", "jsonpath={.status.phase}=Failed");
    let ended = |what: &str| {
        namespace.field("pod/greedy", &format!("{{.status.containerStatuses[0].state.terminated.{what}}}"))
    };
    assert_eq!((ended("reason").as_str(), ended("exitCode").as_str()), ("OOMKilled", "137"));
    let described = namespace.kubectl(&["describe", "pod", "greedy"]).success().stdout;
    assert!(described.contains("OOMKilled"), "{described}");
}

#[test]
fn a_running_pod_is_resized_in_place() {
    let namespace = Cluster::shared().namespace("resize");
    let resources = "{requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 200m, memory: 64Mi}}";
    namespace.run(&pod("app", &["sleep"], resources));
    namespace.wait("pod/app", "condition=Ready");
    let before = namespace.field("pod/app", "{.status.containerStatuses[0].containerID}");
    let larger = r#"{"spec":{"containers":[{"name":"app","resources":
        {"requests":{"cpu":"150m","memory":"96Mi"},"limits":{"cpu":"300m","memory":"96Mi"}}}]}}"#;
    namespace.kubectl(&["patch", "pod", "app", "--subresource=resize", "-p", larger]).success();
    namespace.eventually_has("pod/app", "{.status.containerStatuses[0].resources.limits.memory}", "96Mi");
    namespace.eventually_has("pod/app", "{.status.containerStatuses[0].resources.limits.cpu}", "300m");
    let file = |hierarchy: &str, one: &str, two: &str| {
        let file = if has_cgroup_version_2() { two } else { one };
        fs::read_to_string(cgroup(&namespace, "app", hierarchy).join(file)).unwrap().trim().to_owned()
    };
    assert_eq!(file("memory", "memory.limit_in_bytes", "memory.max"), (96 << 20).to_string());
    assert!(file("cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("30000"));
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].containerID}"), before);
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].restartCount}"), "0");
}

#[test]
fn the_nodes_limit_of_processes_holds_in_a_wasm_pod() {
    let namespace = Cluster::shared().namespace("pids");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "probe:1", args: [sleep]}
  - name: forks
    image: busybox:1
    args: [-c, "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i + 1)); done; echo all forked"]
"#,
    );
    let said = namespace.eventually_says(&["app", "-c", "forks"], "can't fork");
    assert!(!said.contains("all forked"), "{said}");
    // The module beside it goes on.
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[?(@.name=='app')].ready}"), "true");
}

#[test]
fn a_quota_and_a_runtime_classs_overhead_count_for_wasm_pods() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("quota");
    let class = namespace.name();
    cluster.apply(&format!(
        r#"
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {{name: {class}}}
handler: wasmedge
scheduling: {{nodeSelector: {{pool: wasm}}}}
overhead: {{podFixed: {{memory: 8Mi, cpu: 10m}}}}
"#
    ));
    namespace.kubectl(&["create", "quota", "small", "--hard=requests.memory=48Mi,pods=5"]).success();
    let limited = |name: &str| pod(name, &["sleep"], "{limits: {cpu: 50m, memory: 32Mi}}").class(class);
    namespace.run(&limited("first"));
    namespace.wait("pod/first", "condition=Ready");
    eventually("the overhead in the quota", DEADLINE, || {
        (namespace.field("quota/small", "{.status.used['requests\\.memory']}") == "40Mi").then_some(())
    });
    namespace.try_apply(&limited("second").to_string()).with_code(1).complaining(&["exceeded quota: small"]);
    cluster.kubectl(&["delete", "runtimeclass", class]).success();
}

#[test]
fn a_pods_cgroup_holds_no_more_beside_its_containers_than_the_charts_overhead() {
    let namespace = Cluster::shared().namespace("overhead");
    let chart = fs::read_to_string(repository().join("deploy/chart/values.yaml")).unwrap();
    let overhead = chart.split_once("  overhead:\n    memory: ").unwrap().1;
    let overhead: u64 = overhead.split_once("Mi\n").unwrap().0.parse().unwrap();
    for number in 0..3 {
        let name = format!("app-{number}");
        namespace.run(&pod(&name, &["sleep"], "{limits: {cpu: 200m, memory: 64Mi}}"));
        namespace.wait(&format!("pod/{name}"), "condition=Ready");
        let container = cgroup(&namespace, &name, "memory");
        let file = if has_cgroup_version_2() { "memory.current" } else { "memory.usage_in_bytes" };
        let [of_pod, of_container] = [container.parent().unwrap(), &container]
            .map(|cgroup| fs::read_to_string(cgroup.join(file)).unwrap().trim().parse::<u64>().unwrap());
        let beside = of_pod - of_container;
        println!("{beside} bytes beside a container of {of_container}");
        assert!(beside <= overhead << 20, "{beside} bytes, but an overhead of {overhead} MiB");
    }
}
