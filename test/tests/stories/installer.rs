//! The node installer, on a node whose containerd runs: a Wasm pod runs afterwards, the node is what it was after that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wasmedge_shim_tests::{
    Containerd, Cri, CriAlone, DEADLINE, Finished, Image, eventually, finish, guests, repository,
};

const PROBE: &str = "docker.io/library/probe:1";

/// Unpacking the runtime, several at a time.
const PATIENCE: Duration = DEADLINE.saturating_mul(4);

/// A node that has containerd and nothing of ours.
struct Node {
    containerd: Containerd,
}

impl Node {
    fn new(form: CriAlone) -> Self {
        let containerd = Containerd::as_service(form);
        let pause = Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause");
        for image in [pause, Image::classic(guests::PROBE)] {
            containerd.import_for_cri(&image);
        }
        Self { containerd }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.containerd.cell().directory().join(name)
    }

    /// The installer's directory.
    fn directory(&self) -> PathBuf {
        self.path("opt/shim")
    }

    fn installer(&self, verb: &str) -> Command {
        let mut installer = self.containerd.cell().command(program());
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        installer
            .arg(verb)
            .arg(flag("directory", &self.directory()))
            .arg(flag("config", &self.containerd.config()))
            .arg(flag("socket", &self.containerd.socket()))
            .arg(flag("restart-command", &self.containerd.restart_command()))
            .arg("--patience=20");
        installer
    }

    fn install(&self, payload: &Path) -> Finished {
        let mut installer = self.installer("install");
        let done = finish(installer.arg(format!("--payload={}", payload.display())), PATIENCE);
        self.containerd.adopt_restarted();
        done
    }

    fn uninstall(&self) -> Finished {
        self.containerd.cell().dismiss_idle_daemons();
        let done = finish(&mut self.installer("uninstall"), PATIENCE);
        self.containerd.adopt_restarted();
        done
    }

    /// The files that an installer could change, and what they are.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        for root in [self.path("etc"), self.path("opt")] {
            collect(&root, &mut files);
        }
        files
    }

    /// The versions of the runtime that are on the node.
    fn versions(&self) -> usize {
        fs::read_dir(self.directory().join("versions")).map_or(0, Iterator::count)
    }

    fn expect_a_wasm_pod_runs(&self) {
        let cri = Cri::of(&self.containerd);
        let pod = cri.run_pod("wasmedge");
        let said = pod.run("said", PROBE, &["say", "hello"]);
        assert_eq!(said.wait().exit_code, 0, "{}", said.log());
        assert!(said.log().contains("stdout F hello"), "{}", said.log());
    }
}

/// Of a large file, which no configuration is, the length is enough.
fn collect(path: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        let length = entry.metadata().unwrap().len();
        let what = match () {
            () if kind.is_dir() => "a directory".to_owned(),
            () if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            () if length > 1 << 16 => format!("{length} bytes"),
            () => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
        };
        files.insert(path.clone(), what);
        if kind.is_dir() {
            collect(&path, files);
        }
    }
}

/// The program that `make image` packs.
fn program() -> PathBuf {
    let path = repository().join("build/image/wasmedge-node-installer");
    assert!(path.exists(), "{} is not there: run `make image` first", path.display());
    path
}

/// The tarball of `make dist`.
fn payload() -> PathBuf {
    let dist = repository().join("build/dist");
    let entries = fs::read_dir(&dist).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut tarballs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "gz"));
    tarballs.next().unwrap_or_else(|| panic!("no tarball in {}: run `make dist` first", dist.display()))
}

/// The same files in another tarball: its header has another time.
fn next_payload(node: &Node) -> PathBuf {
    let mut bytes = fs::read(payload()).unwrap();
    bytes[4] ^= 1;
    let path = node.path("next.tar.gz");
    fs::write(&path, bytes).unwrap();
    path
}

/// A tarball whose shim has no engine.
fn payload_without_engine(node: &Node) -> PathBuf {
    let path = node.path("broken.tar.gz");
    let to = path.display().to_string();
    let root = repository().join("build/root").display().to_string();
    node.containerd
        .cell()
        .run(&["tar", "-C", &root, "-czf", &to, "bin/containerd-shim-wasmedge-v1"])
        .success();
    path
}

#[test]
fn after_an_installation_wasm_pods_run_and_after_its_end_the_node_is_what_it_was() {
    for form in [CriAlone::Importing, CriAlone::OneFile] {
        let node = Node::new(form);
        let before = node.files();
        node.install(&payload()).success();
        assert_eq!(node.containerd.restarts(), 1);
        node.expect_a_wasm_pod_runs();

        // Again: nothing is to be done, so containerd is left alone.
        let installed = node.files();
        node.install(&payload()).success();
        assert_eq!((node.containerd.restarts(), node.files() == installed), (1, true));

        node.uninstall().success();
        assert_eq!(node.containerd.restarts(), 2);
        assert_eq!(node.files(), before);
        let cri = Cri::of(&node.containerd);
        let refused = cri.pod("wasmedge").try_run().err().unwrap();
        assert!(refused.message().contains("no runtime for \"wasmedge\""), "{refused}");
        cri.run_pod("");
    }
}

#[test]
fn other_options_restart_containerd_and_an_edit_of_the_administrators_outlives_us() {
    let node = Node::new(CriAlone::OneFile);
    node.install(&payload()).success();
    let payload = payload().display().to_string();
    let mut again = node.installer("install");
    finish(again.args(["--payload", &payload, "--option=Compile=off"]), PATIENCE).success();
    node.containerd.adopt_restarted();
    assert_eq!(node.containerd.restarts(), 2);
    node.expect_a_wasm_pod_runs();

    let config = fs::read_to_string(node.containerd.config()).unwrap();
    assert!(config.contains("Compile = \"off\""), "{config}");
    fs::write(node.containerd.config(), format!("oom_score = 0\n{config}")).unwrap();
    node.uninstall().success();
    let left = fs::read_to_string(node.containerd.config()).unwrap();
    assert!(left.starts_with("oom_score = 0\nversion") && !left.contains("wasmedge"), "{left}");
}

#[test]
fn an_upgrade_leaves_running_pods_alone_and_the_old_version_goes_with_them() {
    let node = Node::new(CriAlone::Importing);
    node.install(&payload()).success();
    let cri = Cri::of(&node.containerd);
    let old = cri.run_pod("wasmedge");
    let sleeper = old.run("sleeper", PROBE, &["sleep"]);
    sleeper.wait_for_log("sleeping");

    let next = next_payload(&node);
    node.install(&next).success();
    assert_eq!((node.containerd.restarts(), node.versions()), (1, 2), "containerd is not restarted");
    node.expect_a_wasm_pod_runs();
    // The daemon of the old version still makes containers of its pod.
    let said = old.run("said", PROBE, &["say", "still here"]);
    assert_eq!(said.wait().exit_code, 0, "{}", said.log());

    // Nothing is taken away from under a pod.
    let refused = finish(node.installer("uninstall").arg("--wait=0"), PATIENCE);
    refused.with_code(1).complaining(&["Wasm containers still run here", "delete their pods first"]);
    sleeper.stop(0);
    drop(old);

    node.containerd.cell().dismiss_idle_daemons();
    eventually("the old version goes", PATIENCE, || {
        node.install(&next).success();
        (node.versions() == 1).then_some(())
    });
    node.uninstall().success();
}

#[test]
fn a_containerd_that_does_not_come_up_with_it_gets_its_configuration_back() {
    let node = Node::new(CriAlone::Importing);
    let before = node.files();
    node.containerd.poison("wasmedge");
    let failed = node.install(&payload()).with_code(1);
    failed.complaining(&["the node is as it was", "restarting containerd", "a poisoned configuration"]);
    assert_eq!(node.files(), before);
    assert_eq!(node.containerd.restarts(), 2);
    Cri::of(&node.containerd).run_pod("");
}

#[test]
fn a_runtime_that_does_not_run_is_taken_away_again_and_an_upgrade_to_it_too() {
    let node = Node::new(CriAlone::OneFile);
    let before = node.files();
    let broken = payload_without_engine(&node);
    let failed = node.install(&broken).with_code(1);
    failed.complaining(&["the node is as it was", "running a Wasm container", "the engine is not installed"]);
    assert_eq!((node.files(), node.containerd.restarts()), (before.clone(), 0));

    node.install(&payload()).success();
    let installed = node.files();
    node.install(&broken).with_code(1);
    assert_eq!(node.files(), installed);
    node.expect_a_wasm_pod_runs();
    node.uninstall().success();
    assert_eq!(node.files(), before);
}

#[test]
fn a_full_disk_and_a_broken_configuration_leave_everything_as_it_is() {
    let node = Node::new(CriAlone::OneFile);
    fs::create_dir_all(node.directory()).unwrap();
    let directory = node.directory().display().to_string();
    node.containerd.cell().run(&["mount", "-t", "tmpfs", "-o", "size=16m", "small", &directory]).success();
    node.install(&payload()).with_code(1).complaining(&["unpacking", "No space left on device"]);
    node.containerd.cell().run(&["umount", &directory]).success();
    assert_eq!(node.containerd.restarts(), 0);

    fs::write(node.containerd.config(), "version = 3\n[plugins\n").unwrap();
    let before = node.files();
    node.install(&payload()).with_code(1).complaining(&["config.toml", "line 2"]);
    assert_eq!((node.files(), node.containerd.restarts()), (before, 0));
}

#[test]
fn a_node_is_reached_through_a_mount_of_its_root() {
    let node = Node::new(CriAlone::Importing);
    let root = node.path("host");
    fs::create_dir(&root).unwrap();
    let root = root.display().to_string();
    node.containerd.cell().run(&["mount", "--rbind", "/", &root]).success();
    let payload = format!("--payload={}", payload().display());
    let mut install = node.installer("install");
    finish(install.arg(payload).arg(format!("--root={root}")), PATIENCE).success();
    node.containerd.adopt_restarted();
    node.containerd.cell().run(&["umount", "--lazy", &root]).success();
    assert_eq!(node.containerd.restarts(), 1);
    node.expect_a_wasm_pod_runs();
    node.uninstall().success();
}

#[test]
fn the_installer_is_one_static_executable() {
    let bytes = fs::read(program()).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!has(b"ld-linux-x86-64.so.2\0") && !has(b"ld-musl"), "it has no interpreter");
}
