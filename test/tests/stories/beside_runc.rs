//! Beside runc: the same done to a module here and to the same program under runc, in one run, with the same answers.
//!
//! The image of either holds the probe as `/app.wasm`, here a module and there a native program built from the same
//! source. Where the two may differ, README's table says so.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use wasmedge_shim_tests::guests;
use wasmedge_shim_tests::{DEADLINE, Dockerd, Finished, Image, Store, eventually, finish, part};

const OURS: &str = "--runtime=io.containerd.wasmedge.v1";
const RUNC: &str = "--runtime=runc";

/// One daemon and the two images.
struct Pair {
    docker: Arc<Dockerd>,
    images: [(&'static str, String); 2],
}

/// What one of them did.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Pair {
    fn new() -> Self {
        Self::of_images(|image| image)
    }

    /// Of images with something more in them.
    fn of_images(change: impl Fn(Image) -> Image) -> Self {
        Self::on(Dockerd::shared(Store::Docker), change)
    }

    fn on(docker: Arc<Dockerd>, change: impl Fn(Image) -> Image) -> Self {
        let native =
            Image::of_files("probe-native", "/app.wasm").add(&guests::NATIVE_PROBE.path(), "/app.wasm");
        let images = [(OURS, Image::classic(guests::PROBE)), (RUNC, native)];
        let images = images.map(|(runtime, image)| (runtime, docker.load(&change(image))));
        Self { docker, images }
    }

    /// `docker run --rm` of both; the answer that they agree on.
    #[track_caller]
    fn run(&self, flags: &[&str], words: &[&str]) -> Done {
        let [ours, theirs] = self.each(|runtime, image| {
            Done::new(&self.docker.docker(&[&["run", "--rm", runtime], flags, &[image], words].concat()))
        });
        assert_eq!(ours, theirs, "{flags:?} {words:?}");
        ours
    }

    fn each<T>(&self, mut does: impl FnMut(&'static str, &str) -> T) -> [T; 2] {
        self.images.each_ref().map(|(runtime, image)| does(runtime, image))
    }

    /// The lines of a process's own status that begin so.
    #[track_caller]
    fn status(&self, runtime: &str, image: &str, flags: &[&str], fields: &[&str]) -> Vec<String> {
        let words = [&["run", "--rm", runtime], flags, &[image, "cat", "/proc/self/status"]].concat();
        let status = self.docker.docker(&words).success().stdout;
        let is_wanted = |line: &&str| fields.iter().any(|field| line.starts_with(field));
        status.lines().filter(is_wanted).map(|line| line.trim().to_owned()).collect()
    }

    /// A container of each that sleeps.
    fn sleeping(&self, flags: &[&str]) -> [String; 2] {
        self.each(|runtime, image| {
            let name = self.docker.new_name();
            let run = [&["run", "--detach", "--name", &name, runtime], flags, &[image, "sleep"]].concat();
            self.docker.docker(&run).success();
            self.docker.follow(&name).wait_for("sleeping", DEADLINE);
            name
        })
    }

    /// A file of the cgroup that a running container's first process is in, if that has such a file.
    fn read_of_cgroup(&self, name: &str, controller: &str, file: &str) -> Option<String> {
        let pid = self.docker.inspect(name)["State"]["Pid"].to_string();
        let groups = fs::read_to_string(self.docker.cell().outside(format!("/proc/{pid}/cgroup"))).unwrap();
        let group = groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let path = path.trim_start_matches('/');
            match controllers {
                "" => Some(format!("/sys/fs/cgroup/{path}")),
                all => all
                    .split(',')
                    .any(|one| one == controller)
                    .then(|| format!("/sys/fs/cgroup/{controller}/{path}")),
            }
        });
        group.and_then(|group| fs::read_to_string(format!("{group}/{file}")).ok())
    }

    /// A directory of the host that containers may have as a volume.
    fn volume(&self) -> PathBuf {
        let volume = self.docker.cell().directory().join(self.docker.new_name());
        fs::create_dir(&volume).unwrap();
        volume
    }
}

impl Done {
    /// The number of an error is WASI's or Linux's; its words are the same.
    fn new(finished: &Finished) -> Self {
        let stderr = finished.stderr.split(" (os error ").next().unwrap_or_default().trim().to_owned();
        Self { code: finished.code(), stdout: finished.stdout.clone(), stderr }
    }
}

/// The stories share a daemon, which loads an image of a name once.
fn own_name(image: &Image, suffix: &str) -> String {
    let name = image.name().rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or_default();
    format!("{name}-{suffix}")
}

#[track_caller]
fn equal<T: PartialEq + std::fmt::Debug>([ours, theirs]: [T; 2]) -> T {
    assert_eq!(ours, theirs, "here and under runc");
    ours
}

#[test]
fn a_process_has_the_same_rights() {
    let pair = Pair::new();
    let rights = |flags: &[&str]| {
        let [ours, theirs] = pair.each(|runtime, image| {
            let fields = ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:"];
            pair.status(runtime, image, flags, &fields)
        });
        assert_eq!(ours, theirs, "{flags:?}");
        assert_eq!(ours.len(), 10, "{ours:?}");
    };
    rights(&[]);
    rights(&["--user=1000:1001", "--group-add=1002"]);
    rights(&["--cap-drop=ALL"]);
    rights(&["--cap-drop=ALL", "--security-opt=no-new-privileges"]);
    rights(&["--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE"]);
    rights(&["--user=1000", "--cap-add=NET_ADMIN"]);
    rights(&["--security-opt=no-new-privileges"]);
    rights(&["--security-opt=seccomp=unconfined"]);
    rights(&["--privileged"]);
}

#[test]
fn a_process_is_in_the_same_setting() {
    let pair = Pair::new();
    let same = |flags: &[&str], file: &str| pair.run(flags, &["cat", file]).stdout;
    assert!(
        same(&["--ulimit=nofile=100:200"], "/proc/self/limits").contains("Max open files            100")
    );
    assert_eq!(same(&["--hostname=guest"], "/proc/sys/kernel/hostname"), "guest\n");
    assert_eq!(same(&["--domainname=example.org"], "/proc/sys/kernel/domainname"), "example.org\n");
    let port = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(same(&["--sysctl=net.ipv4.ip_unprivileged_port_start=80"], port), "80\n");
    assert_eq!(same(&["--oom-score-adj=500"], "/proc/self/oom_score_adj"), "500\n");
    let dns = same(&["--dns=192.0.2.1", "--dns-search=example.org"], "/etc/resolv.conf");
    assert!(dns.contains("192.0.2.1") && dns.contains("example.org"), "{dns}");
    let hosts = same(&["--network=none", "--hostname=guest", "--add-host=there:192.0.2.2"], "/etc/hosts");
    assert!(hosts.contains("192.0.2.2\tthere"), "{hosts}");
    assert_eq!(pair.run(&["--env=A=b", "--env=HOME=/x", "--hostname=h"], &["exit", "0"]).code, 0);
    for masked in ["/proc/kcore", "/proc/timer_list", "/sys/firmware"] {
        pair.run(&[], &["cat", masked]);
    }
    pair.run(&[], &["ls", "/dev"]);
    pair.run(&[], &["ls", "/"]);
    pair.run(&["--device=/dev/null:/dev/other"], &["ls", "/dev"]);
    pair.run(&[], &["write", "/proc/sys/kernel/hostname", "x"]);
}

#[test]
fn users_are_found_and_refused_alike() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("passwd", "someone:x:1234:1235::/home:/bin/sh\n"), ("group", "some:x:1236:someone\n")];
    let pair = Pair::of_images(|image| {
        let image = files.iter().fold(image, |image, (name, text)| {
            fs::write(directory.path().join(name), text).unwrap();
            image.add(&directory.path().join(name), &format!("/etc/{name}"))
        });
        let name = if image.name().contains("native") { "users-native" } else { "users" };
        image.named(name)
    });
    for user in ["someone", "someone:some", "1234", ":some"] {
        let user = format!("--user={user}");
        let ids = ["Uid", "Gid", "Groups"];
        equal(pair.each(|runtime, image| pair.status(runtime, image, &[&user], &ids)));
    }
    for user in ["nobody-knows", "2147483648", "-1", "someone:nogroup"] {
        let user = format!("--user={user}");
        let refused = pair.each(|runtime, image| {
            let words = ["run", "--rm", runtime, &user, image, "exit", "0"];
            pair.docker.docker(&words).code()
        });
        assert_ne!(equal(refused), 0, "{user}");
    }
}

#[test]
fn users_are_others_where_the_daemon_remaps_them() {
    let pair = Pair::on(Arc::new(Dockerd::remapping_users()), |image| image);
    let map = pair.run(&[], &["cat", "/proc/self/uid_map"]);
    assert_eq!(map.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    pair.run(&["--user=7:8"], &["ls", "/"]);
    pair.run(&[], &["write", "/etc/hosts", "mine"]);
    let name = pair.docker.new_name();
    for (runtime, image) in &pair.images {
        let run = ["run", "--name", &name, runtime, image, "write", "/file", "text"];
        pair.docker.docker(&run).success();
        assert_eq!(pair.docker.docker(&["diff", &name]).success().stdout, "A /file\n", "{runtime}");
        pair.docker.remove(&name);
    }
    for container in pair.sleeping(&[]) {
        let pid = pair.docker.inspect(&container)["State"]["Pid"].to_string();
        let process = pair.docker.cell().outside(format!("/proc/{pid}"));
        assert_eq!(fs::metadata(process).unwrap().uid(), 100_000);
        let program = pair.docker.inspect(&container)["Path"].as_str().unwrap().to_owned();
        let map = pair.docker.docker(&["exec", &container, &program, "cat", "/proc/self/uid_map"]).success();
        assert_eq!(map.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
        pair.docker.docker(&["exec", &container, &program, "write", "/by-exec", "text"]).success();
        pair.docker.docker(&["exec", "--user=7", &container, &program, "cat", "/by-exec"]).success();
        pair.docker.remove(&container);
    }
}

#[test]
fn remapped_users_have_their_volumes_copies_and_ports() {
    let pair = Pair::on(Arc::new(Dockerd::remapping_users()), |image| image);
    // In a directory that only the host's root may enter.
    let seen = pair.each(|runtime, image| {
        let closed = pair.volume();
        let volume = closed.join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("secret"), "of root").unwrap();
        fs::set_permissions(volume.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let bound = format!("--volume={}:/data", volume.display());
        let named = format!("--volume={}:/named", pair.docker.new_name());
        let run = |words: &[&str]| {
            let run = ["run", "--rm", runtime, &bound, &named, image];
            Done::new(&pair.docker.docker(&[&run, words].concat())).code
        };
        let codes = [
            run(&["write", "/data/new", "x"]),
            run(&["cat", "/data/secret"]),
            run(&["append", "/data/secret", "x"]),
            run(&["write", "/named/new", "x"]),
            run(&["cat", "/named/new"]),
        ];
        (codes, fs::metadata(volume.join("new")).unwrap().uid())
    });
    assert_eq!(equal(seen), ([0, 1, 1, 0, 0], 100_000));

    let note = pair.volume().join("note");
    fs::write(&note, "from the host").unwrap();
    let copied = pair.sleeping(&[]).map(|container| {
        let program = pair.docker.inspect(&container)["Path"].as_str().unwrap().to_owned();
        let exec = |words: &[&str]| pair.docker.docker(&[&["exec", &container, &program], words].concat());
        pair.docker.docker(&["cp", &note.display().to_string(), &format!("{container}:/note")]).success();
        let inside = exec(&["cat", "/note"]).success().stdout;
        exec(&["append", "/note", ", and back"]).success();
        let back = pair.volume().join("back");
        pair.docker.docker(&["cp", &format!("{container}:/note"), &back.display().to_string()]).success();
        pair.docker.remove(&container);
        (inside, fs::read_to_string(back).unwrap())
    });
    assert_eq!(equal(copied), ("from the host".to_owned(), "from the host, and back".to_owned()));

    let server = pair.docker.load(&Image::classic(guests::HTTP));
    let server = pair.docker.detached(&["--publish=18081:8080", &server]);
    pair.docker.follow(&server).wait_for("listening", DEADLINE);
    let mut wget = pair.docker.cell().command(part("busybox/bin/busybox"));
    let said = finish(wget.args(["wget", "-q", "-O", "-", "http://127.0.0.1:18081/port"]), DEADLINE);
    said.success().printing("hello from wasm, you asked for /port\n");
    pair.docker.remove(&server);
}

#[test]
fn what_cannot_be_written_stays_as_it_is() {
    let pair = Pair::new();
    let volume = pair.volume();
    fs::write(volume.join("file"), "text").unwrap();
    let only = format!("--volume={}:/data:ro", volume.display());
    for words in [
        &["write", "/data/file", "other"][..],
        &["write", "/data/new", "x"],
        &["append", "/data/file", "x"],
        &["truncate", "/data/file"],
        &["rename", "/data/file", "/data/other"],
        &["link", "/data/file", "/data/other"],
        &["remove", "/data/file"],
        &["mkdir", "/data/directory"],
        &["age", "/data/file"],
    ] {
        let done = pair.run(&[&only], words);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    }
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "text");
    assert_eq!(fs::read_dir(&volume).unwrap().count(), 1);
    assert_eq!(pair.run(&["--read-only"], &["write", "/new", "x"]).code, 1);
    assert_eq!(pair.run(&["--read-only", "--tmpfs=/tmp"], &["write", "/tmp/new", "x"]).code, 0);
}

#[test]
fn what_is_written_to_a_volume_belongs_to_the_same_user() {
    let pair = Pair::new();
    let written = pair.each(|runtime, image| {
        let volume = pair.volume();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
        let mount = format!("--volume={}:/data", volume.display());
        let run = |words: &[&str]| {
            let flags = ["run", "--rm", runtime, "--user=1000:1001", &mount, image];
            pair.docker.docker(&[&flags, words].concat()).success();
        };
        run(&["write", "/data/file", "text"]);
        run(&["append", "/data/file", " and more"]);
        run(&["mkdir", "/data/directory"]);
        run(&["link", "/data/file", "/data/directory/link"]);
        run(&["rename", "/data/file", "/data/other"]);
        let of = |name: &str| {
            let metadata = fs::metadata(volume.join(name)).unwrap();
            (metadata.uid(), metadata.gid(), format!("{:o}", metadata.mode()), metadata.nlink())
        };
        (fs::read_to_string(volume.join("other")).unwrap(), of("other"), of("directory"))
    });
    assert_eq!(equal(written).0, "text and more");
}

#[test]
fn a_profile_that_forbids_a_system_call_forbids_it() {
    let pair = Pair::new();
    let profile = pair.volume().join("profile.json");
    let rules = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
    fs::write(&profile, rules).unwrap();
    let profile = format!("--security-opt=seccomp={}", profile.display());
    let done = pair.run(&[&profile], &["mkdir", "/new"]);
    assert_eq!((done.code, done.stderr.contains("Operation not permitted")), (1, true), "{done:?}");
    assert_eq!(pair.run(&[&profile], &["write", "/new", "x"]).code, 0);
    // Without the right to pass over permissions, root is a user like others.
    let volume = pair.volume();
    fs::write(volume.join("theirs"), "text").unwrap();
    std::os::unix::fs::chown(volume.join("theirs"), Some(1000), None).unwrap();
    fs::set_permissions(volume.join("theirs"), fs::Permissions::from_mode(0o600)).unwrap();
    let volume = format!("--volume={}:/data", volume.display());
    assert_eq!(pair.run(&[&volume], &["cat", "/data/theirs"]).stdout, "text");
    assert_eq!(pair.run(&[&volume, "--cap-drop=DAC_OVERRIDE"], &["cat", "/data/theirs"]).code, 1);
}

/// The rule, as Docker's own for `clone`, has a mask and what must be left under it.
#[test]
fn a_profile_can_compare_under_a_mask() {
    let pair = Pair::of_images(|image| {
        let name = own_name(&image, "busybox");
        image.add(&part("busybox/bin/busybox"), "/bin/busybox").named(&name)
    });
    let profile = pair.volume().join("profile.json");
    let rule = |name: &str, index: u32| {
        let compare =
            json!([{ "index": index, "value": 0o070, "valueTwo": 0o050, "op": "SCMP_CMP_MASKED_EQ" }]);
        json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "args": compare })
    };
    let rules =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("chmod", 1), rule("fchmodat", 2)] });
    fs::write(&profile, rules.to_string()).unwrap();
    let profile = format!("--security-opt=seccomp={}", profile.display());
    let chmod = |mode| pair.run(&[&profile, "--entrypoint=/bin/busybox"], &["chmod", mode, "/app.wasm"]).code;
    assert_eq!([chmod("750"), chmod("700"), chmod("770")], [1, 0, 0]);
}

#[test]
fn limits_are_the_same_figures() {
    let pair = Pair::new();
    // Most shares are another weight to a runc before 1.3.2; the highest is the same to each.
    let flags = [
        "--memory=64m",
        "--memory-swap=64m",
        "--cpus=0.5",
        "--pids-limit=50",
        "--cpu-shares=262144",
        "--cpuset-cpus=0",
    ];
    let names = pair.sleeping(&flags);
    let figures = names.each_ref().map(|name| {
        let read = |controller: &str, file: &str| pair.read_of_cgroup(name, controller, file);
        [
            read("memory", "memory.limit_in_bytes").or_else(|| read("memory", "memory.max")),
            read("cpu", "cpu.cfs_quota_us").or_else(|| read("cpu", "cpu.max")),
            read("cpu", "cpu.shares").or_else(|| read("cpu", "cpu.weight")),
            read("pids", "pids.max"),
            read("cpuset", "cpuset.cpus"),
        ]
    });
    let agreed = equal(figures);
    assert!(agreed.iter().all(Option::is_some), "{agreed:?}");
    names.iter().for_each(|name| pair.docker.remove(name));
}

#[test]
fn an_oom_killer_is_disabled_alike() {
    let pair = Pair::new();
    let names = pair.sleeping(&["--memory=64m", "--oom-kill-disable"]);
    let control =
        equal(names.each_ref().map(|name| pair.read_of_cgroup(name, "memory", "memory.oom_control")));
    // Version 2 has no such setting, and Docker drops it.
    assert!(control.is_none_or(|control| control.contains("oom_kill_disable 1")));
    names.iter().for_each(|name| pair.docker.remove(name));
}

#[test]
fn an_exec_that_does_not_start_is_told_of_alike() {
    let pair = Pair::new();
    let names = pair.sleeping(&[]);
    let told = names.each_ref().map(|name| {
        let exec = |words: &[&str]| pair.docker.docker(&[&["exec", name], words].concat()).code();
        // Which it is changes with Docker's version.
        assert!([126, 127].contains(&exec(&["/nope"])));
        // Events come in order: whatever there is of the first is there before the end of the second.
        assert_eq!(exec(&["/app.wasm", "exit", "3"]), 3);
        eventually("the events of the second exec", DEADLINE, || {
            let format = "--format={{.Action}} {{index .Actor.Attributes \"exitCode\"}}";
            let filter = format!("--filter=container={name}");
            let events = ["events", "--since=10m", "--until=0s", format, &filter];
            let events = pair.docker.docker(&events).success().stdout;
            let of_execs: Vec<_> =
                events.lines().filter(|line| line.starts_with("exec_")).map(str::to_owned).collect();
            of_execs.iter().any(|line| line == "exec_die 3").then_some(of_execs)
        })
    });
    let events = equal(told);
    assert!(events.iter().any(|line| line.starts_with("exec_create: /nope")), "{events:?}");
    names.iter().for_each(|name| pair.docker.remove(name));
}

#[test]
fn an_end_is_told_in_the_same_way() {
    let pair = Pair::new();
    for (words, code) in [(&["exit", "0"][..], 0), (&["exit", "42"], 42), (&["exit", "255"], 255)] {
        let states = pair.each(|runtime, image| {
            let name = pair.docker.new_name();
            let run = [&["run", "--name", &name, runtime, image], words].concat();
            pair.docker.docker(&run).with_code(code);
            let state = pair.docker.inspect(&name)["State"].clone();
            let events = eventually("the events of its end", DEADLINE, || {
                let format = "--format={{.Action}} {{index .Actor.Attributes \"exitCode\"}}";
                let filter = format!("--filter=container={name}");
                let events = ["events", "--since=10m", "--until=0s", format, &filter];
                let events = pair.docker.docker(&events).success().stdout;
                events.contains("die ").then_some(events)
            });
            pair.docker.docker(&["rm", &name]).success();
            let of = |field: &str| state[field].clone();
            let told = ["Status", "ExitCode", "OOMKilled", "Error", "Dead", "Pid"].map(of);
            (told, events)
        });
        let (state, events) = equal(states);
        assert_eq!(state[1], code);
        assert!(events.contains(&format!("die {code}")), "{events}");
    }
}

#[test]
fn a_signal_ends_or_is_ignored_alike() {
    let pair = Pair::new();
    // A first process has no handlers but those it sets, so the kernel drops what would end another.
    for signal in ["HUP", "USR1", "USR2", "PIPE", "ALRM", "WINCH", "CHLD", "40"] {
        let names = pair.sleeping(&[]);
        let running = names.each_ref().map(|name| {
            pair.docker.docker(&["kill", "--signal", signal, name]).success();
            pair.docker.docker(&["exec", name, "/app.wasm", "say", "still there"]).code()
        });
        assert_eq!(equal(running), 0, "{signal}");
        let killed = names.each_ref().map(|name| {
            pair.docker.docker(&["kill", name]).success();
            pair.docker.docker(&["wait", name]).success().stdout
        });
        assert_eq!(equal(killed), "137\n");
        names.iter().for_each(|name| drop(pair.docker.docker(&["rm", name])));
    }
    // One that is not the first of its namespace ends.
    for (signal, code) in [("HUP", 129), ("USR1", 138), ("40", 168)] {
        let ended = pair.sleeping(&["--pid=host"]).map(|name| {
            pair.docker.docker(&["kill", "--signal", signal, &name]).success();
            let code = pair.docker.docker(&["wait", &name]).success().stdout;
            pair.docker.remove(&name);
            code
        });
        assert_eq!(equal(ended), format!("{code}\n"), "{signal}");
    }
}

#[test]
fn namespaces_are_shared_when_asked() {
    let pair = Pair::new();
    let [first, _second] = &pair.sleeping(&["--ipc=shareable", "--hostname=first"]);
    let link = |name: &str, namespace: &str| {
        let pid = pair.docker.inspect(name)["State"]["Pid"].to_string();
        fs::read_link(pair.docker.cell().outside(format!("/proc/{pid}/ns/{namespace}"))).unwrap()
    };
    for kind in ["pid", "network", "ipc"] {
        let flag = format!("--{kind}=container:{first}");
        let both = pair.sleeping(&[&flag]);
        let namespace = if kind == "network" { "net" } else { kind };
        for name in &both {
            assert_eq!(link(name, namespace), link(first, namespace), "{kind} of {name}");
        }
        both.iter().for_each(|name| pair.docker.remove(name));
    }
    for (flag, namespace) in
        [("--uts=host", "uts"), ("--pid=host", "pid"), ("--network=host", "net"), ("--ipc=host", "ipc")]
    {
        let both = pair.sleeping(&[flag]);
        equal(both.each_ref().map(|name| link(name, namespace)));
        both.iter().for_each(|name| pair.docker.remove(name));
    }
    [first, _second].iter().for_each(|name| pair.docker.remove(name));
}

#[test]
fn the_writable_layer_is_dockers() {
    let pair = Pair::new();
    let seen = pair.each(|runtime, image| {
        let name = pair.docker.new_name();
        let run = ["run", "--name", &name, runtime, image, "write", "/made", "by the guest"];
        pair.docker.docker(&run).success();
        let difference = pair.docker.docker(&["diff", &name]).success().stdout;
        let directory = pair.volume();
        let copy = directory.join("copy");
        pair.docker.docker(&["cp", &format!("{name}:/made"), &copy.display().to_string()]).success();
        let committed = pair.docker.new_name();
        pair.docker.docker(&["commit", "--change=CMD [\"cat\",\"/made\"]", &name, &committed]).success();
        let again = pair.docker.docker(&["run", "--rm", runtime, &committed]).success().stdout;
        pair.docker.docker(&["rm", &name]).success();
        pair.docker.docker(&["rmi", &committed]).success();
        (difference, fs::read_to_string(copy).unwrap(), again)
    });
    let (difference, copied, again) = equal(seen);
    assert_eq!(
        (difference.as_str(), copied.as_str(), again.as_str()),
        ("A /made\n", "by the guest", "by the guest")
    );
}

#[test]
fn a_restart_policy_restarts() {
    let pair = Pair::new();
    let counts = pair.each(|runtime, image| {
        let name = pair.docker.new_name();
        let run = ["run", "--detach", "--name", &name, "--restart=on-failure:3", runtime, image, "exit", "7"];
        pair.docker.docker(&run).success();
        let state = eventually("the last restart has failed", DEADLINE, || {
            let inspected = pair.docker.inspect(&name);
            let is_over = inspected["State"]["Status"] == "exited" && inspected["RestartCount"] == 3;
            is_over.then_some((inspected["State"]["ExitCode"].clone(), inspected["RestartCount"].clone()))
        });
        pair.docker.docker(&["rm", &name]).success();
        state
    });
    assert_eq!(equal(counts).0, 7);
}

#[test]
fn a_wrong_path_is_told_with_the_same_code() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes");
    fs::write(&text, "no program\n").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
    let pair = Pair::of_images(|image| {
        let name = own_name(&image, "notes");
        image.add(&text, "/notes").named(&name)
    });
    for entrypoint in ["/missing", "missing", "/etc", "/app.wasm/below", "/notes"] {
        let flag = format!("--entrypoint={entrypoint}");
        let codes = pair.each(|runtime, image| {
            let failed = pair.docker.docker(&["run", "--rm", runtime, &flag, image]);
            assert!(failed.stderr.contains(entrypoint.trim_end_matches("/below")), "{failed}");
            failed.code()
        });
        let expected = if entrypoint == "/notes" { &[126][..] } else { &[125, 126, 127] };
        assert!(expected.contains(&equal(codes)), "{entrypoint}: {codes:?}");
    }
    let names = pair.sleeping(&[]);
    for words in [&["/missing"][..], &["missing"], &["/etc"], &["/notes"]] {
        let codes =
            names.each_ref().map(|name| pair.docker.docker(&[&["exec", name], words].concat()).code());
        assert!([126, 127].contains(&equal(codes)), "{words:?}");
    }
    let relative = |name: &String| pair.docker.docker(&["exec", "-w", "tmp", name, "/app.wasm", "args"]);
    // Which it is changes with Docker's version.
    let code = equal(names.each_ref().map(|name| relative(name).code()));
    assert!([126, 128].contains(&code), "{code}");
    names.iter().for_each(|name| pair.docker.remove(name));
}
