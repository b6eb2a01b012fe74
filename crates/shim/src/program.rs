//! A program: an executable as a copy in memory that nobody can change, run through its descriptor.
//!
//! Whoever has a look at a container's process in `/proc` finds the program that it was started from, and can open it.
//! Were that a file of this host, root in the container could write to it, and so into what the host runs next
//! (CVE-2019-5736). A sealed copy belongs to its processes alone, and not even they can write to it.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

/// Descriptors below this are given to the programs that are started; ours must not be among them.
const BEYOND_PASSED: i32 = 64;

/// A sealed copy of an executable. It can be run as long as this value lives.
#[derive(Debug)]
pub(crate) struct Program(OwnedFd);

impl Program {
    /// Copies the executable.
    ///
    /// Fails if it cannot be read, or if this host allows no executable memory files (`vm.memfd_noexec` is 2).
    pub(crate) fn copy(path: &Path) -> Result<Self> {
        let copying = || format!("making a sealed copy of {}", path.display());
        let mut file = File::open(path).with_context(copying)?;
        let mut copy = File::from(executable_memory().with_context(copying)?);
        std::io::copy(&mut file, &mut copy).with_context(copying)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&copy, seals).with_context(copying)?;
        Ok(Self(fcntl_dupfd_cloexec(&copy, BEYOND_PASSED).with_context(copying)?))
    }

    /// The name under which this process, and a child of it, can execute the copy.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Kernels before 6.3 do not know the flag, and need none.
fn executable_memory() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("wasmedge-engine", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("wasmedge-engine", flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_runs_and_cannot_be_written_to() {
        let program = Program::copy(Path::new("/bin/true")).unwrap();
        assert!(Command::new(program.path()).status().unwrap().success());
        let mut opened = OpenOptions::new().write(true).open(program.path()).unwrap();
        assert!(opened.write_all(b"x").is_err());
        assert!(opened.set_len(0).is_err());
        assert!(OpenOptions::new().write(true).truncate(true).open(program.path()).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = format!("{:#}", Program::copy(Path::new("/nope/loader")).unwrap_err());
        assert!(error.contains("/nope/loader: No such file"), "{error}");
    }
}
