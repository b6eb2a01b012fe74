//! A real containerd in a cell of its own, with its own root, state and socket.

mod configuration;
mod ctr;
mod service;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use configuration::CriAlone;
pub use ctr::{Attached, CtrRun};

use crate::cell::only_child;
use crate::{Captured, Cell, DEADLINE, Finished, Image, finish};

/// The runtime that the stories are about.
const RUNTIME: &str = "io.containerd.wasmedge.v1";
/// The file in the cell's directory that it is configured by.
const CONFIGURATION: &str = "containerd.toml";

/// A private containerd.
pub struct Containerd {
    cell: Cell,
    process: Child,
    log: Captured,
    containers: AtomicU32,
}

impl Containerd {
    /// One without CRI; it boots in milliseconds.
    pub fn start() -> Self {
        Self::boot(&configuration::plain())
    }

    /// One with CRI, a bridge network and the runtime handlers `wasmedge` and `wasmedge-sandbox`, as the files
    /// in `deploy` have them.
    pub fn with_cri() -> Self {
        Self::boot(&configuration::cri())
    }

    fn boot(configuration: &str) -> Self {
        let cell = Cell::new();
        configuration::write(&cell, configuration);
        Self::boot_in(cell, CONFIGURATION)
    }

    fn boot_in(cell: Cell, configuration: &str) -> Self {
        let (process, log) = Self::spawn(&cell, configuration);
        cell.settle();
        Self { cell, process, log, containers: AtomicU32::new(0) }
    }

    fn spawn(cell: &Cell, configuration: &str) -> (Child, Captured) {
        let mut containerd = cell.command("containerd");
        containerd.arg("--config").arg(cell.directory().join(configuration));
        let mut process = containerd.stderr(Stdio::piped()).spawn().unwrap();
        let log = Captured::from_reader(process.stderr.take().unwrap());
        log.wait_for("containerd successfully booted", DEADLINE);
        (process, log)
    }

    /// Kills the containerd, not its shims, and starts another on the same state.
    pub fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// The same, with something done while there is none.
    pub fn restart_after(&mut self, meanwhile: impl FnOnce(&Cell)) {
        let pid = || self.cell.processes_named("containerd --config")[0];
        self.cell.kill("KILL", &[pid()]).success();
        self.process.wait().unwrap();
        meanwhile(&self.cell);
        let (process, log) = Self::spawn(&self.cell, CONFIGURATION);
        self.cell.adopt(pid());
        (self.process, self.log) = (process, log);
    }

    /// Opens an account for it in its cell, `containerd`: what it starts from now on, shims and all, is counted there.
    pub fn open_account(&self) {
        self.cell.open_account("containerd", only_child(self.process.id()));
    }

    /// The cell it lives in.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Its gRPC socket.
    pub fn socket(&self) -> PathBuf {
        self.cell.directory().join("c.sock")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// The containerd namespace that the story uses.
    pub fn namespace(&self) -> &str {
        self.cell.name()
    }

    /// A container id that is used nowhere else.
    pub fn new_id(&self) -> String {
        format!("{}-c{}", self.cell.name(), self.containers.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs `ctr`.
    #[track_caller]
    pub fn ctr(&self, words: &[&str]) -> Finished {
        finish(self.ctr_command().args(words), DEADLINE)
    }

    fn ctr_command(&self) -> std::process::Command {
        let mut ctr = self.cell.command("ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", self.namespace()]);
        ctr
    }

    /// Packs an image and imports it for any platform; its reference.
    #[track_caller]
    pub fn import(&self, image: &Image) -> String {
        self.import_archive(&image.pack(self.cell.directory()));
        image.name().to_owned()
    }

    /// Packs an image and imports it where CRI looks for it.
    #[track_caller]
    pub fn import_for_cri(&self, image: &Image) {
        let archive = image.pack(self.cell.directory()).display().to_string();
        self.ctr(&["--namespace", "k8s.io", "image", "import", "--all-platforms", &archive]).success();
    }

    /// Imports an archive.
    #[track_caller]
    pub fn import_archive(&self, archive: &std::path::Path) {
        let archive = archive.display().to_string();
        self.ctr(&["image", "import", "--all-platforms", "--no-unpack", &archive]).success();
    }

    /// A container of an image, to be run by `ctr run`.
    pub fn container(&self, image: &str) -> CtrRun<'_> {
        CtrRun::new(self, image)
    }

    /// Kills and removes every container there is.
    pub fn remove_all(&self) {
        for id in self.ctr(&["container", "list", "--quiet"]).success().stdout.split_whitespace() {
            self.ctr(&["task", "delete", "--force", id]);
            self.ctr(&["container", "delete", id]).success();
        }
    }

    /// Panics if any container, or this containerd's bundles, left something in the cell.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        let state = self.cell.directory().join("state");
        let of = |namespace| state.join("io.containerd.runtime.v2.task").join(namespace);
        let sandboxes = state.join("io.containerd.sandbox.controller.v1.shim/k8s.io");
        let bundles = [of(self.namespace()), of("k8s.io"), sandboxes];
        self.cell.expect_nothing_left(&bundles, Duration::from_secs(5));
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- containerd's log\n{}", last_lines(&self.log.so_far(), 40));
        } else {
            self.remove_all();
            self.expect_nothing_left();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(self.socket());
    }
}

pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
