//! `wasmedge-engine compile`: a process that turns one module into native code and ends.
//!
//! A compiler is large and eats bytes from anybody, so it is locked up before it looks at the first of them: what a
//! module can gain by breaking it is a process without network, files, privileges or much time, whose only product
//! is an artifact that is used for this very module.
//!
//! It is two processes: one that is killed with its parent and waits, and the first process of a pid namespace that
//! works. See [`wasmedge_messages::CompileReport`] for what they say.

mod confinement;
mod filter;
mod translation;

use std::fs::File;
use std::io::{Read, Write, copy};
use std::os::fd::FromRawFd;

use anyhow::{Context, Result};
use wasmedge_messages::{COMPILE_ARTIFACT_FD, COMPILE_MODULE_FD, COMPILE_REPORT_FD, CompileReport};

use crate::module::{Limits, Module, ModuleError};

/// Where the compiler writes, in a filesystem of its own.
const ARTIFACT: &str = "/artifact.so";

/// Compile a module, descriptor 3, to native code, descriptor 4 (started by the shim)
#[derive(Debug, clap::Args)]
pub struct Compile {
    /// The processor time it may take, in seconds
    #[arg(long, default_value_t = 600)]
    cpu_seconds: u64,
    /// The address space it may take, in bytes
    #[arg(long, default_value_t = 8 << 30)]
    memory: u64,
    /// The size that the artifact may have, in bytes
    #[arg(long, default_value_t = 1 << 30)]
    artifact_size: u64,
}

/// Why there is no artifact.
enum Obstacle {
    Module(String),
    Compiler(anyhow::Error),
}

/// Compiles, and reports; the exit status is that of the process that worked.
///
/// # Errors
/// When there is nobody to report to.
pub fn run(compile: &Compile) -> Result<i32> {
    let descriptors = [COMPILE_MODULE_FD, COMPILE_ARTIFACT_FD, COMPILE_REPORT_FD];
    let [module, artifact, mut report] =
        inherited(descriptors).context("the compiler is started by the shim")?;
    let said = match confinement::enter(compile) {
        Ok(confinement::Role::Waits(status)) => return Ok(status),
        Ok(confinement::Role::Works) => attempt(compile, module, artifact),
        Err(error) => Err(Obstacle::Compiler(error.context("locking the compiler up"))),
    };
    let said = match said {
        Ok(()) => CompileReport::Compiled,
        Err(Obstacle::Module(why)) => CompileReport::Refused { why },
        Err(Obstacle::Compiler(error)) => CompileReport::Failed { why: format!("{error:#}") },
    };
    report.write_all(&serde_json::to_vec(&said)?).context("reporting")?;
    Ok(0)
}

fn attempt(compile: &Compile, mut module: File, mut artifact: File) -> Result<(), Obstacle> {
    let mut bytes = Vec::new();
    module.read_to_end(&mut bytes).context("reading the module")?;
    let refused = |error: ModuleError| Obstacle::Module(error.to_string());
    let module = Module::parse(bytes, Limits::default()).map_err(refused)?;
    if let Some(why) = module.unfit_throughout().map_err(refused)? {
        return Err(Obstacle::Module(why.to_string()));
    }
    translation::translate(module.code(), ARTIFACT).map_err(|error| Obstacle::Module(error.to_string()))?;
    let mut made = File::open(ARTIFACT).context("opening the artifact")?;
    let size = copy(&mut made, &mut artifact).context("handing the artifact out")?;
    match size <= compile.artifact_size {
        true => Ok(()),
        false => Err(Obstacle::Module(format!("its native code has {size} bytes"))),
    }
}

fn inherited<const N: usize>(descriptors: [i32; N]) -> std::io::Result<[File; N]> {
    for fd in descriptors {
        // SAFETY: asks about a number; a closed one is an error.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            return Err(std::io::Error::last_os_error());
        }
    }
    // SAFETY: each was just seen to be open, and only this function takes it.
    Ok(descriptors.map(|fd| unsafe { File::from_raw_fd(fd) }))
}

impl From<anyhow::Error> for Obstacle {
    fn from(error: anyhow::Error) -> Self {
        Self::Compiler(error)
    }
}
