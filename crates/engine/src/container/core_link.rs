//! `/dev/core`, which runc makes as a link to `/proc/kcore`: libcontainer 0.7 calls it `/dev/kcore`, so it gets its
//! name here.

use std::fs::File;
use std::io;

use rustix::fs::{Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with};
use rustix::io::Errno;

/// Renames the link in the container's own `/dev`, if it is there.
///
/// # Errors
/// When the container's root cannot be entered. A `/dev` without the link, or in which nothing can be renamed, is
/// left as it is.
pub(super) fn rename(pid: i32) -> io::Result<()> {
    let root = File::open(format!("/proc/{pid}/root"))?;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // An image's links lead nowhere outside of its root.
    match openat2(root, "dev", directory, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(dev) => {
            let _ = renameat_with(&dev, "kcore", &dev, "core", RenameFlags::NOREPLACE);
            Ok(())
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
