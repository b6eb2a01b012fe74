//! The remains are what a container that has ended, or never came to be, leaves on the host: processes, mounts,
//! a cgroup, a directory in its bundle.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::cgroup::Cgroup;

/// How long the kernel may take to end the processes of a killed cgroup.
const PATIENCE: Duration = Duration::from_secs(2);

/// How and when a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// The code, or 128 and the signal's number.
    pub(crate) status: u32,
    pub(crate) at: SystemTime,
}

impl Exit {
    /// An end at this moment.
    pub(crate) fn now(status: u32) -> Self {
        Self { status, at: SystemTime::now() }
    }

    /// Writes the exit into the bundle, where the delete verb finds it if the daemon is gone by then.
    pub(crate) fn record(&self, bundle: &Bundle) -> Result<()> {
        let text = serde_json::to_string(self).context("encoding the exit status")?;
        fs::write(bundle.exit_file(), text)
            .with_context(|| format!("writing {}", bundle.exit_file().display()))
    }

    /// The exit that was recorded in the bundle.
    pub(crate) fn recorded(bundle: &Bundle) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(bundle.exit_file()).ok()?).ok()
    }
}

/// Removes everything, and goes on after what fails. Blocks until killed processes are gone, two seconds at most.
pub(crate) fn clear(bundle: &Bundle, cgroup: Option<&Cgroup>) -> Result<()> {
    let cgroup = cgroup.map_or(Ok(()), |cgroup| clear_cgroup(cgroup).context("removing the cgroup"));
    let rootfs = unmount_all(&bundle.rootfs()).and(unmount_all(&bundle.pod_shm()));
    let ours = bundle.forget();
    cgroup.and(rootfs).and(ours)
}

/// Kills what is in the cgroup and removes it.
fn clear_cgroup(cgroup: &Cgroup) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if cgroup.signal_all(Signal::KILL) {
            // What is frozen does not die.
            let _ = cgroup.thaw();
        }
        match cgroup.remove() {
            // Nothing tells when a version 1 cgroup has become empty, so it is tried again.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Detaches every mount on `dir`; it may have none, or not exist.
pub(crate) fn unmount_all(dir: &Path) -> Result<()> {
    use rustix::io::Errno;
    loop {
        match unmount(dir, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("unmounting {}", dir.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_found_again_by_whoever_has_the_bundle() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(dir.path(), "c1").unwrap();
        assert_eq!(Exit::recorded(&bundle), None);
        bundle.prepare(false).unwrap();
        let exit = Exit::now(143);
        exit.record(&bundle).unwrap();
        assert_eq!(Exit::recorded(&bundle), Some(exit));
    }

    #[test]
    fn nothing_is_left_of_a_container_that_never_was() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(dir.path(), "c1").unwrap();
        bundle.prepare(true).unwrap();
        clear(&bundle, Some(&Cgroup::V2(dir.path().join("no-cgroup")))).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        clear(&bundle, None).unwrap();
    }
}
