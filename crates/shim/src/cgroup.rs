//! A cgroup is the directory, or with version 1 the directories, in which the kernel meters and limits a container.
//!
//! libcontainer makes it and puts the container in; this side reads, kills and removes. The paths follow
//! libcontainer's rules, so that both mean the same directories.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const ROOT: &str = "/sys/fs/cgroup";
/// How long the kernel may take to stop the processes of a cgroup.
const FREEZING: Duration = Duration::from_secs(2);

/// Whether systemd manages this machine's version 2 cgroups, see sd_booted(3).
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir() && is_unified()
}

/// Whether this machine has version 2 cgroups and no others.
pub(crate) fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Where the members of a process's version 2 cgroup are listed, and where it joins, by its `/proc/PID/cgroup`.
pub(crate) fn members(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(below(Path::new(ROOT), Path::new(path)).join("cgroup.procs"))
}

/// Where a container's cgroup is, whether it exists or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroup {
    /// Version 1, alone or hybrid: one directory per controller.
    V1(Vec<Controller>),
    /// Version 2: one directory.
    V2(PathBuf),
}

/// One hierarchy of version 1 and the container's directory in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Controller {
    /// The controllers of this hierarchy, as `cpu,cpuacct`.
    pub(crate) names: String,
    pub(crate) dir: PathBuf,
}

impl Cgroup {
    /// The cgroup that the configuration's `cgroupsPath` means.
    pub(crate) fn at(cgroups_path: &Path, systemd: bool) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let path = match systemd && cgroups_path.is_relative() {
            true => systemd_path(cgroups_path),
            false => cgroups_path.to_owned(),
        };
        Self::in_mounts(&mounts, &path)
    }

    fn in_mounts(mountinfo: &str, path: &Path) -> Self {
        let controllers: Vec<_> = mountinfo
            .lines()
            .filter_map(Mount::parse)
            .filter(|mount| mount.kind == "cgroup" && !mount.options.contains("name="))
            .map(|mount| Controller { names: mount.controllers(), dir: below(&mount.point, path) })
            .collect();
        match controllers.is_empty() {
            true => Self::V2(below(Path::new(ROOT), path)),
            false => Self::V1(controllers),
        }
    }

    /// The directory of one controller.
    pub(crate) fn controller(&self, name: &str) -> Option<&Path> {
        match self {
            Self::V1(all) => {
                all.iter().find(|one| one.names.split(',').any(|n| n == name)).map(|one| &*one.dir)
            }
            Self::V2(dir) => Some(dir),
        }
    }

    /// The container's processes, those of cgroups below its own included.
    pub(crate) fn pids(&self) -> Vec<i32> {
        // Every hierarchy holds them all; the freezer's and the pids' exist nearly everywhere.
        let dir = ["pids", "freezer", "memory", "devices"].into_iter().find_map(|name| self.controller(name));
        let mut pids = Vec::new();
        if let Some(dir) = dir {
            walk(dir, &mut |dir| {
                let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
            });
        }
        pids
    }

    /// Sends a signal to every process, and says whether there was one.
    pub(crate) fn signal_all(&self, signal: Signal) -> bool {
        let pids = self.pids();
        // A configuration can name a cgroup that is not the container's alone.
        if pids.is_empty() || self.is_root() || pids.contains(&std::process::id().cast_signed()) {
            return false;
        }
        let mut any = false;
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            any |= kill_process(pid, signal).is_ok();
        }
        any
    }

    fn is_root(&self) -> bool {
        match self {
            Self::V1(all) => all.iter().any(|one| one.dir.join("release_agent").exists()),
            Self::V2(dir) => dir == Path::new(ROOT),
        }
    }

    /// Its path below the root, as the kernel's log has it, if it is of version 2 and was removed.
    pub(crate) fn path_if_gone(&self) -> Option<String> {
        let Self::V2(dir) = self else { return None };
        let path = dir.strip_prefix(ROOT).ok()?;
        (!dir.exists()).then(|| format!("/{}", path.display()))
    }

    /// How many processes the kernel has killed for want of memory, as long as the cgroup is there.
    pub(crate) fn oom_kills(&self) -> u64 {
        let file = match self {
            Self::V1(_) => "memory.oom_control",
            Self::V2(_) => "memory.events",
        };
        let text = self.controller("memory").and_then(|dir| fs::read_to_string(dir.join(file)).ok());
        let value = |text: String| {
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok())
        };
        text.and_then(value).unwrap_or(0)
    }

    /// Stops all processes, and returns when they have. Fails after a while, with all of them running again.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        self.write_freezer(true)?;
        let deadline = Instant::now() + FREEZING;
        while !self.is_frozen()? {
            if Instant::now() > deadline {
                self.thaw()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not freeze"));
            }
            // Version 1 tells nobody when it is done.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets all processes go on.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        self.write_freezer(false)
    }

    fn write_freezer(&self, freeze: bool) -> io::Result<()> {
        let (file, state) = match (self, freeze) {
            (Self::V1(_), true) => ("freezer.state", "FROZEN"),
            (Self::V1(_), false) => ("freezer.state", "THAWED"),
            (Self::V2(_), true) => ("cgroup.freeze", "1"),
            (Self::V2(_), false) => ("cgroup.freeze", "0"),
        };
        fs::write(self.freezer()?.join(file), state)
    }

    fn is_frozen(&self) -> io::Result<bool> {
        Ok(match self {
            Self::V1(_) => fs::read_to_string(self.freezer()?.join("freezer.state"))?.trim() == "FROZEN",
            Self::V2(dir) => {
                fs::read_to_string(dir.join("cgroup.events"))?.lines().any(|line| line == "frozen 1")
            }
        })
    }

    fn freezer(&self) -> io::Result<&Path> {
        self.controller("freezer")
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no freezer"))
    }

    /// Makes the directories above a version 2 cgroup, several containers' at a time if need be. libcontainer makes
    /// them too, but fails where another process is faster (0.7).
    pub(crate) fn make_parent(&self) -> io::Result<()> {
        match self {
            Self::V1(_) => Ok(()),
            Self::V2(dir) => dir.parent().map_or(Ok(()), fs::create_dir_all),
        }
    }

    /// Removes the directories. Fails with `ResourceBusy` while a process is left.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self {
            Self::V1(all) => all.iter().map(|one| remove_tree(&one.dir)).fold(Ok(()), io::Result::and),
            Self::V2(dir) => remove_tree(dir),
        }
    }
}

/// One line of `/proc/self/mountinfo`.
struct Mount<'a> {
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let point = mount.split(' ').nth(4)?.into();
        Some(Self { point, kind: filesystem.next()?, options: filesystem.nth(1)? })
    }

    fn controllers(&self) -> String {
        let all: Vec<_> =
            self.options.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr")).collect();
        all.join(",")
    }
}

/// systemd's `slice:prefix:name` as a path: a slice's dashes are its ancestors.
fn systemd_path(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let mut parts = text.splitn(3, ':');
    let (slice, prefix, name) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let mut dir = PathBuf::new();
    for (at, _) in stem.match_indices('-') {
        dir.push(format!("{}.slice", &stem[..at]));
    }
    if stem != "-" {
        dir.push(slice);
    }
    dir.push(if name.ends_with(".slice") { name.to_owned() } else { format!("{prefix}-{name}.scope") });
    dir
}

/// `path` below `root`, whatever dots it holds.
fn below(root: &Path, path: &Path) -> PathBuf {
    let mut dir = root.to_owned();
    dir.extend(path.components().filter(|part| matches!(part, Component::Normal(_))));
    dir
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    visit(dir);
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        walk(&entry.path(), visit);
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    // Most have none below them, and their many files need not be read.
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        _ => return Ok(()),
    }
    if let Ok(entries) = fs::read_dir(dir) {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw shared:13 - cgroup cgroup rw,memory";
    const UNIFIED: &str = "31 30 0:27 / /sys/fs/cgroup rw shared:10 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn version_1_has_a_directory_per_controller() {
        let cgroup = Cgroup::in_mounts(HYBRID, Path::new("/default/c1"));
        assert_eq!(cgroup.controller("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/default/c1")));
        assert_eq!(cgroup.controller("memory"), Some(Path::new("/sys/fs/cgroup/memory/default/c1")));
        assert_eq!(cgroup.controller("pids"), None);
    }

    #[test]
    fn version_2_has_one_directory_whatever_dots_the_path_holds() {
        let cgroup = Cgroup::in_mounts(UNIFIED, Path::new("/../default/./c1"));
        assert_eq!(cgroup, Cgroup::V2("/sys/fs/cgroup/default/c1".into()));
    }

    #[test]
    fn the_cgroup_of_a_process_is_where_proc_says() {
        let members = |text| super::members(text).map(|file| file.display().to_string());
        let scope = "0::/system.slice/containerd.service\n";
        assert_eq!(
            members(scope).as_deref(),
            Some("/sys/fs/cgroup/system.slice/containerd.service/cgroup.procs")
        );
        assert_eq!(members("0::/\n").as_deref(), Some("/sys/fs/cgroup/cgroup.procs"));
        assert_eq!(members("12:pids:/a\n"), None);
    }

    #[test]
    fn systemds_names_are_paths_of_slices() {
        let path = |text: &str| systemd_path(Path::new(text)).to_str().unwrap().to_owned();
        assert_eq!(
            path("kubepods-burstable-pod1.slice:cri-containerd:c1"),
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-c1.scope"
        );
        assert_eq!(path("system.slice:docker:c1"), "system.slice/docker-c1.scope");
        assert_eq!(path(":youki:c1"), "system.slice/youki-c1.scope");
    }

    #[test]
    fn removing_takes_the_cgroups_below_along_and_does_not_mind_when_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::V2(root.path().join("c1"));
        fs::create_dir_all(root.path().join("c1/below/further")).unwrap();
        cgroup.remove().unwrap();
        assert!(!root.path().join("c1").exists());
        cgroup.remove().unwrap();
    }
}
