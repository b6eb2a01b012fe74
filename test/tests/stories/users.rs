//! User namespaces: root of a container is somebody else on the host, and its volumes' files belong to whom they should.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use k8s_cri::v1::{IdMapping, Mount, NamespaceMode, NamespaceOption, UserNamespace};
use serde_json::{Value, json};
use wasmedge_shim_tests::{
    Cell, Containerd, Cri, DEADLINE, Image, MockContainerd, Task, TaskBuilder, finish, guests, part,
};

use crate::signal;

const PROBE: &str = "docker.io/library/probe:1";
const BUSYBOX: &str = "docker.io/library/busybox:1";

/// Root of the containers, on the host.
const ROOT: u32 = 100_000;
const MAP: &str = "0:100000:65536";

#[test]
fn a_pods_root_is_nobody_on_the_node_and_root_of_its_volumes() {
    a_pods_root_is_nobody_and_root_of_its_volumes("wasmedge");
}

#[test]
fn a_pods_root_is_nobody_on_the_node_by_the_handler_of_which_the_kubelet_knows_it() {
    a_pods_root_is_nobody_and_root_of_its_volumes("wasmedge-users");
}

#[test]
fn the_kubelet_is_told_which_handler_knows_user_namespaces() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    assert!(cri.has_user_namespaces("wasmedge-users"));
    // containerd 2.1, the stories' default, asks runc only.
    let is_asked = std::env::var("WITH_CONTAINERD").is_ok_and(|version| version != "containerd-1.7");
    assert_eq!(cri.has_user_namespaces("wasmedge"), is_asked);
}

fn a_pods_root_is_nobody_and_root_of_its_volumes(handler: &str) {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let volume = directory(containerd.cell(), "volume");
    fs::write(volume.join("note"), "of root").unwrap();
    let pod = cri.pod(handler).namespaces(of_its_own()).run();
    let guest = pod.try_run_with("guest", PROBE, &["sleep"], vec![mapped(&volume)]).unwrap();
    guest.wait_for_log("sleeping");
    let process = containerd.cell().processes_named("/app.wasm sleep")[0];
    assert_eq!(owner(&containerd.cell().outside(format!("/proc/{process}"))), ROOT);

    let map = guest.exec(&["/app.wasm", "cat", "/proc/self/uid_map"]).unwrap().1;
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    let (code, _) = guest.exec(&["/app.wasm", "append", "/data/note", ", and a guest"]).unwrap();
    assert_eq!(
        (code, fs::read_to_string(volume.join("note")).unwrap().as_str()),
        (0, "of root, and a guest")
    );
    guest.exec(&["/app.wasm", "write", "/data/new", "x"]).unwrap();
    guest.exec(&["/app.wasm", "write", "/by-root", "x"]).unwrap();
    assert_eq!(owner(&volume.join("new")), 0, "on the volume, root of the container is root");
    assert_eq!(owner(&containerd.cell().outside(format!("/proc/{process}/root/by-root"))), ROOT);

    let of_guest = fs::read_link(containerd.cell().outside(format!("/proc/{process}/ns/user"))).unwrap();
    let seen = "readlink /proc/self/ns/user; cat /etc/hostname /data/new; echo y > /data/native; echo hi > /dev/shm/a; echo again > /dev/stdout";
    let shell = pod.try_run_with("shell", BUSYBOX, &["-c", seen], vec![mapped(&volume)]).unwrap();
    assert_eq!(shell.wait().exit_code, 0, "{}", shell.log());
    assert!(shell.log().contains(&of_guest.display().to_string()), "{}: {of_guest:?}", shell.log());
    assert!(shell.log().contains("again"), "{}", shell.log());
    assert_eq!(owner(&volume.join("native")), 0);
    let of_pause = containerd.cell().processes_named("/pause")[0];
    let of_pause = containerd.cell().outside(format!("/proc/{of_pause}/ns/user"));
    assert_eq!(fs::read_link(of_pause).unwrap(), of_guest);
    guest.stop(10);
    assert_eq!(guest.wait().exit_code, 143);
}

#[test]
fn a_pod_with_users_of_its_own_has_a_network_of_theirs() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let pod = cri.pod("wasmedge").namespaces(of_its_own()).run();
    let server = pod.run("server", "docker.io/library/http:1", &[]);
    server.wait_for_log("listening on 0.0.0.0:8080");
    let url = format!("http://{}:8080/node", pod.address());
    let mut wget = containerd.cell().command(part("busybox/bin/busybox"));
    let said = finish(wget.args(["wget", "-q", "-O", "-", &url]), DEADLINE);
    said.success().printing("hello from wasm, you asked for /node\n");
}

#[test]
fn a_pod_without_a_pause_container_that_is_to_have_users_of_its_own_is_refused_by_its_cause() {
    let containerd = containerd();
    let cri = Cri::of(&containerd);
    let refused = cri.pod("wasmedge-sandbox").namespaces(of_its_own()).try_run().err().unwrap();
    assert!(refused.message().contains("a pod with user namespaces (uidmap=0:100000:65536)"), "{refused}");
}

#[test]
fn a_root_filesystem_has_mapped_users_by_the_kernel_and_by_copies() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let run = |flags: &[&str], words: &[&str]| {
        let flags = [&["--uidmap", MAP, "--gidmap", MAP], flags].concat();
        containerd.container(&image).flags(&flags).args(words).run()
    };
    // containerd's own way with overlayfs is to map the layers' users, and to change the owners in a copy with others.
    for flags in [&["--remap-labels"][..], &["--snapshotter", "native"]] {
        let map = run(flags, &["cat", "/proc/self/uid_map"]).success().stdout;
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"], "{flags:?}");
        run(flags, &["append", "/app.wasm", "x"]).success();
        run(flags, &["write", "/new", "x"]).success();
        run(&[flags, &["--cwd", "/not/there/yet"]].concat(), &["write", "/not/there/yet/x", "x"]).success();
        let not_root = run(&[flags, &["--user", "1000:1000"]].concat(), &["append", "/app.wasm", "x"]);
        not_root.with_code(1);
    }
}

#[test]
fn ctr_mounts_volumes_with_the_containers_users() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let volume = directory(containerd.cell(), "volume");
    let write = |options: &str, file: &str| {
        let mount = format!("type=bind,src={},dst=/data,options={options}", volume.display());
        let flags = ["--uidmap", MAP, "--gidmap", MAP, "--remap-labels", "--mount", &mount];
        containerd.container(&image).flags(&flags).args(&["write", file, "x"]).run()
    };
    for (options, file) in [("rbind:idmap", "/data/one"), ("rbind:ridmap", "/data/all")] {
        write(options, file).success();
        assert_eq!(owner(&volume.join(&file[6..])), 0, "{options}");
    }
    write("rbind:idmap:ro", "/data/three").with_code(1).complaining(&["Read-only file system"]);
    write("rbind", "/data/other").with_code(1).complaining(&["Permission denied"]);
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
    write("rbind", "/data/other").success();
    assert_eq!(owner(&volume.join("other")), ROOT);
}

#[test]
fn a_mount_has_the_users_that_it_says_with_a_user_namespace_and_without() {
    let containerd = MockContainerd::start();
    let volume = directory(containerd.cell(), "volume");
    for (has_namespace, expected) in [(false, 2000), (true, 1000)] {
        // Of the mount: user 1000 of the disk is shown as user 0 or 100000 of the host, who is root in the container.
        let shown = if has_namespace { ROOT } else { 0 };
        let task = containerd.task(guests::PROBE).args(&["write", "/data/file", "x"]);
        let users = json!([{ "containerID": expected, "hostID": shown, "size": 10 }]);
        let task = with_volume(task, &volume, &["rbind"], Some(users));
        let task = if has_namespace { with_users(&containerd, task) } else { task };
        chown(&volume, Some(expected), Some(expected)).unwrap();
        let task = task.create().start();
        assert_eq!(task.finish(), 0, "{}", task.stderr().so_far());
        assert_eq!(owner(&volume.join("file")), expected);
        fs::remove_file(volume.join("file")).unwrap();
    }
}

#[test]
fn users_that_cannot_be_mapped_are_named() {
    let containerd = MockContainerd::start();
    let volume = directory(containerd.cell(), "volume");
    let refused = |source: &Path, options: &[&str], users: Option<Value>, words: &[&str]| {
        let task = with_volume(containerd.task(guests::PROBE), source, options, users);
        let refused = task.try_create().err().unwrap();
        assert!(words.iter().all(|word| refused.message.contains(word)), "{refused}");
    };
    let users = || Some(json!([{ "containerID": 0, "hostID": ROOT, "size": 10 }]));
    refused(
        &volume,
        &["rbind", "idmap"],
        None,
        &["mapped users", "on /data", "neither it nor the container"],
    );
    refused(Path::new("/proc"), &["bind"], users(), &["\"/proc\" on /data", "does not map the users"]);
    refused(Path::new("/none"), &["bind"], users(), &["\"/none\" on /data", "no such file or directory"]);
    let odd = Some(json!([{ "containerID": 0, "hostID": ROOT, "size": 0 }]));
    refused(&volume, &["bind"], odd, &["on /data", "uid_map: 0 100000 0"]);
}

#[test]
fn a_volume_in_a_directory_that_its_users_cannot_enter_is_theirs_all_the_same() {
    let containerd = MockContainerd::start();
    let closed = directory(containerd.cell(), "closed");
    let volume = closed.join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("note"), "inside").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let task = containerd.task(guests::PROBE).args(&["cat", "/data/note"]);
    let task = with_users(&containerd, with_volume(task, &volume, &["rbind"], None)).create().start();
    assert_eq!((task.finish(), task.stdout().so_far().as_str()), (0, "inside"));
}

#[test]
fn a_guest_that_is_root_in_its_namespace_has_no_rights_outside() {
    let containerd = MockContainerd::start();
    let volume = directory(containerd.cell(), "volume");
    fs::write(volume.join("secret"), "of the host's root").unwrap();
    fs::set_permissions(volume.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let task = with_volume(containerd.task(guests::PROBE).args(&["sleep"]), &volume, &["rbind"], None);
    let task = with_all_powers(with_users(&containerd, task)).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(status(&containerd, &task, "Uid"), vec![ROOT.to_string(); 4].join(" "));

    let tries: [&[&str]; 10] = [
        &["cat", "/data/secret"],
        &["append", "/data/secret", "x"],
        &["write", "/data/new", "x"],
        &["rename", "/data/secret", "/data/mine"],
        &["remove", "/data/secret"],
        &["write", "/proc/sys/kernel/core_pattern", "|/evil"],
        &["write", "/proc/sysrq-trigger", "h"],
        &["cat", "/proc/kmsg"],
        &["cat", "/proc/self/exe"],
        &["append", "/proc/self/exe", "x"],
    ];
    for (number, words) in tries.iter().enumerate() {
        let (code, said) = task.run_exec(&format!("e{number}"), &[&["/app.wasm"], *words].concat());
        assert_eq!((code, said.as_str()), (1, ""), "{words:?}");
    }
    assert_eq!(fs::read_to_string(volume.join("secret")).unwrap(), "of the host's root");

    // Of the engine's own files, none is in reach: the guest has its streams and preopens, and root's files among what
    // is mapped are read-only, sealed or root's.
    let open = containerd.cell().outside(format!("/proc/{}/fd", task.pid()));
    for entry in fs::read_dir(open).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.display().to_string();
        let is_known = ["pipe:", "/dev/null", "anon_inode:"].iter().any(|known| target.starts_with(known));
        assert!(is_known || !target.contains("containerd-shim-wasmedge"), "{target}");
    }
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
}

#[test]
fn what_the_host_has_mounted_read_only_stays_so() {
    let containerd = MockContainerd::start();
    let volume = directory(containerd.cell(), "volume");
    let on = volume.display().to_string();
    containerd.cell().run(&["mount", "--bind", &on, &on]).success();
    containerd.cell().run(&["mount", "-o", "remount,bind,ro", &on]).success();
    let busybox = fs::read(part("busybox/bin/busybox")).unwrap();
    let task = containerd.bare_task().file("/bin/sh", &busybox, 0o755).file("/bin/mount", &busybox, 0o755);
    let script =
        "mount -o remount,bind,rw /data && echo taken back; echo x > /data/file && echo written; true";
    let task = with_volume(task.command(&["/bin/sh", "-c", script]), &volume, &["rbind"], None);
    let task = with_all_powers(with_users(&containerd, task)).create().start();
    assert_eq!((task.finish(), task.stdout().so_far().as_str()), (0, ""));
    let said = task.stderr().so_far();
    assert!(said.contains("ermission") && said.contains("Read-only file system"), "{said}");
    containerd.cell().run(&["umount", &on]).success();
}

#[test]
fn native_code_is_run_by_mapped_users_too() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["say", "hi"]).compiled("require");
    let task = with_users(&containerd, task).create().start();
    assert_eq!((task.finish(), task.stdout().so_far().as_str()), (0, "hi\n"), "{}", task.stderr().so_far());
}

/// A containerd whose CRI has the images of these stories.
fn containerd() -> Containerd {
    let containerd = Containerd::with_cri();
    let pause = Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause");
    let busybox = part("busybox/bin/busybox");
    let busybox = ["/bin/sh", "/bin/cat", "/bin/readlink"]
        .iter()
        .fold(Image::of_files("busybox", "/bin/sh"), |image, path| image.add(&busybox, path));
    for image in [pause, busybox, Image::classic(guests::PROBE), Image::classic(guests::HTTP)] {
        containerd.import_for_cri(&image);
    }
    containerd
}

/// As the kubelet asks for `hostUsers: false`.
fn of_its_own() -> NamespaceOption {
    let users = UserNamespace { mode: NamespaceMode::Pod.into(), uids: mapping(), gids: mapping() };
    NamespaceOption {
        pid: NamespaceMode::Container.into(),
        userns_options: Some(users),
        ..Default::default()
    }
}

fn mapping() -> Vec<IdMapping> {
    vec![IdMapping { host_id: ROOT, container_id: 0, length: 65_536 }]
}

/// A volume as the kubelet mounts it into such a pod.
fn mapped(volume: &Path) -> Mount {
    Mount {
        container_path: "/data".to_owned(),
        host_path: volume.display().to_string(),
        uid_mappings: mapping(),
        gid_mappings: mapping(),
        ..Default::default()
    }
}

/// In a user namespace, with a root filesystem that is its root's.
fn with_users<'a>(containerd: &MockContainerd, task: TaskBuilder<'a>) -> TaskBuilder<'a> {
    let (busybox, root) = (part("busybox/bin/busybox"), task.bundle().join("rootfs"));
    let [busybox, root] = [busybox, root].map(|path| path.display().to_string());
    containerd.cell().run(&[&busybox, "chown", "-R", "100000:100000", &root]).success();
    task.configure(|config| {
        let mapping = json!([{ "containerID": 0, "hostID": ROOT, "size": 65_536 }]);
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    })
}

/// With all that root may do in its namespace, and nothing hidden or protected beside that.
fn with_all_powers(task: TaskBuilder<'_>) -> TaskBuilder<'_> {
    task.configure(|config| {
        let all = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_SETUID",
            "CAP_SETGID",
            "CAP_SYS_ADMIN",
            "CAP_SYS_PTRACE",
            "CAP_SYS_CHROOT",
            "CAP_SYSLOG",
            "CAP_MKNOD",
            "CAP_NET_ADMIN",
        ]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone();
        }
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    })
}

fn with_volume<'a>(
    task: TaskBuilder<'a>,
    source: &Path,
    options: &[&str],
    users: Option<Value>,
) -> TaskBuilder<'a> {
    task.configure(|config| {
        let mut mount =
            json!({ "destination": "/data", "type": "bind", "source": source, "options": options });
        if let Some(users) = users {
            mount["uidMappings"] = users.clone();
            mount["gidMappings"] = users;
        }
        config["mounts"].as_array_mut().unwrap().push(mount);
    })
}

fn directory(cell: &Cell, name: &str) -> PathBuf {
    let directory = cell.directory().join(name);
    fs::create_dir(&directory).unwrap();
    directory
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

fn status(containerd: &MockContainerd, task: &Task<'_>, field: &str) -> String {
    let status = containerd.cell().outside(format!("/proc/{}/status", task.pid()));
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
