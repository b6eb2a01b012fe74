//! The filter: system calls that the compiler never makes, and a module that has taken it over would.

use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{Arch, LinuxSeccompAction, LinuxSeccompBuilder, LinuxSyscallBuilder};
use libcontainer::seccomp::initialize_seccomp;

/// What reaches other processes, the network, devices or large parts of the kernel.
const REFUSED: &[&str] = &[
    "accept",
    "accept4",
    "add_key",
    "bind",
    "bpf",
    "chroot",
    "connect",
    "execve",
    "execveat",
    "fanotify_init",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "finit_module",
    "delete_module",
    "inotify_init",
    "inotify_init1",
    "io_setup",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "kill",
    "listen",
    "mknod",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "request_key",
    "setns",
    "socket",
    "socketpair",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vmsplice",
];

/// Sets it. Needs `no_new_privs`.
pub(super) fn set() -> Result<()> {
    let refuse = LinuxSyscallBuilder::default()
        .names(REFUSED.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .action(LinuxSeccompAction::ScmpActErrno)
        .build()?;
    let filter = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .architectures(vec![Arch::ScmpArchX86_64])
        .syscalls(vec![refuse])
        .build()?;
    initialize_seccomp(&filter).context("setting the system call filter")?;
    Ok(())
}
