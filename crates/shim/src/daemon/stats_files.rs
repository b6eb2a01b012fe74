//! The files of a cgroup that stats are read from. What is not there counts nothing.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// The files of one controller, if the machine has it.
pub(super) struct Files(pub(super) Option<PathBuf>);

impl Files {
    pub(super) fn text(&self, name: &str) -> String {
        self.0.as_ref().and_then(|dir| fs::read_to_string(dir.join(name)).ok()).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.text(name).trim().parse().unwrap_or(0)
    }

    /// A limit of which containerd says 0 if there is none.
    pub(super) fn limit(&self, name: &str) -> u64 {
        self.number(name)
    }

    /// A limit of which containerd says the largest number if there is none.
    pub(super) fn bound(&self, name: &str) -> u64 {
        match self.text(name).trim() {
            "max" => u64::MAX,
            number => number.parse().unwrap_or(0),
        }
    }

    pub(super) fn table(&self, name: &str) -> Table {
        let pair = |line: &str| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        };
        Table(self.text(name).lines().filter_map(pair).collect())
    }
}

/// A file of lines `key number`.
pub(super) struct Table(HashMap<String, u64>);

impl Table {
    pub(super) fn get(&self, key: &str) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }
}
