//! Pods by CRI, with the runtime handler `wasmedge` as `deploy/containerd.toml` configures it.

use std::os::unix::fs::PermissionsExt;

use k8s_cri::v1::{ContainerState, IdMapping, NamespaceMode, NamespaceOption, UserNamespace};
use wasmedge_shim_tests::{Containerd, Cri, DEADLINE, Image, Pod, finish, guests, part};

const PROBE: &str = "docker.io/library/probe:1";
const HTTP: &str = "docker.io/library/http:1";
const BUSYBOX: &str = "docker.io/library/busybox:1";

/// A containerd whose CRI has the images that these stories use.
fn containerd() -> Containerd {
    let containerd = Containerd::with_cri();
    let pause = Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause");
    let busybox = part("busybox/bin/busybox");
    let busybox = ["/bin/sh", "/bin/wget"]
        .iter()
        .fold(Image::of_files("busybox", "/bin/sh"), |image, path| image.add(&busybox, path));
    for image in [pause, busybox, Image::classic(guests::PROBE), Image::classic(guests::HTTP)] {
        containerd.import_for_cri(&image);
    }
    containerd
}

#[test]
fn a_pod_has_a_wasm_server_and_a_native_neighbour_that_share_its_network() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
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

#[test]
fn logs_exit_codes_and_figures_are_as_the_kubelet_reads_them() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
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

#[test]
fn a_container_that_cannot_start_says_why_and_the_pod_goes_on() {
    let containerd = containerd();
    let component = Image::classic(guests::COMPONENT).flag("--no-check");
    containerd.import_for_cri(&component);
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
    let status = pod.try_run("component", component.name(), &[]).err().unwrap();
    assert!(status.message().contains("component"), "{status}");
    said_in(&pod);
}

#[test]
fn an_image_whose_layer_is_the_module_runs_in_a_pod() {
    let containerd = containerd();
    let image = Image::layer(guests::PROBE).named("probe-layer");
    containerd.import_for_cri(&image);
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
    let said = pod.run("said", image.name(), &["say", "from a layer"]);
    assert_eq!(said.wait().exit_code, 0, "{}", said.log());
    assert!(said.log().contains("stdout F from a layer\n"), "{}", said.log());
}

#[test]
fn pods_come_and_go() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pods = [(); 3].map(|()| cri.run_pod("wasmedge"));
    pods.iter().for_each(said_in);
}

#[track_caller]
fn said_in(pod: &Pod<'_>) {
    let said = pod.run("said", PROBE, &["say", "fine"]);
    assert_eq!(said.wait().exit_code, 0);
    assert!(said.log().contains("stdout F fine\n"), "{}", said.log());
}

#[test]
fn probes_are_executed_and_limits_change_while_a_container_runs() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
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

#[test]
fn a_container_that_wants_too_much_memory_is_killed_and_its_neighbours_are_not() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.run_pod("wasmedge");
    let neighbour = pod.run("neighbour", PROBE, &["sleep"]);
    neighbour.wait_for_log("sleeping");
    let greedy = pod.run("greedy", PROBE, &["allocate", "400"]).wait();
    assert_eq!((greedy.exit_code, greedy.reason.as_str()), (137, "OOMKilled"));
    assert_eq!(neighbour.status().state(), ContainerState::ContainerRunning);
    assert_eq!(neighbour.exec(&["/app.wasm", "say", "still here"]).unwrap(), (0, "still here\n".to_owned()));
    said_in(&pod);
}

#[test]
fn a_pod_with_users_of_its_own_is_refused_by_its_cause() {
    let containerd = containerd();
    let directory = containerd.cell().directory();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711)).unwrap();
    let cri = Cri::of(&containerd);
    let mapping = || vec![IdMapping { host_id: 100_000, container_id: 0, length: 65_536 }];
    let users = UserNamespace { mode: NamespaceMode::Pod.into(), uids: mapping(), gids: mapping() };
    let namespaces = NamespaceOption {
        pid: NamespaceMode::Container.into(),
        userns_options: Some(users),
        ..Default::default()
    };
    let pod = cri.try_run_pod("wasmedge", namespaces);
    if std::env::var("WITH_CONTAINERD").is_ok_and(|version| version == "containerd-1.7") {
        // It gives the image's files to the mapped users, and mounts nothing mapped.
        let map = pod.unwrap().run("users", PROBE, &["cat", "/proc/self/uid_map"]);
        assert_eq!(map.wait().exit_code, 0, "{}", map.log());
        assert!(map.log().contains(" 100000 "), "{}", map.log());
        return;
    }
    let refused = pod.and_then(|pod| pod.try_run("users", PROBE, &["say", "hi"])).err().expect("refused");
    assert!(
        refused.message().contains("mapped users (uidmap=0:100000:65536), which is not supported"),
        "{refused}"
    );
}
