//! A user namespace in which nobody runs: it is there for what the kernel derives from one.
//!
//! That is a mapping of users, which a mount takes in the shape of a user namespace; and the locks on what a mount
//! namespace of its own has copied. A namespace is made with a process in it, which does nothing but wait: it ends with
//! this value, or with its maker.

use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use wasmedge_messages::{IdMapping, Users};

/// One, as long as this value lives; longer, where its descriptors are kept.
#[derive(Debug)]
pub(crate) struct UserNamespace {
    process: i32,
    life: Option<PipeWriter>,
}

impl UserNamespace {
    /// One with that mapping, as a descriptor.
    pub(crate) fn mapping(users: &Users) -> Result<File> {
        let namespace = Self::make(libc::CLONE_NEWUSER).context("making a user namespace")?;
        let map = |file: &str, mappings: &[IdMapping]| {
            let lines: String = mappings.iter().map(|mapping| format!("{}\n", mapping.line())).collect();
            fs::write(namespace.proc(file), &lines)
                .with_context(|| format!("mapping users ({file}: {})", lines.trim_end()))
        };
        map("uid_map", &users.uids)?;
        map("gid_map", &users.gids)?;
        namespace.open("ns/user")
    }

    /// A copy of this process's mount namespace, as a descriptor. What is set on a mount (read-only, …) is locked there, and
    /// in all trees that are cloned there: root of a user namespace cannot take it back.
    pub(crate) fn locked_mounts() -> Result<File> {
        let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
        Self::make(flags).context("making a user namespace")?.open("ns/mnt")
    }

    fn make(namespaces: i32) -> io::Result<Self> {
        let (wait, life) = io::pipe()?;
        let flags = namespaces | libc::SIGCHLD;
        // SAFETY: a fork without a new stack in a single-threaded process: no lock is held by another thread.
        match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            0 => wait_for_the_end_of(wait.as_raw_fd(), life.as_raw_fd()),
            process => {
                let process = i32::try_from(process).map_err(io::Error::other)?;
                Ok(Self { process, life: Some(life) })
            }
        }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.process)
    }

    fn open(&self, file: &str) -> Result<File> {
        let path = self.proc(file);
        File::open(&path).with_context(|| format!("opening {path}"))
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        self.life = None;
        // SAFETY: a child of this process, which ends now that the pipe has no writer; nobody else waits for it.
        unsafe { libc::waitpid(self.process, std::ptr::null_mut(), 0) };
    }
}

/// Ends this process when nobody holds the other end of the pipe any more.
fn wait_for_the_end_of(wait: i32, own: i32) -> ! {
    let mut byte = 0_u8;
    // SAFETY: system calls on descriptors of this process, which nobody else uses, and on a buffer of one byte; the process
    // is a fork that touches nothing else and never returns.
    unsafe {
        libc::close(own);
        libc::read(wait, (&raw mut byte).cast(), 1);
        libc::_exit(0)
    }
}
