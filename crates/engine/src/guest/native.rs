//! Native code: what the compiler made of a module, mapped into the guest's process.
//!
//! It is loaded through this process's own descriptor, by its name in `/proc`, since WasmEdge and the dynamic loader
//! take nothing but names. So that an image cannot put a file of its own behind that name, `/proc` must be the
//! kernel's.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, PROC_SUPER_MAGIC, statat, statfs};
use sha2::{Digest, Sha256};

use super::source::Bytes;
use crate::module::Module;
use crate::vm::{Loaded, Vm};

/// An artifact, and whose it is.
#[derive(Debug)]
pub struct NativeCode {
    /// SHA-256 of the module that it was made from, in hexadecimal.
    pub module: String,
    /// The artifact. Nobody else may be able to write to it.
    pub file: OwnedFd,
}

impl NativeCode {
    /// The code in a file, which the caller says was made from that module.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn for_file(module: &Path, artifact: &Path) -> Result<Self> {
        let bytes = std::fs::read(module).with_context(|| format!("{}", module.display()))?;
        let file = File::open(artifact).with_context(|| format!("{}", artifact.display()))?;
        Ok(Self { module: sha256(&bytes), file: file.into() })
    }
}

/// Loads the code if it is this module's; the error is for a person who wonders why it runs interpreted.
pub(super) fn load(
    vm: &Vm,
    code: Option<NativeCode>,
    bytes: &Bytes,
    module: &Module<'_>,
) -> std::result::Result<Loaded, String> {
    let Some(code) = code else { return Err("there is no native code".to_owned()) };
    if let Some(why) = module.unfit() {
        return Err(why.to_string());
    }
    // A layer was verified by whoever sealed it.
    if let Bytes::Read(bytes, _) = bytes
        && sha256(bytes) != code.module
    {
        return Err("the module was changed while the container was made".to_owned());
    }
    if !is_kernels_proc() {
        return Err("the container has no /proc to load native code through".to_owned());
    }
    let path = CString::new(format!("/proc/self/fd/{}", code.file.as_raw_fd()))
        .map_err(|error| error.to_string())?;
    vm.load_native(&path).map_err(|error| format!("the native code cannot be loaded: {error}"))
}

/// Whether `/proc` is a mount of procfs: as such no file of an image is below it.
fn is_kernels_proc() -> bool {
    let is_directory = statat(CWD, "/proc", AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory);
    is_directory && statfs("/proc").is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
