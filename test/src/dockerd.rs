//! A real dockerd in a cell of its own: own containerd, own network, own image store.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};

use crate::containerd::last_lines;
use crate::{Captured, Cell, DEADLINE, Finished, Image, finish, part, repository};

/// Where a dockerd keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Docker's own.
    Docker,
    /// containerd's (`containerd-snapshotter`).
    Containerd,
}

/// A private dockerd.
pub struct Dockerd {
    cell: Cell,
    process: Child,
    log: Captured,
    containers: AtomicU32,
    loaded: Mutex<Vec<String>>,
}

/// The dockerds that stories run on at this moment: they take seconds to boot, so stories that run at
/// the same time share one. Its last story ends it.
static SHARED: [Mutex<Weak<Dockerd>>; 2] = [const { Mutex::new(Weak::new()) }; 2];

impl Dockerd {
    /// A dockerd with that store, perhaps together with other stories.
    pub fn shared(store: Store) -> Arc<Self> {
        let mut shared = SHARED[store as usize].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let dockerd = Arc::new(Self::boot(Cell::new(), store, &[]));
            *shared = Arc::downgrade(&dockerd);
            dockerd
        })
    }

    /// One with `userns-remap`: the containers' root is user 100000 of the host.
    pub fn remapping_users() -> Self {
        let cell = Cell::new();
        // An /etc that can be written to, and is nobody else's.
        let script = "mkdir -p /run/etc/new /run/etc/work
            mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/new,workdir=/run/etc/work etc /etc
            echo daemon:100000:65536 | tee /etc/subuid > /etc/subgid";
        cell.run(&["sh", "-ec", script]).success();
        fs::set_permissions(cell.directory(), Permissions::from_mode(0o711)).unwrap();
        Self::boot(cell, Store::Docker, &["--userns-remap=daemon"])
    }

    fn boot(cell: Cell, store: Store, flags: &[&str]) -> Self {
        write_configuration(&cell, store);
        let directory = cell.directory().display().to_string();
        let mut dockerd = cell.command("dockerd");
        dockerd
            .arg(format!("--config-file={directory}/daemon.json"))
            .arg(format!("--data-root={directory}/docker"))
            .arg(format!("--host=unix://{directory}/d.sock"))
            .arg(format!("--cgroup-parent=/{}", cell.name()))
            .args(["--exec-root=/run/docker", "--pidfile=/run/docker.pid"])
            .args(flags);
        let mut process = dockerd.stderr(Stdio::piped()).spawn().unwrap();
        let log = Captured::from_reader(process.stderr.take().unwrap());
        log.wait_for("API listen on", DEADLINE);
        cell.settle();
        Self { cell, process, log, containers: AtomicU32::new(0), loaded: Mutex::default() }
    }

    /// The cell it lives in.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// A name for a container, network or image that no other story has.
    pub fn new_name(&self) -> String {
        format!("{}-{}", self.cell.name(), self.containers.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs `docker`.
    #[track_caller]
    pub fn docker(&self, words: &[&str]) -> Finished {
        finish(&mut self.command(words), DEADLINE)
    }

    /// `docker` with those words, to be started by the story.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut docker = self.cell.command("docker");
        docker.env("DOCKER_CONFIG", part("docker/config"));
        docker.arg(format!("--host={}", self.host())).args(words);
        docker
    }

    /// Where it listens, as `DOCKER_HOST` names it.
    pub fn host(&self) -> String {
        format!("unix://{}/d.sock", self.cell.directory().display())
    }

    /// `docker run` with our runtime, the flags and image and what follows it.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Finished {
        self.docker(&[&["run", "--runtime=io.containerd.wasmedge.v1"], words].concat())
    }

    /// Starts a container in the background under a new name; the name.
    #[track_caller]
    pub fn detached(&self, words: &[&str]) -> String {
        let name = self.new_name();
        self.run(&[&["--detach", "--name", &name], words].concat()).success();
        name
    }

    /// Follows a container's log from its start.
    pub fn follow(&self, name: &str) -> Captured {
        let mut logs = self.command(&["logs", "--follow", name]);
        let mut process = logs.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let captured = Captured::from_reader(process.stdout.take().unwrap());
        thread::spawn(move || process.wait());
        captured
    }

    /// What `docker inspect` says about a container.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        let list: Value = serde_json::from_str(&self.docker(&["inspect", name]).success().stdout).unwrap();
        list[0].clone()
    }

    /// Packs an image and loads it, unless another story has; its reference.
    #[track_caller]
    pub fn load(&self, image: &Image) -> String {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.iter().any(|name| name == image.name()) {
            let archive = image.pack(self.cell.directory());
            self.docker(&["load", "--input", &archive.display().to_string()]).success();
            loaded.push(image.name().to_owned());
        }
        image.name().to_owned()
    }

    /// Builds an image with `docker build` from a directory; its reference.
    #[track_caller]
    pub fn build(&self, directory: &Path, flags: &[&str]) -> String {
        let name = format!("{}:1", self.new_name());
        let directory = directory.display().to_string();
        self.docker(&[&["build", "--tag", &name], flags, &[&directory]].concat()).success();
        name
    }

    /// Removes a container and panics if that fails.
    #[track_caller]
    pub fn remove(&self, name: &str) {
        self.docker(&["rm", "--force", name]).success();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- dockerd's log\n{}", last_lines(&self.log.so_far(), 60));
        } else {
            for id in self.docker(&["ps", "--all", "--quiet"]).success().stdout.split_whitespace() {
                self.remove(id);
            }
            let bundles =
                self.cell.outside("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby");
            self.cell.expect_nothing_left(&[bundles], Duration::from_secs(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What users are told to write, and where the images are.
fn write_configuration(cell: &Cell, store: Store) {
    let snippet = fs::read_to_string(repository().join("deploy/docker-daemon.json")).unwrap();
    let mut configuration: Value = serde_json::from_str(&snippet).unwrap();
    configuration["features"] = json!({ "containerd-snapshotter": store == Store::Containerd });
    fs::write(cell.directory().join("daemon.json"), configuration.to_string()).unwrap();
}
