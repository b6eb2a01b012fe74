//! A limit of a cgroup, by the file that this machine's version of cgroups has for it.

use std::fs;
use std::path::Path;

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of memory.
    Memory,
    /// Microseconds of processor time in each period.
    CpuQuota,
    /// Number of processes.
    Pids,
}

/// Whether this machine has cgroup version 2 alone.
pub fn has_cgroup_version_2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

impl Limit {
    /// The file's name.
    pub fn file(self) -> &'static str {
        match (self, has_cgroup_version_2()) {
            (Self::Memory, false) => "memory.limit_in_bytes",
            (Self::Memory, true) => "memory.max",
            (Self::CpuQuota, false) => "cpu.cfs_quota_us",
            (Self::CpuQuota, true) => "cpu.max",
            (Self::Pids, _) => "pids.max",
        }
    }

    /// What a cgroup, by its path below the root, has of it.
    #[track_caller]
    pub fn of(self, cgroup: &str) -> u64 {
        let controller = match (self, has_cgroup_version_2()) {
            (_, true) => "",
            (Self::Memory, _) => "memory/",
            (Self::CpuQuota, _) => "cpu/",
            (Self::Pids, _) => "pids/",
        };
        let path = format!("/sys/fs/cgroup/{controller}{}/{}", cgroup.trim_matches('/'), self.file());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("{path}: {text}"))
    }
}
