//! The parent of a process whose parent is in another pid namespace: the first process there is.
//!
//! libcontainer 0.7.0, where it mounts cgroups of version 1, looks in the host's `/proc` for its parent, or if that is
//! in another pid namespace, for itself; by its own pid, which is right only in a namespace that it is the first of.
//! A container that joins another's finds nobody, or somebody else. So the C library's `getppid` is replaced, and says 1
//! where the kernel says 0; that process is always there.

/// The C library's `getppid`, for everything in this process.
#[unsafe(no_mangle)]
extern "C" fn getppid() -> libc::pid_t {
    // SAFETY: only asks.
    let parent = unsafe { libc::syscall(libc::SYS_getppid) } as libc::pid_t;
    parent.max(1)
}
