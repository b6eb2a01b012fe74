//! A node is a machine with systemd, containerd and Docker, all of it a story's for as long as the story takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use wasmedge_shim_tests::{Captured, DEADLINE, Finished, Image, eventually, finish};

pub(crate) const RUNTIME: &str = "io.containerd.wasmedge.v1";
const SETTINGS: &str = "/etc/docker/daemon.json";

static TURN: Mutex<()> = Mutex::new(());

/// The node, with nothing running on it but its services.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Node {
    /// The node as it was installed; waits for other stories to be over.
    pub(crate) fn take() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let systemd = Path::new("/run/systemd/system").exists();
        let node = systemd && Path::new("/job/run").exists();
        assert!(node, "this story takes a whole machine: run it by `make test-node`");
        Self { directory: tempfile::tempdir().unwrap(), _turn: turn }
    }

    /// Gives Docker other settings, until the story is over.
    #[track_caller]
    pub(crate) fn with_docker_settings(self, settings: &Value) -> Self {
        fs::write(SETTINGS, settings.to_string()).unwrap();
        self.restart("docker");
        self
    }

    /// A file that is gone after the story.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a program to its end.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        finish(Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()), DEADLINE)
    }

    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> Finished {
        self.run(&[&["docker"], words].concat())
    }

    /// `docker run` under our runtime.
    #[track_caller]
    pub(crate) fn docker_run(&self, words: &[&str]) -> Finished {
        self.docker(&[&["run", "--runtime", RUNTIME], words].concat())
    }

    /// Starts a container in the background and waits until it has said that; its full id.
    #[track_caller]
    pub(crate) fn detached(&self, words: &[&str], sign: &str) -> String {
        let id = self.docker_run(&[&["--detach"], words].concat()).success().stdout.trim().to_owned();
        self.wait_for_log(&id, sign);
        id
    }

    /// Waits until a container's log has the text.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, id: &str, text: &str) {
        eventually(&format!("{text:?} in the log of {id}"), DEADLINE, || {
            self.docker(&["logs", id]).stdout.contains(text).then_some(())
        });
    }

    /// One field of `docker inspect`, by its template.
    #[track_caller]
    pub(crate) fn inspect(&self, id: &str, template: &str) -> String {
        self.docker(&["inspect", "--format", template, id]).success().stdout.trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn ctr(&self, words: &[&str]) -> Finished {
        self.run(&[&["ctr"], words].concat())
    }

    /// Loads an image into Docker; its reference.
    #[track_caller]
    pub(crate) fn load(&self, image: &Image) -> String {
        let archive = image.pack(self.directory.path());
        self.docker(&["load", "--input", archive.to_str().unwrap()]).success();
        image.name().to_owned()
    }

    /// Imports an image into containerd; its reference.
    #[track_caller]
    pub(crate) fn import(&self, image: &Image) -> String {
        let archive = image.pack(self.directory.path());
        self.ctr(&["image", "import", archive.to_str().unwrap()]).success();
        image.name().to_owned()
    }

    /// containerd's events from now on, as `ctr events` prints them.
    pub(crate) fn events(&self, namespace: &str) -> Events {
        let mut ctr = Command::new("ctr");
        ctr.args(["--namespace", namespace, "events"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = ctr.spawn().unwrap();
        let lines = Captured::from_reader(process.stdout.take().unwrap());
        // It says nothing when it has begun to listen: made to hear something, it has.
        eventually("events are heard", DEADLINE, || {
            self.ctr(&["--namespace", namespace, "namespace", "label", namespace, "listening=yes"]).success();
            lines.so_far().contains("/namespaces/update").then_some(())
        });
        Events { process, lines }
    }

    /// Properties of a systemd unit, as `NAME=VALUE` lines.
    #[track_caller]
    pub(crate) fn unit(&self, unit: &str, properties: &str) -> String {
        self.run(&["systemctl", "show", "--property", properties, unit]).success().stdout
    }

    /// Restarts a service.
    #[track_caller]
    pub(crate) fn restart(&self, service: &str) {
        // systemd counts restarts and refuses too many of them.
        self.run(&["systemctl", "reset-failed"]).success();
        self.run(&["systemctl", "restart", service]).success();
    }

    /// Panics if a cgroup or a unit of that container is left.
    #[track_caller]
    pub(crate) fn expect_nothing_left_of(&self, id: &str) {
        eventually(&format!("nothing is left of {id}"), DEADLINE, || {
            let units = self.run(&["systemctl", "list-units", "--all", "--no-legend", &format!("*{id}*")]);
            let mut find = Command::new("find");
            let cgroups = finish(find.args(["/sys/fs/cgroup", "-name", &format!("*{id}*")]), DEADLINE).stdout;
            (!units.stdout.contains(".scope") && cgroups.is_empty()).then_some(())
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let all = self.docker(&["ps", "--all", "--quiet"]);
        for id in all.stdout.split_whitespace() {
            self.docker(&["rm", "--force", id]);
        }
        if fs::remove_file(SETTINGS).is_ok() {
            self.restart("docker");
        }
        if std::thread::panicking() {
            let log =
                self.run(&["journalctl", "--no-pager", "--lines=25", "--unit=docker", "--unit=containerd"]);
            eprintln!("--- the services' log\n{}", log.stdout);
        }
    }
}

/// Events on their way.
pub(crate) struct Events {
    process: std::process::Child,
    pub(crate) lines: Captured,
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file of a version 2 cgroup, trimmed.
#[track_caller]
pub(crate) fn cgroup_file(cgroup: &str, file: &str) -> String {
    let path = format!("/sys/fs/cgroup/{}/{file}", cgroup.trim_matches('/'));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

/// The version 2 cgroup of a process.
#[track_caller]
pub(crate) fn cgroup_of(pid: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.trim().strip_prefix("0::").unwrap().to_owned()
}
