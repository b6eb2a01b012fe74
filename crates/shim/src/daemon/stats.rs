//! Stats are what the kernel's cgroups say about a container's use of the machine, in containerd's messages.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use super::events::any;
use super::{stats_v1, stats_v2};
use crate::cgroup::Cgroup;

/// Reads everything there is; a controller that the machine lacks counts nothing.
pub(super) fn collect(cgroup: &Cgroup) -> Result<Any> {
    match cgroup {
        Cgroup::V1(_) => any(&stats_v1::collect(cgroup)),
        Cgroup::V2(dir) => any(&stats_v2::collect(&Files(Some(dir.clone())))),
    }
}

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
