//! An account: a cgroup for one of the cell's daemons, below the cell's own, so that what the daemon and all that it starts
//! use is known, and what the cell uses as a whole.

use std::fs;
use std::path::PathBuf;

use super::Cell;
use crate::{Usage, has_cgroup_version_2};

impl Cell {
    /// Opens an account for a process of the cell, as this process numbers it. What it has used before does not count.
    pub fn open_account(&self, name: &str, process: i32) {
        for parent in self.accounting() {
            let cgroup = parent.join(name);
            fs::create_dir_all(&cgroup).unwrap();
            fs::write(cgroup.join("cgroup.procs"), process.to_string()).unwrap();
            self.home.lock().unwrap().cgroups.push(cgroup);
        }
    }

    /// What an account has used.
    pub fn usage_of(&self, account: &str) -> Usage {
        Usage::of(&format!("{}/{account}", self.name))
    }

    /// What the cell has used: its accounts, and the containers whose cgroups are below the cell's.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.name)
    }

    /// The cell's cgroup in each hierarchy that counts.
    fn accounting(&self) -> Vec<PathBuf> {
        let root = PathBuf::from("/sys/fs/cgroup");
        let parents = match has_cgroup_version_2() {
            true => vec![root.join(&self.name)],
            false => ["cpuacct", "memory"].map(|controller| root.join(controller).join(&self.name)).into(),
        };
        for parent in &parents {
            fs::create_dir_all(parent).unwrap();
        }
        if has_cgroup_version_2() {
            for parent in [&root, &parents[0]] {
                fs::write(parent.join("cgroup.subtree_control"), "+cpu +memory").unwrap();
            }
        }
        parents
    }
}
