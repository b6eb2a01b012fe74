//! A cell is where a story's daemons live: mount, pid, network, IPC and UTS namespaces of their own, and
//! a directory.
//!
//! When the cell is dropped, or the test process dies in whatever way, its first process ends and the
//! kernel kills every other. `/run`, `/tmp` and `/var/cache` in it are its own, a home that the repository is in shows
//! nothing else, the rest is the machine's; only cgroups are the machine's entirely, so everything in a cell uses
//! cgroups below its name.

mod account;
mod leftovers;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use tempfile::TempDir;

use crate::finished::ended_within;
use crate::parts::{part, repository, search_path};
use crate::{DEADLINE, Finished, eventually, finish};

/// The cell's first process: sets up, then waits for the end of its input. bash reaps what it adopts.
const INIT: &str = r#"
set -e
umask 022
mount -t tmpfs -o mode=0755 run /run
# The repository stays where it is: in a checkout below /tmp too, and below a home that only its owner may enter, for
# those who are other users in here.
mkdir /run/repository
mount --rbind "$1" /run/repository
mount -t tmpfs -o mode=1777 tmp /tmp
directory=$1 closed=
while directory=$(dirname "$directory"); [ "$directory" != / ]; do
    case $(stat -c %A "$directory" 2> /dev/null) in *x | *t | "") ;; *) closed=$directory ;; esac
done
[ -z "$closed" ] || mount -t tmpfs -o mode=0755 entered "$closed"
mkdir -p "$1"
mount --move /run/repository "$1"
rmdir /run/repository
# /sys shows the network of the one who mounts it.
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sys /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount --lazy /run/cgroup
rmdir /run/cgroup
"$0" ip link set lo up
mount -t tmpfs -o mode=0755 cache /var/cache
echo 'Compile = "off"' > /run/containerd-shim-wasmedge.toml
echo ready
read -r _ || true
"#;

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// A place for daemons.
#[derive(Debug)]
pub struct Cell {
    unshare: Child,
    keeper: Option<ChildStdin>,
    init: i32,
    directory: TempDir,
    name: String,
    home: Mutex<Home>,
}

/// What belongs to the cell itself and is therefore no leftover.
#[derive(Debug, Default)]
struct Home {
    processes: Vec<i32>,
    mounts: Vec<String>,
    cgroups: Vec<PathBuf>,
}

impl Cell {
    /// A new cell with nothing in it.
    pub fn new() -> Self {
        SWEPT.call_once(leftovers::sweep);
        let name = format!("story{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        fs::create_dir_all(runs()).unwrap();
        let directory = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(runs()).unwrap();
        let mut unshare = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child"])
            .args(["--", "bash", "-c", INIT])
            .arg(part("busybox/bin/busybox"))
            .arg(repository())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keeper = unshare.stdin.take();
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "a cell takes root and namespaces");
        let init = only_child(unshare.id());
        let cell = Self { unshare, keeper, init, directory, name, home: Mutex::default() };
        cell.settle();
        cell
    }

    /// A name that no other cell has: for containerd namespaces, cgroup parents, container ids.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cell's directory, the same inside and outside.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where a path of the inside (`/run/…`, `/proc/…`) is on the outside.
    pub fn outside(&self, inside: impl AsRef<Path>) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init));
        root.join(inside.as_ref().strip_prefix("/").unwrap())
    }

    /// A command that runs inside, with the parts in its `PATH`.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", &format!("--target={}", self.init), "--"])
            .arg(program)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", self.directory());
        command
    }

    /// Sends a signal (`KILL`, `TERM`) to processes of the cell, by the cell's numbers.
    #[track_caller]
    pub fn kill<P: ToString>(&self, signal: &str, pids: &[P]) -> Finished {
        let mut kill = self.command(part("busybox/bin/busybox"));
        kill.args(["kill", &format!("-{signal}")]).args(pids.iter().map(ToString::to_string));
        finish(&mut kill, DEADLINE)
    }

    /// Runs a command inside, to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Finished {
        finish(self.command(words[0]).args(&words[1..]), DEADLINE)
    }

    /// Its first process, as the machine numbers them: with it all others end.
    pub(crate) fn first_process(&self) -> i32 {
        self.init
    }

    /// Declares a process to be the cell's own.
    pub(crate) fn adopt(&self, pid: i32) {
        self.home.lock().unwrap().processes.push(pid);
    }

    /// Declares what runs and is mounted now to be the cell's own.
    pub(crate) fn settle(&self) {
        let mut home = self.home.lock().unwrap();
        home.processes = self.process_ids();
        home.mounts = self.mounts();
    }
}

/// Where the cells of all test processes have their directories.
fn runs() -> PathBuf {
    repository().join("build/run")
}

impl Default for Cell {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        drop(self.keeper.take());
        if !ended_within(&self.unshare, Duration::from_secs(5)) {
            let _ = self.unshare.kill();
        }
        let _ = self.unshare.wait();
        self.remove_cgroups();
    }
}

/// The one child of a process, as this process numbers them.
pub(crate) fn only_child(parent: u32) -> i32 {
    eventually("the cell's first process", DEADLINE, || {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
        children.trim().parse().ok()
    })
}
