//! The filter: system calls that the compiler never makes, and a module that has taken it over would.

use anyhow::{Context, Result};
use libcontainer::oci_spec::runtime::{
    Arch, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompBuilder, LinuxSeccompOperator,
    LinuxSyscallBuilder,
};
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
    "fork",
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
    "vfork",
    "vmsplice",
];
/// Its flags lie in memory, where a filter cannot look. A C library that does not find it takes `clone`.
const CLONE3: &str = "clone3";

/// Sets it. Needs `no_new_privs`.
pub(super) fn set() -> Result<()> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let refusal = || LinuxSyscallBuilder::default().action(LinuxSeccompAction::ScmpActErrno);
    let refuse = refusal().names(names(REFUSED)).build()?;
    let is_missing = refusal().names(names(&[CLONE3])).errno_ret(libc::ENOSYS.unsigned_abs()).build()?;
    // More threads, but no process, and so no namespace either.
    let is_no_thread = LinuxSeccompArgBuilder::default()
        .index(0_usize)
        .value(u64::from(libc::CLONE_THREAD.unsigned_abs()))
        .value_two(0_u64)
        .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
        .build()?;
    let no_process = refusal().names(names(&["clone"])).args(vec![is_no_thread]).build()?;
    let filter = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .architectures(vec![Arch::ScmpArchX86_64])
        .syscalls(vec![refuse, is_missing, no_process])
        .build()?;
    initialize_seccomp(&filter).context("setting the system call filter")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_can_start_threads_but_no_process() {
        // A filter is the thread's own that sets it, and of those that it starts.
        let locked_up = std::thread::spawn(|| {
            nix::sys::prctl::set_no_new_privs().unwrap();
            set().unwrap();
            // SAFETY: a child, if there were one, ends at once.
            let child = unsafe {
                match libc::fork() {
                    0 => libc::_exit(0),
                    child => child,
                }
            };
            assert_eq!(child, -1);
            std::thread::spawn(|| 1).join().unwrap()
        });
        assert_eq!(locked_up.join().unwrap(), 1);
    }
}
