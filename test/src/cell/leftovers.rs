//! Leftovers: what is still in a cell when all its containers are gone, and should not be.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Cell;
use crate::{eventually, here};

/// What Docker mounts when a container first uses the host's network, and keeps.
const DOCKERS_OWN: &str = "/run/docker/netns/default";

/// Directories that must be empty when no container is left.
const STATE: [&str; 2] = ["/run/containerd-shim-wasmedge", "/run/libcontainer"];

impl Cell {
    /// Panics with a list unless everything that containers brought into the cell is gone by the deadline:
    /// processes, mounts, cgroups, sockets, state directories, and the entries of `also`. An idle daemon,
    /// which would stay a while for the next container, is asked to leave.
    #[track_caller]
    pub fn expect_nothing_left(&self, also: &[PathBuf], deadline: Duration) {
        let end = Instant::now() + here(deadline);
        eventually("looking for leftovers", deadline * 2, || {
            self.dismiss_idle_daemons();
            let left = self.leftovers(also);
            assert!(left.is_empty() || Instant::now() < end, "left behind:\n  {}", left.join("\n  "));
            left.is_empty().then_some(())
        });
    }

    /// Tells every daemon to leave, as systemd would. One that has a container stays.
    pub fn dismiss_idle_daemons(&self) {
        // A daemon also stays if its address was given to somebody a moment ago, who may be on the way: that
        // moment is the lock's modification time.
        for lock in entries(&self.outside(STATE[0])).iter().map(|directory| directory.join("lock")) {
            let _ = OpenOptions::new()
                .write(true)
                .open(lock)
                .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH));
        }
        let daemons = self.processes_named("containerd-shim-wasmedge-v1");
        if !daemons.is_empty() {
            let _ = self.kill("TERM", &daemons);
        }
    }

    fn leftovers(&self, also: &[PathBuf]) -> Vec<String> {
        let home = self.home.lock().unwrap();
        let processes = self.process_ids().into_iter().filter(|pid| !home.processes.contains(pid));
        let mounts =
            self.mounts().into_iter().filter(|mount| mount != DOCKERS_OWN && !home.mounts.contains(mount));
        let directories = STATE.iter().map(|path| self.outside(path)).chain(also.iter().cloned());
        let cgroups = self.cgroups().into_iter().flat_map(|parent| entries(&parent));
        let cgroups = cgroups.filter(|path| path.is_dir() && !home.cgroups.contains(path));
        processes
            .map(|pid| format!("process {pid}: {}", self.describe(pid)))
            .chain(mounts.map(|mount| format!("mount {mount}")))
            .chain(directories.flat_map(|path| entries(&path)).map(|path| path.display().to_string()))
            .chain(cgroups.map(|path| format!("cgroup {}", path.display())))
            .collect()
    }

    /// Every process in the cell, as the cell numbers them.
    pub fn process_ids(&self) -> Vec<i32> {
        let names = entries(&self.outside("/proc"));
        names.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect()
    }

    /// The processes in the cell whose command line contains the text, as the cell numbers them.
    pub fn processes_named(&self, text: &str) -> Vec<i32> {
        self.process_ids().into_iter().filter(|pid| self.describe(*pid).contains(text)).collect()
    }

    /// A process's command line, words separated by blanks; its state if it has none.
    pub fn describe(&self, pid: i32) -> String {
        let file = |name| fs::read_to_string(self.outside(format!("/proc/{pid}/{name}"))).unwrap_or_default();
        let words = file("cmdline").replace('\0', " ");
        if words.is_empty() { file("stat") } else { words }
    }

    /// The mount points in the cell.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.init)).unwrap_or_default();
        table.lines().filter_map(|line| Some(line.split(' ').nth(4)?.to_owned())).collect()
    }

    /// This cell's cgroup in each hierarchy that has it.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        cgroups_named(OsStr::new(&self.name))
    }

    /// Removes the cell's cgroups; its processes are dead.
    pub(super) fn remove_cgroups(&self) {
        for cgroup in self.cgroups() {
            remove_tree(&cgroup);
        }
    }
}

/// Removes the directories and cgroups of test processes that were killed and could not. What ran in their
/// cells died with them.
pub(super) fn sweep() {
    for directory in entries(&super::runs()).into_iter().filter(|path| is_orphan(path)) {
        cgroups_named(directory.file_name().unwrap_or_default())
            .iter()
            .for_each(|cgroup| remove_tree(cgroup));
        let _ = fs::remove_dir_all(directory);
    }
}

/// Whether it bears a cell's name, `story<pid>-<number>`, of a process that is no more.
fn is_orphan(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()?.strip_prefix("story"));
    let pid = name.and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// The cgroup of that name in each hierarchy that has it: the root's own in version 2, one for each controller in
/// version 1.
fn cgroups_named(name: &OsStr) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::iter::once(root.to_path_buf()).chain(entries(root));
    hierarchies.map(|hierarchy| hierarchy.join(name)).filter(|path| path.is_dir()).collect()
}

/// Removes a cgroup and those below; what cannot be removed yet (its processes are still dying) is
/// tried again for a moment.
fn remove_tree(cgroup: &Path) {
    entries(cgroup).iter().filter(|path| path.is_dir()).for_each(|path| remove_tree(path));
    let end = Instant::now() + here(Duration::from_secs(2));
    eventually("removing a cgroup", Duration::from_secs(4), || {
        (fs::remove_dir(cgroup).is_ok() || !cgroup.exists() || Instant::now() > end).then_some(())
    });
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
