//! A tree: a clone of a file or directory's mount that is mounted nowhere yet, perhaps with other users.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use libcontainer::syscall::SyscallError;
use libcontainer::syscall::linux::{AT_EMPTY_PATH, AT_RECURSIVE, MountAttr};
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use wasmedge_messages::{Channel, Failure, FailureKind, MapUsers, Reply};

use crate::user_namespace::UserNamespace;

/// `MOUNT_ATTR_IDMAP` (mount_setattr(2)).
const MAPPED: u64 = 0x0010_0000;

/// How much of what is mounted below is meant as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// This mount.
    One,
    /// It and all below it.
    All,
}

/// Answers a request of the daemon's with trees, and ends this process.
pub(crate) fn answer(request: &MapUsers, reply: OwnedFd) -> ! {
    let reply = Channel::from(reply);
    let mapped = UserNamespace::mapping(&request.users).and_then(|users| {
        request.directories.iter().try_for_each(|directory| {
            let tree = clone(directory, Extent::One).and_then(|tree| {
                map(&tree, &users, Extent::One)?;
                Ok(tree)
            });
            let tree = tree.with_context(|| format!("cloning {} with mapped users", directory.display()))?;
            Ok(reply.send(&Reply::Tree, &[tree.as_fd()])?)
        })
    });
    let told = match mapped {
        Ok(()) => Ok(()),
        Err(error) => {
            let failure = Failure { kind: FailureKind::Runtime, message: format!("{error:#}") };
            reply.send(&Reply::Failed(failure), &[])
        }
    };
    // The daemon may be gone; then there is nobody to tell.
    std::process::exit(if told.is_ok() { 0 } else { 1 })
}

/// Clones what is at the path; symbolic links are followed.
pub(crate) fn clone(path: &Path, extent: Extent) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, extent == Extent::All);
    let tree = open_tree(CWD, path, flags);
    tree.map_err(|errno| anyhow!(Errno::from_raw(errno.raw_os_error()).desc().to_lowercase()))
}

/// Maps the users of a tree that was just cloned, as the user namespace does.
pub(crate) fn map(tree: &OwnedFd, users: &File, extent: Extent) -> Result<()> {
    let attributes = MountAttr {
        attr_set: MAPPED,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(users.as_raw_fd()).context("a descriptor's number")?,
    };
    let flags = if extent == Extent::All { AT_EMPTY_PATH | AT_RECURSIVE } else { AT_EMPTY_PATH };
    let size = size_of::<MountAttr>();
    let kernel = SyscallType::Linux.create_syscall();
    match kernel.mount_setattr(tree.as_fd(), Path::new(""), flags, &attributes, size) {
        Ok(()) => Ok(()),
        // libcontainer has another version of this type.
        Err(SyscallError::Nix(errno)) if errno as i32 == libc::EINVAL => {
            bail!("invalid argument: this kernel does not map the users of such a file system")
        }
        Err(SyscallError::Nix(errno)) => bail!("{}", errno.desc().to_lowercase()),
        Err(error) => Err(error).context("setting the mount's attributes"),
    }
}
