//! Confinement: what the process that runs a guest can do and see, looked up from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::SealFlags;
use serde_json::json;
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{
    DEADLINE, Limit, MockContainerd, Refusal, Task, guests, has_cgroup_version_2, part, product,
};

use crate::signal;

/// A file of the guest's process in `/proc`.
fn process_file(containerd: &MockContainerd, task: &Task<'_>, name: &str) -> String {
    let path = containerd.cell().outside(format!("/proc/{}/{name}", task.pid()));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn status(containerd: &MockContainerd, task: &Task<'_>, field: &str) -> String {
    let status = process_file(containerd, task, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":"));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sleeping(containerd: &MockContainerd) -> Task<'_> {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["ptrace", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
    });
    let user = json!({ "uid": 1000, "gid": 1001, "additionalGids": [1002], "umask": 63 });
    let task = containerd.task(guests::PROBE).args(&["sleep"]).configure(|config| {
        config["process"]["user"] = user;
        config["process"]["oomScoreAdj"] = json!(500);
        config["hostname"] = json!("guest");
        config["linux"]["seccomp"] = seccomp;
        config["linux"]["resources"]["memory"] = json!({ "limit": 128 << 20 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 32 });
    });
    let task = task.create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    task
}

#[test]
fn a_guests_process_has_its_users_rights_and_no_more() {
    let containerd = MockContainerd::start();
    let task = sleeping(&containerd);
    assert_eq!(status(&containerd, &task, "Uid"), "1000 1000 1000 1000");
    assert_eq!(status(&containerd, &task, "Gid"), "1001 1001 1001 1001");
    assert_eq!(status(&containerd, &task, "Groups"), "1002");
    assert_eq!(status(&containerd, &task, "NoNewPrivs"), "1");
    assert_eq!(status(&containerd, &task, "Seccomp"), "2");
    let (chown, kill, bind) = (1u64 << 0, 1 << 5, 1 << 10);
    assert_eq!(status(&containerd, &task, "CapBnd"), format!("{:016x}", chown | kill | bind));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(&containerd, &task, set), "0000000000000000", "{set}");
    }
    assert!(process_file(&containerd, &task, "limits").contains("Max open files            1024"));
    assert_eq!(process_file(&containerd, &task, "oom_score_adj"), "500\n");
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn a_guests_file_descriptors_are_its_streams_and_its_preopens() {
    let containerd = MockContainerd::start();
    let task = sleeping(&containerd);
    let directory = containerd.cell().outside(format!("/proc/{}/fd", task.pid()));
    let mut descriptors: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            (number, fs::read_link(entry.path()).unwrap().display().to_string())
        })
        .collect();
    descriptors.sort();
    let numbers: Vec<_> = descriptors.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers[..3], [0, 1, 2], "{descriptors:?}");
    // Not /dev/null: a character device is a terminal to WASI.
    assert!(descriptors[0].1.starts_with("pipe:"), "{descriptors:?}");
    // WasmEdge sleeps by an epoll instance and a timer of its own.
    let harmless = |target: &str| ["/", "anon_inode:[eventpoll]", "anon_inode:[timerfd]"].contains(&target);
    assert!(descriptors[3..].iter().all(|(_, target)| harmless(target)), "only preopens: {descriptors:?}");
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn a_guests_process_is_in_namespaces_and_cgroups_of_its_own() {
    let containerd = MockContainerd::start();
    let task = sleeping(&containerd);
    let daemon = task.connect().shim_pid;
    let namespace = |pid: u32, kind: &str| {
        fs::read_link(containerd.cell().outside(format!("/proc/{pid}/ns/{kind}"))).unwrap()
    };
    for kind in ["pid", "mnt", "net", "ipc", "uts"] {
        assert_ne!(namespace(task.pid(), kind), namespace(daemon, kind), "{kind}");
    }
    let cgroups = process_file(&containerd, &task, "cgroup");
    let own = format!("/{}/{}", containerd.cell().name(), task.id());
    // Version 2 has one line, without a controller's name.
    let controllers = match has_cgroup_version_2() {
        false => &["memory", "pids", "devices", "cpu", "freezer"][..],
        true => &[""],
    };
    for controller in controllers {
        let line =
            cgroups.lines().find(|line| line.split(':').nth(1).unwrap().split(',').any(|c| c == *controller));
        assert!(line.unwrap().ends_with(&own), "{controller}: {cgroups}");
    }
    assert_eq!((Limit::Memory.of(&own), Limit::Pids.of(&own)), (128 << 20, 32));
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn the_host_sees_the_guests_own_arguments() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(process_file(&containerd, &task, "cmdline").trim_end_matches('\0'), "/app.wasm\0sleep");
    assert_eq!(process_file(&containerd, &task, "comm"), "app.wasm\n");
    let environment = process_file(&containerd, &task, "environ");
    assert!(!environment.contains("TTRPC_ADDRESS") && !environment.contains("WASMEDGE"), "{environment}");
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn masked_and_read_only_paths_are() {
    let containerd = MockContainerd::start();
    let masked = containerd.task(guests::PROBE).args(&["cat", "/proc/kcore"]).create().start();
    masked.wait();
    masked.try_delete().unwrap();
    assert_eq!(masked.stdout().to_end(DEADLINE), "", "a masked file is empty");
    let read_only =
        containerd.task(guests::PROBE).args(&["write", "/proc/sys/kernel/hostname", "x"]).create().start();
    assert_eq!(read_only.finish(), 1, "{}", read_only.stderr().so_far());
}

#[test]
fn a_directory_that_a_guest_may_not_search_is_closed_to_it() {
    let containerd = MockContainerd::start();
    for (mode, status, printed) in [(0o711, 0, "inside"), (0o744, 1, "")] {
        let task = containerd.task(guests::PROBE).file("/closed/file", b"inside", 0o644);
        let closed = task.bundle().join("rootfs/closed");
        fs::set_permissions(closed, fs::Permissions::from_mode(mode)).unwrap();
        let task = task.args(&["cat", "/closed/file"]).configure(|config| {
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        });
        let task = task.create().start();
        assert_eq!(task.finish(), status, "{mode:o}: {}", task.stderr().so_far());
        assert_eq!(task.stdout().to_end(DEADLINE), printed);
        assert_eq!(task.stderr().to_end(DEADLINE).contains("Permission denied"), status == 1);
    }
}

#[test]
fn a_guest_sees_its_own_root_and_a_symlink_leads_nowhere_else() {
    let containerd = MockContainerd::start();
    let secret = containerd.cell().directory().join("secret");
    fs::write(&secret, "not for guests").unwrap();
    let task = containerd.task(guests::PROBE).args(&["cat", "/link"]);
    let up = "../".repeat(20);
    let target = format!("{up}{}", secret.display());
    std::os::unix::fs::symlink(target, task.bundle().join("rootfs/link")).unwrap();
    let task = task.create().start();
    assert_eq!(task.finish(), 1);
    assert_eq!(task.stdout().so_far(), "");

    let list = containerd.task(guests::PROBE).args(&["ls", "/"]).create().start();
    assert_eq!(list.finish(), 0, "{}", list.stderr().so_far());
    assert_eq!(list.stdout().so_far(), "app.wasm\ndev\nproc\nsys\n");
}

#[test]
fn the_environment_of_a_container_chooses_no_plugin() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).file(
        "/plugin/libwasmedgePluginEvil.so",
        &guests::ELF.bytes().unwrap(),
        0o755,
    );
    let environment = ["WASMEDGE_PLUGIN_PATH=/plugin", "LD_PRELOAD=/plugin/libwasmedgePluginEvil.so"];
    let task = task.configure(|config| config["process"]["env"] = environment.into()).create().start();
    assert_eq!(task.finish(), 0);
    assert_eq!(task.stdout().so_far(), "hello from wasm\n");
    assert!(!task.bundle().join("rootfs/native-code-ran").exists());
}

#[test]
fn a_guest_over_its_memory_limit_is_killed_alone() {
    let containerd = MockContainerd::start();
    let limit = json!({ "limit": 32 << 20, "swap": 32 << 20 });
    let other = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let greedy = containerd.task(guests::PROBE).args(&["allocate", "200"]);
    let greedy = greedy.configure(|config| config["linux"]["resources"]["memory"] = limit).create().start();
    assert_eq!(greedy.finish(), 137);
    other.stdout().wait_for("sleeping", DEADLINE);
    other.kill(signal::TERM).unwrap();
    assert_eq!(other.finish(), 143);
}

#[test]
fn an_image_chooses_no_library_for_looking_up_names() {
    let containerd = MockContainerd::start();
    let all = "passwd: evil\ngroup: evil\ninitgroups: evil\nhosts: evil\nservices: evil\nnetworks: evil\n";
    let mut task = containerd.task(guests::PROBE).args(&["resolve", "nothing.invalid"]);
    task = task.file("/etc/nsswitch.conf", all.as_bytes(), 0o644);
    let product = product("lib/containerd-shim-wasmedge").display().to_string();
    for directory in ["/lib", "/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", &product] {
        let library = format!("{directory}/libnss_evil.so.2");
        task = task.file(&library, &guests::ELF.bytes().unwrap(), 0o755);
    }
    // Otherwise the user's home directory is looked up.
    let task = task.configure(|config| config["process"]["env"] = json!(["PATH=/"])).create().start();
    assert_eq!(task.finish(), 1);
    assert_eq!(task.stdout().so_far(), "");
    assert!(!task.bundle().join("rootfs/native-code-ran").exists());
}

#[test]
fn a_device_file_in_an_image_opens_no_device() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["cat", "/disk"]);
    let disk = task.bundle().join("rootfs/disk").display().to_string();
    let busybox = part("busybox/bin/busybox").display().to_string();
    containerd.cell().run(&[&busybox, "mknod", &disk, "b", "7", "0"]).success();
    let task = task.create().start();
    assert_eq!(task.finish(), 1);
    let said = task.stderr().so_far();
    assert!(said.contains("not permitted"), "{said}");
}

#[test]
fn a_user_namespace_maps_the_guests_root_to_nobody_of_the_host() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).configure(|config| {
        let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    });
    // As containerd and Docker do it.
    let (busybox, root) = (part("busybox/bin/busybox"), task.bundle().join("rootfs"));
    let [busybox, root] = [busybox, root].map(|path| path.display().to_string());
    containerd.cell().run(&[&busybox, "chown", "-R", "100000:100000", &root]).success();
    let task = task.create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(status(&containerd, &task, "Uid"), "100000 100000 100000 100000");
    assert_eq!(task.run_exec("e1", &["/app.wasm", "say", "hi"]), (0, "hi\n".to_owned()));
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
}

#[test]
fn a_guest_opens_no_memory_of_a_process() {
    let containerd = MockContainerd::start();
    let again = json!({ "destination": "/hostproc", "type": "bind", "source": "/proc", "options": ["bind"] });
    let task = containerd.task(guests::PROBE).args(&["sleep"]).configure(|config| {
        config["mounts"].as_array_mut().unwrap().push(again);
    });
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, task.bundle().join("rootfs").join(name)).unwrap();
    };
    link("proc/self/mem", "link");
    link("proc/self", "self");
    let task = task.create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    let all = [
        "/proc/self/mem",
        "/proc/thread-self/mem",
        "/proc/1/mem",
        "/proc/1/task/1/mem",
        "/hostproc/self/mem",
        "/link",
        "/self/mem",
    ];
    for (number, path) in all.iter().enumerate() {
        for words in [&["/app.wasm", "cat", path][..], &["/app.wasm", "append", path, "x"]] {
            let exec = task.exec(&format!("e{number}{}", words[1]), words).add();
            exec.start();
            assert_eq!(exec.finish(), 1);
            let said = exec.stderr().so_far();
            assert!(said.contains("Permission denied"), "{words:?}: {said}");
        }
    }
    assert_eq!(task.run_exec("other", &["/app.wasm", "cat", "/proc/self/comm"]).0, 0);
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn a_guests_process_runs_from_a_copy_that_nobody_can_change() {
    let containerd = MockContainerd::start();
    let task = sleeping(&containerd);
    let program = containerd.cell().outside(format!("/proc/{}/exe", task.pid()));
    let named = fs::read_link(&program).unwrap();
    assert!(named.display().to_string().starts_with("/memfd:"), "{named:?}");
    let seals = rustix::fs::fcntl_get_seals(fs::File::open(&program).unwrap()).unwrap();
    let sealed = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    assert!(seals.contains(sealed), "{seals:?}");
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn an_entrypoint_does_not_lead_to_the_engines_own_program() {
    let containerd = MockContainerd::start();
    let refused = |refusal: Refusal| {
        let words = "no such file or directory";
        assert!(refusal.code == Code::NOT_FOUND && refusal.message.contains(words), "{refusal}");
    };
    refused(containerd.task(guests::PROBE).command(&["/proc/self/exe"]).try_create().err().unwrap());
    let task = containerd.task(guests::PROBE).args(&["sleep"]);
    std::os::unix::fs::symlink("proc/self/exe", task.bundle().join("rootfs/link")).unwrap();
    let task = task.create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    for (id, path) in [("e1", "/link"), ("e2", "/proc/self/exe")] {
        let exec = task.exec(id, &[path]).add();
        refused(exec.try_start().unwrap_err());
        exec.try_delete().unwrap();
    }
    task.kill(signal::TERM).unwrap();
    task.finish();
}

#[test]
fn a_guest_gets_into_a_directory_that_it_may_search_and_not_read() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).file("/shut/file", b"inside", 0o644);
    let task = task.args(&["cat", "/shut/file"]);
    for shut in ["rootfs", "rootfs/shut"] {
        fs::set_permissions(task.bundle().join(shut), fs::Permissions::from_mode(0o711)).unwrap();
    }
    let user = json!({ "uid": 1000, "gid": 1000 });
    let task = task.configure(|config| config["process"]["user"] = user).create().start();
    assert_eq!(task.finish(), 0, "{}", task.stderr().so_far());
    assert_eq!(task.stdout().so_far(), "inside");
}
