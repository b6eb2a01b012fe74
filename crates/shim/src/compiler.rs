//! The compiler is the engine's `compile`, run once for one module by whoever wants the artifact.

use std::fs::File;
use std::io::{PipeReader, Read, Seek, copy, pipe};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wasmedge_cache::{Digest, Draft, Ingredients, Key, cpu_features};
use wasmedge_messages::{COMPILE_ARTIFACT_FD, COMPILE_MODULE_FD, COMPILE_REPORT_FD, CompileReport};

use crate::engine::Engine;
use crate::settings::Settings;

/// How the engine compiles; part of every key.
const OPTIONS: &str = "O3 native shared-object";
/// The longest report that is read.
const LONGEST_REPORT: u64 = 64 << 10;

/// An engine as a compiler: which it is, and what it may take.
#[derive(Debug)]
pub(crate) struct Compiler {
    engine: Engine,
    identity: String,
    features: String,
    memory: u64,
    seconds: u64,
}

/// A compiler at work. It is killed if this process dies.
#[derive(Debug)]
pub(crate) struct Compiling {
    pub(crate) child: Child,
    report: PipeReader,
    /// Of processor time, that it has.
    seconds: u64,
}

impl Compiler {
    /// Fails if the engine's files cannot be read.
    pub(crate) fn new(engine: Engine, settings: &Settings) -> Result<Self> {
        let (memory, seconds) = (settings.compile_memory, settings.compile_time);
        Ok(Self { identity: engine.identity()?, features: cpu_features(), engine, memory, seconds })
    }

    /// The key of what this compiler makes of a module, here.
    pub(crate) fn key(&self, module: Digest) -> Key {
        let (engine, features) = (&self.identity, &self.features);
        Key::of(&Ingredients { module, engine, features, options: OPTIONS })
    }

    /// What tells this compiler from others.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Starts to compile `module`, a file that nobody changes. To be called on the thread that lives longest: the
    /// compiler dies with it.
    pub(crate) fn start(&self, module: OwnedFd, draft: &Draft) -> Result<Compiling> {
        let (report, theirs) = pipe().context("making a pipe")?;
        let artifact = draft.file().try_clone().context("passing the artifact's file")?;
        let mappings = [
            (module, COMPILE_MODULE_FD),
            (artifact.into(), COMPILE_ARTIFACT_FD),
            (theirs.into(), COMPILE_REPORT_FD),
        ];
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).into();
        let mut command = self.engine.command();
        command
            .arg("compile")
            .arg(format!("--memory={}", self.memory))
            .arg(format!("--cpu-seconds={}", self.seconds))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .fd_mappings(mappings)
            .context("passing the module")?;
        let child =
            command.spawn().with_context(|| format!("running {}", self.engine.executable().display()))?;
        Ok(Compiling { child, report, seconds: self.seconds })
    }
}

impl Compiling {
    /// What the compiler, which has ended with this status (128 + signal), has said. The error is why there is no
    /// artifact, and whether that is because of the module.
    pub(crate) fn verdict(self, status: u32) -> std::result::Result<(), NoArtifact> {
        let mut said = Vec::new();
        let read = self.report.take(LONGEST_REPORT).read_to_end(&mut said);
        let report = read.ok().and_then(|_| serde_json::from_slice(&said).ok());
        match report {
            Some(CompileReport::Compiled) if status == 0 => Ok(()),
            Some(CompileReport::Refused { why }) => Err(NoArtifact::Module(why)),
            Some(CompileReport::Failed { why }) => Err(NoArtifact::Compiler(why)),
            _ => Err(died(status, self.seconds)),
        }
    }
}

/// What a compiler that said nothing, and had so many seconds of processor time, died of. A limit of its own ends it in
/// one of several ways, but not by SIGKILL: that is somebody else's, such as the kernel's when the machine is out of
/// memory.
fn died(status: u32, seconds: u64) -> NoArtifact {
    const SIGKILL: u32 = 9;
    const SIGXCPU: u32 = 24;
    let memory = "it may need more memory than CompileMemory allows";
    match status.checked_sub(128) {
        Some(SIGKILL) => NoArtifact::Compiler("the compiler was killed (signal 9)".to_owned()),
        Some(SIGXCPU) => NoArtifact::Module(format!(
            "compiling it takes more than the {seconds} s of processor time that CompileTime allows"
        )),
        Some(signal) => NoArtifact::Module(format!("the compiler was ended by signal {signal}; {memory}")),
        None => NoArtifact::Module(format!("the compiler gave up with status {status}; {memory}")),
    }
}

/// Why there is no artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoArtifact {
    /// The module is not for this compiler; trying again is no use.
    Module(String),
    /// Something else was in the way.
    Compiler(String),
}

impl std::fmt::Display for NoArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Module(why) | Self::Compiler(why)) = self;
        f.write_str(why)
    }
}

/// A copy of a file's bytes that nobody can change. Fails if they are not those with this digest (any more).
pub(crate) fn sealed(mut file: File, digest: Digest) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(memfd_create("module", flags).context("making a memory file")?);
    copy(&mut file, &mut memory).context("copying the module")?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals).context("sealing the module")?;
    memory.rewind().context("reading the module")?;
    ensure!(Digest::of_rest(&mut memory)? == digest, "the module was changed while it was copied");
    memory.rewind().context("reading the module")?;
    Ok(memory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_somebody_killed_says_nothing_of_the_module() {
        assert!(matches!(died(128 + 9, 1), NoArtifact::Compiler(_)));
        for of_its_own in [1, 127, 128 + 6, 128 + 11, 128 + 24] {
            assert!(matches!(died(of_its_own, 1), NoArtifact::Module(_)), "{of_its_own}");
        }
    }
}
