//! Pods by CRI, with the runtime handlers as `deploy/containerd.toml` and `deploy/containerd-sandbox.toml` configure
//! them. Every story is told of both: a pod is the same with a pause container and without.

use k8s_cri::v1::{ContainerState, IdMapping, NamespaceMode, NamespaceOption, UserNamespace};
use wasmedge_shim_tests::{Containerd, Cri, DEADLINE, Image, Pod, eventually, finish, guests, part};

/// Tells each story twice.
macro_rules! both_ways {
    ($($story:ident),+ $(,)?) => {
        mod with_a_pause_container {
            $(#[test] fn $story() { super::$story("wasmedge") })+
        }
        mod with_the_daemon_as_sandbox {
            $(#[test] fn $story() { super::$story("wasmedge-sandbox") })+
        }
    };
}

both_ways! {
    a_pod_has_a_wasm_server_and_a_native_neighbour_that_share_its_network,
    logs_exit_codes_and_figures_are_as_the_kubelet_reads_them,
    a_container_that_cannot_start_says_why_and_the_pod_goes_on,
    an_image_whose_layer_is_the_module_runs_in_a_pod,
    pods_come_and_go,
    probes_are_executed_and_limits_change_while_a_container_runs,
    a_container_that_wants_too_much_memory_is_killed_and_its_neighbours_are_not,
    a_pod_with_users_of_its_own_is_refused_by_its_cause,
    containers_of_a_pod_share_name_memory_network_and_files,
    a_pod_can_have_the_nodes_processes_and_shared_memory,
    a_pods_kernel_parameters_are_set_and_the_nodes_are_out_of_reach,
    a_pods_figures_are_those_of_all_its_containers,
    a_pod_and_its_containers_outlive_containerd,
    a_killed_daemon_takes_its_pods_along_and_they_can_be_removed,
    containers_of_a_pod_can_share_their_processes,
}

const PROBE: &str = "docker.io/library/probe:1";
const HTTP: &str = "docker.io/library/http:1";
const BUSYBOX: &str = "docker.io/library/busybox:1";

/// Prints what [`namespaces_of`] tells of a process.
const NAMESPACES: &str = "for name in ipc uts net; do readlink /proc/self/ns/$name; done";

/// A containerd whose CRI has the images that these stories use.
fn containerd() -> Containerd {
    let containerd = Containerd::with_cri();
    let pause = Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause");
    let busybox = part("busybox/bin/busybox");
    let busybox = ["/bin/sh", "/bin/wget", "/bin/cat", "/bin/grep", "/bin/hostname", "/bin/readlink"]
        .iter()
        .fold(Image::of_files("busybox", "/bin/sh"), |image, path| image.add(&busybox, path));
    for image in [pause, busybox, Image::classic(guests::PROBE), Image::classic(guests::HTTP)] {
        containerd.import_for_cri(&image);
    }
    containerd
}

fn a_pod_has_a_wasm_server_and_a_native_neighbour_that_share_its_network(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let server = pod.run("server", HTTP, &[]);
    server.wait_for_log("listening on 0.0.0.0:8080");
    let neighbour = pod.run("neighbour", BUSYBOX, &["-c", "wget -q -O - http://127.0.0.1:8080/pod"]);
    assert_eq!(neighbour.wait().exit_code, 0, "{}", neighbour.log());
    assert!(
        neighbour.log().contains("stdout F hello from wasm, you asked for /pod\n"),
        "{}",
        neighbour.log()
    );

    let url = format!("http://{}:8080/node", pod.address());
    let mut wget = containerd.cell().command(part("busybox/bin/busybox"));
    let from_the_node = finish(wget.args(["wget", "-q", "-O", "-", &url]), DEADLINE);
    from_the_node.success().printing("hello from wasm, you asked for /node\n");
    server.stop(10);
    assert_eq!(server.wait().exit_code, 143);
}

fn logs_exit_codes_and_figures_are_as_the_kubelet_reads_them(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let said = pod.run("said", PROBE, &["say", "to the log"]);
    assert_eq!(said.wait().exit_code, 0);
    let log = said.log();
    let words: Vec<_> = log.trim_end().splitn(4, ' ').collect();
    assert!(words[0].ends_with('Z') || words[0].contains('+'), "a time first: {log}");
    assert_eq!(words[1..], ["stdout", "F", "to the log"]);

    let trapped = pod.run("trapped", PROBE, &["trap", "unreachable"]);
    assert_eq!(trapped.wait().exit_code, 134);
    assert!(trapped.log().contains("stderr F /app.wasm: trap: unreachable"), "{}", trapped.log());
    let exited = pod.run("exited", PROBE, &["exit", "3"]);
    assert_eq!(exited.wait().exit_code, 3);

    let busy = pod.run("busy", PROBE, &["spin"]);
    busy.wait_for_log("spinning");
    let (cpu, memory) = busy.figures();
    assert!(cpu > 0 && memory > 1 << 20, "{cpu} ns, {memory} bytes");
    busy.stop(0);
    assert_eq!(busy.wait().exit_code, 137);
}

fn a_container_that_cannot_start_says_why_and_the_pod_goes_on(handler: &str) {
    let containerd = containerd();
    let component = Image::classic(guests::COMPONENT).flag("--no-check");
    containerd.import_for_cri(&component);
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let status = pod.try_run("component", component.name(), &[]).err().unwrap();
    assert!(status.message().contains("component"), "{status}");
    said_in(&pod);
}

fn an_image_whose_layer_is_the_module_runs_in_a_pod(handler: &str) {
    let containerd = containerd();
    let image = Image::layer(guests::PROBE).named("probe-layer");
    containerd.import_for_cri(&image);
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let said = pod.run("said", image.name(), &["say", "from a layer"]);
    assert_eq!(said.wait().exit_code, 0, "{}", said.log());
    assert!(said.log().contains("stdout F from a layer\n"), "{}", said.log());
}

fn pods_come_and_go(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pods = [(); 3].map(|()| cri.run_pod(handler));
    pods.iter().for_each(said_in);
}

#[track_caller]
fn said_in(pod: &Pod<'_>) {
    let said = pod.run("said", PROBE, &["say", "fine"]);
    assert_eq!(said.wait().exit_code, 0);
    assert!(said.log().contains("stdout F fine\n"), "{}", said.log());
}

fn probes_are_executed_and_limits_change_while_a_container_runs(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let container = pod.run("app", PROBE, &["sleep"]);
    container.wait_for_log("sleeping");
    assert_eq!(container.exec(&["/app.wasm", "say", "healthy"]).unwrap(), (0, "healthy\n".to_owned()));
    assert_eq!(container.exec(&["/app.wasm", "exit", "3"]).unwrap().0, 3);
    let missing = container.exec(&["/missing"]).unwrap_err();
    assert!(missing.message().contains("/missing: no such file or directory"), "{missing}");
    container.limit_memory(48 << 20);
    assert_eq!(container.exec(&["/app.wasm", "allocate", "200"]).unwrap().0, 137);
    let neighbour = pod.run("neighbour", BUSYBOX, &["-c", "sleep 1000"]);
    assert_eq!(neighbour.exec(&["/bin/sh", "-c", "exit 4"]).unwrap().0, 4);
}

fn a_container_that_wants_too_much_memory_is_killed_and_its_neighbours_are_not(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let neighbour = pod.run("neighbour", PROBE, &["sleep"]);
    neighbour.wait_for_log("sleeping");
    let greedy = pod.run("greedy", PROBE, &["allocate", "400"]).wait();
    assert_eq!((greedy.exit_code, greedy.reason.as_str()), (137, "OOMKilled"));
    assert_eq!(neighbour.status().state(), ContainerState::ContainerRunning);
    assert_eq!(neighbour.exec(&["/app.wasm", "say", "still here"]).unwrap(), (0, "still here\n".to_owned()));
    said_in(&pod);
}

fn a_pod_with_users_of_its_own_is_refused_by_its_cause(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let mapping = || vec![IdMapping { host_id: 100_000, container_id: 0, length: 65_536 }];
    let users = UserNamespace { mode: NamespaceMode::Pod.into(), uids: mapping(), gids: mapping() };
    let namespaces = NamespaceOption {
        pid: NamespaceMode::Container.into(),
        userns_options: Some(users),
        ..Default::default()
    };
    let refused = cri
        .pod(handler)
        .namespaces(namespaces)
        .try_run()
        .and_then(|pod| pod.try_run("users", PROBE, &["say", "hi"]))
        .err();
    let refused = refused.unwrap();
    // 1.7 mounts nothing mapped, but gives the pod a file in a directory of its own that mapped users cannot enter.
    let cause = match is_containerd_1_7() {
        true => "Permission denied",
        false => "mapped users (uidmap=0:100000:65536), which is not supported",
    };
    assert!(refused.message().contains(cause), "{refused}");
}

fn containers_of_a_pod_share_name_memory_network_and_files(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.pod(handler).hostname("web-1").dns("10.96.0.10", "stories.svc").run();
    let guest = pod.run("guest", PROBE, &["sleep"]);
    guest.wait_for_log("sleeping");
    let of_guest = containerd.cell().processes_named("/app.wasm sleep")[0];
    let of_shell = pod.sh("shell", BUSYBOX, &format!("{NAMESPACES}; echo hi > /dev/shm/note"));
    assert_eq!(of_shell.lines().collect::<Vec<_>>(), namespaces_of(&containerd, of_guest));
    let of_node = namespaces_of(&containerd, 1);
    assert!(of_shell.lines().all(|namespace| !of_node.contains(&namespace.to_owned())), "{of_shell}");

    let seen = "hostname; cat /etc/hostname /etc/resolv.conf /dev/shm/note; grep -c localhost /etc/hosts";
    let seen = pod.sh("seen", BUSYBOX, seen);
    let said = ["web-1", "web-1", "search stories.svc", "nameserver 10.96.0.10", "hi"];
    assert_eq!(seen.lines().take(5).collect::<Vec<_>>(), said);
    assert_eq!(guest.exec(&["/app.wasm", "cat", "/etc/hostname"]).unwrap(), (0, "web-1\n".to_owned()));
    assert_eq!(guest.exec(&["/app.wasm", "cat", "/dev/shm/note"]).unwrap(), (0, "hi\n".to_owned()));
}

fn a_pod_can_have_the_nodes_processes_and_shared_memory(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let node = NamespaceMode::Node.into();
    let pod =
        cri.pod(handler).namespaces(NamespaceOption { pid: node, ipc: node, ..Default::default() }).run();
    let of_shell = pod.sh("shell", BUSYBOX, NAMESPACES);
    let (of_shell, of_node) = (of_shell.lines().collect::<Vec<_>>(), namespaces_of(&containerd, 1));
    assert_eq!(of_shell[0], of_node[0]);
    assert!(of_shell[1] != of_node[1] && of_shell[2] != of_node[2], "{of_shell:?}");
    said_in(&pod);
}

fn a_pod_can_be_in_the_nodes_network(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let network = NamespaceMode::Node.into();
    let pid = NamespaceMode::Container.into();
    let pod = cri.pod(handler).namespaces(NamespaceOption { network, pid, ..Default::default() }).run();
    let of_shell = pod.sh("shell", BUSYBOX, NAMESPACES);
    let (of_shell, of_node) = (of_shell.lines().collect::<Vec<_>>(), namespaces_of(&containerd, 1));
    assert_ne!(of_shell[0], of_node[0]);
    assert_eq!(of_shell[1..], of_node[1..]);
    said_in(&pod);
}

#[test]
fn a_pod_with_a_pause_container_can_be_in_the_nodes_network() {
    a_pod_can_be_in_the_nodes_network("wasmedge");
}

#[test]
#[ignore = "containerd before 2.3 ends with a nil pointer on it; `make test-matrix` runs it on newer ones"]
fn a_pod_that_the_daemon_holds_can_be_in_the_nodes_network() {
    a_pod_can_be_in_the_nodes_network("wasmedge-sandbox");
}

fn a_pods_kernel_parameters_are_set_and_the_nodes_are_out_of_reach(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri
        .pod(handler)
        .sysctl("net.ipv4.ip_local_port_range", "4000 5000")
        .sysctl("kernel.msgmax", "4096")
        .run();
    let read = "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start";
    // containerd's `enable_unprivileged_ports` is on by default since 2.0.
    let first_free_port = if is_containerd_1_7() { 1024 } else { 0 };
    assert_eq!(pod.sh("read", BUSYBOX, read), format!("4000\t5000\n4096\n{first_free_port}\n"));
    let refused = cri.pod(handler).sysctl("vm.swappiness", "1").try_run().err().unwrap();
    assert!(refused.message().contains("vm.swappiness"), "{refused}");
}

fn a_pods_figures_are_those_of_all_its_containers(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let busy = pod.run("busy", PROBE, &["spin"]);
    busy.wait_for_log("spinning");
    assert!(pod.is_ready());
    let linux = pod.stats().linux.unwrap();
    let cpu = linux.cpu.and_then(|cpu| cpu.usage_core_nano_seconds).map_or(0, |value| value.value);
    let memory = linux.memory.and_then(|memory| memory.working_set_bytes).map_or(0, |value| value.value);
    assert!(cpu > 0 && memory > 1 << 20, "{cpu} ns, {memory} bytes");
    assert_eq!(linux.containers.len(), 1);
    assert!(linux.network.is_some());
}

fn a_pod_and_its_containers_outlive_containerd(handler: &str) {
    let mut containerd = containerd();
    let (pod, guest) = {
        let cri = Cri::of(&containerd);
        let pod = cri.run_pod(handler);
        let guest = pod.run("guest", PROBE, &["sleep"]);
        guest.wait_for_log("sleeping");
        (pod.keep(), guest.keep())
    };
    containerd.restart();
    let cri = Cri::of(&containerd);
    let (pod, guest) = (pod.on(&cri), guest.on(&cri));
    assert!(pod.is_ready());
    assert_eq!(guest.exec(&["/app.wasm", "say", "healthy"]).unwrap(), (0, "healthy\n".to_owned()));
    said_in(&pod);
    guest.stop(10);
    assert_eq!(guest.wait().exit_code, 143);
    pod.stop();
    assert!(!pod.is_ready());
}

fn a_killed_daemon_takes_its_pods_along_and_they_can_be_removed(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod(handler);
    let guest = pod.run("guest", PROBE, &["sleep"]);
    guest.wait_for_log("sleeping");
    containerd
        .cell()
        .kill("KILL", &containerd.cell().processes_named("containerd-shim-wasmedge-v1"))
        .success();
    pod.wait();
    guest.wait();
    eventually("the guest's end", DEADLINE, || {
        containerd.cell().processes_named("/app.wasm sleep").is_empty().then_some(())
    });
    said_in(&cri.run_pod(handler));
}

fn containers_of_a_pod_can_share_their_processes(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let shared = NamespaceOption { pid: NamespaceMode::Pod.into(), ..Default::default() };
    let pod = cri.pod(handler).namespaces(shared).run();
    let guest = pod.run("guest", PROBE, &["sleep"]);
    guest.wait_for_log("sleeping");
    // A pattern that the shell's own arguments do not match.
    let seen = pod.sh("seen", BUSYBOX, "grep -l 'app[.]wasm' /proc/[0-9]*/cmdline");
    assert_eq!(seen.lines().count(), 1, "{seen}");
    let first =
        containerd.cell().processes_named(if handler == "wasmedge" { "/pause" } else { "/init init" });
    assert_eq!(first.len(), 1);
    containerd.cell().kill("KILL", &first).success();
    assert_eq!(guest.wait().exit_code, 137);
    pod.wait();
}

/// Whether these stories are told on it, by `make test-matrix`.
fn is_containerd_1_7() -> bool {
    std::env::var("WITH_CONTAINERD").is_ok_and(|version| version == "containerd-1.7")
}

/// The IPC, UTS and network namespace of a process.
fn namespaces_of(containerd: &Containerd, pid: i32) -> Vec<String> {
    let link =
        |name| std::fs::read_link(containerd.cell().outside(format!("/proc/{pid}/ns/{name}"))).unwrap();
    ["ipc", "uts", "net"].map(|name| link(name).display().to_string()).into()
}

#[test]
fn only_a_pod_with_a_pause_container_has_one() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pauses = || containerd.cell().processes_named("/pause").len();
    let tasks = || {
        std::fs::read_dir(containerd.cell().directory().join("state/io.containerd.runtime.v2.task/k8s.io"))
            .map_or(0, Iterator::count)
    };
    let _sandbox = cri.run_pod("wasmedge-sandbox");
    assert_eq!((pauses(), tasks()), (0, 0));
    let _classic = cri.run_pod("wasmedge");
    assert_eq!((pauses(), tasks()), (1, 1));
}

#[test]
fn a_removed_sandbox_leaves_nothing_in_the_daemon() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let first = cri.run_pod("wasmedge-sandbox");
    said_in(&first);
    let daemon = containerd.cell().processes_named("containerd-shim-wasmedge-v1")[0];
    let held = || std::fs::read_dir(containerd.cell().outside(format!("/proc/{daemon}/fd"))).unwrap().count();
    let (before, mounts) = (held(), containerd.cell().mounts().len());
    for _ in 0..3 {
        said_in(&cri.run_pod("wasmedge-sandbox"));
    }
    eventually("the descriptors' end", DEADLINE, || (held() <= before).then_some(()));
    assert_eq!(containerd.cell().mounts().len(), mounts);
}
