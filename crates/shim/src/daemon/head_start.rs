//! A head start: a process of a container changes its cgroup soon, and part of what it would wait for is waited for now.
//!
//! On version 2 the kernel locks out all forks and exits of the machine for such a change. Whoever asks for the lock first
//! waits until every processor has noticed, some 9 ms, and for about as long again nobody else has to. So as soon as
//! a request is on its way, the daemon changes to the cgroup it is in. Version 1 has a way around the lock, which a
//! container's process takes (`parts/patches/libcgroups.diff`).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cgroup;

/// Takes head starts, one at a time.
#[derive(Debug, Clone)]
pub(super) struct HeadStart {
    /// Which processes are in this one's cgroup; `None` where that needs no lock.
    members: Option<PathBuf>,
    is_under_way: Arc<AtomicBool>,
}

impl HeadStart {
    /// For this machine.
    pub(super) fn new() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let members = cgroup::is_unified().then(|| cgroup::members(&own)).flatten();
        Self { members, is_under_way: Arc::default() }
    }

    /// Returns at once. Nothing depends on whether it succeeds.
    pub(super) fn take(&self) {
        let Some(members) = self.members.clone() else { return };
        if self.is_under_way.swap(true, Ordering::Relaxed) {
            return;
        }
        let is_under_way = self.is_under_way.clone();
        tokio::task::spawn_blocking(move || {
            let _ = fs::write(members, "0");
            is_under_way.store(false, Ordering::Relaxed);
        });
    }
}
