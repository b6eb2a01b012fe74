//! The confinement: what the compiler gives up before it reads a byte.

use std::path::Path;

use anyhow::{Context, Result, bail};
use libc::{PR_SET_DUMPABLE, PR_SET_PDEATHSIG};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Gid, Uid, chdir, pivot_root, setgroups, setresgid, setresuid};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

use super::{Compile, filter};

/// The user without rights, by the number that it has nearly everywhere.
const NOBODY: u32 = 65534;
/// Where the own filesystem is mounted, seen by nobody else; a directory that every system has.
const PLACE: &str = "/proc";
/// The descriptors that stay open: the standard streams and the three of the compile.
const DESCRIPTORS: u32 = 6;

/// How far behind others the compiler stands (setpriority(2)).
const NICENESS: i32 = 10;
/// How readily it is killed when the machine is out of memory: before anything else (proc(5)).
const OOM_SCORE: &str = "1000";
/// The most threads that this user has while it starts one more. Those of other processes of `nobody` on the machine
/// count too, so it is no tight bound.
const THREADS: u64 = 8192;
/// How many seconds more of it a compiler that is over its processor time has until it is killed, should it not end by
/// itself; its status would be that of a compiler that was killed by somebody else.
const GRACE: u64 = 5;

/// Which of the two processes this is.
pub(super) enum Role {
    /// The one that works, locked up.
    Works,
    /// The other one, and the status with which the first ended (128 + signal).
    Waits(i32),
}

/// Locks a new process up.
///
/// # Errors
/// When one of the locks does not close: then nothing may be compiled.
pub(super) fn enter(limits: &Compile) -> Result<Role> {
    close_others()?;
    die_with_the_parent()?;
    give_way();
    let namespaces = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID;
    unshare(namespaces).context("leaving the host's namespaces")?;
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        -1 => bail!("forking: {}", std::io::Error::last_os_error()),
        0 => {}
        worker => return wait_for(worker).map(Role::Waits),
    }
    own_filesystem(limits).context("making a filesystem of its own")?;
    become_nobody()?;
    // Both are undone by a change of user, so they come after it.
    die_with_the_parent()?;
    // SAFETY: takes plain numbers.
    unsafe { libc::prctl(PR_SET_DUMPABLE, 0) };
    filter::set()?;
    end_when_the_time_is_over()?;
    // Last, so that what is too small for the compiler shows there.
    limit(limits)?;
    Ok(Role::Works)
}

fn close_others() -> Result<()> {
    // SAFETY: nobody in this process owns a descriptor yet but those that stay.
    match unsafe { libc::syscall(libc::SYS_close_range, DESCRIPTORS, u32::MAX, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).context("closing what was inherited"),
    }
}

fn die_with_the_parent() -> Result<()> {
    // SAFETY: takes plain numbers.
    match unsafe { libc::prctl(PR_SET_PDEATHSIG, Signal::SIGKILL as libc::c_ulong) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).context("asking for a common end with the parent"),
    }
}

/// Containers come first, for the processor and for memory. Where that is not permitted it is done without.
fn give_way() {
    let _ = setpriority_process(None, NICENESS);
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

fn wait_for(worker: libc::pid_t) -> Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: writes one number.
        match unsafe { libc::waitpid(worker, &mut status, 0) } {
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            -1 => bail!("waiting for the compiler: {}", std::io::Error::last_os_error()),
            _ if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
            _ => return Ok(128 + libc::WTERMSIG(status)),
        }
    }
}

/// An empty filesystem in memory becomes the root; the host's are let go.
fn own_filesystem(limits: &Compile) -> Result<()> {
    let none = None::<&Path>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("parting from the host's mounts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Object file and shared object are there at the same time.
    let size = limits.artifact_size.saturating_mul(2);
    let options = format!("size={size},nr_inodes=64,mode=0700,uid={NOBODY},gid={NOBODY}");
    mount(Some("compile"), PLACE, Some("tmpfs"), flags, Some(options.as_str())).context("mounting it")?;
    chdir(PLACE).context("entering it")?;
    // With both the same, the old root ends up on top of the new one, and is taken from there.
    pivot_root(".", ".").context("making it the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("letting the host's go")?;
    chdir("/").context("entering the root")
}

fn limit(limits: &Compile) -> Result<()> {
    let time = limits.cpu_seconds;
    let limits = [
        (Resource::Core, 0, 0),
        (Resource::Cpu, time, time.saturating_add(GRACE)),
        (Resource::As, limits.memory, limits.memory),
        (Resource::Fsize, limits.artifact_size, limits.artifact_size),
        (Resource::Nofile, 64, 64),
    ];
    for (resource, current, maximum) in limits {
        let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
        setrlimit(resource, limit).with_context(|| format!("limiting {resource:?} to {current}"))?;
    }
    // No more than there may be: that needs no privilege.
    let most = getrlimit(Resource::Nproc).maximum.map_or(THREADS, |most| most.min(THREADS));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Nproc, limit).with_context(|| format!("limiting threads to {most}"))
}

/// The kernel says with SIGXCPU that the processor time is over, which by itself would not end the first process of a
/// pid namespace.
fn end_when_the_time_is_over() -> Result<()> {
    const STATUS: libc::c_int = 128 + libc::SIGXCPU;
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: may be called in a signal handler (signal-safety(7)).
        unsafe { libc::_exit(STATUS) }
    }
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing but end the process.
    unsafe { sigaction(Signal::SIGXCPU, &action) }.context("arranging for the end of the processor time")?;
    Ok(())
}

fn become_nobody() -> Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).context("leaving all groups")?;
    setresgid(group, group, group).context("becoming nobody's group")?;
    setresuid(user, user, user).context("becoming nobody")?;
    nix::sys::prctl::set_no_new_privs().context("giving up new privileges")
}
